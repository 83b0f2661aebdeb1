"""MulT against figures recorded from the original PyTorch code."""

import jax
import numpy as np

from sugrm_jax.layers.crossmodal import (
    CrossmodalConfig,
    CrossmodalDropout,
    CrossmodalTransformer,
)
from sugrm_jax.layers.heads import ResidualHead
from sugrm_jax.types import MODALITIES
from tests import recordings

CONFIG = CrossmodalConfig(
    width=8,
    heads=2,
    layers=2,
    memory_layers=3,
    kernels=(3, 3, 3),
    positions=False,
    causal=True,
    dropout=CrossmodalDropout(),
)
# Both sides compute in float32; their rounding differs by some 1e-6 of the largest
# value.
RELATIVE = 1e-5


def assert_close(ours, recorded):
    error = np.abs(np.asarray(ours) - recorded).max()
    assert error <= RELATIVE * np.abs(recorded).max()


def test_mult():
    recording = recordings.load('mult')
    params = recordings.group(recording, 'param/')
    encode = jax.jit(CrossmodalTransformer(CONFIG).apply, static_argnums=3)
    encoded = encode(
        {'params': recordings.crossmodal(params)},
        recordings.inputs(recording),
        None,
        True,
    )
    for s in MODALITIES:
        assert_close(encoded[s], recording[f'out/Feature_{s}'])
    joined = np.concatenate([encoded[s] for s in MODALITIES], axis=-1)
    assert_close(joined, recording['out/Feature_f'])
    head = {'params': recordings.residual_head(params)}
    sentiment = ResidualHead(0.0).apply(head, joined, True)
    assert_close(sentiment, recording['out/M'][:, 0])
