"""The number check of every displayed sentence: which of its figures the evidence does not give.

Compared as values with units. A range stands or falls as a whole, and so does a number with what it
counts: two years = 24 months, three days are not three weeks, a day is not a week, at least is not
at most. What the evidence only lists may be counted, and what it gives added or subtracted, within
limits: docs/decisions/0008-support.md, 0016-figures-and-comparisons.md, 0020-orders-and-sums.md.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby

from .figures import COUNT, CURRENCIES, SCALES, SECONDS, WORDS, Figure, count, figures
from .words import content_stems

_CARDINALS = {float(value): word for word, value in WORDS.items()}
_ABOVE = re.compile(
    r"\b(?:more than|over|above|just over|a little over|upwards of)\s+\S*$", re.IGNORECASE
)
_BELOW = re.compile(
    r"\b(?:less than|fewer than|under|below|just under|not quite|nearly|almost|close to)\s+\S*$",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"\b(?:up to|at (?:the )?most|as (?:much|many|high|far|long) as|"
    r"not? (?:more|longer|higher) than|"
    r"max\w*|can (?:\w+ ){0,3}(?:reach|be|rise|get|go|add|bring|run|cost|take|earn)|reach\w*|"
    r"ceiling|limit\w*|cap|capped|above|beyond|within|until|before|less than|under|may|might|"
    r"could|exceed\w*|even|some\w*|more than|longer than|highest|top)\b",
    re.IGNORECASE,
)
_HALF = 50.0
_EACH = re.compile(r"\b(?:each|every|per)\s+$", re.IGNORECASE)
_EARN = re.compile(r"\b(?:earn|make|get|paid|pay|salar|wage)", re.IGNORECASE)
_MORE_THAN = re.compile(r"\b(?:more|over|above|at least|higher)\b", re.IGNORECASE)
_LESS_THAN = re.compile(r"\b(?:less|under|below|at most|lower)\b", re.IGNORECASE)
_OVER = re.compile(r"\b(?:more than|over|above|well over)\s+\S*$", re.IGNORECASE)
_UNDER = re.compile(r"\b(?:less than|fewer than|under|below)\s+\S*$", re.IGNORECASE)
_MANY_OF = re.compile(r"\b(?:most|majority|more than half)\b", re.IGNORECASE)
_FEW_OF = re.compile(r"\b(?:few|minority)\b", re.IGNORECASE)
_MOST_COUNTED = 12
_BULLET = re.compile(r"\s*(?:[-*+\u2022]|\d+[.)])\s")
_PIECES = re.compile(r"[.;:()\n]")
_COMMA = re.compile(r",(?!\d)\s*")
_JOINS = re.compile(r"(?:^|\s)(?:and|or)\s")
_THE = re.compile(r"\b(?:the|these|those|both|all|its|their)(?: other)?\s+$", re.IGNORECASE)
_OF_THE = re.compile(r"\b(?:(?:of|than|all|between) the|all)\s+$", re.IGNORECASE)
_ONLY_ONE = re.compile(r"\b(?:one|once|single)\s+(\w+(?:\s+\w+){0,2})", re.IGNORECASE)
_FEW = 6  # values of a kind in the evidence; among more, chance finds any difference
_YEARS = (1000, 2100)
_APART = re.compile(
    r"(?:\s+\w+){0,2}\s+(?:more|less|fewer|longer|shorter|higher|lower|older|younger|later|earlier|"
    r"sooner|ahead|apart|cheaper|dearer|extra)\b",
    re.IGNORECASE,
)
_BY = re.compile(  # "rose by 17", "leads Azure by seven", "a gap of 17"
    r"(?:\b(?:r[io]s(?:e|es|en|ing)|gr[eo]ws?|grown|increas\w+|f[ae]lls?|fallen|drop\w*|shr[aiu]nk\w*|"
    r"climb\w*|jump\w*|up|down|gain\w*|lead\w*|led|trail\w*|exceed\w*|beat\w*|differ\w*|disagree\w*|"
    r"short|better|worse|ahead|behind|longer|shorter|more|less|higher|lower|cheaper)\b"
    r"(?:\s+[\w'-]+){0,6}?\s+by|\b(?:gap|lead|difference) (?:of|is|was))\s+"
    r"(?:(?:only|just|about|exactly)\s+)?\S?$",
    re.IGNORECASE,
)
_UP_FROM = re.compile(
    r"\b(?:(?:r[io]s(?:e|es|en|ing)|rais\w+|lift\w*|gr[eo]ws?|grown|jump\w*|climb\w*|increas\w+|"
    r"doubl\w+)\b[^.;]{0,60}|up(?:\s+\w+){0,2}),?\s+from\s+\S?$",
    re.IGNORECASE,
)
_DOWN_FROM = re.compile(
    r"\b(?:(?:f[ae]lls?|fallen|drop\w*|reduc\w+|cuts?|shr[aiu]nk\w*)\b[^.;]{0,60}|"
    r"down(?:\s+\w+){0,2}),?\s+from\s+\S?$",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TOLD_AS_LIST = re.compile(r"\n\s*[-*+\u2022]\s|\n[^\n]*: [^\n]*; [^\n]*: ")
_POINTS = re.compile(r"\s+(?:percentage )?points?\b", re.IGNORECASE)
_SINCE = re.compile(r"\s+years?\s+(?:after|before|later|earlier)\b", re.IGNORECASE)
_TOGETHER = re.compile(
    r"\b(?:together|altogether|combined|between them|in (?:all|total))\b", re.IGNORECASE
)
_EARLIER = re.compile(r"\b(?:earlier|before|previous)\b", re.IGNORECASE)
_LATER = re.compile(
    rf"\b(?P<n>{COUNT})\s+years?\s+(?:later|earlier|before|after\w*)\b|"
    r"\b(?P<one>(?:the|a)\s+(?:following|next|previous)\s+year|a\s+year\s+(?:later|earlier|before|"
    r"after\w*)|the\s+year\s+(?:before|after))\b",
    re.IGNORECASE,
)
_FROM = re.compile(  # right before a number: it is said to be the lower end of a range
    r"\b(?:at least|as (?:low|little|few) as|minimum(?: of)?|min|from|start\w* (?:at|from|with)|"
    r"no (?:less|fewer) than|beginning at|lower end (?:of|is))\s*$",
    re.IGNORECASE,
)
_TO = re.compile(  # or the upper one
    r"\b(?:up to|at most|as (?:much|high|many) as|maximum(?: of)?|max|no more than|reach\w*|"
    r"top\w* out at|upper end (?:of|is))\s*$",
    re.IGNORECASE,
)
_LOWER_END = re.compile(  # "At least, a role requires 5", "the minimum is 5", "the lower end, 5"
    r"\b(?:at (?:the )?(?:very )?least|at worst),[^,.;:\d]*$|"
    r"\b(?:minimum|lower (?:end|bound|limit)),?(?:\s+(?!maxim|upper|most)[a-z]+){0,3}\s*,?\s*$",
    re.IGNORECASE,
)
_UPPER_END = re.compile(
    r"\b(?:at (?:the )?(?:very )?most|at best),[^,.;:\d]*$|"
    r"\b(?:maximum|upper (?:end|bound|limit)),?(?:\s+(?!minim|lower|least)[a-z]+){0,3}\s*,?\s*$",
    re.IGNORECASE,
)
_AND_MORE = re.compile(
    r"(?:\s+\w+)?\s+(?:or (?:more|longer|over|above)|and (?:up|more)|upwards?|plus)"
    r"(?=\s*(?:[.,;:)]|$)|\s+(?:are|is|of)\b)",
    re.IGNORECASE,
)
_AND_LESS = re.compile(
    r"(?:\s+\w+)?\s+(?:or (?:less|fewer|under|below)|at (?:the )?most)\b", re.IGNORECASE
)
_OPEN = re.compile(
    r"\b(?:or more|and more|over|at least|more than|above|beyond|minimum|and up|plus)\b",
    re.IGNORECASE,
)
_FROM_YEAR = re.compile(r"\b(?:since|from|after|start\w*|beg[au]n|founded)(?: in)?$", re.IGNORECASE)
_IN_YEAR = re.compile(r"\b(?:in|by|of|between|and|during|around)$", re.IGNORECASE)
_TO_YEAR = re.compile(r"\b(?:until|till|to|before|end\w*|closed)(?: in)?$", re.IGNORECASE)
_IN_SCALE = re.compile(
    r"(\d+)(?:\.(\d+))?\s?(k|m|mn|bn?|thousand|million|billion)\b", re.IGNORECASE
)
_DIGITS = 3
_ABOUT = re.compile(
    r"\b(?:about|around|approximately|approx|roughly|nearly|almost|some|close to|circa|or so)\b|"
    r"~|≈",
    re.IGNORECASE,
)


def missing_figures(claim: str, evidence: str) -> list[Figure]:
    """The figures of `claim` that `evidence` does not give."""
    known = figures(evidence)
    money = {unit for word, unit in CURRENCIES.items() if word in evidence.lower()}
    return [
        f
        for f in figures(claim)
        if not any(gives(k, f, claim, money) for k in known)
        and not _in_words(f, claim, evidence)
        and not _beyond_percentile(f, claim, known, evidence)
        and not _worked_out(f, claim, known, evidence)
        and not _only_counts(f, claim, known, evidence)
        and not _beside_half(f, claim, known, evidence)
        and not _from_one_to_another(f, claim, known, evidence)
    ]


def _from_one_to_another(
    claimed: Figure, claim: str, known: Sequence[Figure], evidence: str
) -> bool:
    """Whether the evidence gives both ends as values of their own: of years, or of a change.

    "Between 2022 and 2024"; "rose from 38 to 57" of running text, the right way round: whether both
    are of one thing, reading tells.
    """
    if not claimed.is_range or claimed.open:
        return False
    if not _years(claimed):
        before = claim[: claimed.start + 1]
        ends = [float(n.replace(",", "")) for n in _AMOUNT.findall(claimed.text)] or [0, 0]
        way = _UP_FROM if ends[0] < ends[-1] else _DOWN_FROM
        if not way.search(before) or _TOLD_AS_LIST.search(evidence):
            return False
    both = (replace(claimed, high=claimed.low), replace(claimed, low=claimed.high))
    single = [k for k in known if not k.is_range]
    return all(any(gives(k, end, claim) for k in single) for end in both)


def _only_counts(claimed: Figure, claim: str, known: Sequence[Figure], evidence: str) -> bool:
    """Whether it counts, in words, what the evidence lists, or things spoken of as known.

    "Both of the two grounds": nothing of what it counts may have a number in the evidence. Whether
    such a count is right, only reading tells.
    """
    if claimed.unit or claimed.seconds or claimed.every or claimed.low > _MOST_COUNTED:
        return False
    if not claimed.text.isalpha():
        return False
    if claimed.low in _listed(evidence):
        return True
    if _OF_THE.search(claim[: claimed.start]) and claimed.low in _rows_and_columns(evidence):
        return True
    if not _THE.search(claim[: claimed.start]):
        return False
    counted = _counted(claim, claimed)
    given = [_counted(evidence, k) for k in known]
    given += [frozenset(content_stems(match[1])) for match in _ONLY_ONE.finditer(evidence)]
    return bool(counted) and not any(counted & stems for stems in given)


def _listed(evidence: str) -> set[int]:
    """How many items its lists have, those of lines and those within sentences."""
    sizes = set()
    size = 0
    for line in [*evidence.split("\n"), "end"]:
        if _BULLET.match(line):
            size += 1
        elif line.strip():
            sizes.add(size)
            size = 0
    for piece in _PIECES.split(evidence):
        items = _COMMA.split(piece)
        for size, item in enumerate(items[1:], 2):  # what follows "A, B and C" may go on
            if joined := _JOINS.search(item):
                sizes.add(size + (joined.start() > 0))
    return sizes - {0, 1}


def _rows_and_columns(evidence: str) -> set[int]:
    """How many rows and columns of values its tables have, told with the columns' names."""
    sizes = set()
    for _, lines in groupby(evidence.split("\n"), lambda line: line.count("; ")):
        rows = [line for line in lines if line.count("; ") > 1 and ": " in line]
        sizes |= {len(rows), rows[0].count("; ")} if rows else set()
    return sizes


