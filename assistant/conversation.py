"""Follow-ups: a question that leans on the conversation becomes one that stands alone."""

import re
from collections.abc import Iterable, Mapping, Sequence

from corpus.errors import UsageError

from .answer import Answer
from .question import JOINT, Question, one_form_of_roles
from .words import content_stems, words

Turn = Answer | Mapping[str, str]

_LEANS = re.compile(
    r"^\s*(?:and|but|or|so|also|then|i mean|i meant|what about|how about|same for|"
    r"(?:no(?=,)|actually)(?!,? (?:what|which|who|when|where|how|is|are|do|does|can)\b)|"
    r"what else|anything else|why|how so|really|which ones?|who else|where else|more|"
    r"go on|tell me more)\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"^\s*(?:and|but|or|so|then)\b[,\s]*", re.IGNORECASE)
_NEW_TOPIC = re.compile(  # "OK, other topic: "
    r"^\W*(?:(?:ok(?:ay)?|thanks|thank you|alright|anyway|right|now|so|and|but)\b\W*)*"
    r"(?:(?:one |just )?(?:another|other)|(?:a )?(?:new|different|next)|changing (?:the )?)"
    r" ?(?:topic|subject|question|matter|thing)\b\s*[:;,.!-]+\s*",
    re.IGNORECASE,
)
_POINTS = frozenset(
    "it its they them their theirs that those this these there he she his her him one ones former "
    "latter same such both either neither second third first last other others".split()
)
_LEVEL = re.compile(
    r"(?:entry|junior|mid|middle|senior|lead|principal|staff|director|intern)s?(?:[- ]level)?",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"\s+(?:then|too|instead|though|please)$", re.IGNORECASE)
_OPENER = re.compile(
    r"^\s*(?:(?:and|but|or|so|also|then|ok(?:ay)?|no|yes|thanks|sorry|actually)[,\s]+)*"
    r"(?:(?:what |how )?(?:about |for )|i mean(?:t)? )?",
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
    fresh = _NEW_TOPIC.sub("", question, count=1)
    if fresh and fresh != question:
        question = fresh
        if not (_LEANS.search(question) or _POINTS & set(words(question))):
            return question.strip()
    if not base or not _leans(question):
        return question.strip()
    return _swapped(base, question) or JOINT.join(
        (base.rstrip(" ?.!"), _OPENS.sub("", question).strip())
    )


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
    rest = one_form_of_roles(_OPENER.sub("", question, count=1).strip(" ?.!"))
    rest = _TRAILING.sub("", rest)
    asked = one_form_of_roles(base)
    alike = [(things(rest), things(asked)) for things in _KINDS]
    named = {stem for new, _ in alike for stem in content_stems(" ".join(new))}
    if not named or not set(content_stems(rest)) <= named | set(content_stems(asked)):
        return None  # it says more than what to put in the place of the old
    if any(new and (len(old) != len(new) or len(set(old)) != len(old)) for new, old in alike):
        return None  # there is none of its kind, or which of them it means is not clear
    swapped = asked
    for new, old in alike:
        if new:
            swapped = _each(swapped, old, new)
    return swapped if swapped != asked else None


def _levels(text: str) -> list[str]:
    """The levels of seniority in `text`."""
    return [match[0] for match in re.finditer(rf"\b{_LEVEL.pattern}\b", text, re.IGNORECASE)]


def _roles(text: str) -> list[str]:
    """The occupations in `text`."""
    return _longest(n for n in Question(text).roles if not _LEVEL.fullmatch(n))


def _years(text: str) -> list[str]:
    """The years in `text`."""
    return [n for n in Question(text).pinned if n.isdigit()]


def _ordinals(text: str) -> list[str]:
    """The ordinals in `text`: the 25th percentile."""
    return [n for n in Question(text).pinned if n[0].isdigit() and not n.isdigit()]


def _places(text: str) -> list[str]:
    """The places in `text`."""
    return _longest(n for n in Question(text).pinned if not n[0].isdigit())


def _names(text: str) -> list[str]:
    """The other names in `text`."""
    asked = Question(text)
    known = {word for place in asked.pinned for word in place.split()}
    return [n for n in asked.proper if n not in known and n.lower() not in {"ai", "ml"}]


def _longest(names: Iterable[str]) -> list[str]:
    """`names` without those that are part of another."""
    every = list(dict.fromkeys(names))
    return [n for n in every if not any(n != other and n in other for other in every)]


# A thing gives way to one of its kind.
_KINDS = (_levels, _roles, _years, _ordinals, _places, _names)


def _each(base: str, old: Sequence[str], new: Sequence[str]) -> str:
    """`base` with each of `old`, in its order, given way to that of `new`: from this to that."""
    by_old = dict(zip(old, new, strict=True))
    either = "|".join(re.escape(thing) for thing in sorted(old, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda match: by_old[match[0]], base)
