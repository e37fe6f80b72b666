"""Words as the checks compare them: stems of content words, names, negations."""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from .lexicon import FUNCTION_WORDS

if TYPE_CHECKING:
    from spellchecker import SpellChecker

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*(?:[+#]+)?")  # noqa: RUF001 a typed apostrophe
_TERM = re.compile(r"[^\W_][\w.+#&'’/-]*[\w+#]|[^\W_]")  # noqa: RUF001 C++, A/B, Node.js, U.S

NEGATIONS = frozenset("not no never none neither nor without cannot nobody nothing".split())


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


def in_dictionary(word: str) -> bool:
    """Whether a dictionary of English has `word`."""
    return bool(_dictionary().known([word]))


@cache
def _dictionary() -> "SpellChecker":
    from spellchecker import SpellChecker

    return SpellChecker()


def negated(text: str) -> bool:
    """Whether the text denies something."""
    return any(word in NEGATIONS or word.endswith("n't") for word in words(text))
