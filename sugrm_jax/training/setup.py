"""From a config to everything a run needs, checked before any training starts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sugrm_jax import models
from sugrm_jax.config import at_least, between, typed
from sugrm_jax.data import load
from sugrm_jax.data.batches import batch_count, gather, samples_of
from sugrm_jax.layers import bert, pretrained
from sugrm_jax.layers.text import TextConfig, TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.training.optim import OptimConfig, make_optimizer
from sugrm_jax.types import Dataset, Plan, PyTree


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop.

    Attributes:
      batch: samples in a training batch.
      eval_batch: samples in an evaluation batch.
      epochs: at most.
      patience: epochs without a better validation MAE before the run stops.
    """

    batch: int
    eval_batch: int
    epochs: int
    patience: int

    def __post_init__(self):
        for field in dataclasses.fields(self):
            at_least(getattr(self, field.name), 1, field.name)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The whole config.

    Attributes:
      name: of the experiment, for reports.
      seed: of initial parameters, dropout and the order of the samples.
      data, text, optim, train: see their classes.
      model, objective: settings that the system named by `model.name` defines.
    """

    name: str
    seed: int
    data: load.DataConfig
    text: TextConfig
    model: Any
    objective: Any
    optim: OptimConfig
    train: TrainConfig

    def __post_init__(self):
        # jax keeps 32 bits of a seed: a larger one would repeat another's run.
        between(self.seed, 0, 2**32, 'seed')


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a run works with.

    Attributes:
      experiment: typed config.
      dataset: read, checked and, where asked for, standardised.
      scaling: the statistics it was standardised with, or None.
      system: model and objective.
      params: initial parameters, pretrained ones included.
      optimizer: of these parameters.
    """

    experiment: Experiment
    dataset: Dataset
    scaling: Any
    system: System
    params: PyTree
    optimizer: optax.GradientTransformation


def prepare(config: Mapping[str, Any]) -> Setup:
    """Reads data and weights and builds the system, checking all that can be checked.

    Args:
      config: as in `configs/`.

    Raises:
      UserError: something does not fit; the message says what and how to mend it.
    """
    experiment = typed(Experiment, config)
    text_config = experiment.text
    # Found once, and only after the data are known to be good: it may be a download.
    find = functools.cache(lambda: pretrained.resolve(text_config.pretrained))
    dataset, scaling = load.load(experiment.data, find, text_config.length)
    folder = find()
    bert_config = pretrained.read_config(folder)
    for split in dataset.splits.values():
        bert.check_tokens(split.tokens, bert_config, dataset.path)
    text = TextEncoder(bert_config, text_config)
    system = models.build(experiment.model, experiment.objective, text)
    params = initial_params(system, dataset, experiment.seed)
    params['text'] = {'bert': pretrained.load_params(folder, bert_config)}
    optimizer = make_optimizer(
        experiment.optim,
        params,
        epochs=experiment.train.epochs,
        steps_per_epoch=batch_count(len(dataset.train), experiment.train.batch),
        frozen=() if text_config.finetune else ('text',),
    )
    return Setup(experiment, dataset, scaling, system, params, optimizer)


def initial_params(system: System, dataset: Dataset, seed: int) -> dict[str, PyTree]:
    """Parameters of everything but the text encoder, whose are pretrained."""
    batch = gather(samples_of(dataset.train), Plan(np.zeros(1, np.int32)))

    # Compiled as one function, so that what is thrown away is never computed.
    @jax.jit
    def init(key):
        params = system.model.init(key, jax.tree.map(jnp.asarray, batch), True)
        return {k: v for k, v in params['params'].items() if k != 'text'}

    return init(jax.random.key(seed))
