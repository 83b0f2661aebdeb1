"""What the configs share: every field, with values for MOSI, and the variants."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict, config_dict


def base(model: Mapping, objective: Mapping, groups: Mapping | None = None):
    """All fields that any system has, around those of one system.

    Args:
      model, objective: settings of the system.
      groups: parameter groups; by default BERT's and one for all else.
    """
    return ConfigDict(
        dict(
            name='',
            seed=1,
            data=dict(
                # A pickle in MMSA format.
                path='MOSI/unaligned_50.pkl',
                # Or, with no path, settings of the simulator.
                simulate=config_dict.placeholder(ConfigDict),
                label_range=3.0,
                # Standardise audio and vision with statistics of the train split.
                standardize=False,
                # Refuse files with utterances that stand in more than one split.
                strict=False,
                # The others are absent from every sample.
                modalities=('t', 'a', 'v'),
            ),
            text=dict(
                # A folder, a name on the Hugging Face hub, 'minilm', or 'file': the
                # fixed `text` features of the data.
                pretrained='bert-base-uncased',
                finetune=True,
                # Or 'bfloat16'.
                compute_dtype='float32',
                # Steps to tokenise to, where a file has no `text_bert`.
                length=50,
            ),
            model=model,
            objective=objective,
            optim=dict(
                name='adam',
                groups={**text_groups(), **(groups or {'other': other_group(1e-3)})},
                schedule='constant',
                warmup_epochs=0.0,
                clip_norm=config_dict.placeholder(float),
                accumulate=1,
                accumulate_sum=False,
                drop_partial=False,
                average_decay=config_dict.placeholder(float),
            ),
            train=dict(
                batch=32,
                eval_batch=64,
                epochs=100,
                patience=8,
                # Probability that a sample of a train step loses a modality.
                modality_dropout=0.0,
            ),
            parallel=dict(shard_state=False),
        )
    )


def text_groups() -> dict:
    """Parameter groups of BERT (see `sugrm_jax.training.optim.GroupConfig`)."""
    return dict(
        # Biases and LayerNorms of BERT.
        text_plain=dict(pattern='^text/.*(bias|scale)$', lr=5e-5, weight_decay=0.0),
        text=dict(pattern='^text/.*(kernel|embedding)$', lr=5e-5, weight_decay=0.0),
    )


def other_group(lr: float, pattern: str = '^(?!text/)') -> dict:
    """A parameter group; by default of all that is not BERT's."""
    return dict(pattern=pattern, lr=lr, weight_decay=0.0)


def sugrm() -> ConfigDict:
    """SUGRM as the paper describes it (sections 3 and 4.3, Table 7), for MOSI."""
    return base(
        model=dict(
            name='sugrm',
            # What is predicted (Table 3).
            tasks=('m', 't', 'a', 'v'),
            # Without it, or with another encoder: Table 4.
            mrm=True,
            encoder='spt',
            **encoders(),
            common_width=by_task(32),
            heads='paper',
            output_dropout=by_task(0.3),
            padding='masked',
        ),
        objective=dict(
            # Or 'l2' or 'huber' (Table 8).
            loss='l1',
            # Or 'self_mm' (Table 4).
            labels='sugrm',
            label_bound=config_dict.placeholder(float),
            zero_is_positive=False,
        ),
        groups=dict(
            encoder=other_group(1e-2, '^encoder/'),
            other=other_group(1e-2, '^(mrm|head_.)/'),
        ),
    )


def by_task(value: float) -> dict:
    """A value of each task's head; those of t, a and v are m's unless they are set."""
    shared = config_dict.FieldReference(value)
    return {'m': shared, **{s: config_dict.FieldReference(shared) for s in 'tav'}}


