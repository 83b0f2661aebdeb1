"""LF-LSTM on CMU-MOSI or (`mosei`) CMU-MOSEI.

The paper (section 4.2) names no source, and no official code is known to us: one LSTM
for each modality, with the width, dropout, learning rate and weight decay that MMSA,
github.com/thuiar/MMSA (config/config_regression.json), has for EF-LSTM.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='lf_lstm',
            width=128,
            layers=1,
            dropout=0.5,
            padding='masked',
        ),
        objective=dict(loss='l1'),
    )
    config.name = 'lf_lstm'
    config.optim.groups.other.weight_decay = 5e-3
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def use_mosei(config: ConfigDict) -> None:
    """EF-LSTM's values for MOSEI."""
    common.use_mosei(config)
    config.model.update(width=256, dropout=0.4)
    config.optim.groups.other.update(lr=5e-3, weight_decay=1e-4)
    config.train.batch = 128
