"""From a config to everything a run needs, checked before any training starts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sugrm_jax import models
from sugrm_jax.config import at_least, between, typed
from sugrm_jax.data import load
from sugrm_jax.data.batches import batch_count, gather, samples_of
from sugrm_jax.errors import UserError
from sugrm_jax.layers import bert, pretrained
from sugrm_jax.layers.text import FILE, TextConfig, TextEncoder
from sugrm_jax.models.system import System
from sugrm_jax.training.fixed_text import encode_texts
from sugrm_jax.training.modality_dropout import Lose, modality_dropout
from sugrm_jax.training.optim import OptimConfig, make_optimizer
from sugrm_jax.training.shared import Latest, Shared
from sugrm_jax.types import MODALITIES, Dataset, Plan, PyTree, Samples, Split


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop.

    Attributes:
      batch: samples in a training batch.
      eval_batch: samples in an evaluation batch.
      epochs: at most.
      patience: epochs without a better validation MAE before the run stops.
      modality_dropout: probability that, in a train step, a sample loses a modality
        (`training.modality_dropout`); runs of before there was one had none.
    """

    batch: int
    eval_batch: int
    epochs: int
    patience: int
    modality_dropout: float = 0.0

    def __post_init__(self):
        for name in ('batch', 'eval_batch', 'epochs', 'patience'):
            at_least(getattr(self, name), 1, name)
        between(self.modality_dropout, 0, 1, 'modality_dropout')


