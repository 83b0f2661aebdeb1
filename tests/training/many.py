"""A whole tiny run in float64, on any devices and processes; prints its losses.

Label generation's direction is a sign, which float32's rounding may turn.
Started as python -m tests.training.many SETTINGS, JSON of `main`'s arguments.
"""

import dataclasses
import json
import os
import signal
import sys

import jax
import numpy as np

from sugrm_jax import processes, train
from sugrm_jax.layers import text
from sugrm_jax.training import loop
from tests.training.conftest import tiny_config

note, prepare = loop.Run._note, loop.prepare


def in_float64(config, shared):
    setup = prepare(config, shared)
    jax.config.update('jax_enable_x64', True)
    params = jax.tree.map(np.float64, jax.device_get(setup.params))
    return dataclasses.replace(setup, params=params)


def main(data, workdir, epochs=2, place=None, kill_after=None, overrides=()):
    losses = []

    def noting(self, index, report, shown):
        losses.append(float(report['loss']))
        if len(losses) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return note(self, index, report, shown)

    text.COMPUTE_TYPES = (*text.COMPUTE_TYPES, 'float64')
    loop.Run._note, loop.prepare = noting, in_float64
    config = tiny_config(data)
    config.text.compute_dtype = 'float64'
    # 21 samples: neither the devices nor all batches divide; so with 7 and 5.
    config.train.batch, config.train.epochs = 6, epochs
    config.update_from_flattened_dict(dict(overrides))
    with processes.joined(place):
        train(config, workdir)
        print('\n' + json.dumps({'devices': len(jax.devices()), 'losses': losses}))


if __name__ == '__main__':
    main(**json.loads(sys.argv[1]))
