"""Evidence: the found sections cut into passages, ranked by how they bear on the question.

A passage is what a person would quote: a sentence, or a whole list or table with its lead-in. Cheap
signals choose the passages that the reranker reads; both together rank those
(docs/decisions/0003-evidence.md, 0006-reranker.md, 0015-one-reader.md).
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from corpus.chunks import Chunk
from corpus.readable import columns_of, readable
from corpus.sections import Document, Span
from index.embedder import Floats
from index.store import Hit, Index

from .question import Question, forms_of, meaning_stems
from .reranker import Reranker

_MOST_SPANS = 60  # a longer section is not offered whole, only its found chunk
_MOST_ITEMS = 10  # a longer list is cut to the items nearest to the question
_KEPT_ITEMS = 6
_FEW_ITEMS = 3  # so many are quoted whole: an item without its lead-in says little
_SPECIFIC = 1.2  # rarity from which a word can single an item out of its list
_NOT_IT = re.compile(  # an item that is named so is not the one that is asked about
    r"\b(?:(?:other|more|less|fewer) than|except|besides|apart from|without|above|below|beyond)\b",
    re.IGNORECASE,
)
_PRIOR = 1.0  # weight of the cheap signals beside the reranker's log-odds
_RERANKED = 32  # passages that the reranker reads
_TELLING = 3.0  # the most that one word tells of where the answer stands
_ELSEWHERE = 2.0  # weight of words that stand in other documents only
_OPENED, _READ_ITEMS = 3, 2  # of so many passages, so many items are read by themselves

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
    intro: tuple[int, int] | None = None  # a lead-in right before the spans, quoted with them
    head: tuple[int, int] | None = None  # a question or bold words that they say something about
    menu: bool = False  # its items are headings of the document: a table of contents

    @property
    def is_list(self) -> bool:
        """Whether it holds items or rows."""
        return self.spans[0].kind != "sentence"

    @property
    def start(self) -> int:
        """Where the whole passage begins in the document: a header right above it belongs to it."""
        first = self.spans[0].start
        if self.intro:
            return self.intro[0]
        if self.header and not self.text[self.header[1] : first].strip("|-: \n"):
            return self.header[0]
        return first

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
        """What leads in as people read it, quoted with the spans or not; empty for nothing."""
        leads = self.intro or self.head
        return readable(self.text[slice(*leads)]) if leads else ""

    @property
    def header(self) -> tuple[int, int] | None:
        """The header of a table with several columns, which says what its rows hold."""
        first = self.spans[0]
        if first.kind != "row" or first.lead is None:
            return None
        return first.lead if columns_of(self.text[slice(*first.lead)]) else None

    def header_of(self, quoted: range) -> range | None:
        """The header that says what the `quoted` rows hold, when it stands outside of them."""
        header = range(*self.header) if self.header else None
        return header if header and header.start not in quoted else None

    @cached_property
    def header_text(self) -> str:
        """The header as people read it; empty for none."""
        return readable(self.text[slice(*self.header)]) if self.header else ""

    @cached_property
    def heading(self) -> str:
        """The headings above it."""
        return " > ".join(self.section)

    @cached_property
    def context(self) -> str:
        """Everything that says what the passage is about, itself included."""
        return f"{self.title}. {self.scope}. {self.heading}. {self._told}"

    @cached_property
    def stems(self) -> frozenset[str]:
        """Meaning stems of the context; a table of contents speaks by its lead-in alone."""
        own = self.intro_text if self.menu and self.intro else self._told
        return frozenset(meaning_stems(f"{self.title}. {self.heading}. {own}"))

    @property
    def _told(self) -> str:
        return self.words if self.intro else f"{self.intro_text} {self.words}".strip()

    def scored(self, spans: Sequence[Span]) -> str:
        """What the reranker reads of `spans`: all that stands above them, then their text."""
        before = " > ".join((self.title, *self.section))
        told = "; ".join(filter(None, (self.header_text, *map(self.span_text, spans))))
        return f"{before}. {self.intro_text} {told}" if self.intro_text else f"{before}. {told}"

    def span_text(self, span: Span) -> str:
        """One span as people read it."""
        return readable(self.text[span.start : span.end])


@dataclass(frozen=True)
class Ranked:
    """A passage with its score for a question."""

    passage: Passage
    score: float
    similarities: tuple[float, ...] = field(repr=False, default=())  # cosines of question and spans
    answers: float = -math.inf  # log-odds that it answers, by the reranker; unread passages: none


class Ranker:
    """Ranks the passages of found chunks."""

    def __init__(self, index: Index, embed: Embed, reranker: Reranker) -> None:
        self._index = index
        self._embed = embed
        self._reranker = reranker
        self._headings: dict[str, frozenset[str]] = {}
        self._sources = lru_cache(maxsize=4096)(self._sources_with)

    def rank(
        self, question: Question, vector: Floats, hits: Sequence[Hit], whole: Question | None = None
    ) -> list[Ranked]:
        """The passages of `hits`, best first; ties go to the place in the document.

        `whole` is what `question` is a part of: its words tell which document is meant.
        """
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
            nearest = max(introduced, *found) if passage.intro_text else max(found)
            scored = self._score(question, passage, dense, nearest, found)
            away = self.elsewhere(whole or question, passage.source)
            ranked.append(replace(scored, score=scored.score - _ELSEWHERE * away))
        likely = sorted(ranked, key=_best_first)[:_RERANKED]
        return sorted(self._reranked(question, likely), key=_best_first)

    def _reranked(self, question: Question, likely: Sequence[Ranked]) -> list[Ranked]:
        """`likely` with what the reranker says of each."""
        views = [_views(r, items=n < _OPENED) for n, r in enumerate(likely)]
        said = iter(self._reranker.score(question.text, [t for texts in views for t in texts]))
        answers = [max(float(next(said)) for _ in texts) for texts in views]
        return [
            replace(r, answers=best, score=_PRIOR * r.score + best)
            for r, best in zip(likely, answers, strict=True)
        ]

    def rarity(self, stem: str) -> float:
        """The inverse document frequency of `stem` among the chunks; 0 where it never occurs."""
        seen = max(self._index.chunks_with(form) for form in forms_of(stem))
        total = len(self._index.chunks)
        return math.log(1 + (total - seen + 0.5) / (seen + 0.5)) if seen else 0.0

    def elsewhere(self, question: Question, source: str) -> float:
        """How much of the question stands in other documents and nowhere in `source`.

        Its words weigh by how few documents have them; with one document there is nothing to tell.
        """
        return sum(weight for sources, weight in self._telling(question) if source not in sources)

    def _telling(self, question: Question) -> list[tuple[frozenset[str], float]]:
        """The documents with each word of the question that not all have, and its weight."""
        total = len(self._index.documents)
        held = [self._sources(stem) for stem in question.stems] if total > 1 else []
        return [
            (sources, min(_TELLING, math.log(total / len(sources))))
            for sources in held
            if 0 < len(sources) < total
        ]

    def _sources_with(self, stem: str) -> frozenset[str]:
        return frozenset().union(*(self._index.sources_with(form) for form in forms_of(stem)))

    def focus(self, question: Question, ranked: Ranked) -> tuple[Span, ...]:
        """The spans of a list that answer `question`: those its words single out, else all.

        A list of up to three items stays whole; of one of more than ten of which no word singles
        any out, it is the six nearest to the question. What answers by the reranker's word joins
        those chosen, at least the best; but items that the question names by their labels do alone.
        """
        passage = ranked.passage
        if len(passage.spans) <= _FEW_ITEMS:
            return passage.spans
        if passage.is_list and (labelled := _by_labels(question, passage, self.rarity)):
            return labelled
        chosen = _by_words(question, ranked, self.rarity)
        if len(chosen) == len(passage.spans) or len(passage.spans) > _MOST_SPANS:
            return chosen
        texts = [passage.scored([span]) for span in passage.spans]
        said = self._reranker.score(question.text, texts)
        least = min(0.0, float(said.max()))
        answers = zip(passage.spans, said.tolist(), strict=True)
        return tuple(span for span, answer in answers if span in chosen or answer >= least)

    def section_context(self, passage: Passage) -> str:
        """What the passage's section says as a whole, with title, scope and headings."""
        chunks = self._index.section_chunks[(passage.source, passage.section)]
        return f"{passage.context} {passage.text[chunks[0].start : chunks[-1].end]}"

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
        return Ranked(passage, score, found)

    def _passages(self, hits: Sequence[Hit]) -> Iterator[Passage]:
        """The passages of the sections in which `hits` stand, each once."""
        seen: set[tuple[str, int]] = set()
        for hit in hits:
            spans = self._section_spans(hit.chunk)
            document = self._index.document(hit.chunk.source)
            headings = self._headings_of(document)
            for passage in _cut(document, hit.chunk.section, spans, headings):
                if (passage.source, passage.start) not in seen:
                    seen.add((passage.source, passage.start))
                    yield passage

    def _section_spans(self, chunk: Chunk) -> list[Span]:
        chunks = self._index.section_chunks[(chunk.source, chunk.section)]
        spans = [span for c in chunks for span in c.spans]
        return spans if len(spans) <= _MOST_SPANS else list(chunk.spans)

    def _headings_of(self, document: Document) -> frozenset[str]:
        if document.source not in self._headings:
            self._headings[document.source] = _headings(document)
        return self._headings[document.source]


