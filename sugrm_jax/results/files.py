"""The files of a run: each is written whole or not at all, and read back as it was.

A run may be killed at any moment and resumed by the same command, so no file is
ever appended to: the new content goes to a hidden neighbour, reaches the disk, and
then takes the old one's name in one step.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from sugrm_jax import archives
from sugrm_jax.errors import UserError
from sugrm_jax.regular import open_regular, read_bytes
from sugrm_jax.types import MODALITIES, TASKS
from sugrm_jax.version import __version__

RESULTS = 'results.json'
HISTORY = 'metrics.jsonl'
PREDICTIONS = 'predictions.csv'
LABELS = 'labels.npz'
# The name never changes, so that a resumed run replaces its events and a running
# TensorBoard reads on where it was.
EVENTS = 'tensorboard/events.out.tfevents.sugrm_jax'

GENERATED = tuple(f'generated_{s}' for s in MODALITIES)
COLUMNS = ('split', 'id', 'text', 'label', *TASKS, *GENERATED)
NUMBERS = COLUMNS[3:]

# How json, csv, npz and text decoding report what they cannot read.
DAMAGE = (ValueError, KeyError, EOFError, RecursionError, csv.Error)

ANOTHER_WORKDIR = 'choose another workdir'

PACKAGES = (
    'jax',
    'jaxlib',
    'flax',
    'optax',
    'orbax-checkpoint',
    'numpy',
    'transformers',
)


@contextlib.contextmanager
def _writing(path: Path, otherwise: str) -> Iterator[None]:
    """Turns a refusal of the disk into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f'{path} could not be written: {error.strerror or error}. What was written '
            f'before is intact: free space there or {otherwise}, then run the same '
            'command again.'
        ) from error


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns a missing, unreadable or damaged file into a sentence for the user."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f'There is no {path}: name the workdir of a run that has finished.'
        ) from error
    except OSError as error:
        raise UserError(
            f'{path} could not be read: {error.strerror or error}.'
        ) from error
    except DAMAGE as error:
        raise UserError(
            f'{path} is damaged ({error}): the command that trained in that folder '
            'writes it again.'
        ) from error


