"""SUGRM on CMU-MOSI.

Variants, combinable with commas, as in `--config=configs/mosi.py:aligned,released`:
`released` (the released code's settings), `aligned` (the file aligned to words),
`minilm` (a text encoder that needs no hub), `frozen` (which is not trained), `fixed`
(the file's own text features instead) and `bfloat16` (in which BERT and SPT compute;
parameters, losses, labels and metrics stay float32).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'mosi'
    common.apply_variants(config, variants, common.SUGRM_VARIANTS)
    return config
