"""Metrics against the field's own functions (MMSA)."""

import pytest

from sugrm_jax.metrics import regression_metrics
from tests import recordings

THEIRS = {
    'mae': 'MAE',
    'corr': 'Corr',
    'acc2_has0': 'Has0_acc_2',
    'f1_has0': 'Has0_F1_score',
    'acc2_non0': 'Non0_acc_2',
    'f1_non0': 'Non0_F1_score',
    'acc5': 'Mult_acc_5',
    'acc7': 'Mult_acc_7',
}


@pytest.mark.parametrize('case', range(4))
def test_metrics(case):
    recording = recordings.group(recordings.load('metrics'), f'{case}/')
    ours = regression_metrics(recording['pred'], recording['true'])
    for name, theirs in THEIRS.items():
        # Recorded with four decimals.
        assert ours[name] == pytest.approx(float(recording[theirs]), abs=5.1e-5), name
