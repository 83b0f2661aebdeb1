"""Mean ± std over seeds, beside ridge regression on frozen text.

    python -m benchmarks.seeds --config=configs/mosi.py:minilm \\
        --config.data.path=DATA.pkl --seeds=3 --workdir=runs/seeds

Each seed is a run of its own below the workdir; finished ones are not run again.
The ridge reads mean-pooled last hidden states of the frozen text encoder; its strength
is chosen on the validation split.
"""

from __future__ import annotations

import functools
import pathlib

import numpy as np
from absl import flags, logging
from ml_collections import ConfigDict
from sklearn.linear_model import Ridge

from sugrm_jax.config import plain
from sugrm_jax.layers.mrm import mean_over_steps
from sugrm_jax.main import run
from sugrm_jax.metrics import METRICS, regression_metrics
from sugrm_jax.parallel import keep_compiled
from sugrm_jax.training.loop import train
from sugrm_jax.training.setup import prepare

_SEEDS = flags.DEFINE_integer('seeds', 3, 'Number of seeds, from 1.')
STRENGTHS = np.logspace(-1, 4, 21)


def ridge(config: ConfigDict) -> dict[str, dict[str, float]]:
    """Metrics of ridge regression on frozen text, by split."""
    config = plain(config)
    config['text']['finetune'] = False
    setup = prepare(config)
    features = {
        name: np.asarray(mean_over_steps(split.text, split.tokens[:, 1].sum(-1)))
        for name, split in setup.dataset.splits.items()
    }
    splits = setup.dataset.splits
    metrics = {}
    for strength in STRENGTHS:
        fitted = Ridge(strength).fit(features['train'], splits['train'].label)
        score = functools.partial(_score, fitted, features, splits)
        if not metrics or score('valid')['mae'] < metrics['valid']['mae']:
            metrics = {name: score(name) for name in ('valid', 'test')}
    return metrics


def _score(fitted, features, splits, name):
    return regression_metrics(fitted.predict(features[name]), splits[name].label)


def main(argv: list[str]) -> None:
    del argv
    logging.set_verbosity(logging.WARNING)
    keep_compiled()
    config = flags.FLAGS.config
    workdir = pathlib.Path(flags.FLAGS.workdir or f'runs/{config.name}-seeds')
    runs = []
    for seed in range(1, _SEEDS.value + 1):
        config.seed = seed
        runs.append(train(config, workdir / f'seed{seed}'))
    baseline = ridge(config)
    print(f'\n{"":<12}{"ridge valid":>12}{"valid":>18}{"ridge test":>14}{"test":>18}')
    for name in METRICS:
        cells = []
        for split in ('valid', 'test'):
            values = np.array([run[split][name] for run in runs], float)
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            cells.append(f'{baseline[split][name]:>12.3f}')
            cells.append(f'{values.mean():>10.3f} ± {spread:.3f}')
        print(f'{name:<12}{cells[0]}{cells[1]:>18}{cells[2]:>14}{cells[3]:>18}')
    print(f'best epochs {[run["best_epoch"] for run in runs]}')


if __name__ == '__main__':
    run(main)
