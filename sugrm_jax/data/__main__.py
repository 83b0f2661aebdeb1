"""`python -m sugrm_jax.data`, see `command`."""

import sys

from sugrm_jax.data.command import main

if __name__ == '__main__':
    sys.exit(main())
