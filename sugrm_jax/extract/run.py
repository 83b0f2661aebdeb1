"""From videos to a data file: the two things that the command does."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from sugrm_jax.errors import UserError
from sugrm_jax.extract import assemble, batch, clip, labels, media, parts, single
from sugrm_jax.extract.types import Features, Utterance
from sugrm_jax.terminal import Terminal, cell

Describe = Callable[[], dict]

# Rows of the table of problems; all are counted above it.
SHOWN = 50


class Extractor:
    """How clips are measured; tests put functions of their own in its place.

    Attributes:
      describe: what the features are.
      decoding: what decodes, and how.
      duration: of a file, seconds; of many in a worker process.
      extract: features of one piece, in a worker process.
      pool: see `batch.extract_all`.
    """

    def __init__(
        self,
        describe: Describe = clip.describe,
        decoding: Describe = clip.decoding,
        duration: batch.Duration = media.duration,
        extract: batch.Extract = clip.extract,
        pool: batch.Pool = batch.processes,
    ) -> None:
        self.describe, self.decoding = describe, decoding
        self.duration, self.extract, self.pool = duration, extract, pool


def extract_dataset(
    clips: str | Path,
    table: str | Path,
    out: str | Path,
    *,
    jobs: int | None = None,
    terminal: Terminal | None = None,
    extractor: Extractor | None = None,
) -> None:
    """Makes a labelled data set of videos.

    Args:
      clips: folder of the videos, see `labels.read`.
      table: labels.csv, see there.
      out: the data file to write, *.pkl; the folder `OUT.parts` beside it is for
        going on after a stop.
      jobs: clips at a time; the number of processors by default.
      terminal: where progress and problems are shown; standard error by default.
      extractor: for tests.

    Raises:
      UserError: a mistake in `table`, a clip that is missing or too long, no clip that
        can be read, a missing library, a full disk.
    """
    extractor = extractor or Extractor()
    _check_out(out)
    description = extractor.describe()
    utterances = labels.read(table, clips)
    _check_lengths(utterances, jobs, extractor)
    _make(utterances, description, Path(out), jobs, terminal, extractor)


def extract_clip(
    file: str | Path,
    out: str | Path,
    *,
    text: str | None = None,
    subtitles: str | Path | None = None,
    jobs: int | None = None,
    terminal: Terminal | None = None,
    extractor: Extractor | None = None,
) -> None:
    """Makes a data file, to predict on, of one clip.

    Args:
      file: the clip.
      out: the data file to write, *.pkl, with the one split `predict`.
      text: what is said in the whole clip, which is one utterance then.
      subtitles: .srt or .vtt; each subtitle is an utterance. Without it and `text`
        the one beside the clip is read.
      jobs, terminal, extractor: see `extract_dataset`.

    Raises:
      UserError: see `single.utterances`; the clip cannot be read; a missing library; a
        full disk.
    """
    extractor = extractor or Extractor()
    _check_out(out)
    single.check_clip(file)
    description = extractor.describe()
    try:
        length = extractor.duration(os.path.abspath(file))
    except media.Unreadable as error:
        raise UserError(f'{file} cannot be read as a media file: {error}.') from error
    utterances = single.utterances(file, length, text, subtitles)
    _make(utterances, description, Path(out), jobs, terminal, extractor)


def _check_out(out: str | Path) -> None:
    if Path(out).suffix != '.pkl':
        raise UserError(f'The data file to write must end in .pkl, unlike {out}.')
    if os.path.lexists(out):
        raise UserError(f'{out} is there already: remove it, or name another file.')


def _check_lengths(
    utterances: Sequence[Utterance], jobs: int | None, extractor: Extractor
) -> None:
    """Refuses whole files that are too long; what cannot be read is told later."""
    whole = [u.piece.path for u in utterances if u.piece.end is None]
    found = batch.lengths(
        whole, extractor.duration, jobs=_processors(jobs), pool=extractor.pool
    )
    for path in whole:
        seconds = found[path]
        if seconds is not None:
            single.check_length(seconds, path)


def _processors(jobs: int | None) -> int:
    return jobs or os.cpu_count() or 1


def _make(
    utterances: Sequence[Utterance],
    description: dict,
    out: Path,
    jobs: int | None,
    terminal: Terminal | None,
    extractor: Extractor,
) -> None:
    terminal = terminal or Terminal(stderr=True)
    folder = out.with_name(f'{out.name}.parts')
    with parts.claimed(folder):
        with _progress(terminal) as bar:
            task = bar.add_task('utterances', total=len(utterances))
            features = batch.extract_all(
                [utterance.piece for utterance in utterances],
                description,
                folder,
                decoding=extractor.decoding(),
                jobs=_processors(jobs),
                extract=extractor.extract,
                advance=lambda: bar.advance(task),
                pool=extractor.pool,
            )
        if not any(f.readable for f in features):
            problem = features[0].problems[0]
            raise UserError(
                f'None of the utterances ({len(features)}) could be decoded; of the '
                f'first, {utterances[0].piece.path}, this is said: {problem}.'
            )
        assemble.write(out, assemble.assemble(utterances, features, description))
        parts.clear(folder)
    report(utterances, features, out, terminal)


def _progress(terminal: Terminal) -> Progress:
    return Progress(
        '{task.description}',
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=terminal,
    )


def report(
    utterances: Sequence[Utterance],
    features: Sequence[Features],
    out: Path,
    terminal: Terminal,
) -> None:
    """Says what was written, and which utterances lack something and why."""
    lacking = [
        (utterance, found)
        for utterance, found in zip(utterances, features, strict=True)
        if found.problems
    ]
    audible, visible = (
        sum(len(getattr(found, modality)) > 0 for found in features)
        for modality in ('audio', 'vision')
    )
    if lacking:
        table = Table('utterance', 'audio steps', 'vision steps', 'what was found')
        for utterance, found in lacking[:SHOWN]:
            sizes = (str(len(found.audio)), str(len(found.vision)))
            table.add_row(cell(utterance.id), *sizes, cell('; '.join(found.problems)))
        terminal.print(table)
        if len(lacking) > SHOWN:
            terminal.print(f'… and {len(lacking) - SHOWN} more.')
    terminal.print(
        f'{out}: utterances: {len(utterances)}, with audio: {audible}, with vision: '
        f'{visible}; what an utterance lacks counts as absent.',
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
