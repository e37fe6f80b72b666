"""Documents, their sections and the spans of text that can be cited.

A document's text is stored as it was read; every offset counts Unicode code points into it.
A span is the smallest thing that a chunk or a citation is made of: a sentence, a list item or a
table row, never part of one (but for a sentence longer than the embedder's limit).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import sentencex
from markdown_it import MarkdownIt
from markdown_it.token import Token

from .readable import with_columns

_BULLET = re.compile(r"[ \t>]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?(?:\[[ xX]\][ \t]+)?")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_PARAGRAPH = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_CLOSING = re.compile(r"(?:\*\*|__|\*|_)(?=\s|\Z)")
_RUN_IN = re.compile(r"(\*\*|__)\S.*?\1[.:]?", re.DOTALL)
_RUN_IN_WORDS = 14
_PLAIN_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_PLAIN_HEADING_WORDS = 9
_FRONT_MATTER_LENGTH = 20_000
_HEADING_LENGTH = 300
_WINDOW = 10_000
_NESTING = 60  # lists count twice; what is nested deeper would be left out


@dataclass(frozen=True)
class Span:
    """A sentence, list item or table row: `text[start:end]`.

    `lead` is the range of what it hangs on: a list's lead-in sentence, a table's header row, the
    question or the bold words that a paragraph begins with.
    """

    kind: str  # sentence | item | row
    start: int
    end: int
    lead: tuple[int, int] | None = None


@dataclass(frozen=True)
class Section:
    """The spans that stand directly below one heading; `path` holds the headings above them."""

    path: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Document:
    """One text with its place in the folder that it came from and what its front matter says.

    What a program added instead has the program's id as its source.
    """

    source: str  # POSIX path relative to the folder given
    text: str
    markup: str = "markdown"  # markdown | plain
    meta: dict[str, str] = field(default_factory=dict)
    attached: dict[str, Any] | None = None  # the JSON that a program added it with; None: a file

    @cached_property
    def sha256(self) -> str:
        """The hash of everything that the index takes from the document."""
        content = f"{self.markup}\0{self.text}"
        if self.attached is not None:
            content += f"\0{json.dumps([self.meta, self.attached], sort_keys=True)}"
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def title(self) -> str:
        """The front matter's title, else the only first-level heading, else the file name."""
        tops = [block.title for block in self._blocks if block.level == 1]
        return self.meta.get("title") or (tops[0] if len(tops) == 1 else self.stem)

    def told(self, start: int, end: int) -> str:
        """What stands there as people read it, the cells of tables after their columns' names."""
        first = next((row for row in self._rows if row.start <= start < row.end), None)
        header = self.text[slice(*first.lead)] if first and first.lead else ""
        return with_columns(self.text[start:end], header)

    @property
    def headers(self) -> frozenset[tuple[int, int]]:
        """The ranges of the tables' headers."""
        return frozenset(row.lead for row in self._rows if row.lead)

    @cached_property
    def _rows(self) -> tuple[Span, ...]:
        spans = (span for section in self.sections for span in section.spans)
        return tuple(span for span in spans if span.kind == "row")

    @property
    def stem(self) -> str:
        """The file name without its ending, in words."""
        return re.sub(r"[-_]+", " ", PurePosixPath(self.source).stem).strip() or self.source

    @cached_property
    def _blocks(self) -> "tuple[_Block, ...]":
        parse = _markdown_blocks if self.markup == "markdown" else _plain_blocks
        blocks = tuple(parse(self.text))
        if self.attached is None or any(block.spans for block in blocks):
            return blocks
        # What a program added is to be found, though it be a heading.
        return (_Block(spans=tuple(Span("sentence", a, b) for a, b in sentence_ranges(self.text))),)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections in reading order; those without text of their own are left out."""
        return tuple(_sections(self))


@dataclass(frozen=True)
class _Block:
    """A heading (`level` > 0) or a block of spans."""

    level: int = 0
    title: str = ""
    spans: tuple[Span, ...] = ()


def front_matter(text: str) -> dict[str, str]:
    """The plain `key: value` pairs of a YAML front matter; empty when there is none."""
    return _front_matter(text)[0]


def _front_matter(text: str) -> tuple[dict[str, str], int]:
    """The pairs and where the text goes on; text between two rules is no front matter."""
    found = _FRONT_MATTER.match(text[:_FRONT_MATTER_LENGTH])
    if not found:
        return {}, 0
    import yaml

    try:
        node = yaml.compose(found[1], Loader=yaml.SafeLoader)  # values stay as they are written
    except (yaml.YAMLError, RecursionError):
        return {}, 0
    if not isinstance(node, yaml.MappingNode):
        return {}, 0
    scalar = yaml.ScalarNode
    pairs = [(k, v) for k, v in node.value if isinstance(k, scalar) and isinstance(v, scalar)]
    return {k.value: v.value for k, v in pairs if v.value}, found.end()


def sentence_ranges(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """The sentences of `text[start:end]` as ranges without surrounding white space."""
    ranges = []
    for left, right in _windows(text, start, len(text) if end is None else end):
        at = left
        for piece in sentencex.segment("en", text[left:right]):
            found = text.find(piece, at, right)
            at = found + len(piece)
            ranges.append(_trim(text, found, at))
    return _closed(text, [(a, b) for a, b in ranges if a < b])


def _closed(text: str, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same, with emphasis that closes after a full stop in the sentence that it began in."""
    closed = ranges[:1]
    for start, end in ranges[1:]:
        before = closed[-1]
        mark = _CLOSING.match(text, start, end)
        if mark and before[1] == start and text.count(mark[0], *before) % 2:
            closed[-1] = (before[0], mark.end())
            start, end = _trim(text, mark.end(), end)
        if start < end:
            closed.append((start, end))
    return closed


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """`text[start:end]` in parts that the segmenter, whose time grows as the square, can take."""
    while end - start > _WINDOW:
        full_stop = text.rfind(". ", start + 1, start + _WINDOW)
        cut = full_stop if full_stop > 0 else text.rfind(" ", start + 1, start + _WINDOW)
        cut = cut + 1 if cut > 0 else start + _WINDOW
        yield start, cut
        start = cut
    yield start, end


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    return start + left, start + max(left, len(piece.rstrip()))


