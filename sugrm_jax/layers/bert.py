"""BERT's encoder (Devlin et al., NAACL 2019), as Hugging Face's BertModel computes it.

Post-norm layers, learned absolute positions, no pooler. Parameters are float32;
the layers' parameters are stacked on axis 0 under the name `layers`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.errors import UserError
from sugrm_jax.layers.attend import attend
from sugrm_jax.types import Array

ACTIVATIONS = {
    'gelu': functools.partial(nn.gelu, approximate=False),
    'gelu_new': functools.partial(nn.gelu, approximate=True),
    'relu': nn.relu,
}
# Of a fresh model; a pretrained one brings its own values.
_INIT = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The fields of a checkpoint's config.json that shape the encoder."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.hidden_act not in ACTIVATIONS:
            raise UserError(
                f'BERT: hidden_act is {self.hidden_act!r}; '
                f'known are {", ".join(ACTIVATIONS)}.'
            )
        heads = self.num_attention_heads
        if heads < 1 or self.hidden_size % heads:
            raise UserError(
                f'BERT: hidden_size {self.hidden_size} is not divisible by '
                f'num_attention_heads {heads}.'
            )


def check_tokens(tokens: np.ndarray, config: BertConfig, path: str) -> None:
    """Refuses tokens that the encoder has no embedding for.

    Args:
      tokens: int `[N, 3, L_t]`: ids, mask, segment ids.
      config: of the encoder.
      path: of the data, for the message.

    Raises:
      UserError: an id outside the vocabulary, a segment id outside the segment
        table, or more steps than positions.
    """
    for row, what, limit in (
        (0, 'token id', config.vocab_size),
        (2, 'segment id', config.type_vocab_size),
    ):
        low, high = tokens[:, row].min(initial=0), tokens[:, row].max(initial=0)
        if low < 0 or high >= limit:
            raise UserError(
                f'{path}: text_bert has the {what} {low if low < 0 else high}, but '
                f'this BERT knows 0 to {limit - 1}; the data must be tokenised with '
                'the vocabulary of text.pretrained (bert-base-uncased for MOSI and '
                'MOSEI).'
            )
    _check_steps(tokens.shape[-1], config)


def _check_steps(steps: int, config: BertConfig) -> None:
    if steps > config.max_position_embeddings:
        raise UserError(
            f'The text has {steps} steps, but this BERT has positions for '
            f'{config.max_position_embeddings} only; shorten the text or use another '
            'BERT (field text.pretrained).'
        )


def _dense(features: int, dtype, name: str) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, kernel_init=_INIT, name=name)


def _layer_norm(config: BertConfig, dtype, name: str) -> nn.LayerNorm:
    # Mean and variance are taken in float32 whatever the compute type.
    return nn.LayerNorm(
        config.layer_norm_eps, dtype=dtype, use_fast_variance=False, name=name
    )


class BertLayer(nn.Module):
    """Self attention and feed-forward, each followed by residual and LayerNorm."""

    config: BertConfig
    dtype: jnp.dtype
    deterministic: bool

    @nn.compact
    def __call__(self, x: Array, see: Array) -> tuple[Array, None]:
        """`[B, L, D]` → the same, in the form `nn.scan` asks for."""
        config = self.config
        drop = nn.Dropout(config.hidden_dropout_prob, deterministic=self.deterministic)
        drop_weights = nn.Dropout(
            config.attention_probs_dropout_prob, deterministic=self.deterministic
        )
        width, heads = config.hidden_size, config.num_attention_heads
        qkv = _dense(3 * width, self.dtype, 'qkv')(x)
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, heads, -1), 2, 0)
        mixed = attend(q, k, v, see, drop_weights).reshape(x.shape)
        mixed = _dense(width, self.dtype, 'attention_output')(mixed)
        x = _layer_norm(config, self.dtype, 'attention_norm')(x + drop(mixed))
        hidden = _dense(config.intermediate_size, self.dtype, 'intermediate')(x)
        hidden = ACTIVATIONS[config.hidden_act](hidden)
        out = _dense(width, self.dtype, 'output')(hidden)
        return _layer_norm(config, self.dtype, 'output_norm')(x + drop(out)), None


class BertEmbeddings(nn.Module):
    """Sum of word, position and segment embeddings, then LayerNorm and dropout."""

    config: BertConfig
    dtype: jnp.dtype
    deterministic: bool

    @nn.compact
    def __call__(self, ids: Array, segments: Array, positions: Array) -> Array:
        config = self.config
        # In float32: gradients of a row are summed over every step that reads it.
        embed = functools.partial(
            nn.Embed, features=config.hidden_size, embedding_init=_INIT
        )
        x = embed(config.vocab_size, name='word')(ids)
        x += embed(config.type_vocab_size, name='segment')(segments)
        x += embed(config.max_position_embeddings, name='position')(positions)
        x = _layer_norm(config, self.dtype, 'norm')(x)
        drop = nn.Dropout(config.hidden_dropout_prob, deterministic=self.deterministic)
        return drop(x)


class Bert(nn.Module):
    """The encoder.

    Attributes:
      config: its sizes and dropout rates.
      dtype: compute type. Embeddings, softmax and LayerNorm statistics stay in float32.
    """

    config: BertConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        ids: Array,
        mask: Array,
        segments: Array,
        positions: Array | None = None,
        group: Array | None = None,
        deterministic: bool = True,
        adapt: Callable[[Array], Array] | None = None,
    ) -> Array:
        """Last hidden states, float32 `[B, L, D]`, at padded steps too.

        Args:
          ids: int `[B, L]`, token ids.
          mask: int `[B, L]`, 1 at real tokens. Every step sees the real tokens.
          segments: int `[B, L]`, segment ids.
          positions: int `[B, L]`; 0, 1, 2 … when None.
          group: int `[B, L]`, which utterance of the row a step belongs to. It
            takes the mask's place: a step sees the steps of its own group.
          deterministic: no dropout; otherwise an rng named `dropout` is needed.
          adapt: changes the embeddings, float32 `[B, L, D]`, before the first layer.

        Raises:
          UserError: there are more steps than positions.
        """
        chex.assert_rank([ids, mask, segments], 2)
        chex.assert_equal_shape([ids, mask, segments])
        if positions is None:
            _check_steps(ids.shape[1], self.config)
            positions = jnp.arange(ids.shape[1])[None]
        if group is None:
            see = (mask != 0)[:, None, :]
        else:
            see = group[:, :, None] == group[:, None, :]
        parts = (self.config, self.dtype, deterministic)
        x = BertEmbeddings(*parts, name='embeddings')(ids, segments, positions)
        if adapt is not None:
            x = adapt(x.astype(jnp.float32)).astype(self.dtype)
        # One compiled layer for all: the stack compiles as fast as one layer.
        layers = nn.scan(
            BertLayer,
            variable_axes={'params': 0},
            split_rngs={'params': True, 'dropout': True},
            in_axes=nn.broadcast,
            length=self.config.num_hidden_layers,
        )
        x, _ = layers(*parts, name='layers')(x, see)
        return x.astype(jnp.float32)
