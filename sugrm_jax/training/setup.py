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
from sugrm_jax.data.batches import batch_count, batch_index, gather, samples_of
from sugrm_jax.layers import bert, pretrained
from sugrm_jax.layers.text import FILE, TextConfig, TextEncoder, TokenPacker
from sugrm_jax.models.system import System
from sugrm_jax.training.optim import OptimConfig, make_optimizer
from sugrm_jax.types import Dataset, Plan, PyTree, Split


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
      dataset: read, checked and, where asked for, standardised; with text features
        where the text encoder is not part of training.
      scaling: the statistics it was standardised with, or None.
      system: model and objective.
      params: initial parameters, pretrained ones included.
      stats: initial statistics, by Flax collection (`TrainState.stats`).
      frozen: parameters of a text encoder that is not part of training, or {}.
      optimizer: of `params`.
    """

    experiment: Experiment
    dataset: Dataset
    scaling: Any
    system: System
    params: PyTree
    stats: dict[str, PyTree]
    frozen: PyTree
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
    fixed = text_config.pretrained == FILE
    dataset, scaling = load.load(
        experiment.data, find, text_config.length, fixed_text=fixed
    )
    bert_config, encoder = None, {}
    if not fixed:
        bert_config = pretrained.read_config(find())
        for split in dataset.splits.values():
            bert.check_tokens(split.tokens, bert_config, dataset.path)
        encoder = {'bert': pretrained.load_params(find(), bert_config)}
    text = TextEncoder(bert_config, text_config)
    system = models.build(experiment.model, experiment.objective, text)
    if encoder and not text_config.finetune and system.text_first:
        encode = functools.partial(encode_text, text, encoder, system.packs_text)
        dataset = dataset.map(
            lambda split: dataclasses.replace(split, text=encode(split))
        )
    params, stats = initial_variables(system, dataset, experiment.seed)
    part_of_training = dataset.train.text is None
    if part_of_training:
        params['text'] = encoder
    optimizer = make_optimizer(
        experiment.optim,
        params,
        epochs=experiment.train.epochs,
        steps_per_epoch=batch_count(len(dataset.train), experiment.train.batch),
        frozen=() if text_config.finetune else ('text',),
    )
    frozen = {} if part_of_training else encoder
    return Setup(
        experiment, dataset, scaling, system, params, stats, frozen, optimizer
    )


def encode_text(
    text: TextEncoder, params: PyTree, packs: bool, split: Split, size: int = 64
) -> np.ndarray:
    """Text features of every utterance, float32 `[N, L_t, D_t]`.

    Args:
      text: the encoder.
      params: its parameters.
      packs: whether utterances may share rows, for then padded steps are not encoded.
      split: whose tokens.
      size: utterances encoded at a time.
    """
    encode = jax.jit(lambda params, batch: text.apply({'params': params}, batch, True))
    index = batch_index(np.arange(len(split)), size, size, len(split))
    packer = TokenPacker(split.tokens)
    packing = packer(index, packer.rows(index)) if packs else None
    plan, samples = Plan(index, packing), samples_of(split)
    parts = [encode(params, gather(samples, plan[i])) for i in range(len(index))]
    return np.concatenate(parts)[: len(split)]


def initial_variables(
    system: System, dataset: Dataset, seed: int
) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
    """Parameters of everything but the text encoder, whose are pretrained.

    Returns:
      Parameters, and statistics by Flax collection.
    """
    batch = gather(samples_of(dataset.train), Plan(np.zeros(1, np.int32)))

    # Compiled as one function, so that what is thrown away is never computed.
    @jax.jit
    def init(key):
        stats = system.model.init(key, jax.tree.map(jnp.asarray, batch), True)
        params = stats.pop('params')
        return {k: v for k, v in params.items() if k != 'text'}, stats

    return init(jax.random.key(seed))
