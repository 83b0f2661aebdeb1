"""MCTN, the Multimodal Cyclic Translation Network, on CMU-MOSI or (`mosei`) CMU-MOSEI.

Pham et al., Found in Translation: Learning Robust Joint Representations by Cyclic
Translations Between Modalities, AAAI 2019. The numbers are those of the official code,
github.com/hainow/MCTN (configs/hierarchical_mctn.yaml, readme.md, utils/args.py), for
MOSI; there are none for MOSEI, which uses the same. Text → vision → audio (Figure 1).
BERT's learning rate is SUGRM's: the original has fixed word vectors.
"""

from ml_collections import ConfigDict

from configs import common

SENTIMENT = 'prediction/sentiment/kernel$'


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='mctn',
            first_target='v',
            width=32,
            prediction_width=32,
            translation_weight=0.1,
            cycle_weight=0.1,
            second_weight=0.1,
            align='none',
            ctc_weight=1.0,
            padding='masked',
        ),
        objective=dict(loss='l1'),
        groups=dict(
            # 0.01 w² in the loss is a gradient of 0.02 w.
            sentiment=common.other_group(1e-4, f'^{SENTIMENT}')
            | {'weight_decay': 0.02},
            other=common.other_group(1e-4, f'^(?!text/|{SENTIMENT})'),
        ),
    )
    config.name = 'mctn'
    # Squared errors of raw features would outweigh the prediction's.
    config.data.standardize = True
    config.train.epochs = 200
    config.train.patience = 20
    common.apply_variants(config, variants, {'mosei': common.use_mosei})
    return config
