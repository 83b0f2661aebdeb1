"""A trained model as files that run without this package: StableHLO and weights.

model.bin           the program, `jax.export`'s serialisation, for CPU and CUDA
weights.safetensors its first argument, by name
metadata.json       its second argument and its result, and what they mean
tokenizer/          of the text encoder, where it has one
example.py          loads and runs all that
"""

from __future__ import annotations

import importlib.resources
import json
import math
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import export

from sugrm_jax.folders import emerging
from sugrm_jax.layers.pretrained import TOKENIZER_FILES
from sugrm_jax.layers.text import FILE
from sugrm_jax.prediction.predictor import FIELDS, Predictor
from sugrm_jax.prediction.program import as_batch, make_predict, predictions
from sugrm_jax.prediction.restore import find_text
from sugrm_jax.results import files
from sugrm_jax.types import Array

PLATFORMS = ('cpu', 'cuda')
PROGRAM, WEIGHTS, METADATA = 'model.bin', 'weights.safetensors', 'metadata.json'
EXAMPLE, TOKENIZER = 'example.py', 'tokenizer'
Flat = dict[str, Array]


def flat_weights(predictor: Predictor) -> Flat:
    """Parameters and statistics by a name, and those that features are scaled with."""
    weights = flatten_dict(predictor.weights, sep='/')
    if predictor.scaling:
        weights |= {f'scaling/{k}': x for k, x in predictor.scaling._asdict().items()}
    return weights


def inputs_of(predictor: Predictor, count: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """What the program is given of `count` utterances, features as in a file.

    Of modalities that the run was trained without there is nothing.
    """
    shape, kept = jax.ShapeDtypeStruct, predictor.modalities
    steps = {field: x['steps'] for field, x in predictor.features.items()}
    inputs = {}
    if 't' in kept:
        inputs['tokens'] = shape((count, 3, steps['text']), np.int32)
        if predictor.experiment.text.pretrained == FILE:
            width = predictor.features['text']['width']
            inputs['text'] = shape((count, steps['text'], width), np.float32)
    for field, s in FIELDS.items():
        if s in kept:
            width = predictor.features[field]['width']
            inputs[field] = shape((count, steps[field], width), np.float32)
            inputs[f'{field}_length'] = shape((count,), np.int32)
    return inputs


def make_program(predictor: Predictor) -> Callable[[Flat, dict[str, Array]], Flat]:
    """From `flat_weights` and `inputs_of` to predictions by task, `[B]`."""
    predict = make_predict(predictor.system.model, predictor.text, predictor.encoded)

    def program(weights: Flat, inputs: dict[str, Array]) -> Flat:
        weights = unflatten_dict(weights, sep='/')
        scaling = weights.pop('scaling', {})
        count = next(iter(inputs.values())).shape[0]
        batch = as_batch(
            _absent(predictor, count)
            | {name: _scaled(name, inputs, scaling) for name in inputs}
        )
        return predictions(predict(weights, batch), predictor.modalities)

    return program


def _absent(predictor: Predictor, count: Any) -> Flat:
    """Nothing of any modality, in the shapes that the model knows."""
    steps = predictor.features['text']['steps']
    inputs = {'tokens': jnp.zeros((count, 3, steps), jnp.int32)}
    if 'width' in predictor.features['text']:
        width = predictor.features['text']['width']
        inputs['text'] = jnp.zeros((count, steps, width))
    for field in FIELDS:
        known = predictor.features[field]
        inputs[field] = jnp.zeros((count, known['steps'], known['width']))
        inputs[f'{field}_length'] = jnp.zeros(count, jnp.int32)
    return inputs


def _scaled(name: str, inputs: Flat, scaling: Flat) -> Array:
    """One of the inputs; audio and vision standardised, and 0 after their length."""
    x = inputs[name]
    if name not in FIELDS or not scaling:
        return x
    real = jnp.arange(x.shape[1]) < inputs[f'{name}_length'][:, None]
    scaled = (x - scaling[f'{name}_mean']) / scaling[f'{name}_std']
    return jnp.where(real[..., None], scaled, 0)


def traced(predictor: Predictor) -> export.Exported:
    """The program for any number of utterances; of the weights only shapes count."""
    weights = flat_weights(predictor)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), weights)
    (count,) = export.symbolic_shape('batch')
    program = jax.jit(make_program(predictor))
    trace = export.export(program, platforms=PLATFORMS)
    return trace(shapes, inputs_of(predictor, count))


def write(predictor: Predictor, out: pathlib.Path) -> None:
    """Writes the folder.

    Args:
      predictor: what to export.
      out: does not exist yet.

    Raises:
      UserError: `out` exists, or the disk refused.
    """
    import safetensors.numpy

    with emerging(out) as folder:
        (folder / PROGRAM).write_bytes(traced(predictor).serialize())
        # The library writes a transposed view as if it were none.
        arrays = {
            name: np.ascontiguousarray(x) for name, x in flat_weights(predictor).items()
        }
        (folder / WEIGHTS).write_bytes(safetensors.numpy.save(arrays))
        example = importlib.resources.files('sugrm_jax.prediction') / EXAMPLE
        (folder / EXAMPLE).write_bytes(example.read_bytes())
        tokenizer = _copy_tokenizer(predictor, folder / TOKENIZER)
        known = files.json_ready(metadata(predictor, tokenizer))
        (folder / METADATA).write_text(f'{json.dumps(known, indent=2)}\n', 'utf-8')


def _copy_tokenizer(predictor: Predictor, folder: pathlib.Path) -> bool:
    """Whether text is read, by an encoder that has one."""
    kept = predictor.modalities
    if 't' not in kept or predictor.experiment.text.pretrained == FILE:
        return False
    source = find_text(predictor.experiment)
    found = [name for name in TOKENIZER_FILES if (source / name).is_file()]
    if found:
        folder.mkdir()
    for name in found:
        shutil.copyfile(source / name, folder / name)
    return bool(found)


def metadata(predictor: Predictor, tokenizer: bool) -> dict[str, Any]:
    """What `metadata.json` holds."""
    inputs = inputs_of(predictor, 1)
    # Statistics are none.
    weights = predictor.weights
    parameters = weights['model']['params'], weights.get('text', {})
    return {
        'inputs': {
            name: {'dtype': x.dtype.name, 'shape': ['batch', *x.shape[1:]]}
            for name, x in inputs.items()
        },
        'features': predictor.features,
        'scaling': 'audio and vision go in as they are in a data file; where the run '
        'standardised them the program does so itself',
        'outputs': 'sentiment by task (m: multimodal; t, a, v: of the modality alone), '
        'float32 [batch]; NaN where an utterance lacks the modality',
        'label_range': predictor.experiment.data.label_range,
        'tokenizer': TOKENIZER if tokenizer else None,
        'platforms': list(PLATFORMS),
        'parameters': sum(math.prod(x.shape) for x in jax.tree.leaves(parameters)),
        'name': predictor.experiment.name,
        'versions': files.versions(),
    }
