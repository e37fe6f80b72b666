"""Which sentences of a draft may be displayed, beyond what the support check says of them.

A sentence that the cited text bears out may still say it worse than its exact words do: then the
quote is displayed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.readable import readable, with_columns

from .binding import unnamed_group
from .evidence import Passage
from .support import Verdict, by_itself
from .words import content_stems, words

_HEDGES = frozenset(
    "almost approximately around could estimated generally likely mainly may might mostly normally "
    "often roughly sometimes tend tends typically usually".split()
)
REPEATS = "it repeats what was said"
_COVERED_NEW = 0.7  # of its words that the question does not hold, the quote must hold so many
_ENUMERATION = re.compile(  # "A, B, C and D": not A, before which the sentence begins
    r",(?!\d)(?P<between>(?:[^,;:]+,)*?[^,;:]*?),?\s(?:and|or)\s+(?P<last>[^,;:.]+)"
)
_ITEM_WORDS = 4  # of a longer one, nobody knows that it is an item
_REPEATED = re.compile(r"\b(\w{3,}(?:[ -]\w+){1,2}),? (?:and|or) \1\b(?![-\w]| \w)", re.IGNORECASE)
_MARK = re.compile(  # [1], (1), [1, 2], [Fact 1]
    r"\s*(?:[\[【]\s*(?:(?:facts?|sources?)\s*)?(?P<several>\d{1,3}(?:\s*(?:,|;|-|and)\s*\d{1,3})*)"
    r"\s*[\]】]|\(\s*(?P<one>\d{1,3})\s*\))",
    re.IGNORECASE,
)
_MARKS = re.compile(r"(?:\s*(?:[\[【][^\[\]【】]*\d[^\[\]【】]*[\]】]|\(\s*\d{1,3}\s*\)))+")
_LEFT_OVER = re.compile(r"[\[\]【】]")  # a mark within a mark, or of a form that is none
_JOINT = re.compile(  # of parts that stand alone: none that speaks of another's subject
    r"^\s*(?:;|,\s*(?:and|but|while|whereas)\b)\s*+(?!(?:they|it|he|she|this|that|these|those)\b)",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"^(?:the answer(?: to (?:this|the|your) question)? is(?: that)?:?|answer:|"
    r"(?:according to|based on) (?:the )?(?:facts?|sources?|provided facts?|numbered facts?),?)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fact:
    """A quote that the prompt numbers and that sentences are checked against."""

    passage: Passage
    quoted: range

    @property
    def items(self) -> list[str]:
        """The list items or rows that it holds."""
        held = [s for s in self.passage.spans if s.kind != "sentence" and s.start in self.quoted]
        return [self.passage.span_text(span) for span in held]

    @property
    def words(self) -> str:
        """The quote as people read it."""
        return readable(self.passage.text[self.quoted.start : self.quoted.stop])

    @property
    def told(self) -> str:
        """The same, each cell of a table's row after the name of its column."""
        text, header = self.passage.text, self.passage.header_of(self.quoted)
        above = text[header.start : header.stop] if header else ""
        return with_columns(text[self.quoted.start : self.quoted.stop], above)

    @property
    def prompt(self) -> str:
        """The quote on one line, with the last heading where its lead-in does not say it."""
        parts = (part.strip().removeprefix("- ") for part in self.told.split("\n"))
        joint = " | " if self.passage.header else "; "
        line = joint.join(filter(None, parts)).replace(f":{joint}", ": ")
        introduced = self.passage.intro and self.quoted.start == self.passage.start
        if introduced:
            return line
        asked = f"{self.passage.intro_text} " if self.passage.head else ""
        return f"{self.passage.section[-1]}: {asked}{line}"

    @property
    def evidence(self) -> str:
        """What a sentence that cites it is checked against: title, headings and the quote."""
        above = dict.fromkeys((self.passage.title, *self.passage.section))
        return f"{' > '.join(above)}.\n{self.told}"


def cleaned(text: str) -> str:
    """A drafted sentence without marks, preambles and what ties it to others, as it is judged."""
    plain = _MARK.sub("", _PREAMBLE.sub("", text.strip())).strip(" -*#>")
    plain = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(plain.split()))
    return by_itself(plain)


def empty_reason(plain: str, question: str, shown: str) -> str:
    """Why a sentence would tell nothing new; empty when it would."""
    stated = set(content_stems(plain))
    if not stated or plain.endswith((":", "?")) or _LEFT_OVER.search(plain):
        return "it states nothing"
    if _REPEATED.search(plain):
        return "it says the same thing twice"
    if stated <= set(content_stems(question)):
        return "it only repeats the question"
    if stated <= set(content_stems(shown)):
        return REPEATS
    return ""