def _nearest(ranked: Ranked) -> list[Span]:
    """The items of a list that are most like the question; none of a short one."""
    spans = ranked.passage.spans
    if not ranked.passage.is_list or len(spans) == 1:
        return []
    order = np.argsort([-s for s in ranked.similarities], kind="stable")[:_READ_ITEMS]
    return [spans[at] for at in order.tolist()]


def _views(ranked: Ranked, *, items: bool) -> list[str]:
    """What is read of a passage: the whole and, with `items`, those most like the question.

    A long list is read in part only, and one item that answers is lost among the others.
    """
    chosen = [ranked.passage.spans, *((item,) for item in _nearest(ranked) if items)]
    return [ranked.passage.scored(spans) for spans in chosen]


def passages_of(document: Document) -> Iterator[Passage]:
    """All passages of `document`, in reading order."""
    headings = _headings(document)
    for section in document.sections:
        yield from _cut(document, section.path, section.spans, headings)


def _headings(document: Document) -> frozenset[str]:
    return frozenset(heading.lower() for s in document.sections for heading in s.path)


def _cut(
    document: Document, section: tuple[str, ...], spans: Sequence[Span], headings: frozenset[str]
) -> Iterator[Passage]:
    """The passages that `spans` of one section make."""
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
        asked = introduced and before is not None and _asks(text, before)  # nobody quotes that
        titles = [text[s.start : s.end].lower() in headings for s in group]
        yield Passage(
            document.source,
            document.title,
            section,
            document.meta.get("scope", ""),
            text,
            tuple(group),
            (before.start, before.end) if before and introduced and not asked else None,
            first.lead if first.kind == "sentence" or asked else None,
            menu=len(titles) > 1 and sum(titles) * 2 > len(titles),
        )


