"""Self-MM's encoders: BERT's first hidden state, and an LSTM for audio and vision.

From Yu et al., AAAI 2021 ("Overall Architecture"); official code
github.com/thuiar/MMSA, models/multiTask/SELF_MM.py. The dropout that the code has
behind its LSTMs is 0 in all published settings and left out.
"""

from __future__ import annotations

import dataclasses

from flax import linen as nn

from sugrm_jax.config import at_least
from sugrm_jax.layers.linear import uniform_dense
from sugrm_jax.layers.recurrent import Lstm
from sugrm_jax.types import MODALITIES, Array


@dataclasses.dataclass(frozen=True)
class SequenceConfig:
    """Sizes of one modality's encoder.

    Attributes:
      hidden: of the LSTM's state.
      width: of the linear layer behind its last state.
    """

    hidden: int
    width: int

    def __post_init__(self):
        at_least(self.hidden, 1, 'hidden')
        at_least(self.width, 1, 'width')


@dataclasses.dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of the encoders of audio and vision; the text's width is BERT's."""

    a: SequenceConfig
    v: SequenceConfig


class RecurrentEncoder(nn.Module):
    """`[B, L_s, D_s]` of three modalities → one vector each.

    Attributes:
      config: sizes.
    """

    config: RecurrentConfig

    @nn.compact
    def __call__(
        self,
        features: dict[str, Array],
        lengths: dict[str, Array] | None,
        deterministic: bool,
    ) -> dict[str, Array]:
        """Encodes the three modalities.

        Args:
          features: `[B, L_s, D_s]` by modality.
          lengths: real steps `[B]` by modality: an LSTM ends at the last of them, and
            an absent modality (length 0) is encoded as 0. None: it reads all steps.
          deterministic: without effect, for there is no dropout.

        Returns:
          By modality: of the text the first step, `[B, D_t]`; of audio and vision a
          linear map of the LSTM's last state, `[B, width]`.
        """
        del deterministic
        steps = lengths or dict.fromkeys(MODALITIES)
        encoded = {'t': features['t'][:, 0]}
        for s, size in (('a', self.config.a), ('v', self.config.v)):
            _, last = Lstm(size.hidden, name=f'lstm_{s}')(features[s], steps[s])
            output = uniform_dense(size.width, size.hidden, name=f'output_{s}')
            encoded[s] = output(last)
        if lengths is None:
            return encoded
        return {s: x * (lengths[s] > 0)[:, None] for s, x in encoded.items()}