@dataclasses.dataclass(frozen=True)
class ParallelConfig:
    """Settings of many devices; no number depends on them.

    Attributes:
      shard_state: each device holds a part of the optimiser's state and of the
        objective's memory rather than all of it.
    """

    shard_state: bool


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The whole config.

    Attributes:
      name: of the experiment, for reports.
      seed: of initial parameters, dropout and the order of the samples.
      data, text, optim, train, parallel: see their classes.
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
    parallel: ParallelConfig

    def __post_init__(self):
        # jax keeps 32 bits of a seed: a larger one would repeat another's run.
        between(self.seed, 0, 2**32, 'seed')

    @property
    def unseeded(self) -> Experiment:
        """What it has in common with runs that differ only in seed and name."""
        return dataclasses.replace(self, name='', seed=0)


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
      lose: takes modalities from the samples of a train step, or None.
      fingerprints: of the text encoder's files (`pretrained.fingerprints`).
    """

    experiment: Experiment
    dataset: Dataset
    scaling: Any
    system: System
    params: PyTree
    stats: dict[str, PyTree]
    frozen: PyTree
    optimizer: optax.GradientTransformation
    lose: Lose | None = None
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Source:
    """Data and pretrained weights, which are the same for every system.

    Attributes:
      dataset: read, checked and, where asked for, standardised.
      scaling: the statistics it was standardised with, or None.
      bert_config: of the text encoder; None where the data bring text features.
      encoder: parameters of the text encoder, or {}.
      fingerprints: of its files (`pretrained.fingerprints`).
      encoded: keeps the data with text features.
      parts: keeps what was built last.
    """

    dataset: Dataset
    scaling: Any
    bert_config: bert.BertConfig | None
    encoder: PyTree
    fingerprints: dict[str, str] = dataclasses.field(default_factory=dict)
    encoded: Latest = dataclasses.field(default_factory=Latest)
    parts: Latest = dataclasses.field(default_factory=Latest)


class Assembly(NamedTuple):
    """The system and the data as it reads them.

    Attributes:
      dataset, system, frozen, lose: see `Setup`.
      init: compiled; from a key to initial parameters of everything but the text
        encoder, and to statistics by Flax collection.
      encoder: initial parameters of the text encoder that is part of training, or {}.
    """

    dataset: Dataset
    system: System
    frozen: PyTree
    lose: Lose | None
    init: Callable[[jax.Array], tuple[dict[str, PyTree], dict[str, PyTree]]]
    encoder: PyTree


class Parts(NamedTuple):
    """What runs have in common that differ in nothing but their seed."""

    assembly: Assembly
    optimizer: optax.GradientTransformation


def prepare(config: Mapping[str, Any], shared: Shared | None = None) -> Setup:
    """Reads data and weights and builds the system, checking all that can be checked.

    Args:
      config: as in `configs/`.
      shared: what earlier runs have left, if any; of use is what the same settings
        would give again.

    Raises:
      UserError: something does not fit; the message says what and how to mend it.
    """
    experiment = typed(Experiment, config)
    source = read(experiment, shared or Shared())
    parts = source.parts(experiment.unseeded, lambda: build(experiment, source))
    assembly, optimizer = parts
    params, stats = assembly.init(jax.random.key(experiment.seed))
    return Setup(
        experiment=experiment,
        dataset=assembly.dataset,
        scaling=source.scaling,
        system=assembly.system,
        params=params | assembly.encoder,
        stats=stats,
        frozen=assembly.frozen,
        optimizer=optimizer,
        lose=assembly.lose,
        fingerprints=source.fingerprints,
    )


def read(experiment: Experiment, shared: Shared) -> Source:
    """Data and weights, checked against each other."""
    data, text = experiment.data, experiment.text

    def load_both() -> Source:
        # Found once, and only after the data are known to be good: it may be a
        # download.
        find = functools.cache(lambda: pretrained.resolve(text.pretrained))
        fixed = text.pretrained == FILE
        dataset, scaling = load.load(data, find, text.length, fixed_text=fixed)
        if fixed:
            return Source(dataset, scaling, None, {})
        bert_config = pretrained.read_config(find())
        for split in dataset.splits.values():
            bert.check_tokens(split.tokens, bert_config, dataset.path)
        params = pretrained.load_params(find(), bert_config)
        known = pretrained.fingerprints(find())
        return Source(dataset, scaling, bert_config, {'bert': params}, known)

    return shared.source((data, text), load_both)


def build(experiment: Experiment, source: Source) -> Parts:
    """The system and its optimiser, and the data as it reads them."""
    assembly = assemble(experiment, source)
    params, _ = jax.eval_shape(assembly.init, jax.random.key(0))
    optimizer = make_optimizer(
        experiment.optim,
        params | assembly.encoder,
        epochs=experiment.train.epochs,
        steps_per_epoch=batch_count(
            len(assembly.dataset.train), experiment.train.batch
        ),
        frozen=() if experiment.text.finetune else ('text',),
    )
    return Parts(assembly, optimizer)


def assemble(experiment: Experiment, source: Source) -> Assembly:
    """The system, and the data as it reads them."""
    text = TextEncoder(source.bert_config, experiment.text)
    system = models.build(experiment.model, experiment.objective, text)
    check_modalities(experiment.data.modalities, system)
    lose = modality_dropout(experiment.train.modality_dropout, system)
    dataset, encoder = source.dataset, source.encoder
    if encoder and not experiment.text.finetune and system.text_first:
        packs = system.masks_padding
        encode = functools.partial(encode_texts, dataset, text, encoder, packs)
        dataset = source.encoded(packs, encode)
    part_of_training = dataset.train.text is None
    inside = {'text': encoder} if part_of_training else {}
    outside = {} if part_of_training else encoder
    init = make_init(system, dataset)
    return Assembly(dataset, system, outside, lose, init, inside)


def check_modalities(modalities: tuple[str, ...], system: System) -> None:
    """Raises a `UserError` unless the system can do without those left out."""
    if set(modalities) == set(MODALITIES):
        return
    if not system.masks_padding:
        raise UserError(
            'config.data.modalities leaves some out, but where padding takes part '
            "nothing is absent: set config.model.padding to 'masked'."
        )
    if system.needs_text and 't' not in modalities:
        raise UserError(
            "config.data.modalities must hold 't': this system's audio and vision are "
            'brought to the steps of the text.'
        )


def make_init(
    system: System, dataset: Dataset
) -> Callable[[jax.Array], tuple[dict[str, PyTree], dict[str, PyTree]]]:
    """What gives initial variables from a key, see `Assembly.init`.

    Raises:
      UserError: the model cannot read a split whose sequences have more steps than
        those of train.
    """
    batches = {name: _first(split) for name, split in dataset.splits.items()}

    def variables(key, batch):
        return system.model.init(key, jax.tree.map(jnp.asarray, batch), True)

    # Compiled as one function, so that what is thrown away is never computed.
    @jax.jit
    def init(key):
        stats = variables(key, batches['train'])
        params = stats.pop('params')
        return {k: v for k, v in params.items() if k != 'text'}, stats

    wanted = functools.partial(jax.eval_shape, variables, jax.random.key(0))
    trained = batches['train']
    for name, batch in batches.items():
        ours, theirs = _steps(trained), _steps(batch)
        if ours != theirs and wanted(batch) != wanted(trained):
            raise UserError(
                f'{dataset.path}: train has {ours} steps, {name} {theirs}, but the '
                'system has parameters for every step: pad the sequences of train, or '
                f'cut those of {name}.'
            )
    return init


def _first(split: Split) -> Samples:
    """The first sample of a split."""
    return gather(samples_of(split), Plan(np.zeros(1, np.int32)))


def _steps(samples: Samples) -> str:
    """How many steps its sequences have, in words."""
    text, audio, vision = (
        getattr(samples, field).shape[axis]
        for field, axis in (('tokens', 2), ('audio', 1), ('vision', 1))
    )
    return f'{text} (text), {audio} (audio) and {vision} (vision)'
