"""SUGRM on CMU-MOSEI (paper, Table 7); variants as in `mosi.py`."""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'mosei'
    config.data.path = 'MOSEI/unaligned_50.pkl'
    config.model.output_dropout.m = 0.1
    common.use_mosei_encoders(config.model)
    config.optim.groups.encoder.lr = 1e-3
    config.optim.groups.other.lr = 1e-3
    common.apply_variants(config, variants, common.SUGRM_VARIANTS)
    if 'released' in variants.split(','):
        config.optim.groups.other.weight_decay = 1e-2
    return config
