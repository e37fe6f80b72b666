"""Figures in text: amounts, percentages, ranges, years and counts as values with units.

1,250 = 1250, $2-3K = $2,000 to $3,000, 5-8% = 5 to 8 percent, six = 6, one in four = a quarter =
25 %. What a number counts belongs to it: three days, 20 an hour, at least five.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

SCALES = {
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
CURRENCIES = {
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
WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_TENS = {word: value for word, value in WORDS.items() if value >= 20}
WORDS |= {  # twenty-four
    f"{tens}-{unit}": high + low
    for tens, high in _TENS.items()
    for unit, low in list(WORDS.items())[1:10]
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
_MANY = {"dozen": 12.0, "hundred": 100.0}
_DASH = r"\s*(?:-|–|—|−|‑|~)\s*"  # noqa: RUF001 the dashes that people type between two numbers
_SCALE = (
    r"(?:(?:\s|-(?=\w{{5}}))?(?P<scale{0}>thousand|million|billion|trillion|bn|mn|[kmb])(?![a-z]))?"
)
_MONEY = r"(?P<money{0}>us\$|usd\s?|eur\s?|gbp\s?|chf\s?|inr\s?|[$€£¥₹])?"
_NUMBER = r"(?P<number{0}>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_UNIT = (
    r"(?P<plus{0}>\+)?(?P<unit{0}>\s?%|\s?percent\b|\s?per\s?cent\b|\s?percentage points\b|"
    r"[\s-]?(?:us\s)?dollars?\b|\s?usd\b|[\s-]?euros?\b|\s?eur\b|\s?pounds?\b|\s?gbp\b|"
    r"\s?(?:swiss\s)?francs?\b|\s?chf\b|\s?yen\b|\s?jpy\b|\s?rupees?\b|\s?inr\b)?"
)
_ONE = _MONEY + _NUMBER + _SCALE + _UNIT
_RANGE = re.compile(
    rf"(?<![\w.]){_ONE.format('a')}(?:{_DASH}|\s+to\s+|\s+and\s+|\s+through\s+){_ONE.format('b')}",
    re.IGNORECASE,
)
_SINGLE = re.compile(
    rf"(?<![\w.]){_ONE.format('a')}(?P<ordinal>st|nd|rd|th)?(?![\w])", re.IGNORECASE
)
_SPELLED = "|".join(sorted([*WORDS, *_MANY], key=len, reverse=True))
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
COUNT = rf"(?:\d+|{_SPELLED})"
_ONE_OF = re.compile(
    rf"\b(?P<n>{COUNT})(?:\s+\w+)?\s+(?:in|out\s+of|of\s+every)(?:\s+every)?\s+(?P<of>{COUNT})\b(?!\s*%)",
    re.IGNORECASE,
)
_PART_OF = re.compile(  # "three quarters" is a share wherever it stands
    rf"\b(?:(?P<n>{COUNT}|a|an)[\s-]+)?(?P<part>half|halves|third|quarter|fifth|eighth|tenth)s?"
    r"\b(?:(?=\s+(?:of|the|all|as|in)\b|[.,;]|$)|(?<=[a-z]{3}[dhr]s)(?!\s+(?:ago|later|running)))",
    re.IGNORECASE,
)
_QUARTERS = re.compile(r"\b(?:for|in|over|last|past|next)(?:\s+the)?\s+$", re.IGNORECASE)
_PARTLY = re.compile(  # "half an hour", "a third of a day", "a year and a half"
    rf"\b(?:(?:(?P<n>{COUNT}|an?)\s+)?(?P<part>half|third|quarter|fifth|tenth)s?\s+"
    r"(?:of\s+|(?<=half\s))an?\s+(?P<unit>minute|hour|day|week|month|year|decade)"
    r"(?!\s+(?:later|earlier|ago))|"
    r"an?\s+(?P<one>minute|hour|day|week|month|year)\s+and\s+a\s+half|"
    rf"(?P<whole>{COUNT})\s+and\s+a\s+half\s+(?P<units>minute|hour|day|week|month|year|decade)s)\b",
    re.IGNORECASE,
)
_ORDINAL_WORD = re.compile(rf"\b(?P<word>{'|'.join(_ORDINALS)})\b", re.IGNORECASE)
_UP_TO = re.compile(
    r"\b(?:up to|(?<!twice )(?<!times )as (?:much|many|high|long) as|at most|"
    r"(?:no|not|never) more than|"
    r"maximum of|(?<!no )(?<!not )(?<!never )(?:fewer|less) than)$",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"\b(?:at (?:the )?least|(?:no|not|never) (?:fewer|less|under|below)(?: than)?|"
    r"minimum of|(?<!no )(?<!not )(?<!never )more than)$",
    re.IGNORECASE,
)
SECONDS = {  # a month is the twelfth of a year
    "millisecond": 0.001,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "fortnight": 14 * 86400.0,
    "month": 365 * 86400.0 / 12,
    "quarter": 365 * 86400.0 / 4,
    "year": 365 * 86400.0,
    "decade": 3650 * 86400.0,
}
_MEASURE = re.compile(  # of the working days too
    r"(?:[\s-]+(?:working|business|calendar|full|more|consecutive))?"
    r"[\s-]+(?P<unit>milliseconds?|seconds?|minutes?|hours?|days?|weeks?|fortnights?|"
    r"months?|years?|decades?)\b",
    re.IGNORECASE,
)
_EVERY = re.compile(  # "300 a day", "$20 per hour", "once every week"
    r"[^.;:,\d]{0,48}?\b(?:an?|per|each|every)\s+(?P<unit>second|minute|hour|day|week|month|"
    r"quarter|year)\b|[^.;:,\d]{0,24}?\b(?P<adverb>hourly|daily|weekly|monthly|quarterly|yearly|"
    r"annually)\b|/\s?(?P<short>hour|day|week|month|year)\b",
    re.IGNORECASE,
)
_ADVERBS = {"daily": "day", "annually": "year"}
_HEDGED = 40  # characters before a figure, among which its hedge stands
_DATED = re.compile(r"\b(?:in|since|by|of|until)\s+$", re.IGNORECASE)
_AND_RANGE = re.compile(
    r"\b(?:between|from)\s+(?:(?:about|approximately|around|roughly|some)\s+)?$", re.IGNORECASE
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


def _placed(figure: Figure, text: str, end: int) -> Figure:
    """`figure`, which ends at `end`, with what the words around it make of it."""
    before = text[max(0, figure.start - _HEDGED) : figure.start].rstrip(" $€£¥₹")
    measured = None if figure.unit or figure.seconds else _MEASURE.match(text, end)
    every = _EVERY.match(text, measured.end() if measured else end)
    period = (every["unit"] or every["short"] or every["adverb"] or "").lower() if every else ""
    return replace(
        figure,
        most=bool(_UP_TO.search(before)),
        least=bool(_AT_LEAST.search(before)),
        seconds=SECONDS[measured["unit"].lower().rstrip("s")] if measured else figure.seconds,
        every=_ADVERBS.get(period, period.removesuffix("ly")),
    )


def _candidates(text: str) -> Iterator[tuple[Figure, int]]:
    """Figures with the offset that each ends at; the longer readings first."""
    yield from _partly(text)
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


def _partly(text: str) -> Iterator[tuple[Figure, int]]:
    """Parts of a unit of time: "half an hour", "a year and a half"."""
    for match in _PARTLY.finditer(text):
        unit = (match["unit"] or match["one"] or match["units"]).lower()
        if match["part"]:
            n = 1.0 if (match["n"] or "a").lower() in ("a", "an") else count(match["n"])
            value = n / _PARTS[match["part"].lower()]
        else:
            value = (count(match["whole"]) if match["whole"] else 1.0) + 0.5
        found = Figure(value, value, "", False, match[0], match.start(), seconds=SECONDS[unit])
        yield found, match.end()


def _shares(text: str) -> Iterator[tuple[Figure, int]]:
    """Shares: "one in four", "two thirds of"."""
    for match in _ONE_OF.finditer(text):
        n, of = count(match["n"]), count(match["of"])
        if n < of and 1 < of <= 100:
            yield _share(n / of, match), match.end()
    for match in _PART_OF.finditer(text):
        n = 1.0 if (match["n"] or "a").lower() in ("a", "an") else count(match["n"])
        of = _PARTS[match["part"].lower()]
        before = text[max(0, match.start() - _HEDGED) : match.start()]
        of_year = of == 4 and n > 1 and _QUARTERS.search(before)
        if n < of and (match["n"] or of == 2) and (n, of) != (2, 4) and not of_year:
            yield _share(n / of, match), match.end()


def _ranges(text: str) -> Iterator[tuple[Figure, int]]:
    """Ranges: "two to three", "2-3", "between 2 and 3"; "from 3 to 2" is two figures."""
    for match in _WORD_RANGE.finditer(text):
        low, high = count(match["low"]), count(match["high"])
        between = _AND_RANGE.search(text[max(0, match.start() - _HEDGED) : match.start()])
        if low < high and (between or " and " not in match[0].lower()):
            unit = "%" if match["unit"] else ""
            yield Figure(low, high, unit, False, match[0].strip(), match.start()), match.end()
    for match in _RANGE.finditer(text):
        joined = match[0][match.end("numbera") - match.start() :]
        if re.search(r"\sand\s", joined) and not _AND_RANGE.search(
            text[max(0, match.start() - _HEDGED) : match.start()]
        ):
            continue
        if (figure := _range(match)) is not None:
            yield figure, match.end()
        elif (fall := _fall(match)) is not None:
            yield from fall


def _range(match: re.Match[str]) -> Figure | None:
    """Both ends share the unit and, where only the second has one, the scale.

    None for no range: "from 5,200 in 2021 to 13,900".
    """
    before = match.string[max(0, match.start() - _HEDGED) : match.start()]
    if _is_year(match, "a") and not _is_year(match, "b") and _DATED.search(before):
        return None
    units = [unit for name in "ab" if (unit := _unit(match, name))]
    if len(set(units)) > 1:
        return None
    scale = SCALES.get((match["scaleb"] or "").lower(), 1.0)
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


def count(word: str) -> float:
    """A number in digits or words."""
    plain = word.lower()
    return float(plain) if plain.isdigit() else _MANY.get(plain, float(WORDS.get(plain, 0)))


def _share(share: float, match: re.Match[str]) -> Figure:
    percent = round(share * 100, 2)
    return Figure(percent, percent, "%", False, match[0].strip(), match.start())


def _is_year(match: re.Match[str], name: str) -> bool:
    number = match[f"number{name}"]
    return not _unit(match, name) and bool(re.fullmatch(r"(?:1[89]|20)\d\d", number))


def _value(match: re.Match[str], name: str) -> float:
    scale = SCALES.get((match[f"scale{name}"] or "").lower(), 1.0)
    return round(float(match[f"number{name}"].replace(",", "")) * scale, 6)


def _unit(match: re.Match[str], name: str) -> str:
    money = (match[f"money{name}"] or "").strip().lower()
    unit = (match[f"unit{name}"] or "").strip(" -").lower()
    if money:
        return CURRENCIES[money]
    if unit.startswith(("%", "per")):
        return "%"
    return CURRENCIES.get(unit.split()[-1], "") if unit else ""


def _spelled(match: re.Match[str]) -> Figure | None:
    word, tail = match["word"].lower(), (match["tail"] or "").strip().lower()
    if word == "one" and not tail and not match["unit"]:
        return None  # "one of them" counts nothing
    value = _MANY.get(word, float(WORDS.get(word, 0)))
    value *= {"hundred": 100.0}.get(tail, SCALES.get(tail, 1.0))
    written = (match["unit"] or "").strip().lower()
    unit = CURRENCIES.get(written, "%" if written else "")
    return Figure(value, value, unit, False, match[0].strip(), match.start())
