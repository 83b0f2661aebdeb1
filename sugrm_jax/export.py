"""Exports a run's model: StableHLO that runs without this package.

python -m sugrm_jax.export --run=runs/demo OUT
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from sugrm_jax.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when all was written, 2 for what the user can mend."""
    parser = argparse.ArgumentParser('python -m sugrm_jax.export', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('out', type=pathlib.Path, help='folder to make')
    parser.add_argument('--run', required=True, help='folder of a finished run')
    options = parser.parse_args(arguments)
    try:
        # Heavy imports wait until the command line is known to be good.
        from sugrm_jax.prediction import Predictor, artifact

        artifact.write(Predictor.load(options.run), options.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f'{options.out} holds the model; to run it: python {options.out}/example.py')
    return 0


if __name__ == '__main__':
    sys.exit(main())
