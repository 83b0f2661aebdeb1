"""`python -m sugrm_jax.data check FILE`: what is in this data file?"""

import sys

from sugrm_jax.data.check import main

if __name__ == '__main__':
    sys.exit(main())
