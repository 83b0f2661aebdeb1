"""The one train step, the loop over it, and the one eval step."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from sugrm_jax.data.batches import gather
from sugrm_jax.losses import weighted_mean
from sugrm_jax.objectives import Objective
from sugrm_jax.training.state import TrainState
from sugrm_jax.types import Array, Batch, Outputs, Plan, PyTree, Samples

# What a step reports beside the loss terms.
REPORT = {'loss', 'grad_norm', 'finite'}


def step_keys(key: jax.Array, step: Array) -> dict[str, jax.Array]:
    """The keys of one step, by what they are for.

    Args:
      key: of the run.
      step: batches seen before.
    """
    keys = jax.random.split(jax.random.fold_in(key, step))
    return dict(zip(('dropout', 'sampling'), keys, strict=True))


def forward(
    params: PyTree,
    state: TrainState,
    batch: Batch,
    rngs: dict[str, jax.Array],
    *,
    model: nn.Module,
    objective: Objective,
) -> tuple[Array, tuple[Outputs, dict[str, PyTree], dict[str, Array], Array]]:
    """What is minimised, as a function of the parameters.

    Args:
      params: in place of the state's.
      state: its statistics and its memory are used.
      batch, model, objective: see `train_step`.
      rngs: see `step_keys`.

    Returns:
      The loss; and outputs, new statistics, mean loss terms by name, and whether each
      sample's loss is finite, `[B]`.
    """
    outputs, stats = model.apply(
        {'params': params, **state.stats},
        batch,
        False,
        rngs=rngs,
        mutable=list(state.stats),
    )
    terms = objective.loss(outputs, batch, state.memory)
    if shared := terms.keys() & outputs.losses.keys() | outputs.losses.keys() & REPORT:
        raise ValueError(f'a model may not call losses of its own {sorted(shared)}')
    terms |= outputs.losses
    means = {name: weighted_mean(x, batch.weight) for name, x in terms.items()}
    finite = jnp.isfinite(sum(terms.values())) | (batch.weight == 0)
    return sum(means.values()), (outputs, stats, means, finite)


def train_step(
    state: TrainState,
    batch: Batch,
    epoch: Array,
    key: jax.Array,
    *,
    model: nn.Module,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    average_decay: float | None,
) -> tuple[TrainState, dict[str, Array]]:
    """One batch: gradient, parameters, memory, statistics.

    Forward and loss use the current labels; then the objective updates its
    memory from that forward's features (paper, section 3.3).

    Args:
      state: before.
      batch: `B` samples.
      epoch: int32, counted from 1.
      key: of the run; each step's own keys follow from it and `state.step`.
      model: `(batch, deterministic) → Outputs`.
      objective: gives the loss and updates the memory.
      optimizer: of the parameters.
      average_decay: of the moving average of the parameters; None when off.

    Returns:
      The state after, and a report: `loss`, its terms by name, `grad_norm`, and
      `finite` bool `[B]`, whether each sample's loss is.
    """
    rngs = step_keys(key, state.step)
    gradient = jax.value_and_grad(forward, has_aux=True)
    (loss, (outputs, stats, means, finite)), grads = gradient(
        state.params, state, batch, rngs, model=model, objective=objective
    )
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    average = state.average
    if average_decay is not None:
        average = optax.incremental_update(params, average, 1 - average_decay)
    outputs = jax.lax.stop_gradient(outputs)
    state = TrainState(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        memory=objective.update(state.memory, outputs, batch, epoch),
        average=average,
        stats=stats,
    )
    norm = optax.tree.norm(grads)
    return state, {'loss': loss, **means, 'grad_norm': norm, 'finite': finite}


def train_steps(
    state: TrainState,
    samples: Samples,
    plan: Plan,
    first: Array,
    last: Array,
    epoch: Array,
    key: jax.Array,
    *,
    step: Callable[..., tuple[TrainState, dict[str, Array]]],
) -> tuple[TrainState, dict[str, Array]]:
    """Several steps of one epoch without the host.

    Args:
      state: before.
      samples: the training split, on the devices.
      plan: of all `M` batches of the epoch.
      first, last: int32; the batches from `first` up to, not including, `last`. Not
        part of the compiled program: any number of steps is the same program.
      epoch: int32, counted from 1.
      key: of the run.
      step: `train_step` with its settings.

    Returns:
      The state after, and the reports of the steps, each with `M` on a first axis
      and 0 at batches that were not asked for.
    """
    step = jax.jit(step)  # traced once for its report's shapes and the loop's body

    def run(i, carry):
        state, reports = carry
        state, report = step(state, gather(samples, plan[i]), epoch, key)
        reports = jax.tree.map(lambda all_, x: all_.at[i].set(x), reports, report)
        return state, reports

    _, report = jax.eval_shape(
        lambda state: step(state, gather(samples, plan[0]), epoch, key), state
    )
    count = len(plan.index)
    reports = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), report)
    return jax.lax.fori_loop(first, last, run, (state, reports))


def eval_step(
    variables: dict[str, PyTree], batch: Batch, *, model: nn.Module
) -> Outputs:
    """One batch without dropout: predictions and presence, and no work for others."""
    return model.apply(variables, batch, True).replace(feature={}, losses={})
