"""Label generation over four epochs, against figures recorded from the original."""

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax import ulgm
from tests import recordings
from tests.parity.test_phased import assert_close


def test_ulgm():
    recording = recordings.load('ulgm')
    memory = ulgm.start_memory(
        recording['labels/multimodal'], dict.fromkeys('mtav', 8), zero_is_positive=True
    )
    size = int(recording['batch_size'])
    present = dict.fromkeys('tav', jnp.ones(size, bool))
    names = {'m': 'fusion', 't': 'text', 'a': 'audio', 'v': 'vision'}

    @jax.jit
    def step(memory, features, index, epoch):
        return ulgm.update(memory, features, index, epoch, present=present, bound=3.0)

    for epoch in range(4):
        for index in recording['order'][epoch].reshape(-1, size):
            features = {
                task: recording[f'features/{name}'][epoch, index]
                for task, name in names.items()
            }
            memory = step(memory, features, index, epoch + 1)
        # float32 on both sides, a few operations deep: 1e-5 leaves room for the
        # order of sums and no more.
        for s in 'tav':
            assert_close(memory.labels[s], recording[f'after_epoch/{names[s]}'][epoch])
        assert_close(memory.centroids.positive, recording['after_epoch/pos'][epoch])
        assert_close(memory.centroids.negative, recording['after_epoch/neg'][epoch])
        d_max = ulgm.largest_distance(memory.centroids)
        assert_close(d_max, recording['after_epoch/max_distance'][epoch])
    moved = np.abs(memory.labels['t'] - memory.multimodal)
    assert moved.max() > 0.1