def encoders() -> dict:
    """Settings of the encoders that SUGRM's `model.encoder` chooses from."""
    return dict(
        spt=dict(
            width=32,
            heads=8,
            layers=4,
            input_attention=sampling(5, 17, ('stride', 'phase', 'random')),
            cross_attention=sampling(1, 9, ('stride',)),
            self_attention=sampling(1, 7, ('stride',)),
            dropout=dict(embedding=0.3, attention=0.3, relu=0.3, residual=0.3),
            skip_zero_steps=False,
            # Or 'bfloat16'.
            compute_dtype='float32',
        ),
        # MulT's, as SPT's replacement: sizes and rates of Table 7.
        transformer=dict(
            width=32,
            heads=8,
            layers=4,
            memory_layers=4,
            kernels=(1, 1, 1),
            positions=True,
            causal=False,
            dropout=dict(
                text=0.0,
                embedding=0.3,
                attention=(0.3, 0.3, 0.3),
                relu=0.3,
                residual=0.3,
            ),
        ),
        # Self-MM's: MMSA's sizes, the same for MOSI and MOSEI.
        lstm=dict(a=dict(hidden=16, width=16), v=dict(hidden=32, width=32)),
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
    model.spt.input_attention.shifts = ()
    model.spt.dropout.attention = 0.0
    model.spt.skip_zero_steps = True
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


def use_frozen(config: ConfigDict) -> None:
    """The text encoder as it is: every text is encoded once, before training."""
    config.text.finetune = False


def use_bfloat16(config: ConfigDict) -> None:
    """BERT and SPT compute in bfloat16, with float32 parameters."""
    config.text.compute_dtype = 'bfloat16'
    for part in config.model.values():
        if isinstance(part, ConfigDict) and 'compute_dtype' in part:
            part.compute_dtype = 'bfloat16'


def use_fixed(config: ConfigDict) -> None:
    """The fixed `text` features of the file instead of a text encoder."""
    config.text.pretrained = 'file'
    config.text.finetune = False


def use_minilm_text(config: ConfigDict) -> None:
    """MiniLM as the text encoder, and standardised features."""
    if config.text.pretrained == 'file':
        raise ValueError("'fixed' and 'minilm' name different texts: choose one")
    config.text.pretrained = 'minilm'
    config.data.standardize = True


def use_minilm(config: ConfigDict) -> None:
    """MiniLM as the text encoder, with the settings that validate best with it.

    The paper's learning rate of 1e-2 suits the small modules' first steps but not
    SPT; the released code's optimiser and bounded labels do better on MOSI's
    validation split, with the paper's heads and masked padding (see README).
    """
    use_minilm_text(config)
    bound_labels(config)
    use_released_optimiser(config.optim)


def use_mosei_encoders(model: ConfigDict) -> None:
    """SPT, and MulT's encoder in its place, as Table 7 has them for MOSEI."""
    model.spt.heads = 4
    model.spt.dropout = dict(embedding=0.2, attention=0.1, relu=0.1, residual=0.1)
    model.transformer.heads = 4
    model.transformer.dropout.update(
        embedding=0.2, attention=(0.1, 0.1, 0.1), relu=0.1, residual=0.1
    )


def use_mosei(config: ConfigDict) -> None:
    """Reads MOSEI."""
    config.data.path = config.data.path.replace('MOSI', 'MOSEI')


Variants = Mapping[str, Callable[[ConfigDict], None]]
# For every system; each has more, or other ones of these names.
VARIANTS = {
    'aligned': use_aligned,
    'bfloat16': use_bfloat16,
    'fixed': use_fixed,
    'frozen': use_frozen,
    'minilm': use_minilm_text,
}
SUGRM_VARIANTS = {'minilm': use_minilm, 'released': use_released}


def apply_variants(config: ConfigDict, names: str, own: Variants) -> None:
    """Applies variants named with commas between, such as 'aligned,released'.

    In one order whatever the order of the names, so that a run has one name.

    Args:
      config: to change.
      names: of variants.
      own: the variants of this config beside `VARIANTS`.
    """
    variants = {**VARIANTS, **own}
    for name in sorted(set(filter(None, names.split(',')))):
        if name not in variants:
            raise ValueError(
                f'unknown config variant {name!r}; there are: ' + ', '.join(variants)
            )
        variants[name](config)
        config.name += f'-{name}'
