"""The data set that a config asks for."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np

from sugrm_jax.config import positive
from sugrm_jax.data import folder, mmsa, modalities, scaling, simulate
from sugrm_jax.data.text import make_tokenizer
from sugrm_jax.errors import UserError
from sugrm_jax.types import Dataset


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how to read them.

    Attributes:
      path: of a pickle in MMSA format, or of the folder that `data.convert` made of
        it, which keeps only batches in memory; or empty.
      simulate: settings of the simulator where there is no path.
      label_range: labels lie in ±this.
      standardize: standardise audio and vision with statistics of the train split.
      strict: refuse utterances that stand in more than one split.
      modalities: those to keep; the others are absent from every sample.
    """

    path: str
    simulate: simulate.SimulateConfig | None
    label_range: float
    standardize: bool
    strict: bool
    modalities: tuple[str, ...]

    def __post_init__(self):
        positive(self.label_range, 'label_range')
        modalities.check(self.modalities)


def load(
    config: DataConfig,
    tokenizer_folder: Callable[[], pathlib.Path],
    text_length: int,
    *,
    fixed_text: bool,
) -> tuple[Dataset, scaling.Scaling | None]:
    """Reads or simulates the data, tokenised and standardised as asked for.

    Args:
      config: which data.
      tokenizer_folder: finds the text encoder's tokenizer; asked only where the data
        are not tokenised.
      text_length: steps to tokenise to, where the data are not tokenised.
      fixed_text: read the fixed text features, too; nothing is tokenised then.

    Returns:
      The data set, and the statistics it was standardised with, if it was.

    Raises:
      UserError: see `mmsa.load_dataset`.
    """

    def tokenizer(texts: list[str]) -> np.ndarray:
        return make_tokenizer(tokenizer_folder(), text_length)(texts)

    options = dict(
        label_range=config.label_range,
        strict=config.strict,
        tokenizer=tokenizer,
        fixed_text=fixed_text,
    )
    if config.path:
        path = pathlib.Path(config.path).expanduser()
        dataset = mmsa.load_dataset(path, **options)
    elif config.simulate:
        simulated = simulate.simulate(**dataclasses.asdict(config.simulate))
        dataset = mmsa.make_dataset(simulated, path='simulated', **options)
    else:
        raise UserError(
            'config.data names no data: set config.data.path to a pickle in MMSA '
            'format, or use --config=configs/demo.py, which needs none.'
        )
    statistics = None
    if config.standardize and dataset.on_disk:
        statistics = scaling.Scaling.load(path / folder.SCALING)
    elif config.standardize:
        statistics = scaling.fit(dataset.train)
    if statistics:
        dataset = dataset.map(functools.partial(scaling.apply, scaling=statistics))
    return modalities.keep_only(dataset, config.modalities), statistics
