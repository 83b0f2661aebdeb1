"""Every config is traced, and its number of parameters is what it was."""

import math

import jax
import jax.numpy as jnp
import pytest

from sugrm_jax import models
from sugrm_jax.config import flat, plain, typed
from sugrm_jax.errors import UserError
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.main import load_config
from sugrm_jax.training.optim import assign_groups
from sugrm_jax.training.setup import Experiment
from sugrm_jax.types import MODALITIES, Batch

BERT = {
    'bert-base-uncased': BertConfig(30522, 768, 12, 12, 3072, 'gelu', 0.1, 0.1, 512, 2),
    'minilm': BertConfig(30522, 384, 6, 12, 1536, 'gelu', 0.1, 0.1, 512, 2),
}
# (steps of t, a, v; widths of a, v) as the data sets have them.
SHAPES = {
    'demo': (32, 60, 80, 5, 20),
    'mosi': (50, 375, 500, 5, 20),
    'mosei': (50, 500, 375, 74, 35),
    'aligned': (50, 50, 50, 5, 20),
}
# BERT without its pooler: 108,891,648 (base) and 22,565,376 (MiniLM).
# The rest is MRM + SPT + heads. By hand for MOSI, MRM: (793·198 + 198) + (198·793 +
# 793) = 315,019; a head of the paper: 32·32 + 32 + 32 + 1 = 1,089.
CASES = {
    'configs/demo.py': ('demo', 22_565_376, 225_889),
    'configs/demo.py:released': ('demo', 22_565_376, 230_113),
    'configs/mosi.py': ('mosi', 108_891_648, 482_305),
    'configs/mosi.py:released': ('mosi', 108_891_648, 486_529),
    'configs/mosi.py:aligned,released': ('aligned', 108_891_648, 486_529),
    'configs/mosi.py:minilm': ('mosi', 22_565_376, 225_889),
    'configs/mosei.py': ('mosei', 108_891_648, 558_052),
    'configs/mosei.py:released': ('mosei', 108_891_648, 562_276),
    # Encoders by hand: 4·16·(5 + 16) + 2·4·16 + 17·16 of audio, 4·32·(20 + 32) + 2·4·32
    # + 33·32 of vision. A head from D to C: (D + 1)·C + (C + 1)·C + C + 1; m's from
    # 768 + 16 + 32 to 128.
    'configs/baselines/self_mm.py': ('mosi', 108_891_648, 159_332),
    'configs/baselines/self_mm.py:mosei': ('mosei', 108_891_648, 165_668),
}


def example(shapes, batch=2):
    t, a, v, width_a, width_v = shapes
    return Batch(
        tokens=jnp.ones((batch, 3, t), jnp.int32),
        audio=jnp.zeros((batch, a, width_a)),
        audio_length=jnp.full(batch, a),
        vision=jnp.zeros((batch, v, width_v)),
        vision_length=jnp.full(batch, v),
        label=jnp.zeros(batch),
        index=jnp.arange(batch),
        weight=jnp.ones(batch),
    )


