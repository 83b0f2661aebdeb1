"""What the launch scripts start, with a stand-in for Python that tells how."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

LAUNCH = pathlib.Path(__file__).parent.parent / 'launch'
PYTHON = """#!/bin/sh
if [ "$1" = -c ]; then echo 4321; exit; fi
echo "[$CUDA_VISIBLE_DEVICES]" "$@"
"""


@pytest.fixture
def started(tmp_path):
    """Starts a script with a Python that says its GPUs and arguments, then `ends`."""

    def start(script, *arguments, ends='exit 0', **environment):
        python = tmp_path / 'python'
        python.write_text(PYTHON + ends)
        python.chmod(0o755)
        path = f'{tmp_path}:{os.environ["PATH"]}'
        return subprocess.Popen(
            [LAUNCH / script, *arguments],
            env=os.environ
            | {'CUDA_VISIBLE_DEVICES': ''}
            | environment
            | {'PATH': path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_local_deals_gpus_out_to_processes(started):
    process = started('local.sh', '2', '--config=a.py', GPUS='0,2,5,7')
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    common = '-m sugrm_jax.main --processes={}/2@127.0.0.1:4321 --config=a.py'
    assert sorted(out.splitlines()) == [
        f'[0,2] {common.format(1)}',
        f'[5,7] {common.format(2)}',
    ]


def test_local_refuses_gpus_that_cannot_be_dealt_out(started):
    process = started('local.sh', '2', '--config=a.py', GPUS='0,1,2')
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors == '3 GPUs cannot be dealt out evenly to 2 processes.\n'


def test_local_ends_with_the_status_of_a_process_that_fails(started):
    ends = 'case "$3" in *=2/3@*) exit 7; esac'
    process = started('local.sh', '3', '--config=a.py', ends=ends)
    process.communicate(timeout=20)
    assert process.returncode == 7


def test_local_passes_a_signal_on_to_all_and_waits(started):
    ends = 'trap "echo told; exit 143" TERM; echo up; while :; do sleep 0.1; done'
    process = started('local.sh', '2', '--config=a.py', ends=ends)
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines.count('up\n') == 2
    time.sleep(0.3)  # until both wait in their loops
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert out.count('told') == 2
    assert process.returncode == 143


def test_multihost_names_its_place(started):
    process = started('multihost.sh', '2/3', '10.0.0.1:99', '--config=a.py')
    out, _ = process.communicate(timeout=20)
    assert out == '[] -m sugrm_jax.main --processes=2/3@10.0.0.1:99 --config=a.py\n'


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [('local.sh', ['runs/x', '--config=a.py']), ('multihost.sh', ['1/2'])],
)
def test_a_wrong_call_says_how_it_is_done(started, script, arguments):
    process = started(script, *arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f'launch/{script}' in errors and '#' not in errors
