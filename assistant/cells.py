"""The figures of lists and tables, each with the labels of its row and its column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .binding import table_row
from .figures import Figure, figures
from .words import content_stems, words

TIME = frozenset(content_stems("minute hour day week month year time duration length"))
_LASTS = re.compile(  # "Study time", "Years of service"; not "euros a year"
    r"\b(?:minutes|hours|days|weeks|months|years|time|duration|length)\b", re.IGNORECASE
)
_UNITS = re.compile(r"\b(?:milli)?(?:second|minute|hour|day|week|month|year)s?\b")
_SUM = re.compile(r"\b(?:total|sum|all|overall|average|mean|median|world)\b", re.IGNORECASE)
_UNWEIGHED = re.compile(  # before or in a figure: less than nothing, about, a point for thousands
    r"[-−–<>~(]\s*[$€£]?$"  # noqa: RUF001
)
_MONTH = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_RANK = re.compile(r"\brank|\bplace\b|\bposition\b|currency", re.IGNORECASE)
_LETTER = re.compile(r"(?<=\w )[B-HJ-Z]\b|(?<=[Zz]one )A\b|(?<=[Bb]and )A\b|(?<=[Gg]rade )A\b")
DENYING = frozenset("no non without before after under over".split())  # turn a label round
_LABEL_WORDS = 8  # of the longest label


@dataclass(frozen=True)
class Valued:
    """A figure that stands alone in a cell of a table or behind the label of an item."""

    row: frozenset[str]
    column: frozenset[str]  # none in a list
    figure: Figure
    is_time: bool  # how long something lasts, not what it pays
    measure: tuple[object, ...]  # what stands around it: figures of one measure can be compared
    is_sum: bool

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Its lowest and highest value; of times, in seconds."""
        scale = self.figure.seconds or 1.0
        return self.figure.low * scale, self.figure.high * scale

    def beats(self, other: "Valued", sign: int) -> bool:
        """Whether it is more than `other` (less, by `sign`), with both ends of a range."""
        low, high = ((a - b) * sign for a, b in zip(self.ends, other.ends, strict=True))
        return low >= 0 and high >= 0 and low + high > 0


def valued(evidence: str) -> Iterator[Valued]:
    """The figures of `evidence` that can be weighed by their value, in order.

    No years, dates, bounds or ranks; none of a cell with several.
    """
    table, above = 0, [""]
    for line in evidence.split("\n"):
        row = table_row(line)
        label, colon, text = line.partition(": ")
        if not row and colon and len(label.split()) <= _LABEL_WORDS:
            row = [("", label), ("", text)]
        columns = [column for column, _ in row]
        if line.strip() and not set(columns) & set(above):
            table += 1  # of lists and tables each compares its own
        above = columns if row else above if not line.strip() else []
        if any(map(_RANK.search, columns[1:])):
            continue
        for column, cell in row[1:]:
            found = figures(cell)
            beside = _beside(cell, found[0]) if len(found) == 1 else None
            if beside is None:
                continue
            figure = found[0]
            lasts = not figure.unit and _LASTS.search(column) and not figures(column)
            yield Valued(
                label_words(row[0][1]),
                label_words(column),
                figure,
                bool(figure.seconds or lasts),
                (figure.unit, bool(figure.seconds), figure.every, beside, table),
                bool(_SUM.search(row[0][1])),
            )


def _beside(text: str, figure: Figure) -> tuple[str, ...] | None:
    """The words beside a cell's one figure; None when it is not to be weighed by its value."""
    before, after = text[: figure.start], text[figure.start + len(figure.text) :]
    is_year = not figure.unit and re.fullmatch(r"(?:19|20)\d\d", figure.text)
    pointed = re.search(r"\d\.\d{3}(?!\d)", figure.text)
    if is_year or pointed or figure.open or figure.most or figure.least:
        return None
    if _UNWEIGHED.search(before) or _MONTH.search(text):
        return None
    beside = f"{before} {after}".lower()
    return tuple(words(_UNITS.sub("", beside) if figure.seconds else beside))


def label_words(text: str) -> frozenset[str]:
    """The words by which a label is named: also a letter ("Zone A") and what turns it round."""
    letters = map(str.lower, _LETTER.findall(text))
    return frozenset((*content_stems(text), *letters, *(DENYING & set(words(text)))))
