"""The optimiser: parameter groups by regular expression, Adam, accumulation."""

from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from sugrm_jax.config import at_least, between, choice, positive
from sugrm_jax.errors import UserError
from sugrm_jax.types import PyTree

FROZEN = 'frozen'
SCHEDULES = ('constant', 'linear', 'cosine')


@dataclasses.dataclass(frozen=True)
class GroupConfig:
    """One parameter group.

    Attributes:
      pattern: regular expression, searched in parameter names such as
        `encoder/layer/cross/query/kernel`.
      lr: peak learning rate.
      weight_decay: see `OptimConfig.name`.
    """

    pattern: str
    lr: float
    weight_decay: float

    def __post_init__(self):
        at_least(self.lr, 0, 'lr')
        at_least(self.weight_decay, 0, 'weight_decay')
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f'pattern {self.pattern!r}: {error}') from error


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """Settings of the optimiser.

    Attributes:
      name: 'adam': weight decay is L2, added to the gradient before Adam (torch's
        Adam, released code); 'adamw': decoupled.
      groups: by name; every parameter must belong to exactly one.
      schedule: of all learning rates over the run: 'constant', or 'linear' or
        'cosine' decay to 0.
      warmup_epochs: learning rates rise linearly from 0 over these first.
      clip_norm: largest global norm of a gradient, or None.
      accumulate: batches whose gradients make one update.
      accumulate_sum: sum those gradients (released code) or average them.
      drop_partial: throw away a group of batches that the epoch's end cuts
        short (released code), or carry it into the next epoch.
      average_decay: of the moving average of the parameters, taken at every batch,
        or None.
    """

    name: str
    groups: dict[str, GroupConfig]
    schedule: str
    warmup_epochs: float
    clip_norm: float | None
    accumulate: int
    accumulate_sum: bool
    drop_partial: bool
    average_decay: float | None

    def __post_init__(self):
        choice(self.name, ('adam', 'adamw'), 'name')
        choice(self.schedule, SCHEDULES, 'schedule')
        at_least(self.accumulate, 1, 'accumulate')
        at_least(self.warmup_epochs, 0, 'warmup_epochs')
        if self.clip_norm is not None:
            positive(self.clip_norm, 'clip_norm')
        if self.average_decay is not None:
            between(self.average_decay, 0, 1, 'average_decay')


def assign_groups(
    params: PyTree, groups: dict[str, GroupConfig], frozen: tuple[str, ...] = ()
) -> PyTree:
    """The name of each parameter's group, as a pytree like `params`.

    Args:
      params: of the model.
      groups: by name.
      frozen: top-level modules whose parameters form the group `FROZEN`.

    Raises:
      UserError: a parameter belongs to no group or to several.
    """

    def group_of(path: tuple[str, ...]) -> str:
        if path[0] in frozen:
            return FROZEN
        name = '/'.join(path)
        found = [g for g, c in groups.items() if re.search(c.pattern, name)]
        if len(found) != 1:
            raise UserError(
                f'Parameter {name} belongs to {found or "no group"}; each must belong '
                'to exactly one: mend the patterns in config.optim.groups.'
            )
        return found[0]

    paths = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({path: group_of(path) for path in paths})


def make_optimizer(
    config: OptimConfig,
    params: PyTree,
    *,
    epochs: int,
    steps_per_epoch: int,
    frozen: tuple[str, ...] = (),
) -> optax.GradientTransformation:
    """Clipping, Adam per group, schedule and accumulation, as configured.

    Args:
      config: settings.
      params: whose names and shapes the groups are checked against.
      epochs: longest the run may be, which the schedule spans.
      steps_per_epoch: batches in one epoch.
      frozen: top-level modules of `params` that are not trained.

    Raises:
      UserError: a parameter belongs to no group or to several; every group of
        batches would be thrown away.
    """
    updates = _updates_per_epoch(config, steps_per_epoch)
    shape = _schedule(
        config, round(epochs * updates), round(config.warmup_epochs * updates)
    )
    transforms = {
        name: _group(config.name, group, shape) for name, group in config.groups.items()
    }
    optimizer = optax.partition(
        transforms | {FROZEN: optax.set_to_zero()},
        assign_groups(params, config.groups, frozen),
    )
    if config.clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    if config.accumulate > 1:
        optimizer = optax.MultiSteps(
            optimizer, config.accumulate, use_grad_mean=not config.accumulate_sum
        ).gradient_transformation()
    return optimizer


def drop_partial_group(opt_state: PyTree) -> PyTree:
    """Empties the gradients that accumulation has gathered but not yet used.

    Args:
      opt_state: of an optimiser that accumulates, `optax.MultiStepsState`.
    """
    return opt_state._replace(
        mini_step=jnp.zeros_like(opt_state.mini_step),
        acc_grads=jax.tree.map(jnp.zeros_like, opt_state.acc_grads),
    )


def _updates_per_epoch(config: OptimConfig, batches: int) -> float:
    """Updates in an epoch: whole where partial groups are thrown away."""
    if not config.drop_partial:
        return batches / config.accumulate
    if batches < config.accumulate:
        raise UserError(
            f'config.optim.accumulate is {config.accumulate}, but the batches of an '
            f'epoch are {batches}, and config.optim.drop_partial throws such a group '
            'away: nothing would be learnt. Lower config.optim.accumulate or '
            'config.train.batch, or set config.optim.drop_partial to false.'
        )
    return batches // config.accumulate


def _schedule(config: OptimConfig, steps: int, warmup: int) -> optax.Schedule:
    """The factor on every learning rate, by update."""
    rest = max(steps - warmup, 1)
    decay = {
        'constant': optax.constant_schedule(1.0),
        'linear': optax.linear_schedule(1.0, 0.0, rest),
        'cosine': optax.cosine_decay_schedule(1.0, rest),
    }[config.schedule]
    if not warmup:
        return decay
    rise = optax.linear_schedule(0.0, 1.0, warmup)
    return optax.join_schedules([rise, decay], [warmup])


def _group(
    name: str, group: GroupConfig, shape: optax.Schedule
) -> optax.GradientTransformation:
    decay = optax.add_decayed_weights(group.weight_decay)
    parts = [decay, optax.scale_by_adam()]
    if name == 'adamw':
        parts.reverse()
    rate = optax.scale_by_learning_rate(lambda step: group.lr * shape(step))
    return optax.chain(*parts, rate)
