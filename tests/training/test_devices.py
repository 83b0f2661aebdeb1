"""The same run on one device and on many."""

import json
import os
import subprocess
import sys

import numpy as np

DEVICES = """
import json, sys
import jax, numpy as np
from sugrm_jax.training import loop
from sugrm_jax import train
from tests.training.conftest import tiny_config
losses = []
note = loop.Run._note
def noting(self, index, report, shown):
    losses.append(float(report['loss']))
    return note(self, index, report, shown)
loop.Run._note = noting
config = tiny_config(sys.argv[1])
config.train.batch = 6
config.train.epochs = 7
results = train(config, sys.argv[2])
assert len(jax.devices()) == int(sys.argv[3])
json.dump([losses, results['valid']['mae'], results['test']['mae']], sys.stdout)
"""


def test_one_and_eight_devices_give_the_same_losses(data_path, tmp_path):
    """At least 21 steps with dropout; neither 21 samples nor all batches divide."""
    outcomes = []
    for devices in (1, 8):
        flags = f'--xla_force_host_platform_device_count={devices}'
        done = subprocess.run(
            [
                sys.executable,
                '-c',
                DEVICES,
                data_path,
                tmp_path / str(devices),
                str(devices),
            ],
            env=os.environ | {'XLA_FLAGS': flags},
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes.append(json.loads(done.stdout.splitlines()[-1].split('html')[-1]))
    (one, *metrics_one), (eight, *metrics_eight) = outcomes
    assert len(one) == 7 * -(-21 // 6)
    # float32 sums in another order; losses are of order 1 to 10.
    np.testing.assert_allclose(one, eight, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(metrics_one, metrics_eight, atol=1e-5)
