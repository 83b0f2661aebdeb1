"""Where recorded figures and real data are, and how original names map to ours."""

import os
import pathlib

import jax
import numpy as np

FIXTURES = pathlib.Path(
    os.environ.get('SUGRM_FIXTURES', pathlib.Path(__file__).parent / 'fixtures')
)


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of one recording, by their recorded names."""
    with np.load(FIXTURES / f'{name}.npz') as recording:
        return dict(recording)


def group(recording: dict, prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with `prefix`, without it."""
    return {k[len(prefix) :]: v for k, v in recording.items() if k.startswith(prefix)}


def dense(params: dict, name: str) -> dict:
    """An original linear layer, whose weight is [out, in], as ours."""
    return {'kernel': params[f'{name}.weight'].T, 'bias': params[f'{name}.bias']}


def norm(params: dict, name: str) -> dict:
    return {'scale': params[f'{name}.weight'], 'bias': params[f'{name}.bias']}


def batch_norm(params: dict, name: str) -> dict:
    """The running statistics of an original BatchNorm; `norm` has its parameters."""
    return {
        'mean': params[f'{name}.running_mean'],
        'var': params[f'{name}.running_var'],
    }


def lstm(params: dict, name: str, layer: int = 0) -> dict:
    """A layer of an original LSTM, whose weights are [4H, in], as ours."""
    return {
        'input': params[f'{name}.weight_ih_l{layer}'].T,
        'recurrent': params[f'{name}.weight_hh_l{layer}'].T,
        'bias': np.stack(
            [params[f'{name}.bias_{kind}_l{layer}'] for kind in ('ih', 'hh')]
        ),
    }


def mrm(params: dict, prefix: str = '') -> dict:
    """Our MRM parameters; the original squeezes in the order audio, vision, text."""
    widths = {s: len(params[f'{prefix}w{w}.bias']) for s, w in _MRM_NAMES.items()}
    joint = dense(params, f'{prefix}wg')
    a, v, t = np.split(joint['kernel'], [widths['a'], widths['a'] + widths['v']])
    joint['kernel'] = np.concatenate([t, a, v])
    excite = {
        f'excite_{s}': dense(params, f'{prefix}w{w}') for s, w in _MRM_NAMES.items()
    }
    return {'joint': joint, **excite}


_MRM_NAMES = {'t': 'l', 'a': 'a', 'v': 'v'}


def _projections(params: dict, attention: str) -> dict:
    """query, key and value of an original `in_proj`."""
    weight = params[f'{attention}.attn.in_proj_weight']
    bias = params[f'{attention}.attn.in_proj_bias']
    width = weight.shape[1]
    rest = weight[width:]
    if rest.shape[0] != 2 * width:
        rest = rest.reshape(-1, 2 * width).T
    kernels = (weight[:width], *np.split(rest, 2))
    return {
        name: {'kernel': kernel.T, 'bias': b}
        for name, kernel, b in zip(
            ('query', 'key', 'value'), kernels, np.split(bias, 3), strict=True
        )
    }


def _block(params: dict, attention: str, feed_forward: str) -> dict:
    return {
        'output': dense(params, f'{attention}.attn.out_proj'),
        'feed_forward': {
            'norm': norm(params, f'{feed_forward}.layer_norm'),
            'expand': dense(params, f'{feed_forward}.fc1'),
            'contract': dense(params, f'{feed_forward}.fc2'),
        },
    }


def _stack(trees: list[dict]) -> dict:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _input_keys(params: dict, names: dict, inputs: dict) -> dict:
    """Keys and values of the inputs, each with the norm before it."""
    return {
        f'keys_{s}': _stack(
            [
                {
                    'norm': norm(params, f'{names[s][0]}.layer_norm_kv'),
                    'key': p['key'],
                    'value': p['value'],
                }
            ]
        )
        for s, p in inputs.items()
    }


