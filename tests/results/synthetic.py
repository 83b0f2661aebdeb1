"""A sweep's folder with plausible figures, made without training anything."""

import numpy as np

from sugrm_jax.metrics import regression_metrics
from sugrm_jax.results import files

UNALIGNED = '78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524'
SENTENCES = (
    'I WAS REALLY HOPING THAT THIS ONE BE JUST AS GOOD',
    'IT WAS OKAY I GUESS | BUT *NOT* FOR $5 & <b>UP</b>',
    'AND THE ACTING IS JUST TERRIBLE I MEAN I HAVE NEVER SEEN ANYTHING LIKE THIS IN '
    'MY WHOLE LIFE AND I HAVE SEEN A LOT OF MOVIES WITH MY LITTLE BROTHER',
)
TEST, TRAIN = 40, 30
# Size of the errors; the last is the reference.
SYSTEMS = {'LF-LSTM': 1.2, 'MulT': 1.1, 'SUGRM': 0.4}
REFERENCE = 'run2'


def truth(split, count):
    """Labels on the annotators' grid, some of them 0."""
    rng = np.random.default_rng(len(split))
    return np.round(rng.uniform(-3, 3, count) * 5) / 5 * (rng.random(count) > 0.05)


def history(rng, level, epochs):
    maes = level + 0.6 * np.exp(-np.arange(epochs) / 3) + rng.normal(0, 0.02, epochs)
    return [
        {
            'epoch': i + 1,
            'step': i + 1,
            'seconds': 2.0,
            'best': bool(mae <= maes[: i + 1].min()),
            'train': {'loss': 1.0, 'm': 1.0},
            'valid': {'mae': float(mae), 'corr': 0.5},
        }
        for i, mae in enumerate(maes)
    ]


def prediction_rows(rng, noise, generates):
    rows = []
    for split, count in (('train', TRAIN), ('valid', 10), ('test', TEST)):
        for i, y in enumerate(truth(split, count)):
            row = {'split': split, 'id': f'vide_o{i // 4}$_${i}', 'label': float(y)}
            row |= {'text': SENTENCES[i % 3], 'm': y + rng.normal(0, noise)}
            if generates:
                row |= {s: y + rng.normal(0, 1) for s in 'tav'}
                if split == 'train':
                    row |= {f'generated_{s}': y + rng.normal(0, 1) for s in 'tav'}
            rows.append(row)
    return rows


def write_run(folder, seed, noise, generates=False, config=None, known=None):
    """A finished run, its errors of the size of `noise`."""
    rng = np.random.default_rng([seed, round(1e6 * noise)])
    epochs = int(rng.integers(8, 15))
    rows = prediction_rows(rng, noise, generates)
    metrics = {}
    for split in ('valid', 'test'):
        pairs = [(row['m'], row['label']) for row in rows if row['split'] == split]
        metrics[split] = regression_metrics(*np.float32(pairs).T)
    found = history(rng, noise, epochs)
    maes = [row['valid']['mae'] for row in found]
    results = {
        'name': folder.parent.name,
        **metrics,
        'best_epoch': int(np.argmin(maes)) + 1,
        'epochs': epochs,
        'seed': seed,
        'seconds_per_epoch': 2.0 + seed / 10,
        'seconds': 30.0,
        'inference_ms': 1.5,
        'config': {'seed': seed, 'name': 'x', 'model': {'name': 'sugrm', 'mrm': True}}
        | (config or {}),
        'versions': {'python': '3.11.0', 'jax': '0.10.2', 'flax': None},
        'git_revision': 'abc',
        'data': {
            'path': 'data.pkl',
            'sha256': UNALIGNED,
            'known': known,
            'notes': [],
            'samples': {'train': TRAIN, 'valid': 10, 'test': TEST},
        },
        'parameters': {'total': 22_713_216, 'trainable': 1234},
        'unimodal': None,
    }
    files.write_json(folder / files.RESULTS, results)
    files.write_history(folder / files.HISTORY, found)
    files.write_predictions(folder / files.PREDICTIONS, rows)
    if generates:
        m = np.float32(truth('train', TRAIN))
        steps = np.linspace(0, 1, epochs)[:, None]
        moves = {s: m + steps * rng.normal(0, 1, TRAIN) for s in 'tav'}
        ids = [row['id'] for row in rows[:TRAIN]]
        files.write_labels(folder / files.LABELS, ids, m, moves, {})


def write_sweep(folder, systems, seeds=(1, 2, 3), table='', **settings):
    """A finished sweep.

    Args:
      folder: to be filled.
      systems: size of the errors by label; the last is the reference, and it alone
        generates labels.
      seeds: of the runs.
      table: of the paper, or ''.
      settings: see `write_run`.
    """
    reference = list(systems)[-1]
    runs = [{'label': x, 'folder': f'run{i}'} for i, x in enumerate(systems)]
    plan = {'name': 'Table 2, MOSI', 'table': table, 'reference': reference}
    files.write_json(folder / 'sweep.json', plan | {'runs': runs, 'seeds': list(seeds)})
    for entry in runs:
        label = entry['label']
        for seed in seeds:
            path = folder / entry['folder'] / f'seed{seed}'
            write_run(path, seed, systems[label], label == reference, **settings)
    return folder


def change(path, **fields):
    """Sets fields of a JSON file."""
    files.write_json(path, files.read_json(path) | fields)


def change_test(folder, run, seeds, **metrics):
    """Sets test metrics of a system's runs, one value a seed."""
    for seed, values in zip(seeds, zip(*metrics.values(), strict=True), strict=True):
        path = folder / run / f'seed{seed}' / files.RESULTS
        test = files.read_json(path)['test']
        change(path, test=test | dict(zip(metrics, values, strict=True)))


def remove(folder, run, seed):
    """Empties the folder of a run, and names it."""
    path = folder / run / f'seed{seed}'
    for file in path.iterdir():
        file.unlink()
    return path
