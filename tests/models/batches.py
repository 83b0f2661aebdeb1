"""A small batch whose audio and vision have the steps of the text."""

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextConfig, TextEncoder, TokenPacker
from sugrm_jax.types import Batch

BERT = BertConfig(20, 8, 2, 2, 16, 'gelu', 0.0, 0.0, 6, 2)


def text_encoder(finetune=True, pretrained=''):
    return TextEncoder(BERT, TextConfig(pretrained, finetune, 'float32', 6))


def aligned_batch(text, audio, vision, steps=6, seed=0):
    """Random tokens, audio and vision, of the given lengths; labels 0, 1, 2 …"""
    rng = np.random.default_rng(seed)
    rows = len(text)
    mask = (np.arange(steps) < np.array(text)[:, None]).astype(np.int32)
    ids = rng.integers(1, 20, mask.shape) * mask
    tokens = np.stack([ids, mask, np.zeros_like(mask)], axis=1).astype(np.int32)
    return jax.tree.map(
        jnp.asarray,
        Batch(
            tokens=tokens,
            audio=rng.normal(size=(rows, steps, 3)).astype(np.float32),
            audio_length=np.array(audio, np.int32),
            vision=rng.normal(size=(rows, steps, 4)).astype(np.float32),
            vision_length=np.array(vision, np.int32),
            label=np.arange(rows, dtype=np.float32),
            index=np.arange(rows),
            weight=np.ones(rows, np.float32),
        ),
    )


def packed(batch):
    """The same batch with its tokens packed into fewer rows."""
    packer = TokenPacker(np.asarray(batch.tokens))
    index = np.arange(len(batch.label))[None]
    packing = packer(index, packer.rows(index))
    assert packing.group.shape[1] < len(batch.label)
    return batch.replace(packing=jax.tree.map(lambda x: jnp.asarray(x[0]), packing))


def with_other_padding(batch):
    """The same batch with other numbers after each utterance's end."""

    def pad(x, length):
        real = jnp.arange(x.shape[1]) < length[:, None]
        return jnp.where(real[..., None], x, 7.0)

    text = batch.tokens[:, 1:2] == 1
    return batch.replace(
        tokens=batch.tokens.at[:, 0].set(jnp.where(text[:, 0], batch.tokens[:, 0], 3)),
        audio=pad(batch.audio, batch.audio_length),
        vision=pad(batch.vision, batch.vision_length),
    )
