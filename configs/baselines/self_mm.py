"""Self-MM on CMU-MOSI or (`mosei`) CMU-MOSEI.

Yu et al., Learning Modality-Specific Representations with Self-Supervised Multi-Task
Learning for Multimodal Sentiment Analysis, AAAI 2021. Official code:
github.com/thuiar/Self-MM, maintained in github.com/thuiar/MMSA, whose
src/MMSA/config/config_regression.json has these numbers (the older repository's differ
in some). Table 4's rows are single fields, but for SUGRM's label generation, which
needs one width for all tasks (configs/sweeps/table4.py).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.sugrm()
    config.name = 'self_mm'
    config.model.update(name='self_mm', mrm=False, encoder='lstm', heads='self_mm')
    config.model.common_width.update(m=128, t=32, a=16, v=32)
    config.model.output_dropout.update(m=0.0, t=0.1, a=0.1, v=0.0)
    config.objective.labels = 'self_mm'
    common.bound_labels(config)
    config.optim.groups = groups()
    # `update_epochs`: gradients of four batches summed; a last partial group is lost.
    config.optim.accumulate = 4
    config.optim.accumulate_sum = True
    config.optim.drop_partial = True
    config.train.batch = 16
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def groups() -> dict:
    """Learning rates and L2 of BERT, audio, vision and all else."""
    text = common.text_groups()
    text['text'].update(weight_decay=1e-3)
    encoder_of = '^encoder/(lstm|output)_{}/'.format
    return text | dict(
        audio=dict(pattern=encoder_of('a'), lr=5e-3, weight_decay=1e-3),
        vision=dict(pattern=encoder_of('v'), lr=5e-3, weight_decay=1e-3),
        other=dict(
            pattern='^(?!text/|encoder/(lstm|output)_)', lr=1e-3, weight_decay=1e-3
        ),
    )


def use_mosei(config: ConfigDict) -> None:
    """MMSA's values for MOSEI."""
    common.use_mosei(config)
    common.use_mosei_encoders(config.model)
    config.model.output_dropout.update(m=0.1, t=0.0, a=0.0, v=0.0)
    groups = config.optim.groups
    groups.audio.weight_decay = 0.0
    groups.vision.update(lr=1e-4, weight_decay=0.0)
    groups.other.weight_decay = 1e-2
    config.train.batch = 32
