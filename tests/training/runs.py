"""What tests of whole runs share: comparing them, and stopping them half-way."""

from sugrm_jax.results import files
from sugrm_jax.training import loop

FIGURES = ('valid', 'test', 'best_epoch', 'epochs', 'parameters', 'unimodal', 'seed')


def figures(results):
    return {name: results[name] for name in FIGURES}


def assert_alike(workdir, other):
    """Two runs have left the same: labels, predictions and history, bit for bit."""
    for name in ('labels.npz', 'predictions.csv', 'scaling.npz'):
        kept = [folder / name for folder in (workdir, other)]
        assert kept[0].exists() == kept[1].exists(), name
        if kept[0].exists():
            assert kept[0].read_bytes() == kept[1].read_bytes(), name
    ours, theirs = (files.read_history(f / 'metrics.jsonl') for f in (workdir, other))
    assert [row | {'seconds': 0} for row in ours] == [
        row | {'seconds': 0} for row in theirs
    ]


class Stop(Exception):
    """Stands for a power cut: nothing after it runs."""


def cut(*_):
    raise Stop


def stop_after(monkeypatch, steps, action):
    """Lets `action` happen once that many train steps were noted, one at a time."""
    note, done = loop.Run._note, []

    def counting(self, *args):
        stop = note(self, *args)
        done.append(1)
        if len(done) == steps:
            action()
        return stop

    monkeypatch.setattr(loop.Run, '_note', counting)
