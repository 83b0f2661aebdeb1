"""MRM and SPT alone, at the shapes of the unaligned data sets."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from flax import linen as nn

from benchmarks.measure import against, rounds, say, seconds
from benchmarks.options import Options
from benchmarks.reference import RELEASED, Reference, check_same, encoder_params
from benchmarks.tables import Table
from sugrm_jax.layers.blocks import DropoutRates, PhasedConfig
from sugrm_jax.layers.mrm import ModalityRecalibration
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.layers.sampling import Sampling
from sugrm_jax.types import MODALITIES
from tests import recordings

BATCH = 32
OURS = 'ours'


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Steps and widths of text, audio and vision, and the heads used with them."""

    steps: tuple[int, int, int]
    widths: tuple[int, int, int]
    heads: int


SHAPES = {
    'MOSI': Shapes((50, 375, 500), (768, 5, 20), 8),
    'MOSEI': Shapes((50, 500, 375), (768, 74, 35), 4),
}
# Shifts of the input attention, in our words and in the released code's. The last
# is what the released code does with its own settings.
SHIFTS = {
    'stride + phase': (('stride', 'phase'), ['S', 'P']),
    'stride': (('stride',), ['S']),
    'constant': ((), []),
}


class Encoder(nn.Module):
    """MRM and SPT."""

    config: PhasedConfig

    @nn.compact
    def __call__(self, features):
        features = ModalityRecalibration(name='mrm')(features)
        return PhasedTransformer(self.config, name='encoder')(features, None, True)


def phased_config(shifts: tuple[str, ...], heads: int) -> PhasedConfig:
    """SPT as the released code sets it up, without dropout."""
    return PhasedConfig(
        width=32,
        heads=heads,
        layers=4,
        input_attention=Sampling(5, 17, shifts),
        cross_attention=Sampling(1, 9, ('stride',)),
        self_attention=Sampling(1, 7, ('stride',)),
        dropout=DropoutRates(),
        skip_zero_steps=True,
    )


def random_inputs(shapes: Shapes) -> dict[str, np.ndarray]:
    """Features, and the gradients that the encoder's outputs get, by released name."""
    rng = np.random.default_rng(0)
    arrays = {}
    for s, steps, width in zip(MODALITIES, shapes.steps, shapes.widths, strict=True):
        name = recordings.MODALITY_NAMES[s]
        arrays[f'in/{name}'] = rng.normal(size=(BATCH, steps, width))
        arrays[f'cotangent/{name}'] = rng.normal(size=(BATCH, 32))
    return {name: x.astype(np.float32) for name, x in arrays.items()}


def functions(model: Encoder, inputs: dict) -> dict[str, Callable]:
    """Of parameters and features: outputs, and gradients of parameters and text."""
    cotangents = {
        s: inputs[f'cotangent/{name}'] for s, name in recordings.MODALITY_NAMES.items()
    }

    def forward(params, features):
        return model.apply({'params': params}, features)

    def loss(params, text, features):
        outputs = forward(params, features | {'t': text})
        return sum((cotangents[s] * outputs[s]).sum() for s in MODALITIES)

    def backward(params, features):
        return jax.grad(loss, (0, 1))(params, features['t'], features)

    return {'forward': jax.jit(forward), 'backward': jax.jit(backward)}


def measure(options: Options, name: str, variant: str) -> list[dict]:
    """Rows of the table for one data set's shapes and one variant."""
    shapes, (shifts, theirs) = SHAPES[name], SHIFTS[variant]
    inputs = random_inputs(shapes)
    features = jax.device_put(recordings.inputs(inputs))
    model = Encoder(phased_config(shifts, shapes.heads))
    calls = functions(model, inputs)
    rows = []
    with contextlib.ExitStack() as stack:
        reference = None
        if options.released:
            case = dataclasses.asdict(shapes) | {'kind': 'encoder', 'shifts': theirs}
            reference = stack.enter_context(Reference(options.released, case, inputs))
            params = jax.device_put(encoder_params(reference.outputs))
            compare(calls, params, features, reference.outputs)
        else:
            params = jax.jit(model.init)(jax.random.key(0), features)['params']
        for what, label in {'forward': '', 'backward': 'forward + '}.items():
            say(f'spt: {name}, {variant}, {what}')
            timers = {}
            if reference:
                timers[RELEASED] = functools.partial(reference.time, what)
            timers[OURS] = functools.partial(seconds, calls[what], params, features)
            times = rounds(timers, options.pairs)
            row = {'shapes': name, 'input sampling': variant, 'what': label + what}
            rows.append(row | against(RELEASED, times))
    return rows


def compare(calls: dict, params: dict, features: dict, recorded: dict) -> None:
    """Checks that outputs and the text's gradient are those of the released code."""
    outputs = {
        f'out/{recordings.MODALITY_NAMES[s]}': x
        for s, x in calls['forward'](params, features).items()
    }
    outputs['out/gradient'] = calls['backward'](params, features)[1]
    check_same(outputs, recorded, 'MRM + SPT')


def run(options: Options) -> list[Table]:
    rows = []
    for name in SHAPES:
        for variant in SHIFTS:
            rows += measure(options, name, variant)
    note = (
        f'Batch {BATCH}, float32, padding takes part as in the released code, no '
        'dropout; the gradient is that of all weights and of the text features.'
    )
    return [Table('spt', 'MRM + SPT', note, rows)]
