"""MulT on CMU-MOSI or (`mosei`) CMU-MOSEI.

Tsai et al., ACL 2019, Table 5; official code
github.com/yaohungt/Multimodal-Transformer. The table leaves open: the text's kernel,
'1 or 3', is 3; the dropout of a 'crossmodal attention block' is that of its attention,
ReLU and residuals, and the text's is also that of the transformers' inputs, for the
code has one rate for both. Its layers are those of the memory transformers too, as in
the code. Not taken over: the learning rate's fall on a plateau.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variants: str = '') -> ConfigDict:
    config = common.base(
        model=dict(
            name='mult',
            encoder=dict(
                width=40,
                heads=10,
                layers=4,
                memory_layers=4,
                kernels=(3, 3, 3),
                positions=True,
                causal=True,
                dropout=dict(
                    text=0.2,
                    embedding=0.2,
                    attention=(0.2, 0.2, 0.2),
                    relu=0.2,
                    residual=0.2,
                ),
            ),
            output_dropout=0.1,
            padding='masked',
        ),
        objective=dict(loss='l1'),
    )
    config.name = 'mult'
    config.optim.clip_norm = 0.8
    # The table's batch of 128, in parts that fit into memory.
    config.train.batch = 32
    config.optim.accumulate = 4
    common.apply_variants(config, variants, {'mosei': use_mosei})
    return config


def use_mosei(config: ConfigDict) -> None:
    """The table's values for MOSEI."""
    common.use_mosei(config)
    config.model.encoder.heads = 8
    config.model.encoder.dropout.update(
        text=0.3, embedding=0.3, attention=(0.1, 0.1, 0.1), relu=0.1, residual=0.1
    )
    config.optim.clip_norm = 1.0
    config.optim.accumulate = 1
    config.train.batch = 16
    config.train.epochs = 20
