"""SPT on CMU-MOSI or (`mosei`) CMU-MOSEI.

Cheng et al., EMNLP 2021. MOSEI: the defaults of the official code,
github.com/chengjunyan1/SP-Transformer (run.py), which are for this data set. MOSI:
sizes, dropout and batch from the table of SUGRM's paper (Hwang & Kim, Findings of EACL
2023, Table 7), which lists what it gave SPT, for neither code nor paper of SPT is known
to us to state them; learning rate and clipping from the code.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='spt',
            encoder=common.encoders()['spt'],
            output_dropout=0.3,
            padding='masked',
        ),
        objective=dict(loss='l1'),
    )
    config.name = 'spt'
    config.optim.groups.other.lr = 5e-4
    config.optim.clip_norm = 1.0
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def use_mosei(config: ConfigDict) -> None:
    """The code's values for MOSEI."""
    common.use_mosei(config)
    config.model.encoder.dropout = dict(
        embedding=0.3, attention=0.2, relu=0.1, residual=0.1
    )
    config.model.output_dropout = 0.1
    config.train.batch = 250
    config.train.epochs = 50
