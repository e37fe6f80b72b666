"""What a question asks: its words, the named things that an answer must be about, its form."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from corpus.sections import sentence_ranges

from .figures import figures
from .lexicon import FUNCTION_WORDS, OCCUPATIONS, PHRASES, SYNONYMS
from .words import content_stems, names, stem, words

MAX_CHARACTERS = 4_000
_TOLD = 40  # words around a question that are read with it

_US = re.compile(r"\b(?:in|the|for|of|across)\s+(?:the\s+)?(US)\b|\bU\.?S\.?A?\.?(?=\W|$)")
_LEVELS = re.compile(
    r"\b(?:interns?|internships?|juniors?|apprentices?|trainees?|freelanc\w+|contractors?|"
    r"part[- ]time|mid[- ]level|entry[- ]level)\b",
    re.IGNORECASE,
)
# A role is a modifier and a head ("data engineer"); the head alone may be any document's subject.
_ROLE = re.compile(
    r"\b([a-z]+) (engineer|scientist|analyst|manager|director|architect|designer|developer|officer|"
    r"specialist|consultant|administrator|technician|assistant|researcher|administrator)s?\b",
    re.IGNORECASE,
)
_ROLE_BY_SUFFIX = re.compile(
    r"\b(?!consist|persist|insist|exist|assist|resist|enlist|checklist|specialist|playlist|wishlist)"
    r"[a-z]{3,}(?:ist|ician|smith|keeper)s?\b",
    re.IGNORECASE,
)
_NO_ROLE = frozenset(  # words before a role that do not make it another one
    "senior experienced skilled good great best top other new young old typical average real same "
    "many most successful qualified level these such junior lead principal staff".split()
)
_TRAINED = frozenset("trained certified qualified registered licensed".split())
_WORD = re.compile(r"[^\W\d_]+")
_NO_NAMES = frozenset("ok okay faq asap fyi btw pls thx e.g i.e cv hr".split())
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ORDINAL = re.compile(r"\b\d+(?:st|nd|rd|th)\b", re.IGNORECASE)
_FIGURE = re.compile(
    r"\bhow (?:much|many|long|fast|big|large|high|often|old|soon)\b|\bpercent\w*|\bper cent\b|%|"
    r"\bwhat (?:year|share|rate|number|amount|age|fraction|proportion|range)\b|\bwhen\b|"
    r"\b(?:figures?|rate|range|salary|salaries|pay|paid|earn|earns|wage|cost|size|worth|average)\b",
    re.IGNORECASE,
)
_QUANTITY = re.compile(
    r"\bhow (?:many|much|long|old|often|fast|big|large|high)\b|"
    r"\b(?:what|which)(?:'s| is| was| are)?(?: the)?(?: \w+)? (?:percent\w*|share|number|amount|"
    r"year|age|fraction|proportion|date|price|cost|rate)\b|^\s*(?:when|number|percentage|amount|price|share)\b",
    re.IGNORECASE,
)
_UNITS = {
    unit: re.compile(pattern, re.IGNORECASE)
    for unit, pattern in {
        r"\bhours?\b": r"\bhours?\b|\bhrs?\b",
        r"\bdays?\b(?! to day)": r"\bdays?\b",
        r"\bweeks?\b": r"\bweeks?\b|\bweekly\b",
        r"\bmonths?\b": r"\bmonths?\b|\bmonthly\b",
        r"\b(?:dollars?|usd)\b": r"\$|\bdollars?\b|\busd\b",
        r"\beuros?\b": r"€|\beuros?\b|\beur\b",
        r"\bpounds?\b": r"£|\bpounds?\b|\bgbp\b",
        r"\b(?:percentage|percent|per cent)\b": r"%|\bper ?cent\b",
        r"\bhow old\b|\b(?:average|what) age\b": r"\baged?\b|\bold\b",
    }.items()
}
_COMPARES = re.compile(
    r"\b(?:better|worse|faster|slower|easier|harder|safer|cheaper|preferable|superior)\b.*\b(?:than|or)\b|"
    r"\bor\b.*\b(?:better|worse|faster|slower|easier|harder|safer|cheaper|preferable|superior)\b|"
    r"\b(?:has|have|is|are) the (?:most|fewest|best|worst|easiest|hardest|cheapest)\b",
    re.IGNORECASE,
)
_SETS_AGAINST = re.compile(
    r"\bcompar\w+|\bversus\b|\bvs\b|\bdiffer\w*|\bbetween\b.*\band\b|\w+er\b.*\bor\b|"
    r"\bmore\b.*\b(?:or|than)\b",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"\b(?:which|list|what are|what kinds?|what types?|what sorts?|name|examples?|all|every)\b|"
    r"\bwhat \w+s\b|\bwhat (?:\w+ ){1,3}(?:are|do|should|can|must)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\?|^\W*(?:what|which|who|whom|whose|when|where|why|how|is|are|am|was|were|do|does|did|can|could|"
    r"should|would|will|has|have|may|must|tell me|name|list|give|compare|explain|describe)\b|"
    r"\b(?:tell me|wonder|want to know|like to know|i need to know)\b",
    re.IGNORECASE,
)
# Orders to the assistant: no part of a question about documents. What they say is never obeyed
# (nothing but checked text is shown), but they must not be answered with some quote either.
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|skip)\b[^.?!]{0,40}\b(?:instruction|rule|source|"
    r"document|text|context|prompt|check|guideline|above|previous|everything|citation)s?\b|"
    r"\b(?:your|hidden|system|initial) (?:\w+ )?(?:prompts?|instructions?|rules|guidelines)\b|"
    r"\b(?:developer|debug|dan|admin|god|jailbreak|maintenance) ?mode\b|\bunrestricted\b|"
    r"\bno (?:rules|restrictions|filters?|limits)\b|\byou are (?:now|dan|no longer)\b|"
    r"\b(?:pretend|role-?play|act as|imagine you|i'?a?m (?:your|the) (?:developer|admin\w*))\b|"
    r"\b(?:repeat|print|reveal|show|output|display|dump|leak|list)\b[^.?!]{0,30}\b(?:line above|"
    r"above this|prompt|instructions|hidden|verbatim|api keys?|passwords?|secrets?)\b|"
    r"\b(?:don't|do not|without|drop|omit|leave out|stop)\b[^.?!]{0,15}\b(?:cit(?:e|ing|ations?)|"
    r"sources?|references?)\b|"
    r"\b(?:reply|respond|answer|end|finish|begin|start|say)\b[^.?!]{0,30}\b(?:with|only|exactly)\b"
    r"[^?]*(?:(?-i:[A-Z]{4,})|https?:|<|\blink\b|\bword\b)|"
    r"\b(?:say|print|write|output) [\"']?(?-i:[A-Z]{4,})|"
    r"</?\s*(?:script|img|iframe|svg|a|context|system)\b|https?://|javascript:|"
    r"\b(?:own|general|world) (?:knowledge|memory)\b|\bmake (?:it|something|things) up\b|"
    r"\bmake up (?:the |some |a )?(?:numbers?|figures?|facts?|sources?|answers?|quotes?)\b|"
    r"\bmade-?up\b|\binvent (?:a|an|the|some)\b|\bjust guess\b|"
    r"\b(?:write|compose|tell|sing)(?: me)? (?:an? )?(?:\w+ )?(?:poem|limerick|joke|story|song|"
    r"haiku)\b|"
    # work for it
    r"^\W*(?:please |(?:can|could|would|will) you |now |help me )*"
    r"(?:translate|proofread|debug|rewrite|"
    r"(?:write|draft|compose|book|order|send|buy|fix|solve|correct|remind)"
    r"(?= (?:me|my|an?|the|this|that|it|some|us)\b))\b|"
    # questions about itself
    r"\b(?:are|were) you (?:(?:an?|really|actually|just|even|some|sort of|kind of) )*"
    r"(?:real|human|bot|chatbot|robot|ai|machine|person|people|computer|program|chatgpt|gpt|"
    r"language model|sentient|conscious|alive|okay|ok|happy|sad|married|sure|there|written|"
    r"made of)\b|\bhow are you\b|\bwho are you\b|\bwhat are you\b(?=\W*$)|"
    r"\b(?:made|built|created|programmed|trained|developed|designed|coded|wrote|owns?|invented) "
    r"you\b|\byour (?:name|creators?|makers?|developers?|training data|favou?rite|birthday|"
    r"feelings)\b|"
    r"\bdo you (?:like|love|hate|feel|dream|sleep|eat|remember|have (?:feelings|a name|friends))\b|"
    r"\bremember what i\b|\bwhat did i (?:just )?(?:ask|say|tell)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?<=[:;,.!?])\s+(?:and |then |but )*|\s+and (?:then |afterwards )")
_ASKING = r"(?:what|which|who|when|where|why|how|is|are|do|does|can)\b"
_SPLIT = re.compile(
    rf"(?:,|;)?\s+(?:and|plus)\s+(?={_ASKING}|(?:at|in|on|for|from|by|to|of) (?:what|which|how)\b"
    r"[^?]*\b(?:is|are|do|does|did|can|must|should|will|may|have|has) \w)|\s\+\s|;\s+",
    re.IGNORECASE,
)
_LEAD = re.compile(  # "In Porto, " but no question: "What is the pay, "
    rf"^(?!(?:what|which|who|why|how|is|are|do|does|can)\b)[^()?]{{2,80}}?[:,]\s+(?={_ASKING})",
    re.IGNORECASE,
)
JOINT = " - "  # between a question and the follow-up that leans on it
_MOST_PARTS = 6  # what is joined beyond them is read as one


@dataclass(frozen=True)
class Question:
    """One question that stands alone."""

    text: str

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """Its meaning words in the form that `meaning_stems` gives texts, without repeats."""
        return tuple(dict.fromkeys(meaning_stems(self.text)))

    @cached_property
    def asked_last(self) -> frozenset[str]:
        """The stems of what stands after the last " - ", which parts a follow-up; else of all."""
        return frozenset(meaning_stems(self.text.rpartition(JOINT)[2]))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words, lower case, in order."""
        return tuple(words(self.text))

    @cached_property
    def wants_figure(self) -> bool:
        """Whether a number would answer it."""
        return bool(_FIGURE.search(self.text))

    @cached_property
    def wants_quantity(self) -> bool:
        """Whether nothing but a number would answer it."""
        return bool(_QUANTITY.search(self.text))

    def unmet(self, quoted: str, context: str) -> bool:
        """Whether it asks for a quantity or a comparison that the passage does not hold.

        `quoted` is what would be quoted of the passage, `context` all that stands around it.
        """
        if self.wants_quantity and not figures(quoted):
            return True
        for asked, given in _UNITS.items():
            if re.search(asked, self.text, re.IGNORECASE) and not given.search(quoted):
                return True
        compares = _COMPARES.search(self.text)
        return bool(compares and not figures(quoted) and not _COMPARES.search(context))

    @cached_property
    def compares(self) -> bool:
        """Whether it sets things against each other."""
        return bool(_SETS_AGAINST.search(self.text))

    @cached_property
    def wants_list(self) -> bool:
        """Whether several things would answer it."""
        return bool(_LIST.search(self.text))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The questions that it joins; itself when it is one.

        What is told around one question ("My father died.") belongs to all that it joins, as far as
        it is short, and so does what leads in ("In Porto, what ..."); orders to the assistant do
        not. When there is nothing but orders, there is no question.
        """
        told = [self.text[a:b] for a, b in sentence_ranges(self.text)]
        sentences = [left for one in told if (left := _without_orders(one))]
        if not sentences:
            return ()
        asking = [one for one in sentences if _ASKS.search(one)] or sentences
        pieces = [piece for one in asking for piece in _split(one)]
        if len(asking) == 1:
            around = _nearby(sentences, asking[0])
            pieces = [
                " ".join([*around, p]) for p in pieces if len(pieces) == 1 or content_stems(p)
            ]
        kept = [piece for piece in pieces if content_stems(piece)]
        if len(kept) > _MOST_PARTS:
            kept[_MOST_PARTS - 1 :] = ["; ".join(kept[_MOST_PARTS - 1 :])]
        return tuple(dict.fromkeys(kept)) or (" ".join(sentences),)

    @property
    def asks(self) -> bool:
        """Whether it has the form of a question; keywords have none."""
        return bool(_ASKS.search(self.text))

    @cached_property
    def pinned(self) -> tuple[str, ...]:
        """The places, years and ordinals, which the very words that answer must hold."""
        found = [*places_in(self.text), *_YEAR.findall(self.text), *_ORDINAL.findall(self.text)]
        return tuple(dict.fromkeys(found))

    @cached_property
    def proper(self) -> tuple[str, ...]:
        """The proper names: people, employers, tools."""
        parts = [part for name in names(self.text) for part in name.split("/")]
        return tuple(dict.fromkeys(_name_in(part) for part in parts if _is_name(part)))

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The levels and occupations."""
        text = one_form_of_roles(self.text)
        found = list(_LEVELS.finditer(text))
        found += [m for m in _WORD.finditer(text) if _singular(m[0].lower()) in OCCUPATIONS]
        found += list(_ROLE_BY_SUFFIX.finditer(text))
        found += [
            match
            for match in _ROLE.finditer(text)
            if match[1].lower() not in FUNCTION_WORDS | _NO_ROLE | _TRAINED
            # "Pallister managers" are an employer's, a "Product Manager" is an occupation
            and not (match[1] in self.proper and match[1].istitle() and match[2].islower())
        ]
        found.sort(key=lambda match: match.start())
        return tuple(dict.fromkeys(match[0] for match in found))

    @cached_property
    def named(self) -> tuple[str, ...]:
        """All that an answer must be about: what is pinned, roles and proper names."""
        return tuple(dict.fromkeys((*self.pinned, *self.roles, *self.proper)))


