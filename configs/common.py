"""What the configs of SUGRM share: every field, with the paper's values for MOSI."""

from ml_collections import ConfigDict, config_dict


def sugrm() -> ConfigDict:
    """SUGRM as the paper describes it (sections 3 and 4.3, Table 7), for MOSI."""
    return ConfigDict(
        dict(
            name='',
            seed=1,
            data=dict(
                # A pickle in MMSA format.
                path='',
                # Or, with no path, settings of the simulator.
                simulate=config_dict.placeholder(ConfigDict),
                label_range=3.0,
                # Standardise audio and vision with statistics of the train split.
                standardize=False,
                # Refuse files with utterances that stand in more than one split.
                strict=False,
            ),
            text=dict(
                # A folder, a name on the Hugging Face hub, or 'minilm'.
                pretrained='bert-base-uncased',
                finetune=True,
                compute_dtype='float32',
                # Steps to tokenise to, where a file has no `text_bert`.
                length=50,
            ),
            model=dict(
                name='sugrm',
                encoder=dict(
                    width=32,
                    heads=8,
                    layers=4,
                    input_attention=sampling(5, 17, ('stride', 'phase', 'random')),
                    cross_attention=sampling(1, 9, ('stride',)),
                    self_attention=sampling(1, 7, ('stride',)),
                    dropout=dict(embedding=0.3, attention=0.3, relu=0.3, residual=0.3),
                    skip_zero_steps=False,
                ),
                common_width=32,
                heads='paper',
                output_dropout=0.3,
                padding='masked',
            ),
            objective=dict(
                loss='l1',
                label_bound=config_dict.placeholder(float),
                zero_is_positive=False,
            ),
            optim=dict(
                name='adam',
                groups=groups(),
                schedule='constant',
                warmup_epochs=0.0,
                clip_norm=config_dict.placeholder(float),
                accumulate=1,
                accumulate_sum=False,
                drop_partial=False,
                average_decay=config_dict.placeholder(float),
            ),
            train=dict(batch=32, eval_batch=64, epochs=100, patience=8),
        )
    )


def groups() -> dict:
    """Parameter groups (see `sugrm_jax.training.optim.GroupConfig`)."""
    text, small = 5e-5, 1e-2
    return dict(
        # Biases and LayerNorms of BERT.
        text_plain=dict(pattern='^text/.*(bias|scale)$', lr=text, weight_decay=0.0),
        text=dict(pattern='^text/.*(kernel|embedding)$', lr=text, weight_decay=0.0),
        encoder=dict(pattern='^encoder/', lr=small, weight_decay=0.0),
        other=dict(pattern='^(mrm|head_.)/', lr=small, weight_decay=0.0),
    )


def sampling(stride: int, window: int, shifts: tuple[str, ...]) -> dict:
    """Which keys a query reads (see `sugrm_jax.layers.sampling.Sampling`)."""
    return dict(
        stride=stride,
        window=window,
        shifts=shifts,
        stride_step=1,
        phase_step=0.25,
        random_share=0.05,
    )


def use_released(config: ConfigDict) -> None:
    """Sets what the released code does otherwise than the paper says."""
    model = config.model
    model.heads = 'released'
    model.padding = 'released'
    model.encoder.input_attention.shifts = ()
    model.encoder.dropout.attention = 0.0
    model.encoder.skip_zero_steps = True
    bound_labels(config)
    config.objective.zero_is_positive = True
    use_released_optimiser(config.optim)


def bound_labels(config: ConfigDict) -> None:
    """Bounds generated labels by the range of the annotated ones, 3 for MOSI.

    A reference, so that CH-SIMS's `data.label_range` of 1 bounds them by 1.
    """
    config.objective.label_bound = config.data.get_ref('label_range')


def use_released_optimiser(optim: ConfigDict) -> None:
    """SPT's own learning rate, L2 in Adam, gradients of four batches summed."""
    optim.groups.encoder.lr = 5e-4
    for group in ('text', 'encoder', 'other'):
        optim.groups[group].weight_decay = 1e-3
    optim.accumulate = 4
    optim.accumulate_sum = True
    optim.drop_partial = True


def use_aligned(config: ConfigDict) -> None:
    """Reads the file in which audio and vision are aligned to words."""
    config.data.path = config.data.path.replace('unaligned', 'aligned')


def use_minilm(config: ConfigDict) -> None:
    """MiniLM as the text encoder, with the settings that validate best with it.

    The paper's learning rate of 1e-2 suits the small modules' first steps but not
    SPT; the released code's optimiser and bounded labels do better on MOSI's
    validation split, with the paper's heads and masked padding (see README).
    """
    config.text.pretrained = 'minilm'
    config.data.standardize = True
    bound_labels(config)
    use_released_optimiser(config.optim)


VARIANTS = {'aligned': use_aligned, 'minilm': use_minilm, 'released': use_released}


def apply_variants(config: ConfigDict, names: str) -> None:
    """Applies variants named with commas between, such as 'aligned,released'.

    In one order whatever the order of the names, so that a run has one name.
    """
    for name in sorted(set(filter(None, names.split(',')))):
        if name not in VARIANTS:
            raise ValueError(
                f'unknown config variant {name!r}; there are: ' + ', '.join(VARIANTS)
            )
        VARIANTS[name](config)
        config.name += f'-{name}'
