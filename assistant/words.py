"""Words as the checks compare them: stems of content words, names, negations, directions."""

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*(?:[+#]+)?")  # noqa: RUF001 a typed apostrophe
_TERM = re.compile(r"[^\W_][\w.+#&'’/-]*[\w+#]|[^\W_]")  # noqa: RUF001 C++, A/B, Node.js, U.S

FUNCTION_WORDS = frozenset(
    """a about above after again against all also am among an and any are aren't as at be because
    been before being below between both but by can can't cannot could couldn't did didn't do does
    doesn't doing don't done down during each either else etc even ever every few for from further
    get gets getting give given gives go goes going got had hadn't has hasn't have haven't having he
    hence her here here's hers herself him himself his how however i i'd i'll i'm i've if in into is
    isn't it it's its itself just know let let's like likely made make makes making many may me might
    mine more most much must my myself need needn't needs neither no nor not now of off often on once
    one only onto or other others ought our ours ourselves out over own per perhaps please quite
    rather really s same say says shall she should shouldn't since so some someone something such t
    tell than that that's the their theirs them themselves then there there's therefore these they
    they're this those though through thus to together too toward towards under until up upon us use
    used uses using usually very via want wants was wasn't way we we're well were weren't what
    what's whatever when where whether which while who who's whom whose why will with within without
    won't would wouldn't yes yet you you'd you'll you're you've your yours yourself explain describe
    list name mention mentioned according document documents text source sources section sections
    answer question kind kinds type types sort sorts thing things exactly actually currently
    generally typically normally anything everything besides anybody somebody everybody anyone
    someone everyone nobody stuff enough later actually really sure ask asks asked come comes came keep
    keeps happen happens happened exact precise quoted quote tell told talk number numbers figure
    figures long old lot lots bit kind good bad know known think find found look looks looking help
    helps getting able basically mean means meant stand stands call calls called""".split()
)
NEGATIONS = frozenset("not no never none neither nor without cannot nobody nothing".split())

# Pairs of opposite directions: a sentence that says one where its evidence says the other is wrong.
_OPPOSITES = (
    ("higher above more over exceed greater larger better", "lower below less under fewer smaller"),
    ("increase rise grow grew growth gain raise surge climb", "decrease fall fell drop decline cut"),
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
