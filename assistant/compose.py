"""Composing the answer: sentences joined to a text, each with the citations that it earned."""

import re
from collections.abc import Sequence

from corpus.readable import readable
from corpus.sections import Span

from .answer import Citation, Sentence
from .evidence import Passage

_FINAL = re.compile(r"(?<![A-Za-z]\.[A-Za-z])[.!?]+$")  # "11 a.m." keeps its point
_BULLET = re.compile(r"^(?:[-*+•]|\d+[.)])\s+")
_ITEM = re.compile(r"\s*(?:[-*+•]\s|\d+[.)]\s|\|)")


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
        marks = tuple(dict.fromkeys(self._cite(passage, span).mark for passage, span in quotes))
        written = f"{_FINAL.sub('', text)} {''.join(f'[{mark}]' for mark in marks)}."
        return self._append(written, " ", marks, "supported", support, "model")

    def add_quote(self, passage: Passage, span: range) -> Sentence:
        """Display the exact words of `span`; Markdown marks are undone, lists stay lists."""
        citation = self._cite(passage, span)
        words = as_displayed(citation.quote)
        if "\n" in words:
            written = f"{words} [{citation.mark}]"
        else:
            end = _FINAL.search(words)
            written = f"{_FINAL.sub('', words)} [{citation.mark}]{end[0] if end else '.'}"
        return self._append(written, "\n\n", (citation.mark,), "quoted", 1.0, "quote")

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
    """What is quoted of `passage`: all of it with its lead-in as one range, else span by span.

    Rows of a table with several columns come after its header, which says what they hold.
    """
    if len(spans) == len(passage.spans):
        return [range(passage.start, passage.end)]
    rows = [range(span.start, span.end) for span in spans]
    return [range(*passage.header), *rows] if passage.header else rows


def as_displayed(quote: str) -> str:
    """A quote for display: a lead-in and its items or rows as a Markdown list."""
    if "\n" not in quote:
        return readable(quote).strip()
    lines = [line.strip() for line in readable(quote).split("\n") if line.strip()]
    if not any(_ITEM.match(line) for line in quote.split("\n")[1:]):
        return " ".join(lines)  # a sentence that was wrapped in its source
    lead, items = (lines[:1], lines[1:]) if lines[0].endswith(":") else ([], lines)
    bullets = [f"- {_BULLET.sub('', item)}" for item in items]
    return "\n\n".join([*lead, "\n".join(bullets)])
