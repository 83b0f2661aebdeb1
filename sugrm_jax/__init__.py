"""Multimodal sentiment analysis in JAX and Flax: SUGRM and what surrounds it.

from sugrm_jax import load_config, load_dataset, train

results = train(load_config('configs/demo.py'), 'runs/demo')
"""

from __future__ import annotations

import importlib
from typing import Any

# Name → the module that has it; imported on first use, since jax is slow to import.
_EXPORTS = {
    'Dataset': 'types',
    'Split': 'types',
    'UserError': 'errors',
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