def _beside_half(claimed: Figure, claim: str, known: Sequence[Figure], evidence: str) -> bool:
    """Whether it is "more than half" or "fewer than half", and all shares given say so.

    Without shares, the evidence must speak of most or of few.
    """
    if claimed.unit != "%" or "half" not in claimed.text.lower():
        return False
    before = claim[: claimed.start + 1]
    shares = [k for k in known if k.unit == "%"]
    if _OVER.search(before):
        return all(k.low > _HALF for k in shares) if shares else bool(_MANY_OF.search(evidence))
    if _UNDER.search(before):
        return all(k.high < _HALF for k in shares) if shares else bool(_FEW_OF.search(evidence))
    return False


def _beyond_percentile(claimed: Figure, claim: str, known: Sequence[Figure], evidence: str) -> bool:
    """Whether it is the share who earn more or less than a percentile: a quarter, than the 75th."""
    if claimed.unit != "%" or not _EARN.search(claim):
        return False
    lower = evidence.lower()
    ranks = {k.low for k in known if "percentile" in lower and k.unit == "th"}
    ranks |= {_HALF} if "median" in lower else set()
    after = claim[claimed.start + len(claimed.text) :]
    beyond, below = (bool(side.search(after)) for side in (_MORE_THAN, _LESS_THAN))
    return beyond != below and (100 - claimed.low if beyond else claimed.low) in ranks


