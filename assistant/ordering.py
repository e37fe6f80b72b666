"""Whether the figures of a list or table refute an order that a sentence gives to its things.

"Oslo pays more than Bergen" stands in no text: it follows from two figures, or they refute it. Only
a sentence that says little but the names of rows and columns, what all of them are, and plain
words is refuted: other words may weigh what the figures do not.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from .binding import table_row
from .figures import WORDS, Figure, figures
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
_RANKED = re.compile(r"\brank(?:ed|ings?)\b|\bleague\b", re.IGNORECASE)
_RANK = re.compile(r"\brank|\bplace\b|\bposition\b|currency", re.IGNORECASE)
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
_TIME = frozenset(content_stems("minute hour day week month year time duration length"))
_LASTING = frozenset("longer shorter longest shortest".split())
_LASTS = re.compile(  # "Study time", "Years of service"; not "euros a year"
    r"\b(?:minutes|hours|days|weeks|months|years|time|duration|length)\b", re.IGNORECASE
)
_UNITS = re.compile(r"\b(?:milli)?(?:second|minute|hour|day|week|month|year)s?\b")
_SUM = re.compile(r"\b(?:total|sum|all|overall|average|mean|median|world)\b", re.IGNORECASE)
_UNWEIGHED = re.compile(  # before or in a figure: less than nothing, about, a point for thousands
    r"[-−–<>~(]\s*[$€£]?$"  # noqa: RUF001
)
_MONTH = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_LETTER = re.compile(r"(?<=\w )[B-HJ-Z]\b|(?<=[Zz]one )A\b|(?<=[Bb]and )A\b|(?<=[Gg]rade )A\b")
_DENYING = frozenset("no non without before after under over".split())
_LABEL_WORDS, _FEW = 8, 3  # the longest label; things of which one can be first
_MOST_CELLS = 200  # of which any two are compared
_UNEXPLAINED = 1  # "takes home more", "the highest premium": one word may say what is weighed


class _UnclearError(Exception):
    """Words that name two labels as well."""


@dataclass(frozen=True)
class _Valued:
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

    def beats(self, other: "_Valued", sign: int) -> bool:
        """Whether it is more than `other` (less, by `sign`), with both ends of a range."""
        low, high = ((a - b) * sign for a, b in zip(self.ends, other.ends, strict=True))
        return low >= 0 and high >= 0 and low + high > 0


@dataclass(frozen=True)
class _Named:
    """The row and the column that words name; None for none."""

    row: frozenset[str] | None
    column: frozenset[str] | None

    def of(self, cells: Sequence[_Valued], claim: str) -> Iterator[_Valued]:
        """Those of `cells` in this row and column; of any column, what `claim` weighs.

        Time is weighed by "longer", and by other words when the claim speaks of time.
        """
        lasts = bool(_LASTING & set(words(claim)))
        timed = bool(_TIME & stems(claim))
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
    noun = _label_words(_NOUN.split(claim[found.end() :])[0])
    across = not (named.column and (named.column - elsewhere) & noun)
    beaten = [
        _is_beaten(own, cells, sign, across=across and bool(own.column))
        for own in named.of(cells, claim)
    ]
    return found[0] if beaten and all(beaten) else ""


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


def _named_together(figure: Figure, claim: str, evidence: str) -> Iterator[tuple[_Valued, _Valued]]:
    """Each two cells of one row or column that `claim` names, measured as `figure` is."""
    said = _label_words(claim)
    cells = [cell for cell in _valued(evidence) if _lasts_like(cell, figure, said)]
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


def _lasts_like(cell: _Valued, figure: Figure, said: frozenset[str]) -> bool:
    """Whether it counts the same time as `figure`, or neither counts any.

    A column may name the unit for its cells ("Days of leave").
    """
    if cell.figure.seconds or not figure.seconds:
        return cell.figure.seconds == figure.seconds and cell.is_time == bool(figure.seconds)
    return cell.is_time and bool(cell.column & _TIME & said)


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


def _is_beaten(own: _Valued, cells: Sequence[_Valued], sign: int, *, across: bool) -> bool:
    """Whether another of its column has more, and of its row too when it may be first `across`."""
    column = [c for c in cells if c.column == own.column and c.measure == own.measure]
    row = [c for c in cells if c.row == own.row and c.measure == own.measure]
    down = any(c.beats(own, sign) for c in column if not c.is_sum)
    return (
        len(column) >= _FEW and down and not (across and not any(c.beats(own, sign) for c in row))
    )


def _weighed(claim: str, evidence: str) -> list[_Valued]:
    """The figures by which the order that `claim` gives can be judged; none when it cannot."""
    signs = {_SIGN[word] for word in words(claim) if word in _SIGN}
    if len(signs) != 1 or negated(claim) or _OTHERWISE.search(claim):
        return []
    title = evidence.split("\n", 1)[0]
    return [] if _RANKED.search(title) else list(_valued(evidence))


def _valued(evidence: str) -> Iterator[_Valued]:
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
            yield _Valued(
                _label_words(row[0][1]),
                _label_words(column),
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


def _label_words(text: str) -> frozenset[str]:
    """The words by which a label is named: also a letter ("Zone A") and what turns it round."""
    letters = map(str.lower, _LETTER.findall(text))
    return frozenset((*content_stems(text), *letters, *(_DENYING & set(words(text)))))


def _named(text: str, cells: Sequence[_Valued]) -> _Named:
    said = _label_words(text)
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
    if any(not label <= best for label in also) or best & _DENYING - said:
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
    said = _label_words(claim) - _DENYING - known
    return sum(not (word.isdigit() or word in WORDS) for word in said) <= _UNEXPLAINED
