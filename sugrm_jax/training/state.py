"""The train state: one pytree holds all that a step changes."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import optax

from sugrm_jax.objectives import Objective
from sugrm_jax.types import Array, PyTree


class TrainState(flax.struct.PyTreeNode):
    """What a step takes and returns.

    Random keys are not in it: they are `fold_in(key(seed), step)`.

    Attributes:
      step: int32, batches seen so far.
      params: of the model.
      opt_state: of the optimiser.
      memory: of the objective; SUGRM's holds features, centroids and the
        momentum-averaged labels.
      average: exponential moving average of the parameters, or None when off.
      stats: what the model keeps beside its parameters, by Flax collection: running
        statistics, `{'batch_stats': …}`, where it has a BatchNorm; else empty.
    """

    step: Array
    params: PyTree
    opt_state: PyTree
    memory: PyTree
    average: PyTree | None
    stats: dict[str, PyTree]

    @property
    def variables(self) -> dict[str, PyTree]:
        """What to evaluate and predict with: parameters and statistics."""
        params = self.params if self.average is None else self.average
        return {'params': params, **self.stats}


def start_state(
    params: PyTree,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    labels: Array,
    *,
    averaged: bool,
    stats: dict[str, PyTree],
) -> TrainState:
    """The state before the first step.

    Args:
      params: initial parameters.
      optimizer: whose state to start.
      objective: whose memory to start.
      labels: `y_m` `[N]` of the training split.
      averaged: whether to keep a moving average of the parameters.
      stats: initial statistics, by Flax collection.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        memory=objective.start(labels),
        # A copy: a donated state must not hold one buffer twice.
        average=jax.tree.map(jnp.copy, params) if averaged else None,
        stats=stats,
    )
