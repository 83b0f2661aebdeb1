"""MulT as a system: its parts, padding and absence, settings and published values."""

import jax
import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.layers.crossmodal import CrossmodalTransformer
from sugrm_jax.layers.heads import ResidualHead
from sugrm_jax.main import load_config
from sugrm_jax.models import mult
from tests.models import fusing

SMALL = {'width': 4, 'heads': 2, 'layers': 1, 'memory_layers': 1, 'kernels': (1, 2, 3)}


def settings(encoder=(), **changed):
    model = plain(load_config('configs/baselines/mult.py').model)
    model['encoder'] |= SMALL | dict(encoder)
    return model | changed


def system(encoder=(), **changed):
    return mult.build(settings(encoder, **changed), {'loss': 'l1'}, text=None)


def test_the_head_reads_text_audio_and_vision_in_this_order():
    model, x = system().model, fusing.features()
    variables, real = fusing.start(model, x), fusing.lengths()
    params = variables['params']
    encode = jax.jit(
        CrossmodalTransformer(model.config.encoder).apply, static_argnums=3
    )
    encoded = encode({'params': params['encoder']}, x, real, True)
    joined = np.concatenate([encoded[s] for s in 'tav'], axis=-1)
    wanted = ResidualHead(0.0).apply({'params': params['head']}, joined, True)
    predicted = fusing.predict(model, variables, x, real)
    assert predicted.keys() == {'m'}
    # The same float32 operations, compiled apart or together.
    np.testing.assert_allclose(predicted['m'], wanted, rtol=1e-5, atol=1e-6)


def test_padding_is_not_seen():
    fusing.assert_padding_is_not_seen(system().model, fusing.features())


def test_absence_is_harmless():
    fusing.assert_absence_is_harmless(system().model, fusing.features())


def test_padding_takes_part_where_it_is_released():
    built = system(padding='released')
    assert not built.masks_padding and system().masks_padding
    x = fusing.features(steps={'t': 6, 'a': 9, 'v': 8})
    variables = fusing.start(built.model, x)
    before = fusing.predict(built.model, variables, x, None)['m']
    vision = np.array(x['v'])
    vision[1, -1] += 1
    after = fusing.predict(built.model, variables, x | {'v': vision}, None)['m']
    assert (before != after).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'padding': 'none'}, 'config.model: padding must be one of'),
        ({'output_dropout': 1.0}, 'output_dropout must be at least 0 and below 1'),
        ({'encoder': {'heads': 3}}, 'encoder: width 4 is no multiple of heads 3'),
        ({'encoder': {'kernels': (1, 1)}}, 'kernels must have one value for each'),
    ],
)
def test_wrong_settings_are_refused_by_name(changed, message):
    with pytest.raises(UserError, match=message):
        system(**changed)


@pytest.mark.parametrize(
    ('variant', 'batch', 'heads', 'block', 'text', 'clip', 'epochs'),
    [('', 128, 10, 0.2, 0.2, 0.8, 100), (':mosei', 16, 8, 0.1, 0.3, 1.0, 20)],
)
def test_published_values(variant, batch, heads, block, text, clip, epochs):
    """Tsai et al., ACL 2019, Table 5."""
    config = load_config(f'configs/baselines/mult.py{variant}')
    encoder, rates = config.model.encoder, config.model.encoder.dropout
    assert config.train.batch * config.optim.accumulate == batch
    assert not config.optim.accumulate_sum
    assert (encoder.width, encoder.layers, encoder.heads) == (40, 4, heads)
    assert rates.attention == (block,) * 3
    assert (rates.relu, rates.residual, rates.text) == (block, block, text)
    assert config.model.output_dropout == 0.1
    assert (config.optim.clip_norm, config.train.epochs) == (clip, epochs)
    assert config.optim.groups.other.lr == 1e-3
