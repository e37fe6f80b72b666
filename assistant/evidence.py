"""Evidence: the found sections cut into passages, ranked by how they bear on the question.

A passage is what a person would quote: a sentence, or a whole list or table with its lead-in. The
ranking weights were fitted on the development half of `eval/cases/career.jsonl`
(docs/decisions/0003-evidence.md).
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from corpus.chunks import Chunk
from corpus.sections import Span
from index.embedder import Floats
from index.store import Hit, Index

from .question import Question, forms_of, meaning_stems

_MOST_SPANS = 60  # a longer section is not offered whole, only its found chunk
_MOST_ITEMS = 10  # a longer list is cut to the items nearest to the question
_KEPT_ITEMS = 6
_SPECIFIC = 1.2  # rarity from which a word can single an item out of its list

Embed = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class Passage:
    """Spans of one section that are quoted together, after what introduces them."""

    source: str
    title: str
    section: tuple[str, ...]
    scope: str  # what the document says that its figures cover
    text: str  # the document's
    spans: tuple[Span, ...]
    intro: tuple[int, int] | None = None  # a lead-in sentence right before the spans
    menu: bool = False  # its items are headings of the document: a table of contents

    @property
    def is_list(self) -> bool:
        """Whether it holds items or rows."""
        return self.spans[0].kind != "sentence"

    @property
    def start(self) -> int:
        """Where the whole passage begins in the document."""
        return self.intro[0] if self.intro else self.spans[0].start

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.spans[-1].end

    @cached_property
    def words(self) -> str:
        """The passage's own text, as people read it."""
        return readable(self.text[self.start : self.end])

    @cached_property
    def intro_text(self) -> str:
        """The lead-in as people read it; empty when there is none."""
        return readable(self.text[slice(*self.intro)]) if self.intro else ""

    @cached_property
    def heading(self) -> str:
        """The headings above it."""
        return " > ".join(self.section)

    @cached_property
    def context(self) -> str:
        """Everything that says what the passage is about, itself included."""
        return f"{self.title}. {self.scope}. {self.heading}. {self.words}"

    @cached_property
    def stems(self) -> frozenset[str]:
        """Meaning stems of the context; a table of contents speaks by its lead-in alone."""
        own = self.text[slice(*self.intro)] if self.menu and self.intro else self.words
        return frozenset(meaning_stems(f"{self.title}. {self.heading}. {own}"))

    def span_text(self, span: Span) -> str:
        """One span as people read it."""
        return readable(self.text[span.start : span.end])


@dataclass(frozen=True)
class Ranked:
    """A passage with its score for a question and what the score was made of."""

    passage: Passage
    score: float
    dense: float  # cosine of question and chunk
    nearest: float  # highest cosine of question and span
    coverage: float  # share of the question's words found, by rarity
    similarities: tuple[float, ...] = field(repr=False, default=())  # of the spans