def one_form_of_roles(text: str) -> str:
    """`text` where a machine learning engineer is an ML engineer, not a "learning engineer"."""
    return re.sub(r"\bmachine[- ]learning\b", "ML", text, flags=re.IGNORECASE)


def _name_in(word: str) -> str:
    """The name in "AI-written"; a name of several capitals stays whole."""
    first, _, last = word.partition("-")
    return first if last.islower() and first.isupper() and len(first) > 1 else word


def _split(asking: str) -> list[str]:
    """The questions that one sentence joins, each after what leads into the first."""
    pieces = [piece.strip() for piece in _SPLIT.split(asking)]
    lead = _LEAD.match(pieces[0])
    parts = pieces[:1]
    for piece in pieces[1:]:
        if content_stems(piece):
            parts.append(f"{lead[0]}{piece}" if lead else piece)
        else:
            parts[-1] = f"{parts[-1]} and {piece}"  # "is there a fee and how much?"
    return parts


def _nearby(sentences: Sequence[str], asking: str) -> list[str]:
    """What is told around the sentence that asks, the last _TOLD words of it, whole sentences."""
    told = [sentence for sentence in sentences if sentence != asking]
    while sum(len(sentence.split()) for sentence in told) > _TOLD:
        told = told[1:]
    return told


def _without_orders(sentence: str) -> str:
    """`sentence` without the clauses that give the assistant orders; empty when nothing asks."""
    if not _ORDERS.search(sentence):
        return sentence
    clauses = [clause for clause in _CLAUSE.split(sentence) if not _ORDERS.search(clause)]
    asking = [clause for clause in clauses if _ASKS.search(clause) and content_stems(clause)]
    return " ".join(asking)