def _counted(text: str, figure: Figure) -> frozenset[str]:
    """The stems of the words after a figure: what it counts is among them."""
    after = re.split(r"[.,;:()|\n]", text[figure.start + len(figure.text) :], maxsplit=1)[0]
    return frozenset(content_stems(" ".join(after.split()[:4])))


def _worked_out(claimed: Figure, claim: str, known: Sequence[Figure], evidence: str) -> bool:
    """Whether it is the difference, the sum or the year that figures of the evidence make.

    With many figures any number is the difference of some: then nothing counts as worked out.
    """
    if claimed.is_range or claimed.open or claimed.most or claimed.least or claimed.unit == "th":
        return False
    if _is_year(claimed):
        return claimed.low in _years_told(known, evidence)
    after = claim[claimed.start + len(claimed.text) :]
    near = 1e-6 * abs(claimed.low)
    if not claimed.unit and _POINTS.match(after):
        claimed = replace(claimed, unit="%")
    if _APART.match(after) or _BY.search(claim[: claimed.start + 1]):
        pairs = _pairs([k.low for k in known if _alike(k, claimed)])
        return any(abs(b - a - claimed.low) <= near for a, b in pairs)
    if claimed.seconds == SECONDS["year"]:
        years = _pairs([year for k in known for year in _years(k)])
        pairs = [(a, b) for a, b in years if b - a == claimed.low]
        told = {year for f in figures(claim) for year in _years(f)} if pairs else set()
        if any(_SINCE.match(after) or {a, b} <= told for a, b in pairs):
            return True
    if claimed.unit != "%" and _TOGETHER.search(claim):
        pairs = _pairs([k.low for k in known if _alike(k, claimed)])
        return any(abs(a + b - claimed.low) <= near for a, b in pairs)
    return False


