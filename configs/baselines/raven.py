"""RAVEN on CMU-MOSI or (`mosei`) CMU-MOSEI.

Wang et al., Words Can Shift: Dynamically Adjusting Word Representations Using Nonverbal
Behaviors, AAAI 2019. The numbers are those of the official code for MOSI,
github.com/victorywys/RAVEN (consts.py): mean squared error, batches of 20. There are
none for MOSEI, which uses the same. There epochs are 500 without early stopping. BERT's
learning rate is SUGRM's: the original has fixed word vectors. It reads aligned data
(`aligned`), or aligns them (`config.model.align`).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='raven',
            nonverbal_width=150,
            width=300,
            beta_shift=0.2,
            dropout=0.2,
            align='none',
            ctc_weight=1.0,
            padding='masked',
        ),
        objective=dict(loss='l2'),
    )
    config.name = 'raven'
    config.train.batch = 20
    common.apply_variants(config, variants, {'mosei': common.use_mosei})
    return config
