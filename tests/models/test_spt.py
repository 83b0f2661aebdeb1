"""SPT as a system: its parts, padding and absence, settings."""

import jax
import numpy as np
import pytest

from sugrm_jax.config import plain
from sugrm_jax.errors import UserError
from sugrm_jax.layers.heads import ResidualHead
from sugrm_jax.layers.phased import PhasedTransformer
from sugrm_jax.main import load_config
from sugrm_jax.models import spt
from tests.models import fusing

SMALL = {'width': 4, 'heads': 2, 'layers': 2}


def settings(encoder=(), **changed):
    model = plain(load_config('configs/baselines/spt.py').model)
    model['encoder'] |= SMALL | dict(encoder)
    model['encoder']['input_attention']['stride'] = 2
    return model | changed


def system(encoder=(), **changed):
    return spt.build(settings(encoder, **changed), {'loss': 'l1'}, text=None)


def test_the_head_reads_text_audio_and_vision_in_this_order():
    model, x = system().model, fusing.features()
    variables, real = fusing.start(model, x), fusing.lengths()
    params = variables['params']
    encode = jax.jit(PhasedTransformer(model.config.encoder).apply, static_argnums=3)
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


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'padding': 'none'}, 'config.model: padding must be one of'),
        ({'output_dropout': -0.1}, 'output_dropout must be at least 0 and below 1'),
        ({'encoder': {'heads': 3}}, 'encoder: width 4 is no multiple of heads 3'),
        ({'encoder': {'kernels': (1, 1, 1)}}, 'Unknown config field .*kernels'),
    ],
)
def test_wrong_settings_are_refused_by_name(changed, message):
    with pytest.raises(UserError, match=message):
        system(**changed)


def test_values_of_the_official_code_for_mosei():
    """Its run.py; S 5 and r 8, 4, 3 give windows of 2r + 1."""
    config = load_config('configs/baselines/spt.py:mosei')
    encoder = config.model.encoder
    assert (encoder.width, encoder.heads, encoder.layers) == (32, 8, 4)
    windows = (
        (kind.stride, kind.window)
        for kind in (
            encoder.input_attention,
            encoder.cross_attention,
            encoder.self_attention,
        )
    )
    assert list(windows) == [(5, 17), (1, 9), (1, 7)]
    rates = plain(encoder.dropout)
    assert rates == dict(embedding=0.3, attention=0.2, relu=0.1, residual=0.1)
    assert config.model.output_dropout == 0.1
    assert (config.train.batch, config.train.epochs) == (250, 50)
    assert (config.optim.groups.other.lr, config.optim.clip_norm) == (5e-4, 1.0)