def _alike(known: Figure, claimed: Figure) -> bool:
    """Whether two single values count the same."""
    kinds = ((k.unit, k.seconds) for k in (known, claimed))
    same = len(set(kinds)) == 1 and (known.every == claimed.every or not claimed.every)
    return same and not known.is_range and not _is_year(known)


def _pairs(values: Sequence[float]) -> list[tuple[float, float]]:
    """Each two of `values`, the less first; none where there are many."""
    every = sorted(set(values))
    return [(a, b) for a in every for b in every if a < b] if len(every) <= _FEW else []


def _years(figure: Figure) -> tuple[float, ...]:
    """The years that it is, or that it goes from and to."""
    counts = figure.unit or figure.seconds or figure.every or "," in figure.text
    if counts or not _YEARS[0] <= figure.low <= figure.high <= _YEARS[1]:
        return ()
    return (figure.low, figure.high) if figure.is_range else (figure.low,)


def _is_year(figure: Figure) -> bool:
    """Whether it is written as a year is."""
    plain = not (figure.unit or figure.seconds or figure.is_range)
    return plain and _YEARS[0] <= figure.low <= _YEARS[1] and figure.text.isdigit()


def _years_told(known: Sequence[Figure], evidence: str) -> set[float]:
    """The years that the evidence tells from the one before: "two years later", "the next year"."""
    told = set()
    for match in _LATER.finditer(evidence):
        years = [k.low for k in known if _is_year(k) and k.start < match.start()]
        way = -1 if _EARLIER.search(match[0]) else 1
        told |= {year + way * (count(match["n"]) if match["n"] else 1) for year in years[-1:]}
    return told


