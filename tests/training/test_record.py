"""Means of an epoch, and the bar."""

import io

import pytest
from rich.console import Console

from sugrm_jax.training.progress import TrainingProgress
from sugrm_jax.training.record import epoch_means

VALID = {'mae': 0.5, 'corr': float('nan'), 'acc2_has0': 0.25, 'acc2_non0': 1.0}
ROW = {'epoch': 2, 'train': {'loss': 1.25}, 'valid': VALID, 'seconds': 3.0}


def test_batches_count_by_their_samples():
    # (8 · 1 + 2 · 6) / 10
    reports = [[8.0, {'loss': 1.0, 'm': 0.0}], [2.0, {'loss': 6.0, 'm': 5.0}]]
    assert epoch_means(reports) == {'loss': pytest.approx(2.0), 'm': pytest.approx(1.0)}


@pytest.mark.parametrize('best', [False, True])
def test_without_a_terminal_there_is_a_line_for_each_epoch(best):
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=100)) as shown:
        shown.start_epoch(2, 9, steps=3, done=0)
        shown.step(1.5)
        shown.end_epoch(ROW | {'best': best})
    first, line = out.getvalue().splitlines()
    assert first.startswith('compiling')
    assert line == (
        'epoch   2  loss 1.250  valid MAE 0.500  r nan  Acc2 25.0/100.0  3.0 s'
        + ('  *' if best else '')
    )
