"""Ridge regression on frozen text: what a model must beat on its data.

    python -m benchmarks.ridge --config=configs/mosi.py:minilm \\
        --config.data.path=DATA.pkl

The ridge reads mean-pooled last hidden states of the config's text encoder, frozen; its
strength is chosen on the validation split.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from sklearn.linear_model import Ridge

from sugrm_jax.config import plain
from sugrm_jax.layers.lengths import mean_over_steps
from sugrm_jax.main import CONFIG, run
from sugrm_jax.metrics import METRICS, regression_metrics
from sugrm_jax.parallel import keep_compiled
from sugrm_jax.training.setup import prepare

STRENGTHS = np.logspace(-1, 4, 21)


def ridge(config: ConfigDict) -> dict[str, dict[str, float]]:
    """Metrics of ridge regression on frozen text, by split."""
    config = plain(config)
    config['text']['finetune'] = False
    splits = prepare(config).dataset.splits
    features = {
        name: np.asarray(mean_over_steps(split.text, split.tokens[:, 1].sum(-1)))
        for name, split in splits.items()
    }
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
    metrics = ridge(CONFIG.value)
    print(f'{"":<12}{"valid":>8}{"test":>8}')
    for name in METRICS:
        print(f'{name:<12}{metrics["valid"][name]:>8.3f}{metrics["test"][name]:>8.3f}')


if __name__ == '__main__':
    run(main)
