"""Multimodal sentiment analysis in JAX and Flax: SUGRM and what surrounds it.

from sugrm_jax import load_config, load_dataset, train

results = train(load_config('configs/demo.py'), 'runs/demo')
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for editors and type checkers
    from sugrm_jax.data.mmsa import load_dataset as load_dataset
    from sugrm_jax.data.simulate import simulate as simulate
    from sugrm_jax.errors import UserError as UserError
    from sugrm_jax.interrupt import Interrupted as Interrupted
    from sugrm_jax.main import load_config as load_config
    from sugrm_jax.metrics import regression_metrics as regression_metrics
    from sugrm_jax.prediction.predictor import Predictor as Predictor
    from sugrm_jax.training.loop import train as train
    from sugrm_jax.types import Dataset as Dataset
    from sugrm_jax.types import Split as Split
    from sugrm_jax.version import __version__ as __version__

# Name → the module that has it; imported on first use, since jax is slow to import.
_EXPORTS = {
    'Dataset': 'types',
    'Interrupted': 'interrupt',
    'Predictor': 'prediction.predictor',
    'Split': 'types',
    'UserError': 'errors',
    '__version__': 'version',
    'load_config': 'main',
    'load_dataset': 'data.mmsa',
    'regression_metrics': 'metrics',
    'simulate': 'data.simulate',
    'train': 'training.loop',
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f'module {__name__} has no attribute {name!r}')
    value = getattr(importlib.import_module(f'{__name__}.{_EXPORTS[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
