"""Cases proposed from a user's own documents, for a person to accept, correct or throw away.

What a document suggests is asked in the forms of `draft_forms`; chosen are cases spread over all
documents and sections, some of them swapped to what no document names.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TypeVar

from assistant.lexicon import FUNCTION_WORDS
from assistant.question import places_in
from corpus.errors import UsageError
from corpus.readable import cells_of, readable
from corpus.sections import Document, Section, Span

from . import draft_forms as forms
from .cases import Case
from .records import write_file, writing

_GOLDEN = 0.6180339887498949
_LONG_LIST = 8  # nobody names more items in an answer: then any of them is enough
_YEARS_AWAY = (4, -4, 6, -6, 9, -9)

# Where a question is swapped to: each is used only if no document names it.
PLACES = tuple("Lisbon Oslo Toronto Nairobi Prague Santiago Auckland Helsinki Manila Lima".split())
ROLES_NEAR = tuple(
    "technical writer,game developer,network administrator,mobile developer,graphic designer,"
    "database administrator,test manager,web designer".split(",")
)
ROLES = tuple(
    "librarian dietitian surveyor translator plumber optician florist paramedic archaeologist "
    "locksmith beekeeper tailor astronomer sommelier stonemason gardener interpreter".split()
)
_NEAR = re.compile(r"\b(?:engineer|developer|data|software|scientist|ai|ml|it)s?\b", re.IGNORECASE)

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Draft:
    """A question from a section, without its mark, and what its answer must hold."""

    source: str
    heading: str
    kind: str
    question: str
    facts: tuple[tuple[str, ...], ...]
    role: str = ""  # whom the document is about, when it is an occupation


def draft_cases(documents: Sequence[Document], limit: int = 60) -> list[Case]:
    """At most `limit` cases in reading order, spread over documents and sections.

    Up to a third are near misses: the question before it, of a place, year or occupation that no
    document names.
    """
    known = _Known(documents)
    drafts = [draft for document in documents for draft in _Reader(document, known).drafts()]
    asked = Counter(draft.question.lower() for draft in drafts)
    drafts = [d for d in drafts if asked[d.question.lower()] == 1]  # two would have two answers
    chosen = _spread(drafts, limit - limit // 3)
    swaps = {known.swapped(draft, number): draft for number, draft in enumerate(chosen)}
    swapped = {draft: question for question, draft in swaps.items() if question}
    near = set(_evenly(list(swapped), min(limit // 3, len(chosen) // 2)))
    found: list[Case] = []
    for draft in chosen:
        found.append(_case(draft, draft.question, len(found) + 1))
        if draft in near:
            found.append(_case(draft, swapped[draft], len(found) + 1, answerable=False))
    return found


def write_cases(cases: Sequence[Case], file: Path) -> None:
    """Write `cases` as JSON lines.

    Raises:
        UsageError: the file is there already: what a person corrected is not overwritten; or its
            folder is not there, or cannot be written.
    """
    if file.exists():
        raise UsageError(f"{file} is there already", "name a new file or remove that one")
    with writing(file):
        write_file(file, "".join(json.dumps(asdict(c), ensure_ascii=False) + "\n" for c in cases))


def _case(draft: _Draft, question: str, number: int, *, answerable: bool = True) -> Case:
    return Case(
        id=f"draft-{number:04d}",
        question=f"{question[0].upper()}{question[1:]}?",
        answerable=answerable,
        kind=draft.kind if answerable else "near-miss",
        sections=(draft.heading,) if answerable else (),
        facts=draft.facts if answerable else (),
        draft=True,
    )


def _spread(drafts: Sequence[_Draft], count: int) -> list[_Draft]:
    """`count` drafts in reading order, from the documents in turn."""
    place = {draft: at for at, draft in enumerate(drafts)}
    by_source = groupby(drafts, key=lambda draft: draft.source)
    found: list[_Draft] = []
    for layer in _layers([_scattered(list(of_one)) for _, of_one in by_source]):
        found += _evenly(layer, count - len(found))
    return sorted(found, key=place.__getitem__)


def _scattered(drafts: Sequence[_Draft]) -> list[_Draft]:
    """One draft of each section, then the second ones…; any first part is spread over all."""
    sections = [list(of_one) for _, of_one in groupby(drafts, key=lambda draft: draft.heading)]
    # the multiples of the golden ratio leave no gap and no cluster
    return [
        layer[at]
        for layer in _layers(sections)
        for at in sorted(range(len(layer)), key=lambda at: at * _GOLDEN % 1)
    ]


def _layers(groups: Sequence[Sequence[Item]]) -> list[list[Item]]:
    """The first item of each group, then the second ones, and so on."""
    longest = max(map(len, groups), default=0)
    return [[group[rank] for group in groups if len(group) > rank] for rank in range(longest)]


def _evenly(items: Sequence[Item], count: int) -> list[Item]:
    count = max(0, min(count, len(items)))
    return [items[at * len(items) // count] for at in range(count)]


class _Known:
    """What the documents name, and the swaps to what none of them names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.several = len(documents) > 1
        text = "\n".join(f"{d.title}\n{d.source}\n{d.text}" for d in documents)
        spans = ((d, span) for d in documents for s in d.sections for span in s.spans)
        said = "\n".join(d.text[s.start : s.end] for d, s in spans if s.kind == "sentence")
        capital_inside = re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", said)
        small = FUNCTION_WORDS | set(re.findall(r"[^\W\d_]+", text))
        self._names = frozenset(word for word in capital_inside if word.lower() not in small)
        self._text = text.lower()

    def lowered(self, phrase: str, *, first_only: bool = False) -> str:
        """`phrase` with small first letters, but for names, acronyms, E1, the language R."""
        places = {word for place in places_in(phrase) for word in place.split()}

        def small(found: re.Match[str]) -> str:
            word = found[0]
            is_plain = word.isalpha() and word.istitle() and (len(word) > 1 or word == "A")
            return word.lower() if is_plain and word not in places | self._names else word

        return re.sub(r"^[^\W_]+" if first_only else r"[^\W_]+", small, phrase)

    def swapped(self, draft: _Draft, number: int) -> str | None:
        """The draft's question of another year, place or occupation; None when it names none.

        A figure can also be asked for of a place.
        """
        question = draft.question
        old, others = self._swap(draft, number)
        turn = number % max(len(others), 1)
        names = [*others[turn:], *others[:turn]]
        new = next((n for n in names if n.lower().removesuffix("s") not in self._text), None)
        if draft.kind == "section" or not new:
            return None
        if not old:
            return f"{question} in {new}"
        question = re.sub(rf"\ban? {re.escape(old)}", forms.with_article(new), question)
        return question.replace(old, new)

    @staticmethod
    def _swap(draft: _Draft, number: int) -> tuple[str, Sequence[str]]:
        """What of the question is swapped, and to which names."""
        question = draft.question
        is_figure = draft.kind == "numeric"
        year = re.search(r"\b(?:19|20)\d\d\b", question)
        role = draft.role if draft.role in question else ""
        role = role or forms.role_in(question) or ""
        if year and (not is_figure or number % 2):
            return year[0], [str(int(year[0]) + step) for step in _YEARS_AWAY]
        if places := places_in(question):
            return places[0], PLACES
        if role and (not is_figure or number % 2):
            others = ROLES_NEAR if _NEAR.search(role) else ROLES
            return role, [f"{other}s" for other in others] if role.endswith("s") else others
        return "", PLACES if is_figure else ()