def size(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize('file', CASES)
def test_config(file):
    name, text_size, rest_size = CASES[file]
    experiment = typed(Experiment, plain(load_config(file)))
    text = TextEncoder(BERT[experiment.text.pretrained], experiment.text)
    system = models.build(experiment.model, experiment.objective, text)
    batch = example(SHAPES[name])
    rngs = {k: jax.random.key(0) for k in ('params', 'dropout', 'sampling')}

    def forward(rngs):
        return system.model.init_with_output(rngs, batch, False)

    outputs, variables = jax.eval_shape(forward, rngs)
    params = variables['params']
    assert size(params['text']) == text_size
    assert size({k: v for k, v in params.items() if k != 'text'}) == rest_size
    assert {x.shape for x in outputs.prediction.values()} == {(2,)}
    assert outputs.feature.keys() == {'m', *MODALITIES}
    # Every parameter belongs to one group, and every group has parameters.
    groups = assign_groups(params, experiment.optim.groups)
    assert set(jax.tree.leaves(groups)) == set(experiment.optim.groups)


@pytest.mark.parametrize(
    'field',
    [
        'spt.heads',
        'spt.layers',
        'spt.input_attention.stride',
        'spt.self_attention.window',
        'common_width.m',
        'common_width.v',
        'lstm.a.hidden',
    ],
)
def test_sizes_of_zero_are_refused_by_name(field):
    config = load_config('configs/mosi.py', [f'--config.model.{field}=0'])
    text = TextEncoder(BERT['minilm'], None)
    with pytest.raises(UserError, match=f'{field.split(".")[-1]} must be at least 1'):
        models.build(plain(config.model), plain(config.objective), text)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        *(
            (f'model.spt.dropout.{rate}', value, f'{rate} must be at least 0 and ')
            for rate in ('embedding', 'attention', 'relu', 'residual')
            for value in (-0.1, 1.0)
        ),
        ('model.output_dropout.m', 1.5, 'output_dropout: m must be at least 0 and '),
        ('model.output_dropout.a', -0.1, 'output_dropout: a must be at least 0 and '),
        ('objective.label_bound', 0.0, 'label_bound must be above 0'),
        ('optim.clip_norm', 0.0, 'clip_norm must be above 0'),
        ('optim.average_decay', 1.0, 'average_decay must be at least 0 and below 1'),
        ('optim.average_decay', -0.5, 'average_decay must be at least 0 and below 1'),
        ('seed', -1, 'seed must be at least 0 and below 4294967296'),
        ('seed', 2**32, 'seed must be at least 0 and below 4294967296'),
        ('data.label_range', 0.0, 'label_range must be above 0'),
        ('data.simulate.train', 0, 'simulate: train must be at least 1'),
        ('data.simulate.vision_length', 0, 'vision_length must be at least 1'),
        ('data.simulate.seed', -1, 'simulate: seed must be at least 0'),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value, message):
    config = load_config('configs/demo.py', [f'--config.{field}={value}'])
    with pytest.raises(UserError, match=f'{message}.*, not {value}'):
        experiment = typed(Experiment, plain(config))
        models.build(experiment.model, experiment.objective, TextEncoder(None, None))


def test_settings_at_the_ends_of_their_ranges_are_taken():
    ends = ['seed=0', 'optim.clip_norm=1e-9', 'optim.average_decay=0.0']
    ends += ['objective.label_bound=0.1', 'model.output_dropout.m=0.0']
    ends += [f'model.spt.dropout.{rate}=0.0' for rate in ('relu', 'embedding')]
    config = load_config('configs/mosi.py', [f'--config.{end}' for end in ends])
    experiment = typed(Experiment, plain(config))
    models.build(experiment.model, experiment.objective, TextEncoder(None, None))


def bound(variants, *overrides):
    overrides = [f'--config.{name}' for name in overrides]
    config = load_config(f'configs/mosi.py:{variants}', overrides)
    return config.objective.label_bound, config.data.label_range


@pytest.mark.parametrize('variants', ['released', 'minilm', 'minilm,released'])
def test_labels_are_bounded_by_the_range_of_the_data(variants):
    assert bound(variants) == (3.0, 3.0)
    assert bound(variants, 'data.label_range=1.0') == (1.0, 1.0)
    # A bound of one's own leaves the range alone, whatever comes first.
    own = ('objective.label_bound=2.0', 'data.label_range=1.0')
    assert bound(variants, *own) == bound(variants, *own[::-1]) == (2.0, 1.0)


def test_the_paper_bounds_no_labels():
    assert bound('') == (None, 3.0)


def test_variants_give_one_config_in_any_order():
    configs = [
        load_config(f'configs/mosi.py:{names}')
        for names in ('aligned,minilm', 'minilm,aligned', 'minilm,,aligned,minilm')
    ]
    assert [config.name for config in configs] == ['mosi-aligned-minilm'] * 3
    assert plain(configs[0]) == plain(configs[1]) == plain(configs[2])


@pytest.mark.parametrize('name', ['mosi', 'demo', 'baselines/spt', 'baselines/mult'])
def test_bfloat16_is_for_the_text_encoder_and_spt(name):
    config = load_config(f'configs/{name}.py:bfloat16')
    assert config.name.endswith('-bfloat16')
    fields = flat(plain(config))
    types = {k: v for k, v in fields.items() if k.endswith('compute_dtype')}
    assert set(types.values()) == {'bfloat16'}
    assert len(types) == (1 if name == 'baselines/mult' else 2)
