"""From a pickle in MMSA format to a folder that training reads batch by batch."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

from sugrm_jax.data import description, fields, folder, mmsa, pickles, scaling
from sugrm_jax.data.text import no_tokens
from sugrm_jax.folders import emerging
from sugrm_jax.types import Dataset


def convert(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    label_range: float = 3.0,
    fixed_text: bool = False,
    say: Callable[[str], None] = print,
) -> Dataset:
    """Writes a pickle in MMSA format as a folder (`data.folder`).

    A pickle is read as a whole, so its size in memory is what the conversion needs, and
    little more: sequences are written a part at a time and let go one after the other.

    Args:
      path: the pickle.
      out: the folder, which must not exist. Until all is written there is only a
        hidden one beside it, whose name begins with `.writing`.
      label_range: that the labels are checked with; the folder does not depend on it.
      fixed_text: keep the fixed text features, too; they are larger than all else.
      say: told what is being done.

    Returns:
      The data set, whose sequences are read from the folder.

    Raises:
      UserError: the pickle cannot be read or used (`mmsa.load_dataset`); the folder
        exists or cannot be written.
    """
    path = os.fspath(path)
    with emerging(pathlib.Path(out).expanduser()) as target:
        say(f'Reading {path}')
        raw = pickles.load(path)
        mmsa.check_layout(raw, path)
        said = {description.KEY: raw.get(description.KEY, {})}
        raw = {name: dict(raw[name]) for name in mmsa.SPLITS}
        for name, split in raw.items():
            (target / name).mkdir()
            if not fixed_text:
                split.pop('text', None)
            for field in [x for x in folder.SEQUENCES if x in split]:
                say(f'Writing {field} of {name}')
                where = f'{path}, split {name}: {field}'
                _write(split, field, target / name / f'{field}.npy', where)
        sha256 = mmsa.fingerprint(path)
        dataset = mmsa.make_dataset(
            raw | said,
            path=path,
            sha256=sha256,
            label_range=label_range,
            tokenizer=no_tokens,
            fixed_text=fixed_text,
        )
        say('Writing statistics of the train split')
        statistics = scaling.fit(dataset.train)
        (target / folder.SCALING).write_bytes(statistics.to_bytes())
        folder.save_rest(target, raw, sha256, dataset.features)
    return dataset


def _write(split: dict[str, Any], field: str, path: pathlib.Path, where: str) -> None:
    """Writes the sequences of a field, lets go of them, and puts the file's there."""
    array = fields.steps(split.pop(field), where)
    split[field] = folder.save_sequences(path, array)
