"""The multimodal adaptation gate, against recorded figures."""

import numpy as np

from sugrm_jax.layers.gate import AdaptationGate
from tests import recordings
from tests.parity.test_phased import assert_close


def test_adaptation_gate():
    recording = recordings.load('mag')
    params = recordings.group(recording, 'param/')
    ours = {'norm': recordings.norm(params, 'LayerNorm')}
    for s in 'av':
        ours[f'gate_{s}'] = recordings.dense(params, f'W_h{s}')
        ours[f'map_{s}'] = recordings.dense(params, f'W_{s}')
    x = recordings.inputs(recording)
    others = {s: x[s] for s in 'av'}
    real = {s: np.ones(x[s].shape[:2], bool) for s in 'av'}
    gate = AdaptationGate(beta_shift=0.7, dropout=0.5)
    shifted = gate.apply({'params': ours}, x['t'], others, real, True)
    assert_close(shifted, recording['out/text'])
