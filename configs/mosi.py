"""SUGRM on CMU-MOSI.

Variants, combinable with commas: `released` (the released code's settings) and
`aligned`, as in `--config=configs/mosi.py:aligned,released`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'mosi'
    config.data.path = 'MOSI/unaligned_50.pkl'
    common.apply_variants(config, variants)
    return config
