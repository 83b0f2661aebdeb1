"""launch/own_clips.sh, with stand-ins for Python, browser and network."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'own_clips.sh'
# Says what it was called for; as the page it lives as long as it is told.
PYTHON = """#!/bin/sh
echo "$0" "$@" "[$SUGRM_VIDEO_PYTHON]" >>"$CALLS"
case "$*" in
    *sugrm_jax.predict*) touch "$FOLDER/talk.csv" "$FOLDER/talk.png" ;;
    *sugrm_jax.export*) mkdir "$FOLDER/model" ;;
    *sugrm_jax.app*) eval "$APP" ;;
esac
"""


@pytest.fixture
def launched(tmp_path):
    """Runs the script in `tmp_path`; returns what ended and the calls of Python."""

    def stand_in(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)

    def launch(argument, app='exit 1', curl='exit 7'):
        folder = tmp_path / 'here'
        for environment in ('video', 'main'):
            stand_in(folder / environment / 'bin' / 'python', PYTHON)
        for command in ('chromium', 'chromedriver', 'sleep'):
            stand_in(tmp_path / 'bin' / command, '#!/bin/sh\n')
        stand_in(tmp_path / 'bin' / 'curl', f'#!/bin/sh\n{curl}\n')
        calls = tmp_path / 'calls'
        done = subprocess.run(
            ['bash', SCRIPT, argument.format(tmp_path)],
            cwd=tmp_path,
            env=os.environ
            | {'PATH': f'{tmp_path}/bin:{os.environ["PATH"]}'}
            | {'CALLS': str(calls), 'FOLDER': str(folder), 'APP': app},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done, calls.read_text().splitlines()

    return launch


@pytest.mark.parametrize('argument', ['here', '{}/here'])
def test_the_folder_is_where_the_caller_says(launched, tmp_path, argument):
    done, calls = launched(argument, app='exec tail -f /dev/null', curl='exit 0')
    assert done.returncode == 0, done.stderr
    video = f'{tmp_path}/here/video/bin/python'
    assert f'{video} launch/made_clips.py {tmp_path}/here/made [{video}]' in calls
    (page,) = [call for call in calls if 'photograph' in call]
    assert page.endswith(f'{tmp_path}/here/app.png [{video}]')
    assert done.stdout.count(f'{tmp_path}/here/talk.') == 2


@pytest.mark.parametrize('app', ['exit 1', 'exec tail -f /dev/null'])
def test_a_page_that_does_not_start_is_not_waited_for_for_ever(launched, app):
    done, calls = launched('here', app=app)
    assert done.returncode == 1 and 'the page did not start' in done.stderr
    assert not [call for call in calls if 'photograph' in call]
