"""Whether the figures of a list or table refute an order that a sentence gives to its things.

"Oslo pays more than Bergen" stands in no text: it follows from two figures, or they refute it. Only
a sentence that says little but the names of rows and columns, what all of them are, and plain
words is refuted: other words may weigh what the figures do not.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .binding import table_row
from .cells import DENYING, TIME, Valued, label_words, valued
from .figures import WORDS, figures
from .words import content_stems, negated, stems, words

_SIGN = dict.fromkeys(
    """more higher greater larger bigger longer above exceed exceeds exceeded exceeding outnumber
    outnumbers highest largest greatest biggest longest""".split(),
    1,
) | dict.fromkeys("less lower fewer smaller shorter below lowest smallest shortest".split(), -1)
_FIRST = re.compile(
    r"\b(?:highest|largest|greatest|biggest|longest|lowest|smallest|shortest)\b", re.IGNORECASE
)
# Of some, of others, of another time, or not the very first: the figures are not weighed so.
_OTHERWISE = re.compile(
    r"\b(?:among|after|aside|apart|bar|besides|else|except|excluding|near\w*|next|nth|others?|"
    r"outside|(?:second|third|fourth|fifth)(?! (?:year|season|level|grade|class)\b)|"
    r"\d+(?:st|nd|rd|th)(?! percentile)|almost|at least|one of|"
    r"most of|now|then|once|still|together|twice|per|hourly|an (?:hour|head)|a day|ratio|rank\w*|"
    r"place[ds]?|position\w*|tier|league)\b",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"^\W*(?:any|every|all|each|both|either|most|many|some|none|half)\b", re.IGNORECASE
)
_RANKED = re.compile(r"\brank(?:ed|ings?)\b|\bleague\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[,;:](?!\d)|\b(?:although|though|while|whereas|because|but|so)\b", re.IGNORECASE
)
_NOUN = re.compile(
    r"\b(?:in|at|for|to|of|by|on|is|are|was|were|goes|belongs|a|the|than|that|which|who)\b",
    re.IGNORECASE,
)
_PLAIN = frozenset(
    content_stems(
        """pay pays paid payment earn earns earned salary wage income charge cost price fee offer
        offered give gives given get gets receive receives received require need make makes bring
        people person staff worker employee employ firm company city country region place level
        rate amount value figure share number year month annual yearly monthly weekly week average
        total compare compared list listed table take takes last lasts above below more less
        higher lower high low slightly clearly even"""
    )
    + list(_SIGN)
)
_LASTING = frozenset("longer shorter longest shortest".split())
_FEW = 3  # things of which one can be first
_UNEXPLAINED = 1  # "takes home more", "the highest premium": one word may say what is weighed


class _UnclearError(Exception):
    """Words that name two labels as well."""


@dataclass(frozen=True)
class _Named:
    """The row and the column that words name; None for none."""

    row: frozenset[str] | None
    column: frozenset[str] | None

    def of(self, cells: Sequence[Valued], claim: str) -> Iterator[Valued]:
        """Those of `cells` in this row and column; of any column, what `claim` weighs.

        Time is weighed by "longer", and by other words when the claim speaks of time.
        """
        lasts = bool(_LASTING & set(words(claim)))
        timed = bool(TIME & stems(claim))
        for cell in cells:
            named = self.column == cell.column or timed or not cell.column
            meant = cell.is_time if lasts else named or not cell.is_time
            if meant and self.row in (None, cell.row) and self.column in (None, cell.column):
                yield cell


def misordered(around: tuple[str, str, str], word: str, evidence: str) -> bool:
    """Whether the figures that `evidence` gives to two things refute that one has more.

    `around` is the text before what compares, that ("fewer hours than"), and the text after it;
    `word` says which has more. A thing is a row or a column of a table, or both; what one side
    alone names belongs to both ("At senior level Oslo pays more than Bergen"). Where no column is
    named all must refute.
    """
    sign = _SIGN.get(word.lower(), 0)
    before, than, after = around[0], around[1], _CLAUSE.split(around[2])[0]
    claim = f"{before}{than}{after}"
    if not sign or _ALL.search(after):
        return False
    cells = _weighed(claim, evidence)
    try:
        one, other = (_named(text, cells) for text in (f"{before}{than}", after))
    except _UnclearError:
        return False
    one, other = (
        _Named(one.row or other.row, one.column or other.column),
        _Named(other.row or one.row, other.column or one.column),
    )
    if one == other or not _explained(claim, evidence, one, other):
        return False
    told = [
        (a, b)
        for a in one.of(cells, claim)
        for b in other.of(cells, claim)
        if (one.row or a.row == b.row)
        and (one.column or a.column == b.column)
        and a.measure == b.measure
    ]
    return bool(told) and all(b.beats(a, sign) for a, b in told)


def not_first(claim: str, evidence: str) -> str:
    """The word by which `claim` puts a thing first that `evidence` does not; empty for none.

    "Oslo pays the highest wage" where another row has a higher one. In a table of several columns
    it may be first in its row instead, unless what follows the word is a column's name ("the
    highest median in Oslo").
    """
    found = _FIRST.search(claim)
    if not found:
        return ""
    claim = claim[: found.end()] + _CLAUSE.split(claim[found.end() :])[0]
    if len(_FIRST.findall(claim)) > 1:
        return ""
    cells = _weighed(claim, evidence)
    try:
        named = _named(claim, cells)
    except _UnclearError:
        return ""
    if named.row is None or not _explained(claim, evidence, named):
        return ""
    sign = _SIGN[found[0].lower()]
    elsewhere = frozenset().union(*({c.column for c in cells} - {named.column}))
    noun = label_words(_NOUN.split(claim[found.end() :])[0])
    across = not (named.column and (named.column - elsewhere) & noun)
    beaten = [
        _is_beaten(own, cells, sign, across=across and bool(own.column))
        for own in named.of(cells, claim)
    ]
    return found[0] if beaten and all(beaten) else ""


def _is_beaten(own: Valued, cells: Sequence[Valued], sign: int, *, across: bool) -> bool:
    """Whether another of its column has more, and of its row too when it may be first `across`."""
    column = [c for c in cells if c.column == own.column and c.measure == own.measure]
    row = [c for c in cells if c.row == own.row and c.measure == own.measure]
    down = any(c.beats(own, sign) for c in column if not c.is_sum)
    return (
        len(column) >= _FEW and down and not (across and not any(c.beats(own, sign) for c in row))
    )


def _weighed(claim: str, evidence: str) -> list[Valued]:
    """The figures by which the order that `claim` gives can be judged; none when it cannot."""
    signs = {_SIGN[word] for word in words(claim) if word in _SIGN}
    if len(signs) != 1 or negated(claim) or _OTHERWISE.search(claim):
        return []
    title = evidence.split("\n", 1)[0]
    return [] if _RANKED.search(title) else list(valued(evidence))


def _named(text: str, cells: Sequence[Valued]) -> _Named:
    said = label_words(text)
    return _Named(
        _nearest(said, {cell.row for cell in cells}),
        _nearest(said, {cell.column for cell in cells}),
    )


def _nearest(said: frozenset[str], labels: Collection[frozenset[str]]) -> frozenset[str] | None:
    """The label that shares most with the words `said`, then the shortest; None when none does."""
    common = frozenset.intersection(*labels) if len(labels) > 1 else frozenset()
    fits = sorted(
        ((len((label - common) & said), -len(label - said), label) for label in labels),
        key=lambda fit: fit[:2],
    )
    if not fits or not fits[-1][0]:
        return None
    best = fits[-1][2]
    also = (label for label in labels if label - common and label - common <= said)
    if any(not label <= best for label in also) or best & DENYING - said:
        raise _UnclearError
    if len(fits) > 1 and fits[-1][:2] == fits[-2][:2]:
        raise _UnclearError
    return best


def _explained(claim: str, evidence: str, *named: _Named) -> bool:
    """Whether `claim` says at most one word that is neither plain, nor a name, nor said of all."""
    lines = evidence.split("\n")
    known = _PLAIN | stems(lines[0])
    for line in lines[1:]:
        if row := table_row(line):
            known |= stems(row[0][0])
        elif not figures(line) and (line.endswith(":") or ": " in line):
            known |= stems(line)  # a lead-in, or the header of two columns
    for one in named:
        known |= (one.row or frozenset()) | (one.column or frozenset())
    said = label_words(claim) - DENYING - known
    return sum(not (word.isdigit() or word in WORDS) for word in said) <= _UNEXPLAINED
