"""MRM and SPT against figures recorded from the original PyTorch code."""

import jax
import numpy as np
import pytest

from sugrm_jax.layers.blocks import DropoutRates, PhasedConfig
from sugrm_jax.layers.mrm import ModalityRecalibration
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.sampling import Sampling, sampled_positions
from tests import recordings

# Both sides compute in float32 with sums of up to a few hundred terms: their
# rounding differs by some 1e-6 of the largest value.
RELATIVE = 1e-5

SHIFTS = {
    'spt_no_input_shift': ((), ('stride',)),
    'spt_stride_phase': (('stride', 'phase'), ('stride',)),
    'spt_phase_everywhere': (('stride', 'phase'), ('stride', 'phase')),
}


def assert_close(ours, recorded, relative=RELATIVE):
    error = np.abs(np.asarray(ours) - recorded).max()
    assert error <= relative * np.abs(recorded).max()


def spt(input_shifts, other_shifts):
    config = PhasedConfig(
        width=32,
        heads=8,
        layers=4,
        input_attention=Sampling(5, 17, input_shifts),
        cross_attention=Sampling(1, 9, other_shifts),
        self_attention=Sampling(1, 7, other_shifts),
        dropout=DropoutRates(),
        skip_zero_steps=True,
    )
    return PhasedTransformer(config)


def test_mrm():
    recording = recordings.load('mrm')
    params = recordings.mrm(recordings.group(recording, 'param/'))
    ours = ModalityRecalibration().apply(
        {'params': params}, recordings.inputs(recording)
    )
    for s, name in recordings.MODALITY_NAMES.items():
        assert_close(ours[s], recording[f'out/{name}'])


@pytest.mark.parametrize('name', SHIFTS)
def test_spt(name):
    recording = recordings.load(name)
    params = recordings.phased(recordings.group(recording, 'param/'))
    model = spt(*SHIFTS[name])

    @jax.jit
    def encode(params, features):
        last, seen = model.apply(
            {'params': params},
            features,
            None,
            True,
            mutable='intermediates',
        )
        return seen['intermediates']['states'][0], last

    states, last = encode(params, recordings.inputs(recording))
    first = 0
    for s, long in recordings.MODALITY_NAMES.items():
        recorded = recording[f'out/{long}']
        after = first + recorded.shape[1]
        assert_close(states[:, first:after].transpose(2, 1, 0), recorded)
        first = after
        assert_close(last[s], recorded[:, -1])


def test_sampled_positions():
    for name, recorded in recordings.load('spt_sampling').items():
        kind, fields = name.split('/')
        h, c, stride, w, shift = fields.split('_')
        stride, w = int(stride.removeprefix('stride')), int(w.removeprefix('w'))
        if kind == 'phase_index':
            sampling = Sampling(stride, w, ('phase',))
            layer = 0
        else:
            sampling = Sampling(stride, w, ('stride',))
            layer = int(shift.removeprefix('shift'))
        ours = sampled_positions(
            sampling,
            layer=layer,
            queries=int(h[1:]),
            keys=int(c[1:]),
            length=int(c[1:]),
            hidden=int(h[1:]),
        )
        np.testing.assert_array_equal(ours, recorded, err_msg=name)
