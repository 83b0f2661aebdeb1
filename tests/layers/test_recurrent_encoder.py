"""Self-MM's encoders: what is read of each modality."""

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.recurrent_encoder import (
    RecurrentConfig,
    RecurrentEncoder,
    SequenceConfig,
)

CONFIG = RecurrentConfig(a=SequenceConfig(3, 2), v=SequenceConfig(4, 5))
X = {
    s: jax.random.normal(jax.random.key(i), shape)
    for i, (s, shape) in enumerate(
        {'t': (3, 4, 6), 'a': (3, 7, 2), 'v': (3, 5, 3)}.items()
    )
}
LENGTHS = {
    't': jnp.array([4, 1, 0]),
    'a': jnp.array([7, 0, 2]),
    'v': jnp.array([0, 3, 5]),
}
MODEL = RecurrentEncoder(CONFIG)
PARAMS = MODEL.init(jax.random.key(9), X, LENGTHS, True)


@jax.jit
def encode(x, lengths):
    return MODEL.apply(PARAMS, x, lengths, True)


def test_of_the_text_the_first_step_and_of_others_the_last_real_one():
    whole = encode(X, None)
    np.testing.assert_array_equal(whole['t'], X['t'][:, 0])
    assert {s: x.shape for s, x in whole.items()} == {
        't': (3, 6),
        'a': (3, 2),
        'v': (3, 5),
    }
    real = encode(X, LENGTHS)
    cut = {s: x[2:, :2] if s == 'a' else x[2:] for s, x in X.items()}
    # The same sums for a batch of another size.
    np.testing.assert_allclose(encode(cut, None)['a'], real['a'][2:], atol=1e-6)
    np.testing.assert_allclose(whole['v'][2], real['v'][2], atol=1e-6)
    assert (np.abs(whole['v'][1] - real['v'][1]) > 1e-3).any()


def test_an_absent_modality_is_encoded_as_zero():
    real = encode(X, LENGTHS)
    for s, length in LENGTHS.items():
        np.testing.assert_array_equal((real[s] == 0).all(1), length == 0)


def test_sizes():
    shapes = jax.tree.map(jnp.shape, PARAMS['params'])
    assert shapes['output_a'] == {'kernel': (3, 2), 'bias': (2,)}
    assert shapes['lstm_v']['input'] == (3, 16)
    assert shapes.keys() == {'lstm_a', 'output_a', 'lstm_v', 'output_v'}
