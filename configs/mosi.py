"""SUGRM on CMU-MOSI.

Variants, combinable with commas, as in `--config=configs/mosi.py:aligned,released`:
`released` (the released code's settings), `aligned` (the file aligned to words) and
`minilm` (a text encoder that needs no hub).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'mosi'
    common.apply_variants(config, variants, common.SUGRM_VARIANTS)
    return config
