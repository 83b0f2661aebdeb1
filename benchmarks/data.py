"""Data at the shapes of unaligned MOSI, with real texts where a file gives them."""

from __future__ import annotations

import pathlib
import pickle

import numpy as np

from sugrm_jax.data.mmsa import load_dataset

TOKENS = 50
# Steps that a full sequence has, and feature widths.
AUDIO, VISION = (375, 5), (500, 20)
SIZES = {'train': 128, 'valid': 32, 'test': 32}


def token_arrays(path: str | None, count: int) -> np.ndarray:
    """Token ids, mask and segment ids `[N, 3, 50]`.

    Args:
      path: an MMSA pickle, of whose train split some are taken; without it lengths
        are drawn as MOSI has them (15 on average, few above 40).
      count: `N`.
    """
    rng = np.random.default_rng(0)
    if path:
        tokens = load_dataset(path).train.tokens
        return tokens[rng.choice(len(tokens), count, replace=len(tokens) < count)]
    length = np.clip(4 + rng.gamma(1.7, 6.6, count), 4, TOKENS).astype(int)
    mask = np.arange(TOKENS) < length[:, None]
    ids = rng.integers(1000, 30000, (count, TOKENS)) * mask
    return np.stack([ids, mask, np.zeros_like(ids)], axis=1)


def _split(rng: np.random.Generator, name: str, tokens: np.ndarray) -> dict:
    count = len(tokens)
    # The released code cannot do without labels of exactly ±3: one in ten here.
    label = np.round(np.clip(rng.normal(0, 1.8, count), -3, 3), 1)
    split = {
        'raw_text': np.array(['-'] * count),
        'id': np.array([f'{name}{i}$_$0' for i in range(count)]),
        'text_bert': tokens.astype(np.float32),
        'regression_labels': label.astype(np.float32),
    }
    share = tokens[:, 1].sum(-1) / TOKENS
    for field, (steps, width) in (('audio', AUDIO), ('vision', VISION)):
        length = np.ceil(share * steps).astype(int)
        x = rng.normal(size=(count, steps, width)).astype(np.float32)
        x[np.arange(steps) >= length[:, None]] = 0
        split |= {field: x, f'{field}_lengths': length.tolist()}
    return split


def write_mosi_shaped(
    folder: str | pathlib.Path, path: str | None, train: int = SIZES['train']
) -> str:
    """Writes an MMSA pickle of random features and labels; returns its path.

    Audio and vision are as long as their text is, relative to a full sequence.

    Args:
      folder: to write to.
      path: see `token_arrays`.
      train: utterances of the train split.
    """
    rng = np.random.default_rng(1)
    sizes = SIZES | {'train': train}
    tokens = np.split(
        token_arrays(path, sum(sizes.values())), np.cumsum(list(sizes.values()))[:-1]
    )
    data = {n: _split(rng, n, t) for n, t in zip(sizes, tokens, strict=True)}
    target = pathlib.Path(folder) / 'mosi_shaped.pkl'
    target.write_bytes(pickle.dumps(data))
    return str(target)
