"""EF-LSTM on CMU-MOSI or (`mosei`) CMU-MOSEI.

The LSTM over joined features that the field compares with; the paper names no source.
Code and numbers are those of MMSA, github.com/thuiar/MMSA
(models/singleTask/EF_LSTM.py, config/config_regression.json), which reads fixed text
features; BERT's learning rate is SUGRM's. It reads aligned data (`aligned`), or others
with `--config.model.align=ctc` (the paper's Table 2) or `pool`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='ef_lstm',
            width=128,
            layers=4,
            dropout=0.5,
            padding='masked',
            align='none',
            ctc_weight=1.0,
        ),
        objective=dict(loss='l1'),
    )
    config.name = 'ef_lstm'
    config.optim.groups.other.weight_decay = 5e-3
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def use_mosei(config: ConfigDict) -> None:
    """MMSA's values for MOSEI."""
    common.use_mosei(config)
    config.model.update(width=256, layers=2, dropout=0.4)
    config.optim.groups.other.update(lr=5e-3, weight_decay=1e-4)
    config.train.batch = 128