def _sections(document: Document) -> Iterator[Section]:
    blocks = document._blocks
    lone_top = sum(block.level == 1 for block in blocks) == 1
    path: list[tuple[int, str]] = []
    spans: list[Span] = []
    for block in [*blocks, _Block(level=99)]:
        if not block.level:
            spans.extend(block.spans)
            continue
        titles = [title for level, title in path if not (lone_top and level == 1)]
        if spans:
            yield Section(tuple(titles) or (document.title,), tuple(spans))
        spans = []
        path = [(level, title) for level, title in path if level < block.level]
        path.append((block.level, block.title))


def _markdown_blocks(text: str) -> Iterator[_Block]:
    """Headings and spans of a CommonMark text with tables, in order."""
    _, body = _front_matter(text)
    masked = re.sub(r"[^\n]", " ", text[:body]) + text[body:]
    masked = masked.replace("\r\n", " \n").replace("\r", "\n")  # as the parser does, in place
    starts = _line_starts(masked)
    parser = MarkdownIt("commonmark", {"maxNesting": _NESTING}).enable("table")
    references: dict[str, Any] = {}
    # What stands inside a block is not parsed: that takes long and only headings need it.
    tokens = parser.disable("inline").parse(masked, references)
    parser.enable("inline")
    lead: tuple[int, int] | None = None  # of the items that follow
    above: tuple[int, int] | None = None  # of a paragraph that follows at once
    header: tuple[int, int] | None = None
    depth = 0
    for at, token in enumerate(tokens):
        depth += {"bullet_list_open": 1, "ordered_list_open": 1}.get(token.type, 0)
        depth -= {"bullet_list_close": 1, "ordered_list_close": 1}.get(token.type, 0)
        if token.map is None:
            continue
        start, end = _trim(text, starts[token.map[0]], starts[token.map[1]])
        kind = _kind(tokens, at)
        if kind == "heading_open":
            (inline,) = parser.parseInline(tokens[at + 1].content, references)
            yield _Block(level=int(token.tag[1]), title=_plain_inline(inline))
            lead = above = None
        elif token.type == "tr_open":
            above = None
            table = tokens[at - 2].map or [0, 0]
            if tokens[at - 1].type == "thead_open" and table[1] - table[0] > 2:
                header = (start, end)
            elif tokens[at - 1].type == "thead_open":  # it stands alone
                yield _Block(spans=(Span("row", start, end),))
            else:
                yield _Block(spans=(Span("row", start, end, header),))
        elif kind == "paragraph_open" and depth and start < end:
            prefix = _BULLET.match(text, start, end)
            yield _Block(spans=(Span("item", prefix.end() if prefix else start, end, lead),))
            above = None
        elif kind == "paragraph_open":
            spans = _paragraph(text, start, end, above)
            yield _Block(spans=spans)
            lead = above = _leads(text, spans)
        elif token.type in ("fence", "code_block", "html_block") and start < end:
            yield _Block(spans=(Span("sentence", start, end),))