class _Reader:
    """Reads one document for questions."""

    def __init__(self, document: Document, known: _Known) -> None:
        self._document = document
        self._known = known
        role = forms.role_in(document.title.split(":")[0])
        self._whom = forms.plural(known.lowered(role)) if role else ""

    def drafts(self) -> Iterator[_Draft]:
        """The drafts of each section: its figures and lists in turn, else what it says at all."""
        for section in self._document.sections:
            found = list(self._figures(section)), list(self._lists(section))
            yield from (d for pair in zip_longest(*found) for d in pair if d)
            if not any(found):
                yield from self._topic(section)

    def _draft(
        self, section: Section, kind: str, question: str, facts: Sequence[tuple[str, ...]]
    ) -> _Draft:
        """The draft of `question`, which is made to say whom or what it is about."""
        question = " ".join(question.split()).rstrip(".")
        if kind != "section" and self._whom and not forms.role_in(question):
            question = f"for {self._whom}, {question}"
        elif kind != "section" and self._known.several and not self._whom:
            question = f"according to “{self._document.title}”, {question}"
        source, heading = self._document.source, section.path[-1]
        return _Draft(source, heading, kind, question, tuple(facts), self._whom)

    def _figures(self, section: Section) -> Iterator[_Draft]:
        for number, span in enumerate(section.spans):
            asked = self._asked(section, span, number)
            if asked and asked.figure:
                fact = (asked.figure,) if span.kind == "row" else forms.wordings(asked.figure)
                yield self._draft(section, "numeric", asked.question, [fact])

    def _asked(self, section: Section, span: Span, number: int) -> forms.Asked | None:
        text = self._text((span.start, span.end))
        lowered = self._known.lowered
        if span.kind == "sentence":
            return forms.figure_question(lowered(text, first_only=True))
        if span.kind == "item":
            label, colon, value = text.partition(":")
            return forms.label_question(f"{lowered(label)}{colon}{value}")
        if span.kind == "row" and span.lead:
            header, row = self._cells(span.lead), self._cells((span.start, span.end))
            names = [*map(lowered, header)]
            return forms.cell_question(names, [lowered(row[0]), *row[1:]], number, section.path[-1])
        return None

    def _text(self, place: tuple[int, int]) -> str:
        return " ".join(readable(self._document.text[slice(*place)]).split())

    def _cells(self, place: tuple[int, int]) -> list[str]:
        return [readable(cell) for cell in cells_of(self._document.text[slice(*place)])]

    def _lists(self, section: Section) -> Iterator[_Draft]:
        for (kind, lead), spans in groupby(section.spans, key=lambda s: (s.kind, s.lead)):
            items = [self._text((span.start, span.end)) for span in spans]
            if kind != "item" or len(items) < 2 or forms.is_table(items):
                continue
            phrases = tuple(dict.fromkeys(filter(None, map(forms.item_phrase, items))))
            question = self._list_question(section.path[-1], self._text(lead) if lead else "")
            if question and phrases:
                some = len(items) > _LONG_LIST
                facts = [phrases] if some else [(phrase,) for phrase in phrases]
                what = "what are some of the " if some else "what are the "
                question = question.replace("what are the ", what, 1)
                yield self._draft(section, "list", question, facts)

    def _list_question(self, heading: str, lead: str) -> str | None:
        if asked := forms.lead_question(self._known.lowered(lead, first_only=True)):
            return asked
        return f"what are the {self._known.lowered(heading)}" if forms.names_list(heading) else None

    def _topic(self, section: Section) -> Iterator[_Draft]:
        heading, title = section.path[-1], self._document.title
        spans = [span for span in section.spans if span.kind == "sentence"]
        texts = [self._text((span.start, span.end)) for span in spans]
        found = [forms.key_phrase(text, heading) for text in texts[:3]]
        phrases = tuple(dict.fromkeys(filter(None, found)))
        if phrases and len(texts) > 1 and heading != title and forms.names_topic(heading):
            question = f"what does “{title}” say about {self._known.lowered(heading)}"
            yield self._draft(section, "section", question, [phrases])
