"""Composing the answer: sentences joined to a text, each with the citations that it earned."""

import re
from collections.abc import Sequence

from corpus.readable import with_columns
from corpus.sections import Span

from .answer import Citation, Sentence
from .evidence import Passage

_FINAL = re.compile(r"(?<![A-Za-z]\.[A-Za-z])[.!?]+$")  # "11 a.m." keeps its point
_BULLET = re.compile(r"^(?:[-*+•]|\d+[.)])\s+")
_ITEM = re.compile(r"\s*(?:[-*+•]\s|\d+[.)]\s)|.*\|")  # of a list, or a row of a table


class Composer:
    """Collects displayed sentences; the same quote keeps its mark."""

    def __init__(self) -> None:
        self.text = ""
        self.sentences: list[Sentence] = []
        self.citations: list[Citation] = []

    def add_supported(
        self, text: str, quotes: Sequence[tuple[Passage, range]], support: float
    ) -> Sentence:
        """Display a sentence of the model that the `quotes`, spans of passages, bear out."""
        parts = [(p, part) for p, span in quotes for part in (span, p.header_of(span)) if part]
        marks = tuple(dict.fromkeys(self._cite(passage, part).mark for passage, part in parts))
        written = f"{_FINAL.sub('', text)} {_written(marks)}."
        return self._append(written, " ", marks, "supported", support, "model")

    def add_quote(self, passage: Passage, span: range) -> Sentence:
        """Display the exact words of `span`; Markdown marks are undone, lists stay lists.

        Rows of a table come with their columns' names, and cite the header that holds those.
        """
        header = passage.header_of(span)
        cited = [self._cite(passage, part) for part in (span, header) if part]
        marks = tuple(citation.mark for citation in cited)
        words = as_displayed(*(citation.quote for citation in cited))
        end = None if "\n" in words else _FINAL.search(words)
        point = "" if "\n" in words else end[0] if end else "."
        bare = _FINAL.sub("", words) if end else words
        written = f"{bare} {_written(marks)}{point}"
        return self._append(written, "\n\n", marks, "quoted", 1.0, "quote")

    def _cite(self, passage: Passage, span: range) -> Citation:
        for known in self.citations:
            if (known.source, known.start, known.end) == (passage.source, span.start, span.stop):
                return known
        citation = Citation(
            mark=len(self.citations) + 1,
            source=passage.source,
            title=passage.title,
            section=passage.section,
            start=span.start,
            end=span.stop,
            quote=passage.text[span.start : span.stop],
        )
        self.citations.append(citation)
        return citation

    def _append(
        self,
        text: str,
        joint: str,
        marks: tuple[int, ...],
        verdict: str,
        support: float,
        origin: str,
    ) -> Sentence:
        after_list = bool(self.sentences) and "\n" in self.sentences[-1].text
        if self.text:
            self.text += "\n\n" if after_list or "\n" in text else joint
        start = len(self.text)
        self.text += text
        sentence = Sentence(text, start, len(self.text), marks, verdict, round(support, 4), origin)
        self.sentences.append(sentence)
        return sentence


def quote_ranges(passage: Passage, spans: Sequence[Span]) -> list[range]:
    """What is quoted of `passage`: all of it with its lead-in as one range, else span by span."""
    if len(spans) == len(passage.spans):
        return [range(passage.start, passage.end)]
    return [range(span.start, span.end) for span in spans]


def as_displayed(quote: str, header: str = "") -> str:
    """A quote for display: a lead-in and its items or rows as a Markdown list.

    `header` is that of a table whose rows it holds.
    """
    if "\n" not in quote:
        return with_columns(quote, header).strip()
    lines = [line.strip() for line in with_columns(quote, header).split("\n") if line.strip()]
    if not any(_ITEM.match(line) for line in quote.split("\n")[1:]):
        return " ".join(lines)  # a sentence that was wrapped in its source
    lead, items = (lines[:1], lines[1:]) if lines[0].endswith(":") else ([], lines)
    bullets = [f"- {_BULLET.sub('', item)}" for item in items]
    return "\n\n".join([*lead, "\n".join(bullets)])


def _written(marks: Sequence[int]) -> str:
    return "".join(f"[{mark}]" for mark in marks)
