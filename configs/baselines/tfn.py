"""TFN, the Tensor Fusion Network, on CMU-MOSI or (`mosei`) CMU-MOSEI.

Zadeh et al., Tensor Fusion Network for Multimodal Sentiment Analysis, EMNLP 2017;
official code github.com/A2Zadeh/TensorFusionNetwork. The numbers are those of MMSA,
github.com/thuiar/MMSA (config/config_regression.json), which reads fixed text features;
BERT's learning rate is SUGRM's. Audio and vision are averaged over time, so that
unaligned data do as well as aligned ones (`aligned`).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='tfn',
            audio_width=32,
            vision_width=128,
            lstm_width=128,
            text_width=32,
            fusion_width=64,
            # MMSA also names a rate for the text, 0.3, but its code drops nothing
            # behind an LSTM of one layer.
            dropout=dict(audio=0.3, vision=0.3, text=0.0, fusion=0.5),
            low=-3.0,
            high=3.0,
            padding='masked',
            align='none',
            ctc_weight=1.0,
        ),
        objective=dict(loss='l1'),
    )
    config.name = 'tfn'
    # References: predictions lie in the range of the labels, whatever it is.
    config.model.high = config.data.get_ref('label_range')
    config.model.low = -1.0 * config.data.get_ref('label_range')
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def use_mosei(config: ConfigDict) -> None:
    """MMSA's values for MOSEI."""
    common.use_mosei(config)
    config.model.update(audio_width=16, text_width=128, fusion_width=16)
    config.model.dropout.update(audio=0.4, vision=0.4, fusion=0.4)
    config.optim.groups.other.lr = 5e-3
    config.train.batch = 128
