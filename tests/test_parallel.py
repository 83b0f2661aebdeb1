"""Batches on devices; a subprocess, because devices are counted when jax starts."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sugrm_jax import parallel

FLOPS = """
import json, sys
import jax, numpy as np
from sugrm_jax import parallel
from sugrm_jax.layers import bert
from sugrm_jax.layers.text import TextConfig, TextEncoder, TokenPacker
from sugrm_jax.types import Batch

mesh = parallel.data_mesh()
rng = np.random.default_rng(0)
tokens = np.ones((8, 3, 16), np.int32)
tokens[:, 1] = np.arange(16) < rng.integers(5, 16, 8)[:, None]
packer, index = TokenPacker(tokens), np.arange(8)[None]
packing = jax.tree.map(lambda x: x[0], packer(index, packer.rows(index)))
sample = np.zeros(8, np.float32)
names = ('audio', 'audio_length', 'vision', 'vision_length', 'label', 'index', 'weight')
batch = Batch(tokens=tokens, packing=packing, **dict.fromkeys(names, sample))
placed = parallel.join(parallel.share(batch, mesh), mesh)
config = bert.BertConfig(
    vocab_size=9, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, hidden_act='gelu', hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1, max_position_embeddings=16, type_vocab_size=2,
)
text = TextEncoder(config, TextConfig('', True, 'float32', 16))
params = parallel.replicate(text.init(jax.random.key(0), batch, True), mesh)
compiled = jax.jit(text.apply, static_argnums=2).lower(params, placed, True).compile()
out = compiled(params, placed)
json.dump(
    {
        'rows': len(packing.group),
        'flops': compiled.cost_analysis()['flops'],
        'output': np.asarray(out).tolist(),
    },
    sys.stdout,
)
"""


def with_devices(count, code):
    flags = f'--xla_force_host_platform_device_count={count}'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | {'XLA_FLAGS': flags},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_packed_text_is_shared_out_among_the_devices():
    one, four = with_devices(1, FLOPS), with_devices(4, FLOPS)
    rows = one['rows']
    assert rows % 4, 'rows that four devices divide would not try the filling'
    # What a device computes falls as its rows do; 1.3 is for work that is not by row.
    share = -(-rows // 4) / rows
    assert four['flops'] < 1.3 * share * one['flops']
    # float32 rounding; hidden states are layer-normed, of order 1.
    np.testing.assert_allclose(four['output'], one['output'], atol=1e-5)


@given(rows=st.integers(1, 20), owners=st.lists(st.integers(1, 3), min_size=1))
def test_shares_are_the_whole_in_order_with_empty_rows_behind(rows, owners):
    """Of processes with any numbers of devices."""
    devices = [
        SimpleNamespace(process_index=i) for i, n in enumerate(owners) for _ in range(n)
    ]
    mesh = SimpleNamespace(devices=np.array(devices), size=len(devices))
    x = np.arange(rows * 2).reshape(rows, 2) + 1
    shares = []
    for process, count in enumerate(owners):
        with mock.patch.object(jax, 'process_index', lambda i=process: i):
            shares.append(parallel.share({'x': x}, mesh)['x'])
        assert len(shares[-1]) == count * -(-rows // len(devices))
    whole = np.concatenate(shares)
    np.testing.assert_array_equal(whole[:rows], x)
    assert not whole[rows:].any()
