"""SUGRM on simulated opinion videos: needs no data, runs in minutes on two cores."""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'demo'
    config.data.path = ''
    config.data.simulate = ConfigDict(
        dict(train=384, valid=96, test=96, audio_length=60, vision_length=80, seed=0)
    )
    config.data.standardize = True
    config.text.pretrained = 'minilm'
    config.text.length = 32
    config.optim.groups.encoder.lr = 1e-3
    config.optim.groups.other.lr = 1e-3
    config.train.epochs = 15
    common.apply_variants(config, variants, common.SUGRM_VARIANTS)
    return config