def _best_first(ranked: Ranked) -> tuple[float, str, int]:
    """Sorts by score; ties go to the place in the document."""
    return -ranked.score, ranked.passage.source, ranked.passage.start


def _introduces(text: str, before: Span, after: Span) -> bool:
    """Whether the sentence `before` leads into what begins with `after`."""
    leads = after.kind != "sentence" and text[before.end - 1] == ":"
    return before.kind == "sentence" and (leads or after.lead == (before.start, before.end))


def _asks(text: str, span: Span) -> bool:
    return "?" in text[span.end - 4 : span.end]


def _by_labels(
    question: Question, passage: Passage, rarity: Callable[[str], float]
) -> tuple[Span, ...]:
    """The items or rows whose whole label the question says, and those that hold more of its words.

    None where it compares or where most fit; what a follow-up leans on names none. Of labels that
    hold each other ("engineer", "senior engineer") the longest counts.
    """
    labels = [_label(passage, span) for span in passage.spans]
    shared = frozenset.intersection(*labels)
    said = {label for label in labels if label - shared and label <= question.asked_last | shared}
    named = {label for label in said if not any(label < other for other in said)}
    chosen = {at for at, label in enumerate(labels) if label in named}
    if question.compares or _NOT_IT.search(question.text) or not chosen:
        return ()
    held = [set(meaning_stems(passage.span_text(span))) for span in passage.spans]
    left = {*question.stems} - _general(passage).union(*(held[at] for at in chosen))
    for at, stems in enumerate(held):
        if math.fsum(map(rarity, left & stems)) >= _SPECIFIC:
            chosen.add(at)
            left -= stems
    if len(chosen) * 2 > len(passage.spans):
        return ()
    return tuple(passage.spans[at] for at in sorted(chosen))


def _label(passage: Passage, span: Span) -> frozenset[str]:
    """The meaning stems of what stands before an item's colon or in a row's first cell."""
    label, colon, _ = passage.span_text(span).partition(":")
    return frozenset(meaning_stems(re.split(r"[,(]", label)[0])) if colon else frozenset()


def _general(passage: Passage) -> set[str]:
    """The words of all that stands above the items: they single none out."""
    return set(meaning_stems(f"{passage.title}. {passage.heading}. {passage.intro_text}"))


def _by_words(
    question: Question, ranked: Ranked, rarity: Callable[[str], float]
) -> tuple[Span, ...]:
    """The spans that the question's words single out, else all of them or those nearest to it."""
    passage = ranked.passage
    if not passage.is_list or len(passage.spans) == 1:
        return passage.spans
    general = _general(passage)
    wanted = {s: w for s in question.stems if s not in general and (w := rarity(s)) > 0}
    weights = [
        math.fsum(wanted.get(stem, 0.0) for stem in set(meaning_stems(passage.span_text(span))))
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
        gain = math.fsum(left.get(stem, 0.0) for stem in stems)
        tied = bool(chosen) and weights[at] == max(weights)
        if gain >= _SPECIFIC or tied or (compares and weights[at] > 0):
            chosen.add(at)
            left = {stem: w for stem, w in left.items() if stem not in stems}
    return tuple(passage.spans[at] for at in sorted(chosen))
