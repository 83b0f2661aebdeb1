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

from sugrm_jax import parallel, processes, train
from sugrm_jax.layers import blocks, text
from sugrm_jax.results import page
from sugrm_jax.training import loop
from tests.training.conftest import tiny_config

note, prepare = loop.Run._note, loop.prepare


def in_float64(config, shared):
    setup = prepare(config, shared)
    jax.config.update('jax_enable_x64', True)
    params = jax.tree.map(np.float64, jax.device_get(setup.params))
    return dataclasses.replace(setup, params=params)


def share_of_a_device(tree):
    leaves = jax.tree.leaves(tree)
    held = sum(x.addressable_shards[0].data.nbytes for x in leaves)
    return held / sum(x.nbytes for x in leaves)


def main(data, workdir, epochs=2, place=None, kill_after=None, overrides=()):
    losses, held = [], {}

    def noting(self, index, report, shown):
        losses.append(float(report['loss']))
        for name in ('params', 'opt_state', 'memory'):
            held[name] = share_of_a_device(getattr(self.state, name))
        if len(losses) == kill_after:
            say()
            os.kill(os.getpid(), signal.SIGKILL)
        return note(self, index, report, shown)

    def say():
        said = {'devices': len(jax.devices()), 'losses': losses, 'held': held}
        print('\n' + json.dumps(said), flush=True)

    for module in (text, blocks):
        module.COMPUTE_TYPES = (*module.COMPUTE_TYPES, 'float64')
    loop.Run._note, loop.prepare = noting, in_float64
    # Drawing takes seconds, and what is drawn is a function of the results.
    page.write_report = lambda workdir: workdir
    config = tiny_config(data)
    config.text.compute_dtype = config.model.spt.compute_dtype = 'float64'
    # 21 samples: neither the devices nor all batches divide; so with 7 and 5.
    config.train.batch, config.train.epochs = 5, epochs
    # Five batches: the last of an epoch is a group that is not full.
    config.optim.accumulate, config.optim.drop_partial = 2, True
    config.optim.average_decay = 0.9
    parallel.WORTH_SPREADING = 64
    config.update_from_flattened_dict(dict(overrides))
    with processes.joined(place):
        train(config, workdir)
        say()


if __name__ == '__main__':
    main(**json.loads(sys.argv[1]))
