"""`python -m sugrm_jax.extract`, see `command`."""

import signal
import sys

from sugrm_jax.extract.command import GOES_ON, main

if __name__ == '__main__':
    # As an exception, so that workers are ended and half-written files cleared away.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print(GOES_ON, file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
