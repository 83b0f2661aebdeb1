"""SUGRM on CMU-MOSI.

Variants, combinable with commas, as in `--config=configs/mosi.py:aligned,released`:
`released` (the released code's settings), `aligned` (the file aligned to words),
`minilm` (a text encoder that needs no hub), `frozen` (which is not trained) and `fixed`
(the file's own text features instead).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'mosi'
    common.apply_variants(config, variants, common.SUGRM_VARIANTS)
    return config