def phased(params: dict, prefix: str = '') -> dict:
    """Our SPT parameters; the original's start vectors stand in the order a, t, v."""
    names = {
        'hidden': {
            s: (f'{prefix}hiddenlayer.mha_{s}', f'{prefix}hiddenlayer.ffn_{s}')
            for s in 'tav'
        },
        'cross': {
            p: (f'{prefix}crosslayer.mha_{p}', f'{prefix}crosslayer.ffn_{p}')
            for p in ('at', 'tv', 'va')
        },
        'self': {
            s: (f'{prefix}selflayer.mha_{s}', f'{prefix}selflayer.ffn_{s}')
            for s in 'tav'
        },
    }
    inputs = {s: _projections(params, mha) for s, (mha, _) in names['hidden'].items()}
    keys = _input_keys(params, names['hidden'], inputs)
    layer = {
        'input': _stack(
            [
                {
                    'query': inputs[s]['query'],
                    'norm': norm(params, f'{mha}.layer_norm'),
                    'block': _block(params, mha, ffn),
                }
                for s, (mha, ffn) in names['hidden'].items()
            ]
        ),
        'cross': _stack(
            [
                {
                    **_projections(params, mha),
                    'query_norm': norm(params, f'{mha}.layer_norm'),
                    'key_norm': norm(params, f'{mha}.layer_norm_kv'),
                    'block': _block(params, mha, ffn),
                }
                for mha, ffn in names['cross'].values()
            ]
        ),
        'self': _stack(
            [
                {
                    **_projections(params, mha),
                    'norm': norm(params, f'{mha}.layer_norm'),
                    'block': _block(params, mha, ffn),
                }
                for mha, ffn in names['self'].values()
            ]
        ),
    }
    return {
        'start': params[f'{prefix}init_hiddens'][[1, 0, 2]],
        'norm': _stack([norm(params, f'{prefix}layer_norm')]),
        'layer': layer,
        **keys,
    }


def heads(params: dict) -> dict:
    """Our heads' parameters from the released model's."""
    return {
        f'head_{task}': {
            'project': dense(params, f'proj1_{theirs}'),
            'feature': dense(params, f'proj2_{theirs}'),
            'sentiment': dense(params, f'out_layer_{theirs}'),
        }
        for task, theirs in {'m': 'f', 't': 't', 'a': 'a', 'v': 'v'}.items()
    }


MODALITY_NAMES = {'t': 'text', 'a': 'audio', 'v': 'vision'}


def inputs(recording: dict) -> dict[str, np.ndarray]:
    """Recorded input features by modality."""
    return {s: recording[f'in/{name}'] for s, name in MODALITY_NAMES.items()}


def _crossmodal_layer(params: dict, prefix: str) -> dict:
    attention = f'{prefix}.self_attn'
    kernels = np.split(params[f'{attention}.in_proj_weight'], 3)
    biases = np.split(params[f'{attention}.in_proj_bias'], 3)
    projections = {
        name: {'kernel': kernel.T, 'bias': bias}
        for name, kernel, bias in zip(
            ('query', 'key', 'value'), kernels, biases, strict=True
        )
    }
    return {
        **projections,
        'norm': norm(params, f'{prefix}.layer_norms.0'),
        'output': dense(params, f'{attention}.out_proj'),
        'feed_forward': {
            'norm': norm(params, f'{prefix}.layer_norms.1'),
            'expand': dense(params, f'{prefix}.fc1'),
            'contract': dense(params, f'{prefix}.fc2'),
        },
    }


def crossmodal(params: dict) -> dict:
    """Our parameters of MulT's encoder; the original calls text l."""

    def transformers(*names):
        prefixes = [f'trans_{name}.layers.' for name in names]
        count = len({n.split('.')[0] for n in group(params, prefixes[0])})
        layers = [
            _stack([_crossmodal_layer(params, f'{p}{i}') for p in prefixes])
            for i in range(count)
        ]
        last = [norm(params, f'trans_{name}.layer_norm') for name in names]
        return {'layers': _stack(layers), 'norm': _stack(last)}

    letters = 'lav'
    return {
        **{
            f'convolution_{s}': {
                'steps': {'kernel': params[f'proj_{theirs}.weight'].transpose(2, 1, 0)}
            }
            for s, theirs in zip('tav', letters, strict=True)
        },
        'crossmodal': transformers(
            *(f'{s}_with_{o}' for s in letters for o in letters if o != s)
        ),
        'memory': transformers(*(f'{s}_mem' for s in letters)),
    }


def residual_head(params: dict) -> dict:
    """Our parameters of the head of MulT and SPT."""
    names = {'expand': 'proj1', 'contract': 'proj2', 'sentiment': 'out_layer'}
    return {ours: dense(params, theirs) for ours, theirs in names.items()}
