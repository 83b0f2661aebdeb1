"""What a report says, apart from how it is written, and both its ways of writing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from sugrm_jax.results import html, tables
from sugrm_jax.results.tables import Table, markdown_text


class Text(NamedTuple):
    """A paragraph."""

    words: str


class Verbatim(NamedTuple):
    """Lines as they were, such as those of an error."""

    lines: str


class Picture(NamedTuple):
    """A figure, `figures/NAME.png`."""

    name: str
    caption: str


class Folded(NamedTuple):
    """What only some readers open."""

    title: str
    blocks: Sequence[Text | Verbatim | Picture | Table]


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Text | Verbatim | Picture | Table | Folded]


Block = Text | Verbatim | Picture | Table | Folded | Section


def to_html(block: Block, pictures: Mapping[str, bytes]) -> str:
    """A block as part of a page, with the pictures, PNG by name, in it."""
    match block:
        case Text(words):
            return html.say(words)
        case Verbatim(lines):
            return f'<pre>{escape(lines)}</pre>\n'
        case Picture(name, caption):
            return html.picture(pictures[name], caption)
        case Table():
            return tables.to_html(block)
        case Folded(title, blocks):
            inner = ''.join(to_html(part, pictures) for part in blocks)
            return f'<details><summary>{escape(title)}</summary>\n{inner}</details>\n'
        case Section(title, blocks):
            return html.section(title, *(to_html(part, pictures) for part in blocks))


def to_markdown(block: Block) -> str:
    """A block in GitHub's Markdown, pictures as links to their files."""
    match block:
        case Text(words):
            return f'{markdown_text(words)}\n\n'
        case Verbatim(lines):
            # Indented, since any fence might occur in the lines.
            return ''.join(f'    {line}\n' for line in lines.splitlines()) + '\n'
        case Picture(name, caption):
            # A blank line of its own keeps the caption a paragraph.
            return f'![{name}](figures/{name}.png)\n\n{markdown_text(caption)}\n\n'
        case Table():
            return f'{tables.to_markdown(block)}\n'
        case Folded(title, blocks):
            inner = ''.join(map(to_markdown, blocks))
            summary = f'<summary>{escape(title)}</summary>'
            return f'<details>{summary}\n\n{inner}</details>\n\n'
        case Section(title, blocks):
            inner = ''.join(map(to_markdown, blocks))
            return f'## {markdown_text(title)}\n\n{inner}'