def _paragraph(text: str, start: int, end: int, lead: tuple[int, int] | None) -> tuple[Span, ...]:
    """The sentences of a paragraph, each with the question or bold words that it follows.

    `lead` is what stands alone above the paragraph.
    """
    spans = []
    head = lead if lead and _is_head(text, *lead) else None
    for first, last in sentence_ranges(text, start, end):
        is_head = _is_head(text, first, last)
        spans.append(Span("sentence", first, last, None if is_head else head))
        head = (first, last) if is_head else head
    return tuple(spans)


def _leads(text: str, spans: Sequence[Span]) -> tuple[int, int] | None:
    """The range of a paragraph's last sentence, if it leads into what follows."""
    if not spans:
        return None
    last = (spans[-1].start, spans[-1].end)
    alone = len(spans) == 1 and _is_head(text, *last)
    return last if alone or text[last[1] - 1] == ":" else None


def _is_head(text: str, start: int, end: int) -> bool:
    """Whether a sentence is a question or stands in bold: what follows says something about it."""
    sentence = text[start:end]
    if len(sentence) > _HEADING_LENGTH or len(sentence.split()) > 2 * _RUN_IN_WORDS:
        return False
    if sentence.rstrip("*_\"' ").endswith("?"):
        return True
    return bool(_RUN_IN.fullmatch(sentence)) and len(sentence.split()) <= _RUN_IN_WORDS


def _kind(tokens: Sequence[Token], at: int) -> str:
    """The type of a token; a paragraph that is underlined is one: as a heading it would be cut."""
    token = tokens[at]
    if token.type == "heading_open" and len(tokens[at + 1].content) > _HEADING_LENGTH:
        return "paragraph_open"
    return str(token.type)


def _plain_inline(inline: Token) -> str:
    """The text of a heading without its markup."""
    parts = [child.content for child in inline.children or () if child.type != "html_inline"]
    return " ".join("".join(parts).split())


def _plain_blocks(text: str) -> Iterator[_Block]:
    """Headings (short lines that stand alone), list items and sentences of a plain text."""
    lead: tuple[int, int] | None = None  # of the items that follow
    above: tuple[int, int] | None = None  # of a paragraph that follows at once
    for paragraph in _PARAGRAPH.finditer(text):
        for kind, start, end in _plain_runs(text, paragraph.start(), paragraph.end()):
            if kind == "heading":
                yield _Block(level=2, title=" ".join(text[start:end].split()).rstrip(":"))
                lead = above = None
            elif kind == "item":
                prefix = _BULLET.match(text, start, end)
                yield _Block(spans=(Span("item", prefix.end() if prefix else start, end, lead),))
                above = None
            else:
                spans = _paragraph(text, start, end, above)
                yield _Block(spans=spans)
                lead = above = _leads(text, spans)


def _plain_runs(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """A paragraph's headings, items (a bullet and what is indented below it) and running text."""
    runs: list[tuple[str, int, int]] = []
    lines = list(_lines(text, start, end))
    for left, right in lines:
        first, last = _trim(text, left, right)
        before = runs[-1] if runs else None
        if _PLAIN_ITEM.match(text, left, right):
            runs.append(("item", first, last))
        elif _is_plain_heading(text, first, last, before, alone=len(lines) == 1):
            runs.append(("heading", first, last))
        elif before and (before[0] == "text" or (before[0] == "item" and left < first)):
            runs[-1] = (before[0], before[1], last)
        else:
            runs.append(("text", first, last))
    if len(lines) > 1 and runs[-1][0] == "heading":  # nothing follows it: the end of a text
        runs[-1] = ("text", *runs[-1][1:])
    yield from runs


def _is_plain_heading(
    text: str, start: int, end: int, before: tuple[str, int, int] | None, *, alone: bool
) -> bool:
    """A short line in the form of a title, with nothing before it that it could continue."""
    line = text[start:end]
    continues = before is not None and before[0] == "text" and text[before[2] - 1] not in ".!?:"
    return (
        len(line.split()) <= _PLAIN_HEADING_WORDS
        and len(line) <= 80
        and (line[0].isupper() or line[0].isdigit())
        and any(c.isalpha() for c in line)
        and line[-1] not in ".!?;,"
        and (alone or line[-1] != ":")
        and not continues
    )


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for line in re.finditer(r"[^\n]+", text[start:end]):
        yield start + line.start(), start + line.end()


def _line_starts(text: str) -> list[int]:
    """The offset of each line, and one past the end for the maps that end there."""
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    return [*starts, len(text), len(text)]
