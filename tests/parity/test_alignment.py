"""The alignment module, against recorded figures."""

import numpy as np

from sugrm_jax.layers.alignment import CtcAligner
from tests import recordings
from tests.parity.test_phased import assert_close


def test_ctc_alignment():
    recording = recordings.load('ctc_align')
    params = recordings.group(recording, 'param/')
    layers = {
        layer: recordings.lstm(params, 'pred_output_position_inclu_blank', i)
        for i, layer in enumerate(('lower', 'upper'))
    }
    audio, aligned = recording['in/audio'], recording['out/aligned']
    features, lengths, losses = CtcAligner(1.0).apply(
        {'params': {'position_a': layers}}, {'a': audio}, None, aligned.shape[1]
    )
    assert_close(features['a'], aligned)
    assert lengths is None
    assert list(losses) == ['ctc_a'] and np.isfinite(losses['ctc_a']).all()
