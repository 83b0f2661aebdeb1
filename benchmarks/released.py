"""Times the released PyTorch code: a script for the interpreter that has torch.

    PYTHON released.py CHECKOUT FOLDER

It is started by `reference.Reference` and imports nothing of this project. FOLDER
holds `case.json` and `inputs.npz`; the script writes `outputs.npz`, says it is ready,
and then answers every line `{"time": NAME}` on its standard input with
`{"seconds": X}`. The checkout stays as it is: what assumes a GPU, a folder of
weights or a library that plays no part here is replaced at import time.
"""

import argparse
import contextlib
import functools
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import sys
import time
from unittest import mock

import numpy as np
import torch
import transformers

# Imported at the top of files of the checkout, used in nothing that is timed.
UNUSED = {'einops': (), 'sklearn': ('sklearn.metrics',)}
FIELDS = ('text', 'audio', 'vision')


class Requests:
    """What is asked for on standard input, and the answers on standard output."""

    def __init__(self):
        # The code that is timed prints, so standard output is kept for answers.
        self._answers = os.fdopen(os.dup(1), 'w')
        os.dup2(2, 1)

    def say(self, **message):
        print(json.dumps(message), file=self._answers, flush=True)

    def wait(self):
        """The name of what shall be timed next; the process ends with its input."""
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        return json.loads(line)['time']

    def serve(self, calls):
        """Times what is asked for, out of `calls` by name, for as long as asked."""
        self.say(ready=True)
        while True:
            call = calls[self.wait()]
            start = time.perf_counter()
            call()
            self.say(seconds=time.perf_counter() - start)


def use_cpu(module):
    """Undoes the hard-coded 'cuda' of the modules that keep a device."""
    for part in module.modules():
        if 'device' in vars(part):
            part.device = 'cpu'
    return module


def save(folder, module, outputs):
    """Writes what the code computed, and its weights but for the text encoder's."""
    weights = module.state_dict().items()
    arrays = {f'param/{k}': v for k, v in weights if not k.startswith('text_model')}
    arrays |= {f'out/{k}': v for k, v in outputs.items()}
    arrays = {k: v.detach().numpy() for k, v in arrays.items()}
    np.savez(folder / 'outputs.npz', **arrays)


class Encoder(torch.nn.Module):
    """MRM and SPT of the released code."""

    def __init__(self, case):
        from models.subNets.spt.sp_transformer import SPEncoder
        from SEmodule import SELayer

        super().__init__()
        text, audio, vision = case['widths']
        self.se_model = SELayer(text, audio, vision)
        self.spe = SPEncoder(
            {'t': text, 'a': audio, 'v': vision},
            embed_dim=32,
            num_heads=case['heads'],
            layers=4,
            S=5,
            r=[8, 4, 3],
            shift_mode={'I': case['shifts'], 'X': ['S'], 'S': ['S'], 'C': [1, 0.25]},
            device='cpu',
        )

    def forward(self, text, audio, vision):
        text, vision, audio = self.se_model(text, audio, vision)
        hidden = dict(zip('atv', self.spe(audio, text, vision), strict=True))
        return {name: hidden[name[0]][-1] for name in FIELDS}


def encoder_case(case, folder, inputs, requests):
    """'forward' and 'backward' (which includes its forward) of MRM and SPT."""
    encoder = Encoder(case).eval()
    features = {name: inputs[f'in/{name}'] for name in FIELDS}

    def forward():
        with torch.no_grad():
            return encoder(**features)

    def backward():
        encoder.zero_grad()
        text = features['text'].clone().requires_grad_()
        outputs = encoder(**features | {'text': text})
        sum((inputs[f'cotangent/{k}'] * x).sum() for k, x in outputs.items()).backward()
        return text.grad

    outputs = forward()
    save(folder, encoder, {**outputs, 'gradient': backward()})
    requests.serve({'forward': forward, 'backward': backward})


