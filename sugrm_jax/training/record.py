"""What a run leaves in its folder."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from rich.console import Console

from sugrm_jax.data import description
from sugrm_jax.data.mmsa import KNOWN_FILES
from sugrm_jax.data.scaling import Scaling
from sugrm_jax.layers.text import FILE
from sugrm_jax.results import files, unimodal
from sugrm_jax.training import evaluate
from sugrm_jax.training.checkpoint import Progress
from sugrm_jax.training.robustness import Robustness
from sugrm_jax.training.setup import Setup


def epoch_means(reports: list) -> dict[str, float]:
    """Means over samples of what the batches `(samples, terms)` report."""
    samples = sum(n for n, _ in reports)
    return {
        name: sum(n * terms[name] for n, terms in reports) / samples
        for name in reports[0][1]
    }


def write_scaling(workdir: pathlib.Path, scaling: Scaling | None) -> None:
    """Keeps the statistics of standardised features, which prediction needs."""
    if scaling is not None:
        files.write_bytes(workdir / 'scaling.npz', scaling.to_bytes())


def write_progress(workdir: pathlib.Path, history: list[dict]) -> None:
    """Rewrites what grows by epoch: `metrics.jsonl` and the TensorBoard events."""
    files.write_history(workdir / files.HISTORY, history)
    files.write_events(workdir, history)


def write_results(
    workdir: pathlib.Path,
    config: Mapping[str, Any],
    setup: Setup,
    progress: Progress,
    labels: dict[str, np.ndarray],
    predictions: dict[str, dict[str, np.ndarray]],
    inference_ms: float,
    robustness: Robustness,
    console: Console,
) -> dict[str, Any]:
    """Writes everything that a finished run leaves, and prints the table.

    Args:
      workdir: the run's folder.
      config: of the run.
      setup: data and model.
      progress: at the end.
      labels: generated, `[1 + epochs, N]` by modality, from before the first epoch on.
      predictions: of the best parameters, `[N]` by task, by split.
      inference_ms: milliseconds to predict one test utterance, in batches as
        configured; without the text encoder where the data bring text features or a
        frozen encoder's are kept.
      robustness: of the best parameters on the test split.
      console: where to print.

    Returns:
      What `results.json` holds.
    """
    # Here, because matplotlib would put off the first step.
    from sugrm_jax.results import page

    write_progress(workdir, progress.history)
    dataset, best = setup.dataset, progress.best_epoch
    labels = {s: x[1:] for s, x in labels.items()}
    labels = _mark_absent(labels, predictions['train'])
    chosen = {s: x[best - 1] for s, x in labels.items()}
    rows = _prediction_rows(dataset, predictions, chosen)
    files.write_predictions(workdir / files.PREDICTIONS, rows)
    results = _results(config, setup, progress, predictions)
    results['inference_ms'] = inference_ms
    results['robustness'] = robustness
    results['unimodal'] = None
    if labels:
        train, path = dataset.train, workdir / files.LABELS
        files.write_labels(path, train.ids, train.label, labels, train.unimodal)
        results['unimodal'] = unimodal.compare(files.read_labels(path), best)
    files.write_json(workdir / files.RESULTS, results)
    report = page.write_report(workdir)
    console.print(page.summary_table(results, report), highlight=False, markup=False)
    return files.json_ready(results)


def _mark_absent(labels: dict, predictions: dict[str, np.ndarray]) -> dict:
    """NaN in place of the labels of modalities that a sample does not have.

    Where padding takes part nothing counts as absent, for predictions and labels.
    """
    return {s: np.where(np.isnan(predictions[s]), np.nan, x) for s, x in labels.items()}


def _prediction_rows(dataset, predictions, generated) -> list[dict]:
    rows = []
    for name, split in dataset.splits.items():
        for i, (utterance, text) in enumerate(
            zip(split.ids, split.raw_text, strict=True)
        ):
            row = {
                'split': name,
                'id': utterance,
                'text': text,
                'label': split.label[i],
            }
            row |= {task: x[i] for task, x in predictions[name].items()}
            if name == 'train':
                row |= {f'generated_{s}': x[i] for s, x in generated.items()}
            rows.append(row)
    return rows


def _results(config, setup, progress, predictions) -> dict[str, Any]:
    dataset = setup.dataset
    trained, frozen = _size(setup.params), _size(setup.frozen)
    if not setup.experiment.text.finetune:
        inside = _size(setup.params.get('text', {}))
        trained, frozen = trained - inside, frozen + inside
    seconds = [row['seconds'] for row in progress.history]
    metrics = {
        name: evaluate.evaluate(
            predictions[name], dataset.splits[name], dataset.label_range
        )
        for name in ('valid', 'test')
    }
    return {
        'name': setup.experiment.name,
        **metrics,
        'best_epoch': progress.best_epoch,
        'epochs': len(progress.history),
        'seed': setup.experiment.seed,
        'seconds_per_epoch': float(np.median(seconds)),
        'seconds': float(sum(seconds)),
        'config': dict(config),
        # Of the process that took the first step; later ones follow if they differ.
        **progress.processes[0],
        'resumed_by': progress.processes[1:],
        'data': {
            'path': dataset.path,
            'sha256': dataset.sha256,
            'known': KNOWN_FILES.get(dataset.sha256),
            'notes': list(dataset.notes),
            'samples': {name: len(split) for name, split in dataset.splits.items()},
            'features': description.of_run(
                dataset, fixed_text=setup.experiment.text.pretrained == FILE
            ),
        },
        # By file; {} where there is no text encoder.
        'encoder_sha256': setup.fingerprints,
        'parameters': {
            'total': trained + frozen,
            'trainable': trained,
        },
    }


def _size(params) -> int:
    return sum(x.size for x in jax.tree.leaves(params))