class Ranker:
    """Ranks the passages of found chunks."""

    def __init__(self, index: Index, embed: Embed) -> None:
        self._index = index
        self._embed = embed
        self._headings: dict[str, frozenset[str]] = {}

    def rank(self, question: Question, vector: Floats, hits: Sequence[Hit]) -> list[Ranked]:
        """The passages of `hits`, best first; ties go to the place in the document."""
        passages = list(self._passages(hits))
        if not passages:
            return []
        texts = [text for p in passages for text in (p.intro_text, *map(p.span_text, p.spans))]
        similarity = iter((self._embed([t or "-" for t in texts]) @ vector).tolist())
        ranked = []
        for passage in passages:
            introduced = next(similarity)
            found = tuple(next(similarity) for _ in passage.spans)
            dense = max(
                hit.similarity
                for hit in hits
                if (hit.chunk.source, hit.chunk.section) == (passage.source, passage.section)
            )
            nearest = max(found) if passage.intro is None else max(introduced, *found)
            ranked.append(self._score(question, passage, dense, nearest, found))
        return sorted(ranked, key=lambda r: (-r.score, r.passage.source, r.passage.start))

    def rarity(self, stem: str) -> float:
        """The inverse document frequency of `stem` among the chunks; 0 where it never occurs."""
        seen = max(self._index.chunks_with(form) for form in forms_of(stem))
        total = len(self._index.chunks)
        return math.log(1 + (total - seen + 0.5) / (seen + 0.5)) if seen else 0.0

    def section_context(self, passage: Passage) -> str:
        """What the passage's section says as a whole, with title, scope and headings."""
        chunks = self._index.section_chunks[(passage.source, passage.section)]
        return f"{passage.context} {passage.text[chunks[0].start : chunks[-1].end]}"

    @cached_property
    def most_rare(self) -> float:
        """The rarity of a word that stands in no chunk."""
        return math.log(1 + (len(self._index.chunks) + 0.5) / 0.5)

    def strangeness(
        self, question: Question, stems: Sequence[str], passage: Passage
    ) -> dict[str, float]:
        """For each of `stems`, how far its word in the question is from the passage, in [0, 1]."""
        if not stems:
            return {}
        written = {stem: word for word in question.words for stem in meaning_stems(word)}
        texts = [t for t in (passage.intro_text, *map(passage.span_text, passage.spans)) if t]
        given = self._embed([*texts, passage.heading])  # (texts + 1, dim)
        asked = self._embed([written.get(stem, stem) for stem in stems])
        nearest = (asked @ given.T).max(axis=1)
        return {s: float(1.0 - max(0.0, n)) for s, n in zip(stems, nearest.tolist(), strict=True)}

    def _score(
        self,
        question: Question,
        passage: Passage,
        dense: float,
        nearest: float,
        found: tuple[float, ...],
    ) -> Ranked:
        weights = {stem: self.rarity(stem) for stem in question.stems}
        total = sum(weights.values()) or 1.0
        heading = set(meaning_stems(passage.heading))
        coverage = sum(w for stem, w in weights.items() if stem in passage.stems) / total
        in_heading = sum(w for stem, w in weights.items() if stem in heading) / total
        named = len(heading & set(question.stems)) / max(1, len(heading))
        has_figure = any(c.isdigit() for c in passage.words)
        score = (
            6.0 * dense
            + 7.0 * nearest
            + 4.5 * coverage
            + 1.2 * in_heading
            + 2.0 * named
            + 2.0 * (question.wants_figure and has_figure)
            + 0.5 * (question.wants_list and passage.is_list)
            + 0.9 * (len(passage.spans) > 1)
            - 1.2 * passage.menu
        )
        return Ranked(passage, score, dense, nearest, coverage, found)

    def _passages(self, hits: Sequence[Hit]) -> Iterator[Passage]:
        """The passages of the sections in which `hits` stand, each once."""
        seen: set[tuple[str, int]] = set()
        for hit in hits:
            spans = self._section_spans(hit.chunk)
            for passage in self._cut(hit.chunk, spans):
                if (passage.source, passage.start) not in seen:
                    seen.add((passage.source, passage.start))
                    yield passage

    def _section_spans(self, chunk: Chunk) -> list[Span]:
        chunks = self._index.section_chunks[(chunk.source, chunk.section)]
        spans = [span for c in chunks for span in c.spans]
        return spans if len(spans) <= _MOST_SPANS else list(chunk.spans)

    def _cut(self, chunk: Chunk, spans: Sequence[Span]) -> Iterator[Passage]:
        document = self._index.document(chunk.source)
        text = document.text
        groups: list[list[Span]] = []
        for span in spans:
            joins = groups and span.kind != "sentence" and groups[-1][-1].kind == span.kind
            if joins and groups[-1][-1].lead == span.lead:
                groups[-1].append(span)
            else:
                groups.append([span])
        for at, group in enumerate(groups):
            first = group[0]
            after = groups[at + 1][0] if at + 1 < len(groups) else None
            if after and first.kind == "sentence" and _introduces(text, first, after):
                continue  # it stands with the list that follows
            before = groups[at - 1][-1] if at else None
            introduced = before is not None and _introduces(text, before, first)
            yield Passage(
                chunk.source,
                document.title,
                chunk.section,
                document.meta.get("scope", ""),
                text,
                tuple(group),
                (before.start, before.end) if before and introduced else None,
                self._is_menu(chunk.source, text, group),
            )

    def _is_menu(self, source: str, text: str, group: Sequence[Span]) -> bool:
        if source not in self._headings:
            sections = self._index.document(source).sections
            self._headings[source] = frozenset(h.lower() for s in sections for h in s.path)
        titles = [text[s.start : s.end].lower() in self._headings[source] for s in group]
        return len(titles) > 1 and sum(titles) * 2 > len(titles)


