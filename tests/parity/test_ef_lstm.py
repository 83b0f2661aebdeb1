"""EF-LSTM after the text features, against figures recorded from MMSA's code."""

import jax
import jax.numpy as jnp

from sugrm_jax.models.ef_lstm import EfLstm, EfLstmConfig
from tests import recordings
from tests.parity.test_phased import assert_close


def model_config(params):
    return EfLstmConfig(
        name='ef_lstm',
        width=len(params['linear.bias']),
        layers=sum(name.startswith('lstm.weight_ih') for name in params),
        dropout=0.5,
        padding='released',
        align='none',
        ctc_weight=0.0,
    )


def model_variables(params, layers):
    return {
        'params': {
            'norm': recordings.norm(params, 'norm'),
            'lstm': {
                f'layer_{i}': recordings.lstm(params, 'lstm', i) for i in range(layers)
            },
            'hidden': recordings.dense(params, 'linear'),
            'sentiment': recordings.dense(params, 'out'),
        },
        'batch_stats': {'norm': recordings.batch_norm(params, 'norm')},
    }


def test_ef_lstm():
    recording = recordings.load('ef_lstm')
    params = recordings.group(recording, 'param/')
    config = model_config(params)
    features = recordings.inputs(recording)

    @jax.jit
    def predict(variables, features):
        model = EfLstm(config, None)
        weight = jnp.ones(len(features['t']))
        given = features, None, weight, True
        return model.apply(variables, *given, method='fuse_batch').prediction

    variables = model_variables(params, config.layers)
    assert_close(predict(variables, features)['m'], recording['out/M'][:, 0])
