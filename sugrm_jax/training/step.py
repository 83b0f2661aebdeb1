"""The one train step and the one eval step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from sugrm_jax.losses import weighted_mean
from sugrm_jax.objectives import Objective
from sugrm_jax.training.modality_dropout import Lose, modality_key
from sugrm_jax.training.state import TrainState
from sugrm_jax.types import Array, Batch, Outputs, PyTree

# What a step, and the program around it, report beside the loss terms.
REPORT = {'loss', 'grad_norm', 'finite', 'stop'}


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
    lose: Lose | None = None,
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
      lose: takes modalities from the samples (`modality_dropout`); None when off.

    Returns:
      The state after, and a report: `loss`, its terms by name, `grad_norm`, and
      `finite` bool `[B]`, whether each sample's loss is.
    """
    rngs = step_keys(key, state.step)
    if lose is not None:
        batch = lose(batch, modality_key(key, state.step))
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


def eval_step(
    variables: dict[str, PyTree], batch: Batch, *, model: nn.Module
) -> Outputs:
    """One batch without dropout: predictions and presence, and no work for others."""
    return model.apply(variables, batch, True).replace(feature={}, losses={})
