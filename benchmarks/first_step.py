"""The command `sugrm_jax.main`, which also says when the first step is done.

`benchmarks.compile` starts it: one line on standard output, `MARK`, then as ever.
"""

import functools

from sugrm_jax import main as command
from sugrm_jax.training.progress import TrainingProgress

MARK = 'the first step is done'


@functools.cache
def announce() -> None:
    print(MARK, flush=True)


def main() -> None:
    shown = TrainingProgress.step

    def step(self, loss: float) -> None:
        announce()
        shown(self, loss)

    TrainingProgress.step = step
    command.run()


if __name__ == '__main__':
    main()
