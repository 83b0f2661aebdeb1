"""What is left of a model's predictions without a modality, or with a false one.

As the field's robustness benchmarks do (Hazarika et al., NAACL 2022; MultiBench, Liang
et al., NeurIPS 2021), a modality is removed or spoilt at test time. Noise here is the
modality of another utterance: it is as natural as the rest of the input and says
nothing about the utterance, and tokens and features get it in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sugrm_jax.data import missing
from sugrm_jax.metrics import regression_metrics
from sugrm_jax.models.system import System
from sugrm_jax.types import MODALITIES, Split

# Of the donors: the same for all systems and seeds, so that their figures compare.
SEED = 0

Metrics = dict[str, float]
# By what is done to a modality, and by modality; None where that cannot be done.
Robustness = dict[str, dict[str, Metrics | None]]


def robustness(
    predict: Callable[[Split], dict[str, np.ndarray]],
    split: Split,
    system: System,
    label_range: float,
) -> Robustness:
    """Metrics of the multimodal prediction after a modality was removed or exchanged.

    'removed': absent from every utterance. 'noise': every utterance has that of
    another one, drawn at random and the same in every run.

    Args:
      predict: from a split to predictions by task, `[N]`.
      split: to be changed.
      system: that predicts.
      label_range: see `metrics.regression_metrics`.

    Returns:
      For the cases that `changed` leaves out, and where a prediction is not finite,
      None.
    """
    found: Robustness = {}
    for kind, splits in changed(split, system).items():
        found[kind] = {}
        for s, other in splits.items():
            values = None if other is None else predict(other)['m']
            finite = values is not None and np.isfinite(values).all()
            found[kind][s] = (
                regression_metrics(values, split.label, label_range) if finite else None
            )
    return found


def changed(split: Split, system: System) -> dict[str, dict[str, Split | None]]:
    """The splits that `robustness` predicts on.

    Nothing is removed where padding takes part, for nothing is absent there; nor text
    from a system that needs it; nor the only modality of the data. Nothing is exchanged
    in a split of one utterance. What no utterance has cannot be removed or exchanged.
    """
    there = [s for s in MODALITIES if missing.has(split, s)]
    may_go = {
        s: system.masks_padding
        and len(there) > 1
        and not (s == 't' and system.needs_text)
        for s in there
    }
    donors = missing.others(len(split), SEED) if len(split) > 1 else None
    removed, noise = {}, {}
    for s in MODALITIES:
        removed[s] = missing.removed(split, s) if may_go.get(s) else None
        known = s in there and donors is not None
        noise[s] = missing.swapped(split, s, donors) if known else None
    return {'removed': removed, 'noise': noise}