def meaning_stems(text: str) -> list[str]:
    """Stems of content words with synonyms and phrases brought to one form."""
    return [_same().get(one, one) for one in content_stems(_one_form(text))]


def forms_of(meaning: str) -> frozenset[str]:
    """The stems that `meaning_stems` brings to `meaning`, itself included."""
    return frozenset(one for one, same in _same().items() if same == meaning) | {meaning}


def speaks_of(name: str, context: str, title: str = "") -> bool:
    """Whether `context` names `name`, in this or a like form.

    A role of two words must stand together, or belong to the role that `title` names.
    """
    if name.lower() in context.lower() or _singular(name.lower()) in context.lower():
        return True
    wanted = set(meaning_stems(name))
    return wanted <= set(meaning_stems(title if _ROLE.fullmatch(name) else context))


def corrected(text: str, vocabulary: Iterable[str], is_word: Callable[[str], bool]) -> str:
    """`text` with misspelt words as `vocabulary` spells them.

    A word is left alone when it is known, short, not plain letters, or two edits away
    (one edit for up to seven letters; swapped neighbours are one edit).
    """
    known = set(vocabulary) | FUNCTION_WORDS
    choices = sorted(word for word in known if len(word) > 3)

    def correct(match: re.Match[str]) -> str:
        word = match[0].lower()
        if len(word) < 4 or word in known or is_word(word):
            return match[0]
        return _closest(word, choices) or match[0]

    return re.sub(r"[^\W\d_]+", correct, text)


