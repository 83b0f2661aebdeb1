"""Runs the model in this folder; needs jax, numpy, safetensors and transformers."""

import json
import os
import pathlib

import numpy as np
from jax import export
from safetensors.numpy import load_file

folder = pathlib.Path(__file__).parent
known = json.loads((folder / 'metadata.json').read_text())
model = export.deserialize((folder / 'model.bin').read_bytes())
weights = load_file(folder / 'weights.safetensors')

texts = ['I loved every minute of it.', 'What a waste of time.']
inputs = {  # without audio and vision: their length is 0
    name: np.zeros([len(texts), *x['shape'][1:]], x['dtype'])
    for name, x in known['inputs'].items()
}
if known['tokenizer']:
    # Of transformers only the tokenizer is needed, which does without PyTorch.
    os.environ.setdefault('TRANSFORMERS_VERBOSITY', 'error')
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / known['tokenizer'])
    sizes = dict(padding='max_length', max_length=inputs['tokens'].shape[2])
    found = tokenizer(texts, truncation=True, return_tensors='np', **sizes)
    names = 'input_ids', 'attention_mask', 'token_type_ids'
    inputs['tokens'] = np.stack([found[name] for name in names], 1).astype(np.int32)
for task, values in model.call(weights, inputs).items():
    print(task, *('(absent)' if np.isnan(x) else f'{x:.3f}' for x in values))
