"""What was mended or is odd in a data set, as sentences for its notes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sugrm_jax.data import fields
from sugrm_jax.types import Split


def mended(field: str, found: fields.Sequences) -> list[str]:
    """Values of a modality that were no use."""
    values = 'value was' if found.mended == 1 else 'values were'
    if not found.mended:
        return []
    return [f'{found.mended} {field} {values} not finite or too large and became 0']


def beyond(field: str, found: fields.Sequences, length: np.ndarray) -> list[str]:
    """Utterances with features where the file says that there is none."""
    count = (found.last > length).sum()
    if not count:
        return []
    return [f'{count} of {len(length)} utterances have {field} beyond their length']


def absent(splits: dict[str, Split], raw: Mapping) -> list[str]:
    """One sentence for each modality that utterances lack."""
    notes = []
    for field in ('audio', 'vision'):
        counts, wrong = [], 0
        for name, split in splits.items():
            lacks = getattr(split, f'{field}_length') == 0
            if lacks.any():
                counts.append(f'{lacks.sum()} of {len(split)} in {name}')
            if (claimed := raw[name].get(f'{field}_lengths')) is not None:
                wrong += (np.asarray(claimed)[lacks] > 0).sum()
        if counts:
            note = f'utterances without {field}: {", ".join(counts)}'
            if wrong:
                note += f'; the file gives {wrong} of them a length, but all is 0'
            notes.append(note)
    return notes


def narrow_labels(splits: dict[str, Split], label_range: float) -> list[str]:
    """Labels that fill little of their range, as with another data set's range."""
    largest = max(float(np.abs(split.label).max()) for split in splits.values())
    if largest > label_range / 2:
        return []
    return [
        f'no label is beyond ±{largest:g}, of a range of ±{label_range:g}: is '
        'data.label_range right? CH-SIMS has 1'
    ]


def shared(places: dict[str, list[str]]) -> str:
    """Ids in more than one split, see `mmsa.shared_ids`."""
    named = [f'{key} ({" and ".join(names)})' for key, names in places.items()]
    return f'ids in more than one split: {fields.some(named)}'