def _in_words(claimed: Figure, claim: str, evidence: str) -> bool:
    """Whether the evidence writes the figure out: "the fourth", "one week in six", "a year"."""
    if claimed.unit == "th":
        rank = rf"one \w+ in {re.escape(_CARDINALS.get(claimed.low, '?'))}"
        return bool(
            re.search(rf"\b(?:{re.escape(claimed.text)}|{rank})\b", evidence, re.IGNORECASE)
        )
    lasts = claimed.low * claimed.seconds
    units = [
        unit for unit, seconds in SECONDS.items() if lasts and abs(lasts - seconds) < 0.02 * seconds
    ]
    one = "an?|one|each|every|per" if _EACH.search(claim[: claimed.start]) else "an?|one"
    return bool(units and re.search(rf"\b(?:{one}) {units[0]}\b", evidence, re.IGNORECASE))


def gives(known: Figure, claimed: Figure, claim: str, money: Collection[str] = ()) -> bool:
    """Whether `known` of the evidence bears out `claimed`, as `claim` words it.

    `money` are the currencies that the evidence names anywhere: a table names its own only once.
    """
    if known.every and claimed.every and known.every != claimed.every:
        return False
    near = claim[max(0, claimed.start - 28) : claimed.start + len(claimed.text) + 16]
    if known.seconds and claimed.seconds and known.seconds != claimed.seconds:
        claimed = _in_unit_of(known, claimed, claim)
    if not _same_unit(known, claimed, money):
        return False
    if (known.most and claimed.least) or (known.least and claimed.most):
        return False
    if known.most and not (claimed.most or _MOST.search(claim) or _ABOUT.search(near)):
        return False
    if known.open and not (claimed.open or _OPEN.search(near)) and claimed.high == known.high:
        return False
    if claimed.open and not known.open:
        return False
    if claimed.is_range or not known.is_range:
        same = (claimed.low, claimed.high) == (known.low, known.high)
        rounded = _rounds_to(known, claimed, near) or _scaled(known, claimed)
        return same or rounded or _bounds(known, claimed, claim)
    return _ends(known, claimed, claim)


