"""`python -m sugrm_jax.data`, see `command`."""

import signal
import sys

from sugrm_jax.data.command import main

if __name__ == '__main__':
    # As an exception, so that what is half written is cleared away.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
