"""What SUGRM is timed against computes what it is said to compute."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.growth import flops
from benchmarks.rivals import DenseTransformer


def test_dense_attention_reads_every_step_of_every_modality():
    steps = {'t': 3, 'a': 5, 'v': 4}
    features = {s: jnp.ones((1, n, 2)) * 0.1 for s, n in steps.items()}
    model = DenseTransformer(width=8, heads=2, layers=1)
    params = jax.jit(model.init)(jax.random.key(0), features)

    def out(features):
        # One feature: the sum of all is 0 after a LayerNorm, whatever went in.
        return model.apply(params, features)['t'][0, 0]

    for gradient in jax.jit(jax.grad(out))(features).values():
        assert (np.abs(gradient).max(-1) > 0).all()


def test_loops_count_with_all_their_rounds():
    def loop(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=4)[0]

    # Two for each of the 8 × 8 × 8 products, four times.
    assert flops(loop, jnp.ones((8, 8))) == 4 * 2 * 8**3
