"""MAG-BERT on CMU-MOSI or (`mosei`) CMU-MOSEI.

Rahman et al., Integrating Multimodal Information in Large Pretrained Transformers, ACL
2020. The numbers are those of the official code,
github.com/WasifurRahman/BERT_multimodal_transformer (multimodal_driver.py, the same for
both data sets): AdamW, 10 % of all steps to warm up, mean squared error. MMSA tunes
otherwise: Adam, L1, batch 32, dropout .3 and learning rate 2e-5 for MOSI, .2 and 1e-5
for MOSEI. It reads aligned data (`aligned`), or aligns them (`config.model.align`).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='mag_bert',
            beta_shift=1.0,
            gate_dropout=0.5,
            output_dropout=0.1,
            align='none',
            ctc_weight=1.0,
            padding='masked',
        ),
        objective=dict(loss='l2'),
        groups=dict(
            text_plain=common.other_group(1e-5, '^text/.*(bias|scale)$'),
            text=common.other_group(1e-5, '^text/.*(kernel|embedding)$'),
            other_plain=common.other_group(1e-5, '^(?!text/).*(bias|scale)$'),
            other=common.other_group(1e-5, '^(?!text/|.*(bias|scale)$)'),
        ),
    )
    config.name = 'mag_bert'
    config.optim.name = 'adamw'
    config.optim.schedule = 'linear'
    for group in ('text', 'other'):
        config.optim.groups[group].weight_decay = 0.01
    config.train.batch = 48
    config.train.epochs = 40
    # A reference: it follows another number of epochs.
    config.optim.warmup_epochs = 0.1 * config.train.get_ref('epochs').to_float()
    own = {'minilm': use_minilm, 'mosei': common.use_mosei}
    common.apply_variants(config, variants, own)
    return config


def use_minilm(config: ConfigDict) -> None:
    """MiniLM as the BERT, with learning rates that suit a smaller one."""
    common.use_minilm_text(config)
    for name, group in config.optim.groups.items():
        group.lr = 5e-5 if name.startswith('text') else 1e-3
