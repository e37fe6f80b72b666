"""Words as the checks compare them: stems of content words, names, negations, directions."""

import re
from collections.abc import Iterable
from functools import lru_cache

from .lexicon import FUNCTION_WORDS

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*(?:[+#]+)?")  # noqa: RUF001 a typed apostrophe
_TERM = re.compile(r"[^\W_][\w.+#&'’/-]*[\w+#]|[^\W_]")  # noqa: RUF001 C++, A/B, Node.js, U.S

NEGATIONS = frozenset("not no never none neither nor without cannot nobody nothing".split())

# Pairs of opposite directions: a sentence that says one where its evidence says the other is wrong.
_OPPOSITES = (
    ("higher above more over exceed greater larger better", "lower below less under fewer smaller"),
    (
        "increase rise grow grew growth gain raise surge climb",
        "decrease fall fell drop decline cut",
    ),
    ("before earlier", "after later"),
    ("minimum least", "maximum most"),
    ("always must required mandatory requires", "optional may sometimes"),
    ("easy easier simple", "hard harder difficult complex"),
    ("abundant plentiful", "scarce limited shortage lack"),
)


@lru_cache(maxsize=1)
def _stemmer() -> "object":
    import Stemmer

    return Stemmer.Stemmer("english")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of one word, lower case."""
    plain = word.lower().replace("’", "'")  # noqa: RUF001
    plain = plain.removesuffix("'s")
    stemmed: str = _stemmer().stemWord(plain)  # type: ignore[attr-defined]
    return stemmed


def words(text: str) -> list[str]:
    """The words of `text` in order, lower case."""
    return [match[0].lower() for match in _WORD.finditer(text)]


def content_stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, with repeats."""
    return [stem(word) for word in words(text) if word not in FUNCTION_WORDS]


def stems(text: str) -> set[str]:
    """The stems of all words."""
    return {stem(word) for word in words(text)}


def names(text: str) -> list[str]:
    """Words written like names: capitals inside a sentence, acronyms, marks like C++ or Node.js."""
    found = []
    for match in _TERM.finditer(text):
        term = match[0].rstrip(".,'’-/&")  # noqa: RUF001
        if len(term) < 2 or not any(c.isalpha() for c in term):
            continue
        opens = not re.search(r"[\w,;)\]\"'’-]\s*$", text[: match.start()])  # noqa: RUF001
        inner = any(c.isupper() for c in term[1:]) or any(c in "+#." for c in term)
        if inner or (term[0].isupper() and not opens):
            found.append(term)
    return [term for term in found if term.lower() not in FUNCTION_WORDS]


def negated(text: str) -> bool:
    """Whether the text denies something."""
    return any(word in NEGATIONS or word.endswith("n't") for word in words(text))


def reversed_directions(claim: Iterable[str], evidence: Iterable[str]) -> list[str]:
    """The stems with which `claim` says the opposite of `evidence` (both given as stems)."""
    claimed, given = set(claim), set(evidence)
    wrong = []
    for left, right in _direction_stems():
        for one, other in ((left, right), (right, left)):
            said = claimed & one
            if said and not given & one and given & other and not claimed & other:
                wrong += sorted(said)
    return wrong


@lru_cache(maxsize=1)
def _direction_stems() -> list[tuple[frozenset[str], frozenset[str]]]:
    return [
        (frozenset(map(stem, left.split())), frozenset(map(stem, right.split())))
        for left, right in _OPPOSITES
    ]