def _closest(word: str, choices: list[str]) -> str | None:
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    allowed = 1 if len(word) <= 7 else 2
    found = process.extract(word, choices, scorer=OSA.distance, score_cutoff=allowed, limit=5)
    alike = [(edits, sorted(choice) != sorted(word), choice) for choice, edits, _ in found]
    return min((found for found in alike if found[-1][0] == word[0]), default=(0, 0, None))[-1]


def _one_form(text: str) -> str:
    plain = _US.sub(lambda m: m[0].replace(m[1], "us") if m[1] else "us", text)
    plain = re.sub(r"\b(?:e\.g|i\.e|etc)\.?", " ", plain)
    plain = re.sub(r"\b([A-Z]{2,})s\b", r"\1", plain).lower()  # RSUs, KPIs
    plain = re.sub(r"is(ation|e|ed|es|ing)\b", r"iz\1", plain)
    for phrase, form in PHRASES.items():
        if phrase in plain:
            plain = re.sub(rf"(?<!\w){re.escape(phrase)}(?!\w)", form, plain)
    # "us" is a function word: the country gets a form of its own
    marked = re.sub(
        r"(?<!\w)us(?= (?:market|national|average|salary|salaries|pay|in)\b)", "usa", plain
    )
    return re.sub(r"\b(in|the|for|of|across) us\b", r"\1 usa", marked)


@lru_cache(maxsize=1)
def _same() -> dict[str, str]:
    return {stem(word): stem(line.split()[0]) for line in SYNONYMS for word in line.split()}


@lru_cache(maxsize=1)
def _places() -> frozenset[str]:
    lines = Path(__file__).with_name("places.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def places_in(text: str) -> list[str]:
    """The places that `text` names, longest first; in lower case too."""
    tokens = [match[0] for match in re.finditer(r"[^\W\d_][\w.'-]*[^\W_]|[^\W\d_]", text)]
    found, at = [], 0
    while at < len(tokens):
        for length in (3, 2, 1):
            candidate = " ".join(tokens[at : at + length])
            if candidate.lower().removesuffix("'s") in _places():
                found.append(candidate.removesuffix("'s"))
                at += length - 1
                break
        at += 1
    return found


def _is_name(word: str) -> bool:
    """Whether a word written like a name is one: no shouting, no lone letter or number."""
    shouted = word.isupper() and len(word) > 5
    return len(word) > 1 and not word.isdigit() and not shouted and word.lower() not in _NO_NAMES


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
