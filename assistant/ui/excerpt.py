"""A section of a stored document as HTML that keeps every character, the quoted ones marked.

Markdown's own marks (bullets, pipes) are laid out by CSS and hidden, not removed: the text inside
<mark> is, character for character, the quote.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import chain, pairwise, zip_longest

from corpus.sections import Document, Section

_AROUND = 4000  # characters shown before and after a quote in a very long section
_ITEM = re.compile(r"[ \t>]*[-*+•][ \t]+")
_CELL_END = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{3,}[-:| \t]*")


@dataclass(frozen=True)
class Excerpt:
    """What is shown of a document: `text[start:end]`, with `text[first:last]` marked."""

    text: str
    start: int
    end: int
    first: int = 0
    last: int = 0
    cut_before: bool = False
    cut_after: bool = False


def around_quote(document: Document, first: int, last: int) -> Excerpt:
    """The section that holds the quote `text[first:last]`, shortened around it if it is long."""
    ranges = (_range(section) for section in document.sections)
    start, end = next(((a, b) for a, b in ranges if a <= first < b), (first, last))
    return _shortened(document.text, start, max(end, last), first, last)


def of_section(document: Document, path: tuple[str, ...]) -> Excerpt | None:
    """The text of the first section with this heading path."""
    for section in document.sections:
        if section.path == path:
            start, end = _range(section)
            return _shortened(document.text, start, end, start, start)
    return None


def to_html(excerpt: Excerpt) -> str:
    """The excerpt, with lists and tables laid out."""
    body = "".join(_block(excerpt, kind, lines) for kind, lines in _blocks(excerpt))
    before = '<p class="cut">… the section begins earlier</p>' if excerpt.cut_before else ""
    after = '<p class="cut">… the section goes on</p>' if excerpt.cut_after else ""
    return f"{before}{body}{after}"


def _range(section: Section) -> tuple[int, int]:
    """From the section's first lead or span to its last span."""
    starts = [span.lead[0] if span.lead else span.start for span in section.spans]
    return min(starts), max(span.end for span in section.spans)


def _shortened(text: str, start: int, end: int, first: int, last: int) -> Excerpt:
    """Cut at line ends, or anywhere where a line has no end in reach."""
    left, right = max(start, first - _AROUND), min(end, last + _AROUND)
    if left > start:
        left = text.find("\n", left, first) + 1 or left
    if right < end:
        found = text.rfind("\n", last, right)
        right = found if found > 0 else right
    # The start of a table row or list item belongs to its first span.
    line = text.rfind("\n", 0, left) + 1
    if left == start and not text[line:left].strip(" \t|>-*+•0123456789.)"):
        left = line
    return Excerpt(text, left, right, first, last, left > start, right < end)


def _blocks(excerpt: Excerpt) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Runs of lines of one kind: table, list, text, or the blank lines between."""
    kind, lines = "", list[tuple[int, int]]()
    for start, end in _lines(excerpt):
        found = _kind(excerpt.text[start:end], kind)
        if lines and found != kind:
            yield kind, lines
            lines = []
        kind = found
        lines.append((start, end))
    if lines:
        yield kind, lines


def _lines(excerpt: Excerpt) -> Iterator[tuple[int, int]]:
    """The lines with their line ends."""
    at = excerpt.start
    while at < excerpt.end:
        found = excerpt.text.find("\n", at, excerpt.end)
        end = found + 1 if found >= 0 else excerpt.end
        yield at, end
        at = end


def _kind(line: str, before: str) -> str:
    if not line.strip():
        return "blank"
    if len(line.strip()) > 1 and line.lstrip().startswith("|") and line.rstrip().endswith("|"):
        return "table"
    if _ITEM.match(line) or (before == "list" and line[0] in " \t"):
        return "list"
    return "text"


def _block(excerpt: Excerpt, kind: str, lines: list[tuple[int, int]]) -> str:
    if kind == "table":
        head = len(lines) > 1 and bool(_RULE.fullmatch(_text(excerpt, *lines[1]).strip()))
        rows = [_row(excerpt, *line, head=head and at == 0) for at, line in enumerate(lines)]
        return f'<div class="table" role="table">{"".join(rows)}</div>'
    if kind == "list":
        return f'<div role="list">{"".join(_item(excerpt, *line) for line in lines)}</div>'
    whole = _piece(excerpt, lines[0][0], lines[-1][1])
    return _hidden(whole) if kind == "blank" else f"<p>{whole}</p>"


def _row(excerpt: Excerpt, start: int, end: int, *, head: bool) -> str:
    line = _text(excerpt, start, end)
    if _RULE.fullmatch(line.strip()):
        return _hidden(_piece(excerpt, start, end))
    pipes = [start + found.start() for found in _CELL_END.finditer(line)]
    opening = _hidden(_piece(excerpt, start, pipes[0] + 1))
    closing = _hidden(_piece(excerpt, pipes[-1], end))
    role = "columnheader" if head else "cell"
    cells = [
        f'<span class="cell" role="{role}">{_piece(excerpt, left + 1, right)}</span>'
        for left, right in pairwise(pipes)
    ]
    between = (_hidden(_piece(excerpt, pipe, pipe + 1)) for pipe in pipes[1:-1])
    inner = "".join(chain.from_iterable(zip_longest(cells, between, fillvalue="")))
    kind = "row head" if head else "row"
    return f'<div class="{kind}" role="row">{opening}{inner}{closing}</div>'


def _item(excerpt: Excerpt, start: int, end: int) -> str:
    bullet = _ITEM.match(excerpt.text, start, end)
    words = bullet.end() if bullet else start
    depth = len(excerpt.text[start:words].expandtabs(4)) // 2 - 1 if bullet else 0
    shown = _hidden(_piece(excerpt, start, words)) + _piece(excerpt, words, end)
    kind = "item" if bullet else "more"
    return (
        f'<div class="{kind}" role="listitem" style="--depth:{max(0, min(depth, 6))}">{shown}</div>'
    )


def _piece(excerpt: Excerpt, start: int, end: int) -> str:
    """`text[start:end]` escaped, the quoted part of it marked."""
    first, last = max(start, excerpt.first), min(end, excerpt.last)
    text = excerpt.text
    if first >= last:
        return escape(text[start:end])
    before, quoted, after = text[start:first], text[first:last], text[last:end]
    return f"{escape(before)}<mark>{escape(quoted)}</mark>{escape(after)}"


def _hidden(html: str) -> str:
    return f'<span class="md">{html}</span>' if html else ""


def _text(excerpt: Excerpt, start: int, end: int) -> str:
    return excerpt.text[start:end]
