"""`python -m sugrm_jax.extract`, see `command`."""

import sys

from sugrm_jax.extract.command import main

if __name__ == '__main__':
    sys.exit(main())