def _introduces(text: str, before: Span, after: Span) -> bool:
    """Whether the sentence `before` leads into the list or table that begins with `after`."""
    return (
        before.kind == "sentence"
        and after.kind != "sentence"
        and (after.lead == (before.start, before.end) or text[before.end - 1] == ":")
    )


def focus(question: Question, ranked: Ranked, rarity: Callable[[str], float]) -> tuple[Span, ...]:
    """The spans of a list that answer the question: those that its words single out, else all.

    A list of more than ten items is cut to the six nearest to the question.
    """
    passage = ranked.passage
    if not passage.is_list or len(passage.spans) == 1:
        return passage.spans
    general = set(meaning_stems(f"{passage.title}. {passage.heading}. {passage.intro_text}"))
    wanted = {s: w for s in question.stems if s not in general and (w := rarity(s)) > 0}
    weights = [
        sum(wanted.get(stem, 0.0) for stem in set(meaning_stems(passage.span_text(span))))
        for span in passage.spans
    ]
    best = max(weights)
    if best >= _SPECIFIC:
        chosen = _singled_out(passage, wanted, weights, compares=question.compares)
        if len(chosen) * 2 <= len(passage.spans):
            return chosen
    if len(passage.spans) <= _MOST_ITEMS:
        return passage.spans
    order = np.argsort([-s for s in ranked.similarities], kind="stable")[:_KEPT_ITEMS]
    return tuple(passage.spans[i] for i in sorted(order.tolist()))


def _singled_out(
    passage: Passage, wanted: dict[str, float], weights: Sequence[float], *, compares: bool
) -> tuple[Span, ...]:
    """The items that, between them, hold the wanted words: each adds one that is still open.

    A comparison needs every item that holds one.
    """
    left = dict(wanted)
    chosen: set[int] = set()
    for at in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
        stems = set(meaning_stems(passage.span_text(passage.spans[at])))
        gain = sum(left.get(stem, 0.0) for stem in stems)
        tied = bool(chosen) and weights[at] == max(weights)
        if gain >= _SPECIFIC or tied or (compares and weights[at] > 0):
            chosen.add(at)
            left = {stem: w for stem, w in left.items() if stem not in stems}
    return tuple(passage.spans[at] for at in sorted(chosen))


def readable(quote: str) -> str:
    """Markdown as plain words: rows as `first: second`; emphasis, code and links undone."""
    lines = [_readable_line(line) for line in quote.split("\n")]
    return "\n".join(line for line in lines if line is not None)


def _readable_line(line: str) -> str | None:
    stripped = line.strip()
    if re.fullmatch(r"\|?[\s:|-]*-[\s:|-]*\|[\s:|-]*", stripped):
        return None  # the rule below a table's header
    if stripped.startswith("|") or re.search(r"\S\s\|\s\S", stripped):
        cells = [cell.strip() for cell in stripped.strip("|").split("|")]
        line = f"{cells[0]}: {', '.join(c for c in cells[1:] if c)}" if len(cells) > 1 else cells[0]
    line = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", line)
    line = re.sub(r"(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])", r"\1", line)
    return re.sub(r"`([^`]+)`", r"\1", line)