def _ends(known: Figure, claimed: Figure, claim: str) -> bool:
    """Whether one value is the end of the known range that `claim` says; "in 2022" may be both."""
    before = claim[: claimed.start].rstrip(" $€£")
    after = claim[claimed.start + len(claimed.text) :]
    if _is_year(claimed) and _years(known):
        first, last = (bool(side.search(before)) for side in (_FROM_YEAR, _TO_YEAR))
        begins, ends = claimed.low == known.low, claimed.low == known.high
        either = bool(_IN_YEAR.search(before))
        return (begins and (first or either)) or (ends and (last or either))
    if claimed.low == known.low:
        return bool(_FROM.search(before) or _LOWER_END.search(before) or _AND_MORE.match(after))
    if claimed.low != known.high:
        return False
    if known.open and (_ABOVE.search(claim[: claimed.start + 1]) or _AND_MORE.match(after)):
        return True
    return bool(_TO.search(before) or _UPPER_END.search(before) or _AND_LESS.match(after))


def _same_unit(known: Figure, claimed: Figure, money: Collection[str]) -> bool:
    if known.unit == claimed.unit:
        return True
    if claimed.unit in money and not known.unit:
        return True
    if known.unit in money and not claimed.unit:
        return claimed.low >= 1000
    return claimed.unit == "th" and not known.unit and "percentile" not in claimed.text


def _bounds(known: Figure, claimed: Figure, claim: str) -> bool:
    """Whether the claim says "more than" or "less than", and the known value is just beyond."""
    if claimed.is_range or known.is_range:
        return False
    before = claim[: claimed.start + 1]
    over, under = bool(_ABOVE.search(before)), bool(_BELOW.search(before))
    beyond = known.low - claimed.low if over else claimed.low - known.low
    return (over or under) and 0 < beyond <= abs(claimed.low) / 5


def _in_unit_of(known: Figure, claimed: Figure, claim: str) -> Figure:
    """`claimed` in the unit of time of `known`: 24 months are two years.

    By a fiftieth more or less it counts as the same time. By a tenth when it says that it is not
    exact ("about four months"), or gives months and a half for weeks.
    """
    about = claim[max(0, claimed.start - 14) : claimed.start + len(claimed.text) + 14]
    units = {known.seconds, claimed.seconds}
    rough = SECONDS["month"] in units and SECONDS["year"] not in units
    near = 10 if _ABOUT.search(about) or (rough and not claimed.low.is_integer()) else 50
    ratio = claimed.seconds / known.seconds

    def told(value: float) -> float:
        return next((k for k in (known.low, known.high) if abs(k - value) <= k / near), value)

    low, high = told(claimed.low * ratio), told(claimed.high * ratio)
    return replace(claimed, low=low, high=high, seconds=known.seconds)


def _scaled(known: Figure, claimed: Figure) -> bool:
    """Whether it is the known value in thousands or millions, rounded to three digits or more."""
    written = _IN_SCALE.findall(claimed.text)
    if not written or claimed.is_range != known.is_range:
        return False
    ends = zip(
        (known.low, known.high),
        (claimed.low, claimed.high),
        (written[0], written[-1]),
        strict=True,
    )
    return all(
        given == said
        or (
            len((whole + part).lstrip("0")) >= _DIGITS
            and abs(given - said) <= SCALES[scale.lower()] / 10 ** len(part) / 2
        )
        for given, said, (whole, part, scale) in ends
    )


def _rounds_to(known: Figure, claimed: Figure, near: str) -> bool:
    """Whether the claim says that it rounds, and rounds by no more than a twentieth."""
    if not _ABOUT.search(near) or claimed.unit == "th":
        return False
    pairs = ((known.low, claimed.low), (known.high, claimed.high))
    return all(abs(a - b) <= abs(a) / 20 and abs(b) >= 10 for a, b in pairs)
