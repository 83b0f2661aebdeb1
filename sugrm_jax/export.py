"""Exports a run's model: StableHLO that runs without this package.

python -m sugrm_jax.export --run=runs/demo OUT
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from sugrm_jax.ending import ending
from sugrm_jax.interrupt import StopRequest


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when all was written, else as `ending` says."""
    parser = argparse.ArgumentParser('python -m sugrm_jax.export', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('out', type=pathlib.Path, help='folder to make')
    parser.add_argument('--run', required=True, help='folder of a finished run')
    options = parser.parse_args(arguments)
    return ending(export, options.run, options.out, stop=StopRequest())


def export(run: str, out: pathlib.Path) -> None:
    """Writes the model of a run to the folder `out`, and says how to run it."""
    # Heavy imports wait until the command line is known to be good.
    from sugrm_jax.prediction import Predictor, artifact

    artifact.write(Predictor.load(run), out)
    print(f'{out} holds the model; to run it: python {out}/example.py')


if __name__ == '__main__':
    sys.exit(main())