def write_bytes(
    path: str | Path, content: bytes, otherwise: str = ANOTHER_WORKDIR
) -> None:
    """Replaces `path` by `content` in one step, folders made as needed.

    Args:
      path: the file.
      content: all of it.
      otherwise: what the user can do, besides making room, where the disk refuses.

    Raises:
      UserError: the disk refused (full, read-only, forbidden); `path` still holds
        what it held before.
    """
    path = Path(path)
    partial = path.with_name(f'.{path.name}.partial')
    with _writing(path, otherwise):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            # A full disk is helped by giving the space back.
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def json_ready(tree: Any) -> Any:
    """`tree` in JSON's own types: arrays as lists, paths as text, NaN and inf as null.

    JSON has no NaN; an undefined correlation is `null`.
    """
    if isinstance(tree, Mapping):
        return {str(key): json_ready(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [json_ready(value) for value in tree]
    if hasattr(tree, 'tolist'):  # numpy and jax arrays and scalars
        return json_ready(tree.tolist())
    if isinstance(tree, Path):
        return str(tree)
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree


def _json(tree: Any, indent: int | None = None) -> str:
    return json.dumps(json_ready(tree), indent=indent, allow_nan=False)


def write_json(path: str | Path, tree: Any, otherwise: str = ANOTHER_WORKDIR) -> None:
    """Writes `tree` as indented JSON; for the rest see `write_bytes`."""
    write_bytes(path, f'{_json(tree, indent=2)}\n'.encode(), otherwise)


def read_json(path: str | Path) -> Any:
    """Reads what `write_json` wrote. Raises UserError: missing or damaged."""
    with _reading(Path(path)):
        return json.loads(read_bytes(path).decode('utf-8'))


def read_text(path: str | Path) -> str:
    """Reads a text file; '' when there is none. Raises UserError: not readable."""
    path = Path(path)
    if not path.exists():
        return ''
    with _reading(path):
        return read_bytes(path).decode('utf-8', 'replace')


def write_history(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes one JSON line per epoch, all of them each time.

    Rewriting whole keeps a killed and resumed run free of torn and doubled lines.
    """
    write_bytes(path, ''.join(f'{_json(row)}\n' for row in rows).encode())


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Reads the epochs so far; none when the first has not ended yet."""
    path = Path(path)
    if not path.exists():
        return []
    with _reading(path):
        lines = read_bytes(path).decode('utf-8').splitlines()
        return [json.loads(line) for line in lines]


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ''
    # The shortest text that reads back as the same float32.
    return str(np.float32(value))


def write_predictions(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes one line per utterance, columns `COLUMNS`.

    Args:
      path: the file.
      rows: by column; a number that is missing, None or NaN stays empty (an absent
        modality's prediction, the generated labels outside the train split).
    """
    out = io.StringIO(newline='')
    writer = csv.writer(out)  # its CRLF line ends make it quote a lone CR too
    writer.writerow(COLUMNS)
    for row in rows:
        names = [row[column] for column in COLUMNS[:3]]
        writer.writerow(names + [_cell(row.get(column)) for column in NUMBERS])
    write_bytes(path, out.getvalue().encode('utf-8', 'backslashreplace'))


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Reads the rows of `write_predictions`; empty numbers are NaN.

    Raises:
      UserError: missing, damaged, or without one of `COLUMNS`.
    """
    path = Path(path)
    with (
        _reading(path),
        io.TextIOWrapper(open_regular(path), 'utf-8', newline='') as file,
    ):
        return [
            {column: row[column] for column in COLUMNS[:3]}
            | {column: float(row[column] or 'nan') for column in NUMBERS}
            for row in csv.DictReader(file, strict=True)
        ]


def write_labels(
    path: str | Path,
    ids: Sequence[str],
    m: np.ndarray,
    generated: Mapping[str, Any],
    truth: Mapping[str, np.ndarray],
) -> None:
    """Writes the unimodal labels generated after every epoch.

    Args:
      path: the file, npz.
      ids: `N` names of the training utterances.
      m: `y_m`, `[N]`.
      generated: by modality that has them, `[epochs, N]`, NaN where a sample lacks it.
      truth: annotated or planted unimodal labels by modality, `[N]`; may be empty.
    """
    arrays = {
        s: np.asarray(generated[s], np.float32) for s in MODALITIES if s in generated
    }
    known = {f'truth_{s}': np.asarray(u, np.float32) for s, u in truth.items()}
    names = dict(ids=np.asarray(ids, str), m=np.asarray(m, np.float32))
    write_bytes(path, archives.write_npz(names | arrays | known))


def read_labels(path: str | Path) -> dict[str, np.ndarray]:
    """Reads `ids`, `m` `[N]`, `t`, `a`, `v` `[epochs, N]`, `truth_s` `[N]`, if any."""
    path = Path(path)
    with _reading(path):
        return archives.read_npz(path)


def write_events(workdir: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rebuilds the run's TensorBoard events from its history.

    Tags are `train/loss`, `valid/mae` …, steps are epochs. Undefined values are left
    out. The times are those of the run, its last epoch ending now.
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar

    seconds = [row['seconds'] for row in rows]
    ends = time.time() - sum(seconds) + np.cumsum(seconds)
    events = [Event(wall_time=time.time(), file_version='brain.Event:2')]
    for row, end in zip(rows, ends, strict=True):
        for part in ('train', 'valid'):
            for name, value in json_ready(row[part]).items():
                if value is not None:
                    summary = scalar(f'{part}/{name}', value)
                    step = row['epoch']
                    events.append(Event(wall_time=end, step=step, summary=summary))
    # Not by tensorboardX's own writer: its thread dies on a full disk, and whoever
    # waits for it waits for ever.
    content = b''.join(_record(event.SerializeToString()) for event in events)
    write_bytes(Path(workdir) / EVENTS, content)


def _record(data: bytes) -> bytes:
    """One record of a TensorBoard file: length, its checksum, data, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack('<Q', len(data))
    sums = [struct.pack('<I', masked_crc32c(x)) for x in (length, data)]
    return length + sums[0] + data + sums[1]


def versions() -> dict[str, str | None]:
    """Versions of this package, Python and what decides a run's numbers.

    None for what is missing.
    """
    found: dict[str, str | None] = {
        'sugrm_jax': __version__,
        'python': platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_revision(folder: str | Path) -> str | None:
    """The commit of the checkout that tracks `folder`, `+changes` when it was edited.

    None without git or a commit, and where `folder` merely lies inside a repository
    that does not track it (an installed copy in somebody's project).
    """

    def git(*words: str) -> str:
        command = ['git', '-C', str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        if not git('ls-files', '.'):
            return None
        commit = git('rev-parse', 'HEAD')
        return commit + ('+changes' if git('status', '--porcelain', '.') else '')
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
