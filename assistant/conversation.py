"""Follow-ups: a question that leans on the conversation becomes one that stands alone."""

import re
from collections.abc import Mapping, Sequence

from corpus.errors import UsageError

from .answer import Answer
from .question import Question
from .words import content_stems, words

Turn = Answer | Mapping[str, str]

_LEANS = re.compile(
    r"^\s*(?:and|but|or|so|also|then|what about|how about|same for|what else|anything else|why|"
    r"how so|really|which ones?|who else|where else|more|go on|tell me more)\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"^\s*(?:and|but|or|so|then)\b[,\s]*", re.IGNORECASE)
_POINTS = frozenset(
    "it its they them their theirs that those this these there he she his her him one ones former "
    "latter same such both either neither second third first last other others".split()
)
_LEVEL = re.compile(
    r"(?:entry|junior|mid|middle|senior|lead|principal|staff|director|intern)(?:[- ]level)?",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"\s+(?:then|too|instead|though|please)$", re.IGNORECASE)
_OPENER = re.compile(
    r"^\s*(?:and|but|or|so|also|then|ok(?:ay)?|no|yes|thanks|sorry)[,\s]+(?:what |how )?"
    r"(?:about |for )?|^\s*(?:what|how) about ",
    re.IGNORECASE,
)


def standalone(question: str, history: Sequence[Turn]) -> str:
    """`question` with what it leaves unsaid from the last question that it leans on.

    Only earlier questions are used: an earlier answer may have been wrong.
    """
    base = ""
    for turn in history:
        base = _merged(base, _asked(turn))
    return _merged(base, question)


def _merged(base: str, question: str) -> str:
    if not base or not _leans(question):
        return question.strip()
    return _swapped(base, question) or f"{base.rstrip(' ?.!')} - {_OPENS.sub('', question).strip()}"


def _asked(turn: Turn) -> str:
    if isinstance(turn, Answer):
        return turn.standalone_question
    try:
        return str(turn["question"])
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"a history item has no question: {str(turn)[:80]}",
            'give a list of {"question": …, "answer": …}',
        ) from error


def _leans(question: str) -> bool:
    """Whether the question cannot be understood alone."""
    asked = words(question)
    if _LEANS.search(question):
        return True
    if len(set(content_stems(question))) <= 1 and len(asked) <= 6:
        return True
    return bool(_POINTS & set(asked)) and len(asked) <= 14


def _swapped(base: str, question: str) -> str | None:
    """`base` about the one thing that an elliptic `question` names instead, if they are alike.

    "How much more do they pay in Boston?" and "And in Seattle?" ask for Seattle.
    """
    rest = _TRAILING.sub("", _OPENER.sub("", question, count=1).strip(" ?.!"))
    if len(content_stems(rest)) > 3:
        return None
    for things in (_levels, _things):
        new, old = things(rest), things(base)
        if new and old:
            thing = re.sub(r"^(?:in|for|at|of|to|the|a)\s+", "", rest, flags=re.IGNORECASE)
            return _replaced(base, old, thing)
    return None


def _levels(text: str) -> list[str]:
    """The levels of seniority in `text`."""
    return [match[0] for match in re.finditer(rf"\b{_LEVEL.pattern}\b", text, re.IGNORECASE)]


def _things(text: str) -> list[str]:
    """The places, years, occupations and names in `text`."""
    named = Question(text).named
    return [n for n in named if n.lower() not in {"ai", "ml"} and not _LEVEL.fullmatch(n)]


def _replaced(base: str, old: Sequence[str], new: str) -> str:
    """`base` with `new` where one of `old` stands; neighbours give way together."""
    marked = base
    for thing in old:
        marked = re.sub(rf"(?<!\w){re.escape(thing)}(?!\w)", "\0", marked, flags=re.IGNORECASE)
    return re.sub(r"\0(?:[\s,]*\0)*", new, marked)
