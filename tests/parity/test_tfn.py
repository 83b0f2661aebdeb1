"""TFN after the text features, against figures recorded from MMSA's code."""

import jax
import jax.numpy as jnp

from sugrm_jax.models.tfn import Tfn, TfnConfig, TfnDropout
from tests import recordings
from tests.parity.test_phased import assert_close


def model_config(params):
    low = float(params['output_shift'][0])
    return TfnConfig(
        name='tfn',
        audio_width=len(params['audio_subnet.linear_1.bias']),
        vision_width=len(params['video_subnet.linear_1.bias']),
        lstm_width=params['text_subnet.rnn.weight_hh_l0'].shape[1],
        text_width=len(params['text_subnet.linear_1.bias']),
        fusion_width=len(params['post_fusion_layer_1.bias']),
        dropout=TfnDropout(audio=0.3, vision=0.3, text=0.3, fusion=0.5),
        low=low,
        high=low + float(params['output_range'][0]),
        padding='released',
        align='none',
        ctc_weight=0.0,
    )


def model_variables(params):
    names = {'a': 'audio_subnet', 'v': 'video_subnet'}
    subnets = {
        f'subnet_{s}': {
            'norm': recordings.norm(params, f'{name}.norm'),
            **{
                f'layer_{i}': recordings.dense(params, f'{name}.linear_{i}')
                for i in (1, 2, 3)
            },
        }
        for s, name in names.items()
    }
    text = {
        'lstm': recordings.lstm(params, 'text_subnet.rnn'),
        'linear': recordings.dense(params, 'text_subnet.linear_1'),
    }
    return {
        'params': {
            **subnets,
            'subnet_t': text,
            'fusion_1': recordings.dense(params, 'post_fusion_layer_1'),
            'fusion_2': recordings.dense(params, 'post_fusion_layer_2'),
            'sentiment': recordings.dense(params, 'post_fusion_layer_3'),
        },
        'batch_stats': {
            f'subnet_{s}': {'norm': recordings.batch_norm(params, f'{name}.norm')}
            for s, name in names.items()
        },
    }


def test_tfn():
    recording = recordings.load('tfn')
    params = recordings.group(recording, 'param/')
    features = recordings.inputs(recording)
    # Recorded as vectors, averaged over time already.
    features |= {s: features[s][:, None] for s in 'av'}

    @jax.jit
    def predict(variables, features):
        model = Tfn(model_config(params), None)
        weight = jnp.ones(len(features['t']))
        given = features, None, weight, True
        return model.apply(variables, *given, method='fuse_batch')

    outputs = predict(model_variables(params), features)
    assert_close(outputs.feature['m'], recording['out/Feature_f'])
    assert_close(outputs.prediction['m'], recording['out/M'][:, 0])
