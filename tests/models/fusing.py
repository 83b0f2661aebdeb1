"""What tests of models share: small features, and what padding and absence may do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.text import TextConfig, TextEncoder
from sugrm_jax.types import Batch

# Gives the fixed features that a batch brings.
TEXT = TextEncoder(None, TextConfig('file', False, 'float32', 6))
ROWS, STEPS = 4, {'t': 6, 'a': 6, 'v': 6}
WIDTHS = {'t': 7, 'a': 3, 'v': 5}
LENGTHS = {'t': [6, 2, 3, 1], 'a': [6, 1, 4, 2], 'v': [5, 3, 1, 6]}


def features(seed=0, steps=STEPS):
    rng = np.random.default_rng(seed)
    return {
        s: rng.normal(size=(ROWS, steps[s], width)).astype(np.float32)
        for s, width in WIDTHS.items()
    }


def lengths(**changed):
    return {s: jnp.array(x) for s, x in (LENGTHS | changed).items()}


def start(model, x):
    """Variables, away from their initial values where those are 0 or 1."""
    init = functools.partial(model.init, deterministic=True, method='fuse_batch')
    variables = jax.jit(init)(jax.random.key(0), x, lengths(), jnp.ones(ROWS))
    rng = np.random.default_rng(0)

    def move(y):
        return y + rng.uniform(0.1, 0.4, y.shape).astype(np.float32)

    return variables | {
        name: jax.tree.map(move, tree)
        for name, tree in variables.items()
        if name != 'params'
    }


@functools.partial(jax.jit, static_argnums=0)
def predict(model, variables, x, real):
    weight = jnp.ones(ROWS)
    outputs = model.apply(variables, x, real, weight, True, method='fuse_batch')
    return outputs.prediction


def nudged(x, s, rows, step):
    """Other features, 1 more in one step of modality s.

    Not changed in place: JAX may still be reading the arrays it was given.
    """
    changed = x[s].copy()
    changed[rows, step] += 1
    return x | {s: changed}


def assert_padding_is_not_seen(model, x):
    """Nor does it matter what stands beside an utterance."""
    variables, real = start(model, x), lengths()
    padded = {s: np.arange(y.shape[1]) >= real[s][:, None] for s, y in x.items()}
    changed = {s: np.where(padded[s][..., None], 1e3, y) for s, y in x.items()}
    wanted = predict(model, variables, x, real)
    for task, prediction in predict(model, variables, changed, real).items():
        np.testing.assert_array_equal(prediction, wanted[task])
    others = {s: np.concatenate([y[:1], features(1)[s][1:]]) for s, y in x.items()}
    for task, prediction in predict(model, variables, others, real).items():
        np.testing.assert_array_equal(prediction[0], wanted[task][0])
        assert (prediction[1:] != wanted[task][1:]).any()


def assert_absence_is_harmless(model, x):
    """An absent modality's values are not seen, and no gradient is NaN or reaches them.

    Rows 0 to 2 lack t, a and v, row 3 lacks all.
    """
    variables = start(model, x)
    real = lengths(t=[0, 2, 3, 0], a=[6, 0, 4, 0], v=[5, 3, 0, 0])
    lacking = {s: np.asarray(real[s] == 0)[:, None, None] for s in x}
    changed = {s: np.where(lacking[s], 1e3, y) for s, y in x.items()}
    wanted = predict(model, variables, x, real)
    for task, prediction in predict(model, variables, changed, real).items():
        np.testing.assert_array_equal(prediction, wanted[task])
        assert np.isfinite(prediction).all()

    def loss(params, x, weight):
        outputs, _ = model.apply(
            {**variables, 'params': params},
            x,
            real,
            weight,
            False,
            rngs={'dropout': jax.random.key(0)},
            mutable=['batch_stats'],
            method='fuse_batch',
        )
        return sum((y**2).sum() for y in outputs.prediction.values())

    gradients = jax.jit(jax.grad(loss, (0, 1)))(variables['params'], x, jnp.ones(ROWS))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    for s, gradient in gradients[1].items():
        assert not gradient[lacking[s][:, 0, 0]].any()
        assert gradient[:3][~lacking[s][:3, 0, 0]].any()


def unaligned_batch(padding=0.0):
    """Four utterances of more audio and vision than text; one without vision.

    Args:
      padding: what stands behind the lengths.
    """
    x = features(steps={'t': 6, 'a': 11, 'v': 9})
    real = {'t': [6, 4, 3, 1], 'a': [11, 5, 3, 2], 'v': [9, 8, 0, 2]}
    for s, y in x.items():
        y[np.arange(y.shape[1]) >= np.array(real[s])[:, None]] = padding
    mask = np.arange(6) < np.array(real['t'])[:, None]
    return Batch(
        tokens=np.repeat(mask[:, None], 3, axis=1).astype(np.int32),
        audio=x['a'],
        audio_length=np.array(real['a']),
        vision=x['v'],
        vision_length=np.array(real['v']),
        label=np.float32([-1, 0, 1, 2]),
        text=x['t'],
        index=np.arange(ROWS),
        weight=np.ones(ROWS, np.float32),
    )
