"""The text encoder: a pretrained BERT, fine-tuned or frozen, or a file's features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sugrm_jax.config import choice
from sugrm_jax.layers import packing
from sugrm_jax.layers.bert import Bert, BertConfig
from sugrm_jax.layers.linear import COMPUTE_TYPES
from sugrm_jax.types import Array, Batch

# As `TextConfig.pretrained`: no encoder, but the features that the data bring.
FILE = 'file'


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """Settings of the text encoder.

    Attributes:
      pretrained: a folder, a name on the Hugging Face hub, 'minilm', or 'file': the
        fixed `text` features of the data.
      finetune: train it, or freeze it (then without dropout, too).
      compute_dtype: 'float32' or 'bfloat16'; parameters are float32 either way.
      length: steps to tokenise to, where the data hold no tokens.
    """

    pretrained: str
    finetune: bool
    compute_dtype: str
    length: int

    def __post_init__(self):
        choice(self.compute_dtype, COMPUTE_TYPES, 'compute_dtype')
        if self.finetune and self.pretrained == FILE:
            raise ValueError("finetune must be false where pretrained is 'file'")
        if self.length < 2:
            raise ValueError('length must be at least 2, for [CLS] and [SEP]')


class TextEncoder(nn.Module):
    """BERT over a batch's tokens, packed into rows where the batch says so.

    Where the batch brings fixed text features it gives those.

    Attributes:
      bert_config: sizes of the pretrained model; None where there is none.
      config: settings.
    """

    bert_config: BertConfig | None
    config: TextConfig

    @nn.compact
    def __call__(
        self,
        batch: Batch,
        deterministic: bool,
        adapt: Callable[[Array], Array] | None = None,
    ) -> Array:
        """Last hidden states, float32 `[B, L_t, D_t]`; 0 at padded steps if packed.

        Args:
          batch: its tokens, or fixed features.
          deterministic: no dropout.
          adapt: changes BERT's embeddings (see `Bert`): of the rows that
            `batch.packing` describes, if packed. It learns in a frozen BERT, too.
        """
        if batch.text is not None:
            return batch.text
        frozen, encoder = not self.config.finetune, Bert
        if frozen:
            stop, starting = jax.lax.stop_gradient, self.is_initializing()
            encoder = nn.map_variables(Bert, 'params', stop, init=starting)
        dtype = jnp.dtype(self.config.compute_dtype)
        bert = encoder(self.bert_config, dtype, name='bert')
        settings = {'deterministic': deterministic or frozen, 'adapt': adapt}
        if batch.packing is None:
            ids, mask, segments = jnp.moveaxis(batch.tokens, 1, 0)
            hidden = bert(ids, mask, segments, **settings)
        else:
            rows = packing.packed_bert_inputs(batch.tokens, batch.packing)
            hidden = bert(**rows, **settings)
            hidden = packing.unpack(hidden, batch.packing, batch.tokens.shape[2])
        return hidden


class TokenPacker:
    """Plans packed rows for the batches of one split.

    Args:
      tokens: int32 `[N, 3, L_t]`.
    """

    def __init__(self, tokens: np.ndarray):
        # A last entry for the rows that only fill a batch: they have no tokens.
        self._lengths = np.append(tokens[:, 1].sum(-1), 0)
        self._row_length = tokens.shape[2]

    def rows(self, index: np.ndarray) -> int:
        """Rows that suffice for every batch of `Plan.index`, int32 `[M, B]`."""
        row, _ = packing.first_fit(self._lengths[index], self._row_length)
        needed = row.max() + 1
        return next(n for n in packing.row_sizes(index.shape[1]) if n >= needed)

    def __call__(self, index: np.ndarray, rows: int) -> packing.Packing:
        """The plan for every batch of `Plan.index`, in `rows` each."""
        return packing.pack(self._lengths[index], self._row_length, rows)
