"""What the page of `sugrm_jax.app` shows, made without any server."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import pickle
import tempfile

import numpy as np

from sugrm_jax.data import simulate
from sugrm_jax.data.text import word_pieces
from sugrm_jax.errors import UserError
from sugrm_jax.extract import subtitles as subtitle_files
from sugrm_jax.layers.text import FILE
from sugrm_jax.prediction import clips, output
from sugrm_jax.prediction.attribution import Attribution
from sugrm_jax.prediction.children import Children
from sugrm_jax.prediction.predictor import FIELDS, Predictor
from sugrm_jax.prediction.restore import find_text
from sugrm_jax.prediction.samples import Found
from sugrm_jax.results import cards, html, timeline
from sugrm_jax.types import Split

# Utterances of a data file to choose from, and those of a clip that are explained.
EXAMPLES, EXPLAINED = 200, 30
LONGEST = 600  # seconds of a clip
CUES = 600  # subtitles of a clip
WORDS = 10_000  # characters of what is said in a clip
PATIENCE = 600  # seconds that extraction may take


@dataclasses.dataclass(frozen=True)
class Explainer:
    """Predicts and explains, for a reader.

    Attributes:
      predictor: of a run.
      examples: utterances to choose from, if any.
      python: of the environment for extraction, or None (see `clips.read`).
      children: that extractions are to end with, if any.
    """

    predictor: Predictor
    examples: Found | None = None
    python: str | None = None
    children: Children | None = None

    def example(self, row: int) -> tuple[str, list[output.Row]]:
        """One of the examples: HTML, and its predictions as in `output.rows`."""
        if self.examples is None or not 0 <= row < len(self.examples.split):
            raise UserError('Choose an example first.')
        return self.shown(take(self.examples, np.array([row])), 'an example')

    def clip(
        self, clip: str | None, text: str, subtitles: str | None
    ) -> tuple[str, list[output.Row]]:
        """A clip's utterances, as `example`.

        Args:
          clip: the file.
          text: what is said; empty if subtitles say it.
          subtitles: the file, if any.

        Raises:
          UserError: there is no clip, or no word of it, or both text and subtitles; it
            or they are too long, or cannot be read.
        """
        if not clip:
            raise UserError('Drop a clip first.')
        if len(text) > WORDS:
            raise UserError(
                f'What is said may have {WORDS:,} characters, not {len(text):,}.'
            )
        if bool(text.strip()) == bool(subtitles):
            raise UserError(
                'Type what is said in the clip, or give a subtitle file: one of them.'
            )
        if not clips.is_clip(clip):
            raise UserError(f'A clip ends with one of {", ".join(clips.ENDINGS)}.')
        words = {'subtitles': subtitles} if subtitles else {'text': text.strip()}
        try:
            if subtitles:
                check_length(subtitles)
            found = clips.read(
                self.predictor,
                clip,
                python=self.python,
                limit=PATIENCE,
                children=self.children,
                **words,
            )
        except UserError as error:
            raise UserError(_without_folders(str(error), clip, subtitles)) from error
        return self.shown(found, pathlib.Path(clip).name)

    def shown(self, found: Found, title: str) -> tuple[str, list[output.Row]]:
        """Utterances as HTML and as rows.

        Args:
          found: at least one.
          title: of the picture over time.
        """
        rows = output.rows(found, self.predictor(found.split))
        limit = self.predictor.experiment.data.label_range
        split = self.predictor.prepared(found.split)
        explained = [
            cards.card(row, self._steps(split, i), limit)
            for i, row in enumerate(rows[:EXPLAINED])
        ]
        if len(rows) == 1:
            body = explained[0]
        else:
            body = _over_time(rows, limit, title) + cards.folded(explained, rows)
        if len(rows) > EXPLAINED:
            body += html.say(f'The first {EXPLAINED} of {len(rows)} are explained.')
        notes = ''.join(html.say(f'Note: {note}') for note in found.notes)
        return f'<div class="cards">{body}{notes}</div>', rows

    @functools.cached_property
    def _attribution(self) -> Attribution:
        return Attribution(self.predictor)

    def _steps(self, split: Split, row: int) -> dict[str, cards.Steps]:
        """Which steps of an utterance mattered, as a reader sees them."""
        features, result = self.predictor.features, {}
        fields = {s: field for field, s in FIELDS.items()}
        for s, values in self._attribution(split, row).items():
            if s == 't':
                result[s] = cards.Steps(values, self._words(split.tokens[row]))
            else:
                rate = features[fields[s]].get('rate_hz')
                result[s] = cards.Steps(values, rate_hz=rate)
        return result

    def _words(self, tokens: np.ndarray) -> list[str]:
        """Word pieces of int `[3, L_t]` tokens, or numbers where no one knows them."""
        count = int(tokens[1].sum())
        numbers = [str(i + 1) for i in range(count)]
        if self.predictor.experiment.text.pretrained == FILE:
            return numbers
        try:
            return word_pieces(find_text(self.predictor.experiment), tokens[0, :count])
        except UserError:
            # Where the data bring their tokens, an encoder does without a vocabulary.
            return numbers


def _over_time(rows: list[output.Row], limit: float, title: str) -> str:
    drawn = timeline.png(timeline.timeline(rows, limit, title))
    picture = html.picture(drawn, f'Sentiment over {len(rows)} utterances.')
    return f'<section><h3>Sentiment over time</h3>{picture}</section>\n'


def take(found: Found, rows: np.ndarray) -> Found:
    """Some of the utterances, `rows` their positions."""
    split = found.split
    arrays = ('tokens', 'audio', 'audio_length', 'vision', 'vision_length', 'label')
    changed = {field: getattr(split, field)[rows] for field in arrays}
    if split.text is not None:
        changed['text'] = split.text[rows]
    for field in ('ids', 'raw_text'):
        changed[field] = [getattr(split, field)[i] for i in rows]
    times = {
        name: None if (x := getattr(found, name)) is None else x[rows]
        for name in output.TIMES
    }
    return found._replace(split=dataclasses.replace(split, **changed), **times)


def read_examples(
    predictor: Predictor, path: str | os.PathLike | None = None
) -> Found | None:
    """The first utterances of a data file.

    Args:
      predictor: that is to read them.
      path: of the file; by default the run's own, or what it simulated. None comes
        back where that is gone.

    Raises:
      UserError: the file cannot be read, or does not fit the run.
    """
    data = predictor.experiment.data
    if path is None and data.path:
        path = pathlib.Path(data.path).expanduser()
        if not path.exists():
            return None
    if path is not None:
        found = predictor.read(path)
    elif data.simulate:
        simulated = simulate.simulate(**dataclasses.asdict(data.simulate))
        with tempfile.TemporaryDirectory(prefix='sugrm_examples_') as scratch:
            file = pathlib.Path(scratch) / 'simulated.pkl'
            file.write_bytes(pickle.dumps(simulated))
            found = predictor.read(file)
    else:
        return None
    return take(found, np.arange(min(EXAMPLES, len(found.split))))


def check_length(subtitles: str | os.PathLike) -> None:
    """Raises a `UserError` where subtitles are more, or longer, than a clip's may be.

    A clip is read subtitle by subtitle, so that they bound the work.
    """
    cues = subtitle_files.read(subtitles)
    longest = max(cue.end for cue in cues), sum(cue.end - cue.start for cue in cues)
    if max(longest) > LONGEST:
        raise UserError(
            f'A clip may be {LONGEST // 60} minutes long, but its subtitles go on for '
            f'{max(longest) / 60:.1f}: cut it, or use python -m sugrm_jax.predict.'
        )
    if len(cues) > CUES:
        raise UserError(
            f'A clip may have {CUES} subtitles, not {len(cues)}: join some of them.'
        )


def _without_folders(message: str, *paths: str | None) -> str:
    """A message about uploaded files, without the folders that they were put in."""
    for path in filter(None, paths):
        message = message.replace(f'{pathlib.Path(path).parent}{os.sep}', '')
    return message
