"""Whether a sentence turns round what its evidence compares, how it moves or how often it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .bearing import bearing
from .figures import WORDS, figures
from .ordering import misordered, not_first
from .words import content_stems, negated, stem, words

_UP = """more higher greater larger bigger better longer faster stronger earlier older most highest
largest best above over exceed exceeds exceeding exceeded outnumber beats ahead increase increases
increased increasing rise rises rose rising risen grow grows grew growing grown gain gained up climb
climbs climbed raise raises raised maximum before always easy easier abundant plentiful harder
tougher"""
_DOWN = """less lower fewer smaller worse shorter slower weaker later younger least lowest smallest
worst below under trails behind decrease decreases decreased decreasing fall falls fell falling
fallen drop drops dropped shrink shrinks shrank shrinking decline declines declined cut cuts down
minimum after never rarely hard difficult scarce softer"""
_SIGN = dict.fromkeys(_UP.split(), 1) | dict.fromkeys(_DOWN.split(), -1)
_NEAR_WORDS = 30
_COUNTS = "|".join(word for word in WORDS if word != "one")
_FIGURE = (
    r"\s+(?:[$€£¥]?\d[\d,.]*|(?:an?\s+)?(?:half|third|quarter|fifth|tenth)|" + _COUNTS + r")\b"
)
_ARGUMENTS = re.compile(  # "more than five" compares with no other thing
    rf"\b(?P<sign>{'|'.join(_SIGN)})\b(?:\s+than\b(?!{_FIGURE})|"
    r"(?:\s+(?:[a-z-]+|(?<= in )[12]\d{3})){1,4}?\s+than\b)|"
    r"\b(?P<verb>above|below|exceeds?|(?<!is )(?<!are )(?<!was )(?<!were )(?<!been )exceeded|"
    r"outnumbers?|ahead of|behind)\b",
    re.IGNORECASE,
)
_SIGNED = f"(?:{'|'.join(_SIGN)}|fewer|further)"
_THAN = re.compile(  # "more useful than", "tougher than"; "less than a year" compares nothing
    rf"\b(?:{_SIGNED}\b(?:\s+[\w'-]+){{1,6}}?|(?<!is )(?<!are )(?<!for ){_SIGNED}|"
    rf"(?!rather|other)\w{{2,}}(?<!oy)er)\s+than\b(?!{_FIGURE}|\s+(?:an?|one|its|their|ever|that|"
    r"what|usual|normal|before|planned|expected|not|people)\b)",
    re.IGNORECASE,
)
_COMPARING = frozenset(  # words by which a text may compare, beside those that have a sign
    """than times twice beneath double doubled triple tripled same equal equally alike similar
    unlike whereas while rather instead compared relative first second last main mainly chief
    chiefly top bottom leading lead leads prefer prefers preferred preferably beyond only even
    especially particularly rare rarely seldom hardly barely often frequently common extra
    additional further since premium next gap shortage""".split()
)
_OUTDOES = re.compile(
    r"\b(?:out-?(?:class|do|earn|grow|last|match|number|pace|perform|rank|sell|strip|weigh)|"
    r"surpass|improv|worsen|tighten|ease|delay|favou?r)",
    re.IGNORECASE,
)

_PERIOD = re.compile(  # "a week", "weekly", "per week", "a week rate"; "after a week" is none
    r"(?<!\bafter )(?<!\bfor )(?<!\bin )(?<!\babout )(?<!\bthan )(?<!\bover )(?<!\bof )"
    r"(?<!\bwithin )(?<!\bhalf )\b(?:an?|per|each|every)\s+(?P<each>hour|day|week|month|year)\b"
    r"(?! (?:after|later|in|earlier)\b)|"
    r"\b(?:per|each|every)\s+(?P<quarter>quarter)\b|"
    r"\b(?P<often>hour|week|month|quarter|year)ly\b|/(?P<short>hour|day|week|month|year)\b|"
    r"\b(?P<adverb>daily|annual|annually)\b|\b(?P<rate>hour|day|week|month)\s+rates?\b",
    re.IGNORECASE,
)
_ADVERBS = {"daily": "day", "annual": "year", "annually": "year"}
_PERIOD_WORDS = 45


def other_period(claim: str, evidence: str) -> str:
    """The unit of time that `claim` says for another of `evidence`: "a day" for "a week"."""
    said, given = _periods(claim), _periods(bearing(claim, evidence, _PERIOD_WORDS))
    return said[0] if said and given and not set(said) & set(given) else ""


def _periods(text: str) -> list[str]:
    found = (match[match.lastgroup or 0].lower() for match in _PERIOD.finditer(text))
    return [_ADVERBS.get(word, word) for word in found]


def turned_round(claim: str, evidence: str) -> str:
    """The word with which `claim` says the opposite of `evidence`; empty when none does.

    Either both compare the same two things and not the same way round ("A pays less than B", "B
    pays less than A"), or the same words stand around the opposite word.
    """
    if word := not_first(claim, evidence):
        return word
    near = bearing(claim, evidence, _NEAR_WORDS)
    said, given = _comparison(claim), _comparison(near)
    if said is not None and misordered(said.around, said.word, evidence):
        return said.word
    if said is not None and given is not None:
        straight = len(said.left & given.left) + len(said.right & given.right)
        crossed = len(said.left & given.right) + len(said.right & given.left)
        if straight != crossed:
            agree = (said.sign == given.sign) == (negated(claim) == negated(near))
            return said.word if agree != (straight > crossed) else ""
    return _flipped(claim, near)


def compared_alone(claim: str, evidence: str) -> str:
    """The comparison that `claim` makes where `evidence` compares nothing; empty for none.

    Two figures or more can be compared, and so can what stands with "twice", "hardly" or "best".
    """
    found = _THAN.search(claim)
    if not found or len(figures(evidence)) > 1:
        return ""
    said = words(evidence)
    if any(w in _SIGN or w in _COMPARING or (w.endswith("est") and len(w) > 5) for w in said):
        return ""
    if _OUTDOES.search(evidence):
        return ""
    return found[0]


def plainly_denied(claim: str, evidence: str) -> bool:
    """Whether `claim` denies what `evidence` says in the same words."""
    near = bearing(claim, evidence, _NEAR_WORDS)
    if not negated(claim) or negated(near) or any(word in _SIGN for word in words(claim)):
        return False
    return set(content_stems(claim)) <= set(content_stems(near))


@dataclass(frozen=True)
class _Comparison:
    """What is compared, which way, and what with."""

    left: frozenset[str]
    word: str
    sign: int
    right: frozenset[str]
    around: tuple[str, str, str]  # the text before, what compares ("fewer hours than"), and after


def _comparison(text: str) -> _Comparison | None:
    """The comparison of a sentence; None unless there is just one."""
    found = [m for m in _ARGUMENTS.finditer(text) if _sign(m)]
    if len(found) != 1:
        return None
    match = found[0]
    before, after = text[: match.start()], text[match.end() :]
    left, own, right = (frozenset(content_stems(t)) for t in (before, match[0], after))
    word = match["verb"] or match["sign"]
    around = (before, match[0], after)
    return _Comparison(left - right - own, word, _sign(match), right - left - own, around)


def _sign(match: re.Match[str]) -> int:
    if match["verb"]:
        return -1 if match["verb"].lower() in ("below", "behind") else 1
    return next((s for w in words(match[0]) if (s := _SIGN.get(w))), 0)


def _flipped(claim: str, near: str) -> str:
    """The word of `claim` whose opposite stands between the same words in `near`."""
    ours, theirs = words(claim), words(near)
    for at, word in enumerate(ours):
        sign = _SIGN.get(word)
        if not sign or word in theirs or (at and ours[at - 1] == "or"):
            continue
        there = [
            i for i, other in enumerate(theirs) if _SIGN.get(other) == -sign and other not in ours
        ]
        unmatched = not any(_SIGN.get(other) == sign for other in theirs)
        if unmatched and any(_alike(ours, at, theirs, i) for i in there):
            return word
    return ""


def _alike(ours: Sequence[str], at: int, theirs: Sequence[str], there: int) -> bool:
    """Whether the words around both places are the same: two of the next three on a side."""
    for step in (1, -1):
        mine = {stem(w) for w in _side(ours, at, step)}
        other = {stem(w) for w in _side(theirs, there, step)}
        if len(mine & other) >= 2:
            return True
    return False


def _side(listed: Sequence[str], at: int, step: int) -> Sequence[str]:
    return listed[at + 1 : at + 4] if step > 0 else listed[max(0, at - 3) : at]
