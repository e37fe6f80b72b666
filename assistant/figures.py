"""Figures in text: amounts, percentages, ranges, years and counts as values with units.

`missing_figures` is the number check of every displayed sentence: 1,250 = 1250, $2-3K = $2,000 to
$3,000, 5-8% = 5 to 8 percent, six = 6, one in four = a quarter = 25 %, two years = 24 months. A
range stands or falls as a whole, and so does a number with what it counts: three days are not three
weeks, a day is not a week, at least is not at most.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from .words import content_stems

_SCALES = {
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "billion": 1e9,
    "trillion": 1e12,
}
_CURRENCIES = {
    "$": "$",
    "us$": "$",
    "usd": "$",
    "dollar": "$",
    "dollars": "$",
    "€": "€",
    "eur": "€",
    "euro": "€",
    "euros": "€",
    "£": "£",
    "gbp": "£",
    "pound": "£",
    "pounds": "£",
    "chf": "chf",
    "franc": "chf",
    "francs": "chf",
    "¥": "¥",
    "yen": "¥",
    "jpy": "¥",
    "₹": "₹",
    "rupee": "₹",
    "rupees": "₹",
    "inr": "₹",
}
_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_TENS = {word: value for word, value in _WORDS.items() if value >= 20}
_WORDS |= {  # twenty-four
    f"{tens}-{unit}": high + low
    for tens, high in _TENS.items()
    for unit, low in list(_WORDS.items())[1:10]
}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fifth": 5, "eighth": 8, "tenth": 10}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),
        1,
    )
}
_RANKED = re.compile(r"\s+(?:percentile|quartile|decile)", re.IGNORECASE)
_NUMBERED = re.compile(  # "first" and "second" order more than they count
    r"\s+(?:year|month|week|semester|round|attempt|level|edition)\b", re.IGNORECASE
)
_CARDINALS = {float(value): word for word, value in _WORDS.items()}
_MANY = {"dozen": 12.0, "hundred": 100.0}

_DASH = r"\s*(?:-|–|—|−|‑|~)\s*"  # noqa: RUF001 the dashes that people type between two numbers
_SCALE = r"(?:\s?(?P<scale{0}>thousand|million|billion|trillion|bn|mn|[kmb])(?![a-z]))?"
_MONEY = r"(?P<money{0}>us\$|usd\s?|eur\s?|gbp\s?|chf\s?|inr\s?|[$€£¥₹])?"
_NUMBER = r"(?P<number{0}>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_UNIT = (
    r"(?P<plus{0}>\+)?(?P<unit{0}>\s?%|\s?percent\b|\s?per\s?cent\b|\s?percentage points\b|"
    r"\s?(?:us\s)?dollars?\b|\s?usd\b|\s?euros?\b|\s?eur\b|\s?pounds?\b|\s?gbp\b|"
    r"\s?(?:swiss\s)?francs?\b|\s?chf\b|\s?yen\b|\s?jpy\b|\s?rupees?\b|\s?inr\b)?"
)
_ONE = _MONEY + _NUMBER + _SCALE + _UNIT


def _one(name: str) -> str:
    return _ONE.format(name)


_RANGE = re.compile(
    rf"(?<![\w.]){_one('a')}(?:{_DASH}|\s+to\s+|\s+and\s+|\s+through\s+){_one('b')}",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"(?<![\w.]){_one('a')}(?P<ordinal>st|nd|rd|th)?(?![\w])", re.IGNORECASE)
_SPELLED = "|".join(sorted([*_WORDS, *_MANY], key=len, reverse=True))
_WORD = re.compile(
    rf"\b(?P<word>{_SPELLED})\b(?!-(?:{_SPELLED})\b)"
    r"(?P<tail>\s+(?:hundred|thousand|million|billion))?"
    r"(?P<unit>\s?%|\s?percent\b|\s?per\s?cent\b|\s?dollars\b|\s?euros\b|\s?pounds\b)?",
    re.IGNORECASE,
)
_WORD_RANGE = re.compile(
    rf"\b(?P<low>{_SPELLED})\s+(?:to|or|and)\s+(?P<high>{_SPELLED})\b(?P<unit>\s?%|\s?percent\b)?",
    re.IGNORECASE,
)
# Shares: "one in four", "3 out of 10", "three employers in five", "a quarter of", "two thirds".
_COUNT = rf"(?:\d+|{_SPELLED})"
_ONE_OF = re.compile(
    rf"\b(?P<n>{_COUNT})(?:\s+\w+)?\s+(?:in|out\s+of)(?:\s+every)?\s+(?P<of>{_COUNT})\b(?!\s*%)",
    re.IGNORECASE,
)
_PART_OF = re.compile(
    rf"\b(?:(?P<n>{_COUNT}|a|an)[\s-]+)?(?P<part>half|halves|third|quarter|fifth|eighth|tenth)s?"
    r"\b(?=\s+(?:of|the|all|as|in)\b|[.,;]|$)",
    re.IGNORECASE,
)
_ORDINAL_WORD = re.compile(rf"\b(?P<word>{'|'.join(_ORDINALS)})\b", re.IGNORECASE)
_ABOVE = re.compile(
    r"\b(?:more than|over|above|just over|a little over|upwards of)\s+\S*$", re.IGNORECASE
)
_BELOW = re.compile(
    r"\b(?:less than|fewer than|under|below|just under|not quite|nearly|almost|close to)\s+\S*$",
    re.IGNORECASE,
)
_UP_TO = re.compile(
    r"\b(?:up to|(?<!twice )(?<!times )as (?:much|many|high|long) as|at most|no more than|"
    r"maximum of)$",
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
_AT_LEAST = re.compile(
    r"\b(?:at (?:the )?least|(?:no|not) (?:fewer|less|under|below)(?: than)?|minimum of)$",
    re.IGNORECASE,
)
_SECONDS = {  # a month is the twelfth of a year
    "millisecond": 0.001,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "month": 365 * 86400.0 / 12,
    "quarter": 365 * 86400.0 / 4,
    "year": 365 * 86400.0,
}
_MEASURE = re.compile(  # of the working days too
    r"(?:[\s-]+(?:working|business|calendar|full|more|consecutive))?"
    r"[\s-]+(?P<unit>milliseconds?|seconds?|minutes?|hours?|days?|weeks?|months?|years?)\b",
    re.IGNORECASE,
)
_EVERY = re.compile(  # "300 a day", "$20 per hour", "once every week"
    r"[^.;:,\d]{0,48}?\b(?:an?|per|each|every)\s+(?P<unit>second|minute|hour|day|week|month|"
    r"quarter|year)\b|[^.;:,\d]{0,24}?\b(?P<adverb>hourly|daily|weekly|monthly|quarterly|yearly|"
    r"annually)\b|/\s?(?P<short>hour|day|week|month|year)\b",
    re.IGNORECASE,
)
_ADVERBS = {"daily": "day", "annually": "year"}
_HALF = 50.0
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
_ONLY_ONE = re.compile(r"\b(?:one|once|single)\s+(\w+(?:\s+\w+){0,2})", re.IGNORECASE)
_FEW = 6  # values of a kind in the evidence; among more, chance finds any difference
_YEARS = (1000, 2100)
_APART = re.compile(
    r"(?:\s+\w+){0,2}\s+(?:more|less|fewer|longer|shorter|higher|lower|older|younger|later|earlier|"
    r"sooner|ahead|apart|cheaper|dearer|extra)\b",
    re.IGNORECASE,
)
_SINCE = re.compile(r"\s+years?\s+(?:after|before|later|earlier)\b", re.IGNORECASE)
_TOGETHER = re.compile(r"\b(?:together|altogether|combined|between them|in all)\b", re.IGNORECASE)
_EARLIER = re.compile(r"\b(?:earlier|before|previous)\b", re.IGNORECASE)
_LATER = re.compile(
    rf"\b(?P<n>{_COUNT})\s+years?\s+(?:later|earlier|before|after\w*)\b|"
    r"\b(?P<one>(?:the|a)\s+(?:following|next|previous)\s+year|a\s+year\s+(?:later|earlier|before|"
    r"after\w*)|the\s+year\s+(?:before|after))\b",
    re.IGNORECASE,
)
_AND_RANGE = re.compile(r"\b(?:between|from)\s+$", re.IGNORECASE)
_HEDGES = re.compile(  # right before a number: it is said to be one end of a range
    r"\b(?:up to|at most|at least|as (?:much|high|many|low|little|few) as|maximum(?: of)?|max|"
    r"minimum(?: of)?|min|from|start\w* (?:at|from|with)|no (?:more|less) than|beginning at|"
    r"reach\w*|top\w* out at|upper end (?:of|is)|lower end (?:of|is))\s*$",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:or more|and more|over|at least|more than|above|beyond|minimum|and up|plus)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:about|around|approximately|approx|roughly|nearly|almost|some|close to|circa)\b|~|≈",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Figure:
    """`low` to `high` (equal for one value) in `unit` ('', '%', '$', 'th'), as `text` says it."""

    low: float
    high: float
    unit: str
    open: bool  # "5+"
    text: str
    start: int
    most: bool = False  # "up to 5"
    least: bool = False  # "at least 5"
    seconds: float = 0.0  # how long the unit of time is that it counts; 0 for anything else
    every: str = ""  # the unit of time that it is for: "20 an hour"

    @property
    def is_range(self) -> bool:
        """Whether two different values were given."""
        return self.low != self.high


def figures(text: str) -> list[Figure]:
    """The figures of `text` in order."""
    found: list[Figure] = []
    taken = [False] * len(text)
    for figure, end in _candidates(text):
        if not any(taken[figure.start : end]):
            taken[figure.start : end] = [True] * (end - figure.start)
            found.append(_placed(figure, text, end))
    return sorted(found, key=lambda figure: figure.start)


def missing_figures(claim: str, evidence: str) -> list[str]:
    """The figures of `claim`, as it writes them, that `evidence` does not give."""
    known = figures(evidence)
    money = {unit for word, unit in _CURRENCIES.items() if word in evidence.lower()}
    return [
        f.text
        for f in figures(claim)
        if not any(gives(k, f, claim, money) for k in known)
        and not _in_words(f, evidence)
        and not _worked_out(f, claim, known, evidence)
        and not _only_counts(f, claim, known, evidence)
        and not _beside_half(f, claim, known, evidence)
    ]


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
        joined = _JOINS.search(items[-1])
        if len(items) > 1 and joined:
            sizes.add(len(items) + (joined.start() > 0))
    return sizes - {0, 1}


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
    if _APART.match(after):
        pairs = _pairs([k.low for k in known if _alike(k, claimed)])
        return any(abs(b - a - claimed.low) <= near for a, b in pairs)
    if claimed.seconds == _SECONDS["year"] and _SINCE.match(after):
        pairs = _pairs([k.low for k in known if _is_year(k)])
        return any(b - a == claimed.low for a, b in pairs)
    if _TOGETHER.search(claim):
        pairs = _pairs([k.low for k in known if _alike(k, claimed)])
        return any(abs(a + b - claimed.low) <= near for a, b in pairs)
    return False


def _alike(known: Figure, claimed: Figure) -> bool:
    """Whether two single values count the same."""
    kinds = ((k.unit, k.seconds, k.every) for k in (known, claimed))
    return len(set(kinds)) == 1 and not known.is_range and not _is_year(known)


def _pairs(values: Sequence[float]) -> list[tuple[float, float]]:
    """Each two of `values`, the less first; none where there are many."""
    every = sorted(set(values))
    return [(a, b) for a in every for b in every if a < b] if len(every) <= _FEW else []


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
        told |= {year + way * (_count(match["n"]) if match["n"] else 1) for year in years[-1:]}
    return told


def _in_words(claimed: Figure, evidence: str) -> bool:
    """Whether the evidence writes the figure out: "the fourth", "one week in six", "a year"."""
    if claimed.unit == "th":
        rank = rf"one \w+ in {re.escape(_CARDINALS.get(claimed.low, '?'))}"
        return bool(
            re.search(rf"\b(?:{re.escape(claimed.text)}|{rank})\b", evidence, re.IGNORECASE)
        )
    lasts = claimed.low * claimed.seconds
    units = [
        unit
        for unit, seconds in _SECONDS.items()
        if lasts and abs(lasts - seconds) < 0.02 * seconds
    ]
    return bool(units and re.search(rf"\b(?:an?|one) {units[0]}\b", evidence, re.IGNORECASE))


def gives(known: Figure, claimed: Figure, claim: str, money: Collection[str] = ()) -> bool:
    """Whether `known` of the evidence bears out `claimed`, as `claim` words it.

    `money` are the currencies that the evidence names anywhere: a table names its own only once.
    """
    if known.every and claimed.every and known.every != claimed.every:
        return False
    if known.seconds and claimed.seconds and known.seconds != claimed.seconds:
        return _as_long(known, claimed)
    if not _same_unit(known, claimed, money):
        return False
    if (known.most and claimed.least) or (known.least and claimed.most):
        return False
    near = claim[max(0, claimed.start - 28) : claimed.start + len(claimed.text) + 16]
    if known.most and not (claimed.most or _MOST.search(claim)):
        return False
    if known.open and not (claimed.open or _OPEN.search(near)) and claimed.high == known.high:
        return False
    if claimed.open and not known.open:
        return False
    if claimed.is_range or not known.is_range:
        same = (claimed.low, claimed.high) == (known.low, known.high)
        return same or _rounds_to(known, claimed, near) or _bounds(known, claimed, claim)
    before = claim[: claimed.start].rstrip(" $€£")
    return claimed.low in (known.low, known.high) and bool(_HEDGES.search(before))


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


def _placed(figure: Figure, text: str, end: int) -> Figure:
    """`figure`, which ends at `end`, with what the words around it make of it."""
    before = text[: figure.start].rstrip(" $€£¥₹")
    measured = None if figure.unit else _MEASURE.match(text, end)
    every = _EVERY.match(text, measured.end() if measured else end)
    period = (every["unit"] or every["short"] or every["adverb"] or "").lower() if every else ""
    return replace(
        figure,
        most=bool(_UP_TO.search(before)),
        least=bool(_AT_LEAST.search(before)),
        seconds=_SECONDS[measured["unit"].lower().rstrip("s")] if measured else 0.0,
        every=_ADVERBS.get(period, period.removesuffix("ly")),
    )


def _as_long(known: Figure, claimed: Figure) -> bool:
    """Whether two figures of different units of time are the same time."""
    pairs = ((known.low, claimed.low), (known.high, claimed.high))
    return known.open == claimed.open and all(
        abs(a * known.seconds - b * claimed.seconds) <= a * known.seconds / 50 for a, b in pairs
    )


def _rounds_to(known: Figure, claimed: Figure, near: str) -> bool:
    """Whether the claim says that it rounds, and rounds by no more than a twentieth."""
    if not _ABOUT.search(near) or claimed.unit == "th":
        return False
    pairs = ((known.low, claimed.low), (known.high, claimed.high))
    return all(abs(a - b) <= abs(a) / 20 and abs(b) >= 10 for a, b in pairs)


def _candidates(text: str) -> Iterator[tuple[Figure, int]]:
    """Figures with the offset that each ends at; the longer readings first."""
    yield from _shares(text)
    yield from _ranges(text)
    for match in _SINGLE.finditer(text):
        unit = "th" if match["ordinal"] else _unit(match, "a")
        value = _value(match, "a")
        yield (
            Figure(value, value, unit, bool(match["plusa"]), match[0].strip(), match.start()),
            match.end(),
        )
    for match in _WORD.finditer(text):
        if (figure := _spelled(match)) is not None:
            yield figure, match.end()
    for match in _ORDINAL_WORD.finditer(text):
        value = float(_ORDINALS[match["word"].lower()])
        numbered = value > 2 and _NUMBERED.match(text, match.end())
        if numbered or _RANKED.match(text, match.end()):
            yield Figure(value, value, "th", False, match[0], match.start()), match.end()


def _shares(text: str) -> Iterator[tuple[Figure, int]]:
    """Shares: "one in four", "two thirds of"."""
    for match in _ONE_OF.finditer(text):
        n, of = _count(match["n"]), _count(match["of"])
        if n < of and 1 < of <= 100:
            yield _share(n / of, match), match.end()
    for match in _PART_OF.finditer(text):
        n = 1.0 if (match["n"] or "a").lower() in ("a", "an") else _count(match["n"])
        of = _PARTS[match["part"].lower()]
        if n < of and (match["n"] or of == 2):
            yield _share(n / of, match), match.end()


def _ranges(text: str) -> Iterator[tuple[Figure, int]]:
    """Ranges: "two to three", "2-3", "between 2 and 3"; "from 3 to 2" is two figures."""
    for match in _WORD_RANGE.finditer(text):
        low, high = _count(match["low"]), _count(match["high"])
        between = _AND_RANGE.search(text[max(0, match.start() - 12) : match.start()])
        if low < high and (between or " and " not in match[0].lower()):
            unit = "%" if match["unit"] else ""
            yield Figure(low, high, unit, False, match[0].strip(), match.start()), match.end()
    for match in _RANGE.finditer(text):
        joined = match[0][match.end("numbera") - match.start() :]
        if re.search(r"\sand\s", joined) and not _AND_RANGE.search(
            text[max(0, match.start() - 12) : match.start()]
        ):
            continue
        if (figure := _range(match)) is not None:
            yield figure, match.end()
        elif (fall := _fall(match)) is not None:
            yield from fall


def _range(match: re.Match[str]) -> Figure | None:
    """Both ends share the unit and, where only the second has one, the scale."""
    units = [unit for name in "ab" if (unit := _unit(match, name))]
    if len(set(units)) > 1:
        return None
    scale = _SCALES.get((match["scaleb"] or "").lower(), 1.0)
    low, high = _value(match, "a"), _value(match, "b")
    if not match["scalea"] and scale > 1 and low < high / scale * 10:
        low *= scale
    if low > high:
        return None
    opened = bool(match["plusb"])
    unit = units[0] if units else ""
    return Figure(low, high, unit, opened, match[0].strip(), match.start())


def _fall(match: re.Match[str]) -> tuple[tuple[Figure, int], tuple[Figure, int]] | None:
    """Both values of "from 23 to 6 percent", which share the unit."""
    unit = _unit(match, "b")
    if not unit or _unit(match, "a") not in ("", unit) or _value(match, "a") <= _value(match, "b"):
        return None
    first, second = match.start("numbera"), match.start("numberb")
    a, b = _value(match, "a"), _value(match, "b")
    return (
        (Figure(a, a, unit, False, match["numbera"], first), match.end("numbera")),
        (Figure(b, b, unit, False, match[0][second - match.start() :], second), match.end()),
    )


def _count(word: str) -> float:
    """A number in digits or words."""
    plain = word.lower()
    return float(plain) if plain.isdigit() else _MANY.get(plain, float(_WORDS.get(plain, 0)))


def _share(share: float, match: re.Match[str]) -> Figure:
    percent = round(share * 100, 2)
    return Figure(percent, percent, "%", False, match[0].strip(), match.start())


def _value(match: re.Match[str], name: str) -> float:
    scale = _SCALES.get((match[f"scale{name}"] or "").lower(), 1.0)
    return round(float(match[f"number{name}"].replace(",", "")) * scale, 6)


def _unit(match: re.Match[str], name: str) -> str:
    money = (match[f"money{name}"] or "").strip().lower()
    unit = (match[f"unit{name}"] or "").strip().lower()
    if money:
        return _CURRENCIES[money]
    if unit.startswith(("%", "per")):
        return "%"
    return _CURRENCIES.get(unit.split()[-1], "") if unit else ""


def _spelled(match: re.Match[str]) -> Figure | None:
    word, tail = match["word"].lower(), (match["tail"] or "").strip().lower()
    if word == "one" and not tail and not match["unit"]:
        return None  # "one of them" counts nothing
    value = _MANY.get(word, float(_WORDS.get(word, 0)))
    value *= {"hundred": 100.0}.get(tail, _SCALES.get(tail, 1.0))
    written = (match["unit"] or "").strip().lower()
    unit = _CURRENCIES.get(written, "%" if written else "")
    return Figure(value, value, unit, False, match[0].strip(), match.start())
