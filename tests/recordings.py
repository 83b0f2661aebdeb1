"""Where recorded figures and real data are, and how original names map to ours."""

import os
import pathlib

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


def _block(params: dict, attention: str, feed_forward: str, own_key_norm: bool) -> dict:
    weight = params[f'{attention}.attn.in_proj_weight']
    bias = params[f'{attention}.attn.in_proj_bias']
    width = weight.shape[1]
    rest = weight[width:]
    if rest.shape[0] != 2 * width:
        rest = rest.reshape(-1, 2 * width).T
    key, value = np.split(rest, 2)
    kernels = {'query': weight[:width], 'key': key, 'value': value}
    biases = dict(zip(kernels, np.split(bias, 3), strict=True))
    block = {n: {'kernel': k.T, 'bias': biases[n]} for n, k in kernels.items()}
    block['output'] = dense(params, f'{attention}.attn.out_proj')
    block['query_norm'] = norm(params, f'{attention}.layer_norm')
    if own_key_norm:
        block['key_norm'] = norm(params, f'{attention}.layer_norm_kv')
    block['feed_forward'] = {
        'norm': norm(params, f'{feed_forward}.layer_norm'),
        'expand': dense(params, f'{feed_forward}.fc1'),
        'contract': dense(params, f'{feed_forward}.fc2'),
    }
    return block


def phased(params: dict, prefix: str = '') -> dict:
    """Our SPT parameters; the original's start vectors stand in the order a, t, v."""
    ours = {
        'start': params[f'{prefix}init_hiddens'][[1, 0, 2]],
        'norm': norm(params, f'{prefix}layer_norm'),
    }
    for kind, layer, names, own in (
        ('input', 'hiddenlayer', ('t', 'a', 'v'), True),
        ('cross', 'crosslayer', ('at', 'tv', 'va'), True),
        ('self', 'selflayer', ('t', 'a', 'v'), False),
    ):
        for name in names:
            ours[f'{kind}_attention_{name}'] = _block(
                params,
                f'{prefix}{layer}.mha_{name}',
                f'{prefix}{layer}.ffn_{name}',
                own,
            )
    return ours


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
