"""Data files made of videos: decoding, voice and face features, MMSA's layout.

Runs without jax, in an environment of its own, see docs/own_clips.md.
"""

from sugrm_jax.extract.run import extract_clip, extract_dataset

__all__ = ['extract_clip', 'extract_dataset']
