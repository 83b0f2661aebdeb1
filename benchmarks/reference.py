"""The released PyTorch code, timed in a process of its own beside ours."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import tempfile

import numpy as np

from sugrm_jax.errors import UserError
from tests import recordings

SCRIPT = pathlib.Path(__file__).with_name('released.py')
# Its name in tables.
RELEASED = 'released code'
# Largest difference of outputs, relative to the largest output: float32 sums in
# another order differ by some 1e-6.
TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Checkout:
    """Where the released code is and what runs it.

    Attributes:
      path: of the checkout.
      python: an interpreter that has torch and transformers.
      threads: to compute with.
      script: what speaks for it.
    """

    path: str
    python: str
    threads: int
    script: pathlib.Path = SCRIPT


class Reference:
    """One case of the released code, ready to be timed; a context.

    Attributes:
      outputs: arrays that it computed from the inputs, and its weights.
    """

    def __init__(self, checkout: Checkout, case: dict, inputs: dict[str, np.ndarray]):
        """Starts it and waits until it is ready.

        Args:
          checkout: what to start.
          case: `kind` and its settings (see `released.CASES`).
          inputs: arrays by name.

        Raises:
          UserError: it does not start; the message ends with what it printed.
        """
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        settings = case | {'threads': checkout.threads}
        (folder / 'case.json').write_text(json.dumps(settings))
        np.savez(folder / 'inputs.npz', **inputs)
        self._log = folder / 'log'
        command = [checkout.python, checkout.script, checkout.path, folder]
        with self._log.open('w') as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._answer()
        with np.load(folder / 'outputs.npz') as arrays:
            self.outputs = dict(arrays)

    def time(self, name: str) -> float:
        """Seconds of one measurement of what `name` says.

        Raises:
          UserError: it broke off.
        """
        self._process.stdin.write(json.dumps({'time': name}) + '\n')
        self._process.stdin.flush()
        return self._answer()['seconds']

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        lines = self._log.read_text().strip().splitlines()
        self.close()
        raise UserError(
            'The released code broke off:\n'
            + '\n'.join(lines[-15:])
            + '\n--reference is a checkout of github.com/skystarhyw/SUGRM; '
            '--reference-python needs torch, transformers and tqdm.'
        )

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, which reads the end of its input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


def encoder_params(outputs: dict[str, np.ndarray]) -> dict:
    """MRM's and SPT's weights of the released code, as ours."""
    weights = recordings.group(outputs, 'param/')
    return {
        'mrm': recordings.mrm(weights, 'se_model.'),
        'encoder': recordings.phased(weights, 'spe.'),
    }


def check_same(ours: dict, recorded: dict[str, np.ndarray], what: str) -> None:
    """Refuses to time things that do not compute the same.

    Raises:
      ValueError: an output differs by more than rounding.
    """
    for name, x in ours.items():
        error = np.abs(x - recorded[name]).max() / np.abs(recorded[name]).max()
        if not error <= TOLERANCE:
            raise ValueError(f'{what}: {name} differs by {error:.1e} of the largest.')