def marks_of(text: str) -> list[int]:
    """The facts that a draft marks, counted from 0; -1 for [0]."""
    marks = (match["several"] or match["one"] for match in _MARK.finditer(text))
    return [int(number) - 1 for mark in marks for number in re.findall(r"\d+", mark)]


def marked_parts(text: str, facts: int) -> list[tuple[str, list[int]]]:
    """The parts of a drafted sentence that end with marks, and those marks.

    "A is 5 [1], and B is 7 [2]" has two. None unless all of it is marked, with different marks of
    some of so many `facts`, and nothing but "and", "but" or "while" joins the parts.
    """
    found = list(_MARKS.finditer(text))
    starts = [0, *(match.end() for match in found)]
    if not found or any(char.isalnum() for char in text[starts[-1] :]):
        return []
    pieces = [text[start : match.start()] for start, match in zip(starts, found, strict=False)]
    marks = [marks_of(match[0]) for match in found]
    known = all(own and all(0 <= n < facts for n in own) for own in marks)
    apart = len({tuple(own) for own in marks}) == len(marks) > 1
    if not known or not apart or not all(_JOINT.match(piece) for piece in pieces[1:]):
        return []
    plain = [cleaned(_JOINT.sub("", piece)) for piece in pieces]
    return list(zip(plain, marks, strict=True))


def stricter(
    plain: str,
    question: str,
    facts: Sequence[Fact],
    cited: Fact,
    verdict: Verdict,
    certainty: float,
) -> Verdict:
    """`verdict`, but what the quote says better, or whole, gives way to its exact words."""
    if not verdict.supported:
        return verdict
    if _HEDGES & set(words(cited.told)) and not _HEDGES & set(words(plain)):
        return replace(verdict, reason="it leaves out that the cited text hedges")
    if group := unnamed_group(plain, cited.words, question):
        return replace(verdict, reason=f"it leaves out that the figure is of {group}")
    said, given = set(content_stems(plain)), set(content_stems(cited.evidence))
    added = said - set(content_stems(question))
    if verdict.read < certainty or len(added & given) < _COVERED_NEW * len(added):
        return replace(verdict, reason="the cited text says it more exactly")
    if any(not set(content_stems(item)) <= given for item in _listed(plain)):
        return replace(verdict, reason="it lists what the cited text does not")
    if _partly(said, set(content_stems(question)), cited) or (cited.items[1:] and added - given):
        return replace(verdict, reason="it leaves out items of the list that it cites")
    if _mixes(plain, facts, cited):
        return replace(verdict, reason="it mixes what two texts say")
    return verdict


def _partly(said: set[str], asked: set[str], fact: Fact) -> bool:
    """Whether what is `said` takes up some items of the fact's list, and not all.

    One item alone may be what was `asked` for, by a word that no other item has; two of three are
    told as if they were all, or as one.
    """
    items = [set(content_stems(item)) for item in fact.items]
    counted = Counter(stem for item in items for stem in item)
    own = [{stem for stem in item if counted[stem] == 1} or item for item in items]
    taken = [stems for stems in own if len(stems & said) >= min(len(stems), 2)]
    if len(items) < 2 or len(taken) == len(items):
        return False
    return len(taken) != 1 or not taken[0] & asked


def _listed(plain: str) -> list[str]:
    """What stands between the first comma and the "and" of an enumeration, and after it."""
    match = _ENUMERATION.search(plain)
    items = [*match["between"].split(","), match["last"]] if match else []
    return items if all(len(item.split()) <= _ITEM_WORDS for item in items) else []


def _mixes(plain: str, facts: Sequence[Fact], cited: Fact) -> bool:
    """Whether `plain` says a word that another fact holds and the cited one does not.

    A small model gives the annual bonus the figure of the sign-on bonus. Some true sentences go
    too; their quotes are shown in their place.
    """
    strange = _apart(plain) - _apart(cited.evidence)
    others = [f"{fact.passage.heading} {fact.words}" for fact in facts if fact is not cited]
    return any(strange & _apart(other) for other in others)


def _apart(text: str) -> set[str]:
    """The stems of `text` but its numbers, those of joined words one by one."""
    return {stem for stem in content_stems(text.replace("-", " ")) if stem.isalpha()}