class Paced:
    """A loader whose batches come when they are asked for.

    What is done with them is timed, so the released training loop runs as it stands:
    its first pass collects labels, its second is the first epoch, in which no labels
    are generated and memory fills; what follows is timed, a batch or an epoch each.
    """

    def __init__(self, loader, requests, unit):
        self.loader, self.requests, self.unit, self.passes = loader, requests, unit, 0

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        self.passes += 1
        if self.passes <= 2:
            yield from self.loader
            return
        if self.passes == 3:
            self.requests.say(ready=True)
        parts = [self.loader] if self.unit == 'epoch' else ([x] for x in self.loader)
        for part in parts:
            self.requests.wait()
            start = time.perf_counter()
            yield from part
            self.requests.say(seconds=time.perf_counter() - start)


def training_case(case, folder, inputs, requests):
    """The released training loop, on the data at `case['data']`."""
    from config.config_regression import ConfigRegression
    from data.load_data import MMDataLoader
    from models.AMIO import AMIO
    from trains.ATIO import ATIO

    command = argparse.Namespace(
        modelName='sugrm', datasetName='mosi', train_mode='regression', num_workers=0
    )
    args = ConfigRegression(command).get_config()
    args.update(
        dataPath=case['data'],
        train_samples=case['samples'],
        feature_dims=case['widths'],
        device='cpu',
        cur_time=1,
        early_stop=float('inf'),
        update_epochs=case['accumulate'],
        **dict(zip(('orig_d_l', 'orig_d_a', 'orig_d_v'), case['widths'], strict=True)),
    )
    loaders = MMDataLoader(args)
    model = use_cpu(AMIO(args)).eval()
    features = [inputs[f'in/{name}'] for name in FIELDS]
    with torch.no_grad():
        outputs = model(features[0], *((x, None) for x in features[1:]))
    save(folder, model.Model, {task: outputs[task] for task in 'MTAV'})
    trainer = ATIO().getTrain(args)
    # Neither validation nor metrics nor checkpoints are timed.
    trainer.do_test = lambda *_, **__: {'Loss': float('inf')}
    trainer.metrics = lambda *_: {}
    loaders['train'] = Paced(loaders['train'], requests, case['unit'])
    trainer.do_train(model, loaders)


CASES = {'encoder': encoder_case, 'training': training_case}


def adapt(checkout, bert):
    """Makes the checkout importable here.

    Args:
      checkout: its path.
      bert: folder of the text encoder that is loaded whatever the code asks for.
    """
    sys.path.insert(0, str(checkout))
    if bert:
        for kind in (transformers.BertTokenizer, transformers.BertModel):
            load = kind.from_pretrained
            kind.from_pretrained = functools.partial(_load_from, load, bert)
    for name, parts in UNUSED.items():
        if importlib.util.find_spec(name) is None:
            for part in (name, *parts):
                spec = importlib.machinery.ModuleSpec(part, None)
                sys.modules[part] = mock.MagicMock(__spec__=spec)
    positions = importlib.import_module('models.subNets.spt.position_embedding_spt')
    positions.make_positions = _contiguous(positions.make_positions)


def _contiguous(function):
    """Today's torch keeps a layout here that the code's `view` refuses."""

    @functools.wraps(function)
    def wrapped(*args):
        return function(*args).contiguous()

    return wrapped


def _load_from(load, folder, _, **options):
    return load(folder, **options)


def main():
    checkout, folder = (pathlib.Path(arg).resolve() for arg in sys.argv[1:])
    requests = Requests()
    case = json.loads((folder / 'case.json').read_text())
    with np.load(folder / 'inputs.npz') as arrays:
        inputs = {name: torch.from_numpy(x) for name, x in arrays.items()}
    torch.set_num_threads(case['threads'])
    torch.manual_seed(0)
    adapt(checkout, case.get('bert'))
    with contextlib.chdir(folder):
        CASES[case['kind']](case, folder, inputs, requests)


if __name__ == '__main__':
    main()
