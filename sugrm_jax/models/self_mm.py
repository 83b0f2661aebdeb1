"""Self-MM (Yu et al., AAAI 2021): BERT, an LSTM each for audio and vision, four heads.

It is SUGRM's skeleton with other settings, which `configs/baselines/self_mm.py` has: no
MRM, the encoder 'lstm', heads of unlike widths, and its own label generation.
"""

from sugrm_jax.models.sugrm import build

__all__ = ['build']
