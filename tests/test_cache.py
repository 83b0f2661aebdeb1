"""Where downloads and compiled programs are kept."""

from pathlib import Path

import pytest

from sugrm_jax.cache import cache_folder


@pytest.mark.parametrize(
    ('environment', 'folder'),
    [
        ({'SUGRM_CACHE': '/a', 'XDG_CACHE_HOME': '/b'}, '/a'),
        ({'XDG_CACHE_HOME': '/b'}, '/b/sugrm_jax'),
        ({}, '/home/me/.cache/sugrm_jax'),
        ({'SUGRM_CACHE': '~/mine'}, '/home/me/mine'),
    ],
)
def test_the_users_own_choice_comes_first(monkeypatch, environment, folder):
    for name in ('SUGRM_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', '/home/me')
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)
