"""Clips that are text files, and what is found in them without any library."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sugrm_jax.extract.media import Unreadable
from sugrm_jax.extract.run import Extractor
from sugrm_jax.extract.types import Features

DESCRIPTION = {
    'audio': {'names': ['a', 'b'], 'units': ['s', 's'], 'rate_hz': 20.0, 'source': 'x'},
    'vision': {'names': ['c'], 'units': ['s'], 'rate_hz': 10.0, 'source': 'y'},
}


def describe() -> dict:
    return DESCRIPTION


def decoding() -> dict:
    return {'source': 'z'}


def duration(path: str) -> float:
    """A clip is as many seconds long as its text says, 1 by default."""
    words = Path(path).read_text().split()
    if 'broken' in words:
        raise Unreadable('broken')
    if 'odd' in words:
        raise KeyError('odd')
    if 'crash' in words:
        os._exit(9)
    return float(next((w[8:] for w in words if w.startswith('seconds=')), 1))


def extract(piece) -> Features:
    """What the clip's text says: 'audio vision', one of them, 'broken', 'crash' …"""
    words = Path(piece.path).read_text().split()
    with open(Path(piece.path).parents[1] / 'calls', 'a') as file:
        file.write(f'{Path(piece.path).stem}\n')
    if 'crash' in words:
        os._exit(9)
    if 'slow' in words:
        time.sleep(60)
    sizes = {'audio': 3 if 'audio' in words else 0, 'vision': 2 * ('vision' in words)}
    problems = [f'no {name}' for name, size in sizes.items() if not size]
    return Features(
        audio=np.full((sizes['audio'], 2), len(words), np.float32),
        vision=np.full((sizes['vision'], 1), 7, np.float32),
        problems=('unreadable: broken',) if 'broken' in words else tuple(problems),
        readable='broken' not in words,
    )


def calls(folder: Path) -> list[str]:
    """The clips that were extracted, in order."""
    path = folder / 'calls'
    return path.read_text().split() if path.exists() else []


def threads(jobs: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(jobs)


# Without processes of its own, which take time to start.
EXTRACTOR = Extractor(describe, decoding, duration, extract, threads)
SPAWNING = Extractor(describe, decoding, duration, extract)
