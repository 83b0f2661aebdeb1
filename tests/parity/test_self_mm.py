"""Self-MM after BERT, and its label generation, against recorded figures."""

import jax
import jax.numpy as jnp
import numpy as np

from sugrm_jax import models, self_mm_labels
from sugrm_jax.config import plain
from sugrm_jax.main import load_config
from sugrm_jax.types import TASKS
from tests import recordings
from tests.parity.test_phased import assert_close

# Their names of tasks and modalities, in layers and in the recording of labels.
LAYERS = {'m': 'fusion', 't': 'text', 'a': 'audio', 'v': 'video'}
LABELS = {'m': 'fusion', 't': 'text', 'a': 'audio', 'v': 'vision'}


def model_params(params):
    encoder = {}
    for s in 'av':
        encoder[f'lstm_{s}'] = recordings.lstm(params, f'{LAYERS[s]}_model.rnn')
        linear = recordings.dense(params, f'{LAYERS[s]}_model.linear_1')
        encoder[f'output_{s}'] = linear
    names = {'project': 1, 'hidden': 2, 'sentiment': 3}
    heads = {
        f'head_{task}': {
            ours: recordings.dense(params, f'post_{theirs}_layer_{i}')
            for ours, i in names.items()
        }
        for task, theirs in LAYERS.items()
    }
    return {'encoder': encoder, **heads}


def recorded_model(params):
    """The system of our config, as wide as the recorded one; biases tell widths."""
    config = plain(load_config('configs/baselines/self_mm.py'))
    model = config['model']
    for task in TASKS:
        width = len(params[f'head_{task}']['project']['bias'])
        model['common_width'][task] = width
    for s in 'av':
        output = params['encoder'][f'output_{s}']['kernel']
        model['lstm'][s] = dict(zip(('hidden', 'width'), output.shape, strict=True))
    return models.build(model, config['objective'], text=None).model


def test_self_mm():
    recording = recordings.load('self_mm')
    params = model_params(recordings.group(recording, 'param/'))
    model = recorded_model(params)
    features = recordings.inputs(recording)
    lengths = {s: recording[f'in/{LABELS[s]}_lengths'] for s in 'av'}
    lengths['t'] = np.full(4, features['t'].shape[1])

    @jax.jit
    def run(params, features, lengths):
        return model.apply({'params': params}, features, lengths, True, method='fuse')

    outputs = run(params, features, lengths)
    for task in TASKS:
        prediction = recording[f'out/{task.upper()}'][:, 0]
        assert_close(outputs.prediction[task], prediction)
        feature = recording[f'out/Feature_{"f" if task == "m" else task}']
        assert_close(outputs.feature[task], feature)


def test_label_generation():
    recording = recordings.load('self_mm_ulgm')
    multimodal, size = recording['labels/multimodal'], int(recording['batch_size'])
    features = recordings.group(recording, 'features/')
    widths = {task: features[name].shape[-1] for task, name in LABELS.items()}
    memory = self_mm_labels.start_memory(multimodal, widths, zero_is_positive=True)
    present = dict.fromkeys('tav', jnp.ones(size, bool))

    @jax.jit
    def step(memory, features, index, epoch):
        return self_mm_labels.update(
            memory, features, index, epoch, present=present, bound=3.0
        )

    for epoch in range(4):
        for index in recording['order'][epoch].reshape(-1, size):
            batch = {task: features[n][epoch, index] for task, n in LABELS.items()}
            memory = step(memory, batch, index, epoch + 1)
        # float32 on both sides. Where δ_m is small, α = δ_s / δ_m magnifies rounding,
        # but labels are clamped: 1e-5 of the largest has room for it.
        for s in 'tav':
            wanted = recording[f'after_epoch/{LABELS[s]}'][epoch]
            assert_close(memory.labels[s], wanted)
            assert epoch == 0 or np.abs(wanted - multimodal).max() > 0.1
