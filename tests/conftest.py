"""For all tests: compiled programs are kept on disk, for the tests that follow."""

import gc
import os
import pathlib
import tempfile

# Before jax is imported, and for the processes that tests start.
os.environ.setdefault(
    'JAX_COMPILATION_CACHE_DIR',
    str(pathlib.Path(tempfile.gettempdir()) / f'sugrm_jax_tests_{os.getuid()}'),
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Compiling is most of what the tests of whole runs do, and nearly half of that is
# LLVM's optimisation, of which tiny programs have little.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')
# What jax has traced stays for the whole of a process; looking through it for garbage
# as often as usual took 6 % of the time of tests/models, and more later on.
gc.set_threshold(50_000, 20, 100)
