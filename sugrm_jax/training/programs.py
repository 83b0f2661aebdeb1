"""The compiled programs of a run: one trains, one evaluates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from sugrm_jax import parallel
from sugrm_jax.training.setup import Setup
from sugrm_jax.training.state import start_state
from sugrm_jax.training.step import eval_step, train_step


class Programs(NamedTuple):
    """Compiled at their first call, or before it by `compile_both`.

    Attributes:
      start: `state.start_state`, of parameters, labels and statistics.
      train: `step.train_step` of state, batch, epoch, seed and `asked`, bool with a row
        for each device; the state it is given is used up. Its report has `stop`,
        too: whether any process asked to stop, which then all do after this step.
      evaluate: `step.eval_step`.
    """

    start: Callable
    train: Callable
    evaluate: Callable


def make_programs(setup: Setup, mesh: Mesh) -> Programs:
    """The programs for this model; nothing in them depends on the seed.

    What they return is whole on every device, but for those parts of the train state
    that `parallel.shard_state` spreads over them.
    """
    everywhere = parallel.replicated(mesh)
    model, objective = setup.system.model, setup.system.objective
    average_decay = setup.experiment.optim.average_decay
    start = functools.partial(
        start_state,
        optimizer=setup.optimizer,
        objective=objective,
        averaged=average_decay is not None,
    )
    step = functools.partial(
        train_step,
        model=model,
        objective=objective,
        optimizer=setup.optimizer,
        average_decay=average_decay,
        lose=setup.lose,
    )

    placed = everywhere
    if setup.experiment.parallel.shard_state:
        label = setup.dataset.train.label
        state = jax.eval_shape(start, setup.params, labels=label, stats=setup.stats)
        placed = jax.tree.map(lambda _: everywhere, state).replace(
            opt_state=parallel.spread(state.opt_state, mesh),
            memory=parallel.spread(state.memory, mesh),
        )

    def train(state, batch, epoch, seed, asked):
        state, report = step(state, batch, epoch, jax.random.key(seed))
        return state, report | {'stop': asked.any()}

    return Programs(
        # One program, for many small ones are slow to start.
        start=jax.jit(start, out_shardings=placed),
        train=jax.jit(train, donate_argnums=0, out_shardings=(placed, everywhere)),
        evaluate=jax.jit(
            functools.partial(eval_step, model=model), out_shardings=everywhere
        ),
    )


def compile_both(
    programs: Programs, train: tuple, evaluate: list[tuple]
) -> Callable[[], Any]:
    """Compiles both programs at the same time.

    Args:
      programs: to compile.
      train: arguments to compile for.
      evaluate: the same; each one's shapes are another program.

    Returns:
      When training can start: what to call before the first evaluation. It waits for
      the other program, and raises what went wrong with it.
    """

    # Traced first and alone: two traces at once would hold each other up.
    lowered = programs.train.lower(*train)
    with_evaluation = ThreadPoolExecutor(1)
    evaluation = with_evaluation.submit(compile_evaluation, programs, evaluate)
    with_evaluation.shutdown(wait=False)
    lowered.compile()
    return evaluation.result


def compile_evaluation(programs: Programs, evaluate: list[tuple]) -> None:
    """Compiles only that program; for the arguments see `compile_both`."""
    for given in evaluate:
        programs.evaluate.lower(*given).compile()
