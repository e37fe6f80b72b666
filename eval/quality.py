"""What an answer is worth: judged by rules from the case and the stored text, never by a model."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache

from assistant import Answer, Citation
from assistant.figure_check import missing_figures

from .cases import Case

_MARKS = re.compile(r"\s*\[\d+\]")

StoredText = Callable[[str], str]  # of a source


@dataclass(frozen=True)
class Marks:
    """What was right about one answer; None where the question does not arise.

    An abstention on an answerable question holds no fact and cites no section.
    """

    facts_held: bool | None  # all facts of an answerable case are in the answer
    section_cited: bool | None  # a citation stands below a right heading
    only_sections_cited: bool | None  # all citations do
    false_refusals: bool | None  # an answerable question was not answered
    false_answers: bool | None  # an unanswerable question was
    forbidden_said: bool | None  # something stands in the answer that must not
    citations_exact: bool | None  # each quote is the stored text at its offsets
    figures_cited: bool | None  # each figure is in a quote that its sentence cites, or above it


@dataclass(frozen=True)
class Rate:
    """How many of how many; the rate of none is unknown."""

    count: int
    n: int

    @property
    def rate(self) -> float | None:
        """`count` as a share of `n`."""
        return round(self.count / self.n, 4) if self.n else None


def mark(case: Case, answer: Answer, stored: StoredText) -> Marks:
    """The marks of `answer` to `case`; `stored` gives the text of a source."""
    said, cited = answer.answered, answer.citations
    right = [bool(set(case.sections) & set(c.section)) for c in cited]
    sections = case.answerable and bool(case.sections)
    return Marks(
        facts_held=said and holds(answer.text, case.facts) if case.answerable else None,
        section_cited=any(right) if sections else None,
        only_sections_cited=said and all(right) if sections else None,
        false_refusals=not said if case.answerable else None,
        false_answers=None if case.answerable else said,
        forbidden_said=_says_any(answer.text, case.forbidden) if case.forbidden else None,
        citations_exact=all(_is_exact(c, stored) for c in cited) if said else None,
        figures_cited=not uncited_figures(answer) if said else None,
    )


def summary(marks: Sequence[Marks]) -> dict[str, dict[str, float | int | None]]:
    """The rate of each mark over the answers that it applies to."""
    return {name: _as_dict(_rate(getattr(m, name) for m in marks)) for name in _NAMES}


def holds(text: str, facts: Iterable[Sequence[str]]) -> bool:
    """Whether `text` has each of `facts` in one of its wordings."""
    return all(_says_any(text, wordings) for wordings in facts)


def uncited_figures(answer: Answer) -> list[str]:
    """The figures of the answer that stand neither in what their sentence cites nor above it."""
    by_mark = {citation.mark: citation for citation in answer.citations}
    missing = []
    for sentence in answer.sentences:
        cited = [by_mark[mark] for mark in sentence.citations if mark in by_mark]
        evidence = "\n".join(" > ".join((*c.section, c.quote)) for c in cited)
        missing += [f.text for f in missing_figures(_MARKS.sub("", sentence.text), evidence)]
    return missing


_NAMES = tuple(field.name for field in fields(Marks))


def _rate(values: Iterable[bool | None]) -> Rate:
    known = [value for value in values if value is not None]
    return Rate(sum(known), len(known))


def _as_dict(rate: Rate) -> dict[str, float | int | None]:
    return {"rate": rate.rate, **asdict(rate)}


def _is_exact(citation: Citation, stored: StoredText) -> bool:
    return stored(citation.source)[citation.start : citation.end] == citation.quote


def _says_any(text: str, wordings: Sequence[str]) -> bool:
    return any(_wording(wording).search(text) for wording in wordings)


@cache
def _wording(wording: str) -> re.Pattern[str]:
    """`wording` from the start of a word on; a number is met whole ("5%" is not in "25%")."""
    before = r"(?<!\w)(?<!\d[.,])" if wording[0].isalnum() else ""
    after = r"(?!\d|[.,]\d)" if wording[-1].isdigit() else ""
    return re.compile(before + re.escape(wording) + after, re.IGNORECASE)
