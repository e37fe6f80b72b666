"""Numbers that a sentence works out from two figures of a list or table that it names."""

import re
from collections.abc import Collection, Iterator
from itertools import combinations

from .cells import TIME, Valued, label_words, valued
from .figures import Figure, figures

_FURTHER = re.compile(  # right after a difference: "$25,000 more", "6,300 a year above"
    r"(?:\s+(?!and\b|or\b)[\w$€£/]+){0,3}?\s+(?:more|less|fewer|higher|lower|longer|shorter|above|below|"
    r"beyond|further|ahead|apart|extra|cheaper|dearer|better|worse)\b",
    re.IGNORECASE,
)
_BY = re.compile(  # right before it: "by 25,000", "another 1,700", "a gap of 3,000"
    r"\b(?:by|another|extra|up|down|(?:gap|difference|lead|rise|step|margin)\b[^.;:\d]{0,60}?"
    r"\b(?:of|is|was|to))\s+(?:(?:about|around|only|just|some|roughly)\s+)?\S?$",
    re.IGNORECASE,
)
_MOVED = re.compile(  # "the rate goes up from", "moving on takes pay from"
    r"\b(?:r[io]s|rais|lift|up|down|gr[eo]w|jump|climb|increas|f[ae]ll|drop|cut|tak|mov|go|went)\w*\b"
    r"[^.;]{0,60}\bfrom\s+\S?$",
    re.IGNORECASE,
)
_SUMMED = re.compile(
    r"\b(?:together|altogether|combined|in (?:all|total)|total|sum)\b", re.IGNORECASE
)
_ABOUT = re.compile(
    r"\b(?:about|around|roughly|some|nearly|almost|approximately)\s+\S?$", re.IGNORECASE
)
_MOST_CELLS = 200  # of which any two are compared


def is_worked_out(figure: Figure, claim: str, evidence: str) -> bool:
    """Whether two cells that `claim` names make `figure`: by their difference, sum or as its ends.

    "Boutiques pay $25,000 more than banks in the second year", "fixed pay and commission together
    bring $96,000", "the rate goes up from $19 to $20". The cells stand in one row or one column,
    which is named; each is named by its other label or by its value. Which of them is more is not
    judged here.
    """
    before, after = claim[: figure.start + 1], claim[figure.start + len(figure.text) :]
    apart = bool(_FURTHER.match(after) or _BY.search(before))
    summed = figure.unit != "%" and bool(_SUMMED.search(claim))
    moved = figure.is_range and bool(_MOVED.search(before))
    if figure.open or figure.unit == "th" or not (apart or summed or moved):
        return False
    near = figure.low / 20 if _ABOUT.search(before) else 1e-6 * figure.low
    for a, b in _named_together(figure, claim, evidence):
        low, high = sorted((a.figure.low, b.figure.low))
        if figure.is_range:
            made = moved and (low, high) == (figure.low, figure.high)
        else:
            made = apart and abs(high - low - figure.low) <= near
            made = made or (summed and a.row == b.row and abs(high + low - figure.low) <= near)
        if made:
            return True
    return False


def _named_together(figure: Figure, claim: str, evidence: str) -> Iterator[tuple[Valued, Valued]]:
    """Each two cells of one row or column that `claim` names, measured as `figure` is."""
    said = label_words(claim)
    cells = [cell for cell in valued(evidence) if _lasts_like(cell, figure, said)]
    rows = _spoken_of(said, {cell.row for cell in cells})
    columns = _spoken_of(said, {cell.column for cell in cells})
    given = {f.low for f in figures(claim) if f.start != figure.start}
    ends = given | {figure.low, figure.high}
    meant = [c for c in cells if c.row in rows or c.column in columns or c.figure.low in ends]
    for a, b in combinations(meant[:_MOST_CELLS], 2):
        if a.measure != b.measure or figure.unit not in ("", a.figure.unit or figure.unit):
            continue
        by_value = [cell.figure.low in given for cell in (a, b)]
        if a.column == b.column:
            named = [cell.row in rows for cell in (a, b)]
            shared = a.column in columns or not columns
        elif a.row == b.row:
            named = [cell.column in columns for cell in (a, b)]
            shared = a.row in rows or not rows
        else:
            continue
        if figure.is_range:  # its values say nothing: they are what is asked
            by_value = [a.row == b.row and a.row in rows] * 2
        elif any(by_value):
            shared = any(named)
        if shared and all(n or v for n, v in zip(named, by_value, strict=True)):
            yield a, b


def _lasts_like(cell: Valued, figure: Figure, said: frozenset[str]) -> bool:
    """Whether it counts the same time as `figure`, or neither counts any.

    A column may name the unit for its cells ("Days of leave").
    """
    if cell.figure.seconds or not figure.seconds:
        return cell.figure.seconds == figure.seconds and cell.is_time == bool(figure.seconds)
    return cell.is_time and bool(cell.column & TIME & said)


def _spoken_of(
    said: frozenset[str], labels: Collection[frozenset[str]]
) -> frozenset[frozenset[str]]:
    """The `labels` of which `said` has a word that not all have, and another label has no more.

    "In the second year" names "Second year" and not "First year"; what it says whole it names.
    """
    common = frozenset.intersection(*labels) if len(labels) > 1 else frozenset()
    some = [label for label in labels if (label - common) & said]
    part = {a for a in some if any((a & said) < (b & said) for b in some)}
    return frozenset(label for label in some if label not in part or label <= said)
