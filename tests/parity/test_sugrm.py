"""The whole model after BERT, losses and every gradient, against recorded figures."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from sugrm_jax import models
from sugrm_jax.config import plain
from sugrm_jax.main import load_config
from sugrm_jax.types import TASKS, Batch
from tests import recordings
from tests.parity.test_phased import assert_close

RELEASED = plain(load_config('configs/mosi.py:released'))
TASK_NAMES = {'m': 'multimodal', 't': 'text', 'a': 'audio', 'v': 'vision'}


def model_params(params):
    return {
        'mrm': recordings.mrm(params, 'se_model.'),
        'encoder': recordings.phased(params, 'spe.'),
        **recordings.heads(params),
    }


def outputs_and_gradients(recording):
    params = model_params(recordings.group(recording, 'param/'))
    model, objective, *_ = models.build(
        RELEASED['model'], RELEASED['objective'], text=None
    )
    labels = {t: recording[f'label/{n}'] for t, n in TASK_NAMES.items()}
    memory = objective.start(labels['m'])
    memory = memory.replace(labels={s: jnp.array(labels[s]) for s in 'tav'})
    batch = Batch(*[None] * 5, label=labels['m'], index=np.arange(4), weight=np.ones(4))

    def loss(params):
        features = recordings.inputs(recording)
        outputs = model.apply({'params': params}, features, None, True, method='fuse')
        outputs = outputs.replace(present=dict.fromkeys('tav', 1))
        terms = objective.loss(outputs, batch, memory)
        means = {t: term.mean() for t, term in terms.items()}
        return sum(means.values()), (outputs, means)

    gradients, (outputs, means) = jax.jit(jax.grad(loss, has_aux=True))(params)
    return outputs, means, gradients


def test_sugrm():
    recording = recordings.load('sugrm')
    outputs, means, gradients = outputs_and_gradients(recording)
    for task in TASKS:
        prediction = recording[f'out/{task.upper()}'][:, 0]
        assert_close(outputs.prediction[task], prediction)
        feature = recording[f'out/Feature_{"f" if task == "m" else task}']
        assert_close(outputs.feature[task], feature)
        name = 'fusion' if task == 'm' else TASK_NAMES[task]
        assert_close(means[task], recording[f'loss/{name}'])
    assert_close(sum(means.values()), recording['loss/total'])

    # Parameters the original holds but never uses have no recorded gradient.
    recorded = dict.fromkeys(recordings.group(recording, 'param/'), 0)
    shapes = recordings.group(recording, 'param/')
    recorded = {
        k: recording.get(f'grad/{k}', np.zeros_like(v)) for k, v in shapes.items()
    }
    recorded = traverse_util.flatten_dict(model_params(recorded), sep='/')
    ours = traverse_util.flatten_dict(gradients, sep='/')
    assert ours.keys() == recorded.keys()
    # Judged against the largest gradient over all parameters: single tensors of
    # the recording carry up to 8e-5 of float32 rounding.
    largest = max(np.abs(g).max() for g in recorded.values())
    for name, gradient in ours.items():
        error = np.abs(gradient - recorded[name]).max()
        assert error <= 1e-5 * largest, name
