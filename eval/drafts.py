"""Cases proposed from a user's own documents, for a person to accept, correct or throw away.

A question is asked only in a form that the text itself suggests: a list's lead-in, a table's
header, a sentence that gives a figure. What no rule can ask well is not asked.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TypeVar

from assistant.lexicon import FUNCTION_WORDS, OCCUPATIONS
from assistant.question import places_in
from corpus.errors import UsageError
from corpus.readable import readable
from corpus.sections import Document, Section, Span

from .cases import Case
from .records import write_file

_GOLDEN = 0.6180339887498949
_LONG_LIST = 8  # nobody names more items in an answer: then any of them is enough
_PHRASE_WORDS = 7
_LONG_SENTENCE = 400  # characters; a question made of more would not be read

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
_HEADS = OCCUPATIONS | frozenset("manager director officer specialist operator auditor".split())
_PUBLICATION = re.compile(
    r"\b(?:guide|handbook|report|brochure|outlook|profile|manual)\b", re.IGNORECASE
)
_GENERIC = re.compile(
    r"(?:introduction|overview|summary|conclusion|general|about|prepar)\w*", re.IGNORECASE
)
_LISTED = re.compile(
    r"\b(?:skills|tasks|duties|responsibilities|requirements|benefits|challenges|trends|tools|"
    r"perks|qualities|practices|habits|steps|factors|paths|sectors|qualifications|occupations|"
    r"titles|specialisms|advantages|risks|opportunities|strategies|certifications)$",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"salary|\bpay\b|wage|income|\brate\b|share|hours|(?<!-)cost|median|percentile|bonus|fee|price|"
    r"growth|allowance|earnings|duration",
    re.IGNORECASE,
)
_RANKS = re.compile(r"role|level|position|job|title|stage|rank|post|grade", re.IGNORECASE)
_NO_ARTICLE = re.compile(r"(?:s|ed|ing|level|[^\w])$|,", re.IGNORECASE)
_PAY = re.compile(r"\bpay\b|salar|wage|earning|income", re.IGNORECASE)
_NO_SUBJECT = re.compile(
    r"(?:in|at|on|for|from|with|if|when|while|after|before|as|to|by|of|once|since|during|among|"
    r"without|under|over|ahead|also|within|because|although|however|where|every|it|we|you|another|here|"
    r"both|some|most|many|other|about|around|roughly|only|nearly|almost|equally|and|but|or|half|not|no|"
    r"each|all|more|less|i|where|who|further|later|changes?)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:its?|they|their|them|there|these|those|this|that sum|such|s?he|his|her|same)\b",
    re.IGNORECASE,
)

_WORD_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirty|forty"
_N = rf"(?:\d[\d,]*(?:\.\d+)?|{_WORD_NUMBERS})\b\+?"
_RANGE = rf"{_N}(?:(?: to |\s?[-–]\s?){_N})?"  # noqa: RUF001
_ABOUT = (
    r"(?:(?:about|around|roughly|approximately|nearly|almost|some|only|just|over|under|more than|"
    r"less than|at least|up to|close to|on average|an average of|a median of|fewer than) )*"
)
_PERCENT = rf"{_ABOUT}(?P<fig>{_RANGE}(?:\s?%| per ?cent\b))"
_MONEY = (
    rf"{_ABOUT}(?P<fig>[$€£]\d[\d,.]*\d(?:(?: to |\s?[-–]\s?)[$€£]?\d[\d,.]*\d)?"  # noqa: RUF001
    r"(?: (?:million|billion))?|\d[\d,]*(?: to \d[\d,]*)? (?:dollars|euros?|pounds))"
)
_UNIT = r"(?:hours|days|weeks|months|years|minutes)"
_TIME = rf"{_ABOUT}(?P<fig>{_RANGE} {_UNIT})"
_COUNT = rf"{_ABOUT}(?P<fig>{_RANGE}) (?P<what>[a-z]+s\b[^,;:]*?)"
_S = r"(?P<s>[^,;:\d]+?)"
_S3 = r"(?P<s>[^,;:\d\s]+(?: [^,;:\d\s]+){2,9}?)"
_END = r"(?=[,;.]| and | but | plus | while | because | in total|$)"
_REST = (
    r"(?P<rest>(?: (?!and\b|but\b|while\b|because\b|so\b|which\b|plus\b)[^\s,;:]+){0,10}?)" + _END
)
_OF = r"(?P<o>(?!them\b|these\b|those\b|it\b|that\b|what\b)[a-z][^,;:\d]*?)"

_LABELLED = re.compile(
    rf"(?P<label>[^:\d]{{3,40}}): "
    rf"(?P<fig>[$€£]\d[\d,.]*\d|{_RANGE}(?:\s?%| per ?cent| {_UNIT}))\.?",
    re.IGNORECASE,
)
_V = (
    r"(?P<do>(?:ask|look|apply) for|asks for|looks for|offers?|expects?|wants?|recommends?|values?|"
    r"demands?|covers?|requires?|needs?|involves?|prepares?|uses?|includes?|consists? of|"
    r"deals? with|divides? into|falls? into|goes? through|go into|turn to|insist on|come from)"
)
_ADV = r"(?:(?:typically|usually|normally|often|also|mostly|frequently|commonly|then|mainly) )?"
_PRE = r"(?P<pre>(?:(?:in|for|during|on|at|after|before|as) [^,:]+, )?)"
_UNCLEAR = re.compile(  # figures, verbs of its own, an end that wants more
    rf"\b(?:{_WORD_NUMBERS}|one|lasts|costs|whether)\b|^(?!.*\b(?:who|that|which)\b).*\b(?:is|are|was|were)\b|"
    r"\b(?:to|of|and|for|with|can|may|should|must|by|keep)$",
    re.IGNORECASE,
)
_REPORTED = re.compile(r"^[^,;:]{3,40}? (?:shows?|says?|finds?|reports?|estimates?) that ")

# Forms of sentences, each above the question that it answers; in that, {do} and {be} agree with
# the verb {v}.
_WHAT_ARE = "{pre}what {be} {s}"
_FIGURES = r"""
    {PERCENT} of {OF}{END}
    what percentage of {o}
    {S} (?P<be>is|are) (?P<v>expected|projected|forecast|predicted) to {GROW} by {PERCENT}{REST}
    by what percentage {be} {s} {v} to {o}{rest}
    {S} (?P<be>has|have) (?P<v>risen|grown|fallen|increased|dropped) (?:by )?{PERCENT}{REST}
    by what percentage {be} {s} {v}{rest}
    {S} (?P<do>costs?|earns?|charges?|receives?|pays?|bills?) {MONEY}{REST}
    how much {do} {s} {v}{rest}
    {S} (?P<do>lasts?|takes?) {TIME}{REST}
    how long {do} {s} {v}{rest}
    {S} (?P<be>is|are) {DONE} (?:only )?(?P<p>by|in) (?:only )?{PERCENT} of {OF}{END}
    {p} what percentage of {o} {be} {s} {v}
    {S} (?P<do>fills?|makes? up|spends?|covers?|handles?|employs?) {PERCENT} of {OF}{END}
    what percentage of {o} {do} {s} {v}
    {S} (?P<do>has|have|requires?|contains?|needs?|completes?) {COUNT}{END}
    how many {what} {do} {s} {v}
    {S3} (?:stands?|stood) at {PERCENT}{REST}
    at what percentage does {s} stand{rest}
    {S} (?P<be>is|are|was|were) {TIME}{END}
    how long {be} {s}
    {S} (?P<be>is|are|was|were) {MONEY}{REST}
    what {be} {s}{rest}
    {S} (?P<be>is|are|was|were) {PERCENT}(?: of [a-z ]+?)?{END}
    what {be} {s}
    {S} (?P<do>requires?|needs?) {TIME}(?P<rest> of [a-z ]+?)?{END}
    how much time{rest} {do} {s} {v}
    {S} (?P<be>was|were) (?P<v>founded|established|introduced|launched|opened) in (?P<fig>\d{4})\b
    when {be} {s} {v}
"""
_LEADS = r"""
    {PRE}{OTHER} {ADV}(?P<be>is|are|includes?)(?: in| the following| these| as follows)?$
    {pre}what {be} {s}
    {PRE}{S} {ADV}{V} (?:these|the following|several|two|three|four|five|six) {MANY}$
    {pre}which {o} {do} {s} {v}
    {PRE}{S} {ADV}{V}(?: the following| these)?$
    {pre}what {do} {s} {v}
    {PRE}{S} (?P<be>is|are) (?P<v>expected|required|asked|responsible|able) (?:to|for)$
    {pre}what {be} {s} {v} to do
    {PRE}{S} (?P<be>must|can|should|may)(?P<v> be able to)?$
    {pre}what {be} {s}{v} do
    {PRE}{S} (?P<do>has|have) to$
    {pre}what {do} {s} {v} to do
"""
_PARTS = {
    "PERCENT": _PERCENT,
    "MONEY": _MONEY,
    "TIME": _TIME,
    "COUNT": _COUNT,
    "S": _S,
    "S3": _S3,
    "OF": _OF,
    "END": _END,
    "REST": _REST,
    "V": _V,
    "ADV": _ADV,
    "PRE": _PRE,
    "GROW": r"(?P<o>rise|grow|fall|increase|decrease|shrink|decline|drop)",
    "DONE": r"(?P<v>held|requested|passed|used|required|accepted|offered)",
    "OTHER": r"(?P<s>(?:the |other |further )?[^,:]+?)",
    "MANY": r"(?P<o>[a-z ]*s\b[^,:]*)",
}

Item = TypeVar("Item")
Fact = tuple[str, ...]


@dataclass(frozen=True)
class _Draft:
    """A question from a section, without its mark, and what its answer must hold."""

    kind: str
    question: str
    heading: str
    facts: tuple[Fact, ...]
    role: str = ""  # whom the document is about, when it is an occupation


def draft_cases(documents: Sequence[Document], limit: int = 60) -> list[Case]:
    """At most `limit` cases in reading order, spread over documents and sections.

    Up to a third are near misses: the question before it, of a place, year or occupation that no
    document names.
    """
    known = _Known(documents)
    drafts = list(_unique(known, documents))
    place = {pair: at for at, pair in enumerate(drafts)}
    by_document = [list(of_one) for _, of_one in groupby(drafts, key=lambda pair: pair[0])]
    chosen = sorted(
        _spread([_scattered(of_one) for of_one in by_document], limit - limit // 3),
        key=place.__getitem__,
    )
    swaps = _different({d: known.swapped(d, number) for number, (_, d) in enumerate(chosen)})
    near = set(_evenly(list(swaps), min(limit // 3, len(chosen) // 2)))
    found: list[Case] = []
    for _, draft in chosen:
        found.append(_case(draft, draft.question, len(found) + 1))
        if draft in near:
            found.append(_case(draft, swaps[draft], len(found) + 1, answerable=False))
    return found


def write_cases(cases: Sequence[Case], file: Path) -> None:
    """Write `cases` as JSON lines.

    Raises:
        UsageError: the file is there already: what a person corrected is not overwritten; or its
            folder is not there.
    """
    if file.exists():
        raise UsageError(f"{file} is there already", "name a new file or remove that one")
    if not file.parent.is_dir():
        raise UsageError(f"no such folder: {file.parent}", "create it or name another one")
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


# --- which of all drafts


def _unique(known: "_Known", documents: Sequence[Document]) -> Iterator[tuple[str, _Draft]]:
    """The drafts by source; of two with one question, neither: it would have two answers."""
    found = [(d.source, draft) for d in documents for draft in _Reader(d, known).drafts()]
    asked = Counter(draft.question.lower() for _, draft in found)
    yield from ((source, draft) for source, draft in found if asked[draft.question.lower()] == 1)


def _different(swaps: Mapping[_Draft, str | None]) -> dict[_Draft, str]:
    """The swapped questions that there are, each once."""
    return {d: q for q, d in {q: d for d, q in swaps.items() if q}.items()}


def _scattered(drafts: Sequence[tuple[str, _Draft]]) -> list[tuple[str, _Draft]]:
    """One draft of each section, then the second ones…; any first part is spread over all."""
    found = []
    sections = [list(of_one) for _, of_one in groupby(drafts, key=lambda pair: pair[1].heading)]
    for rank in range(max(map(len, sections))):
        layer = [section[rank] for section in sections if len(section) > rank]
        # the multiples of the golden ratio leave no gap and no cluster
        found += [layer[at] for at in sorted(range(len(layer)), key=lambda at: at * _GOLDEN % 1)]
    return found


def _spread(groups: Sequence[Sequence[Item]], count: int) -> list[Item]:
    """`count` items from the groups in turn."""
    found: list[Item] = []
    for rank in range(max(map(len, groups), default=0)):
        layer = [group[rank] for group in groups if len(group) > rank]
        found += _evenly(layer, count - len(found))
    return found


def _evenly(items: Sequence[Item], count: int) -> list[Item]:
    if count >= len(items):
        return list(items)
    return [items[at * len(items) // count] for at in range(max(count, 0))]


# --- what the documents name


class _Known:
    """The words of all documents, and the swaps to what none of them names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.several = len(documents) > 1
        self._text = "\n".join(f"{d.title}\n{d.source}\n{d.text}" for d in documents)
        self._folded = self._text.lower()
        self._sentences = "\n".join(
            d.text[span.start : span.end]
            for d in documents
            for section in d.sections
            for span in section.spans
            if span.kind == "sentence"
        )

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(re.findall(r"[^\W\d_]+", self._text))

    @cached_property
    def _names(self) -> frozenset[str]:
        """Words with a capital inside a sentence."""
        return frozenset(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", self._sentences))

    def lowered(self, phrase: str, *, all_words: bool = True) -> str:
        """`phrase` with small first letters, but for names and acronyms."""
        named = {word for place in places_in(phrase) for word in place.split()}
        return re.sub(
            r"[^\W_]+",
            lambda m: self._lowered(m[0]) if self._may_fall(m, named, all_words) else m[0],
            phrase,
        )

    @staticmethod
    def _may_fall(word: re.Match[str], named: set[str], all_words: bool) -> bool:
        return word[0] not in named and (all_words or word.start() == 0)

    def _lowered(self, word: str) -> str:
        low = word.lower()
        if not word.isalpha() or (len(word) == 1 and low not in FUNCTION_WORDS):
            return word  # E1, the language R
        is_title = word[:1].isupper() and word[1:] == low[1:]
        is_common = low in self._vocabulary or low in FUNCTION_WORDS or word not in self._names
        return low if is_title and is_common else word

    def swapped(self, draft: _Draft, number: int) -> str | None:
        """The draft's question of another year, place or occupation; None when it names none.

        A figure can also be asked for of a place.
        """
        question = draft.question
        if draft.kind == "section":
            return None
        year = re.search(r"\b(?:19|20)\d\d\b", question)
        if year and (draft.kind != "numeric" or number % 2):
            others = [str(int(year[0]) + step) for step in _turned((4, -4, 6, -6, 9, -9), number)]
            return self._replaced(question, year[0], others)
        if places := places_in(question):
            return self._replaced(question, places[0], _turned(PLACES, number))
        role = draft.role if draft.role in question else ""
        role = role or _role_in(question) or ""
        if role and (draft.kind != "numeric" or number % 2):
            return self._replaced(question, role, self._roles(role, number))
        free = [place for place in _turned(PLACES, number) if self._is_new(place)]
        return f"{question} in {free[0]}" if free and draft.kind == "numeric" else None

    def _roles(self, role: str, number: int) -> list[str]:
        roles = _turned(ROLES_NEAR if _NEAR.search(role) else ROLES, number)
        return [f"{other}s" for other in roles] if role.endswith("s") else roles

    def _replaced(self, question: str, old: str, choices: Sequence[str]) -> str | None:
        new = next((one for one in choices if self._is_new(one)), None)
        if new is None:
            return None
        question = re.sub(rf"\ban? (?={re.escape(old)})", f"{_article(new)} ", question)
        return question.replace(old, new)

    def _is_new(self, name: str) -> bool:
        return name.lower().removesuffix("s") not in self._folded


def _article(name: str) -> str:
    return "an" if name[0].lower() in "aeiou" else "a"


def _turned(items: Sequence[Item], number: int) -> list[Item]:
    at = number % len(items)
    return [*items[at:], *items[:at]]


def _role_in(text: str) -> str | None:
    """The occupation that `text` names first, with the words that narrow it."""
    words = list(re.finditer(r"[^\W\d_][\w/&-]*", text))
    for at, word in enumerate(words):
        if word[0].lower().removesuffix("s") not in _HEADS:
            continue
        first = at
        while first and _narrows(words[first - 1], words[first], text):
            first -= 1
        return text[words[first].start() : word.end()]
    return None


def _narrows(word: re.Match[str], after: re.Match[str], text: str) -> bool:
    """Whether `word` belongs to the occupation that goes on with `after`."""
    if text[word.end() : after.start()] != " ":
        return False
    if word[0] == "and":  # Senior AI and Machine Learning Engineers
        return after[0][0].isupper() and bool(re.search(r"[A-Z]\w* $", text[: word.start()]))
    own = word[0][0].isupper() or word[0].lower().endswith(("ing", "ical"))
    low = word[0].lower()
    return (own or low in _NARROWING) and low not in FUNCTION_WORDS | _NO_NARROWING


_NARROWING = frozenset(
    "senior junior staff lead chief data software machine learning product project financial "
    "business hotel general medical clinical legal tax cloud test site head systems security "
    "mobile game network civil chemical mechanical corporate social".split()
)
_NO_NARROWING = frozenset("becoming working running being for what which how".split())


# --- what a document suggests


class _Reader:
    """Reads one document for questions."""

    def __init__(self, document: Document, known: _Known) -> None:
        self._document = document
        self._known = known
        role = _role_in(document.title.split(":")[0])
        self._role = known.lowered(role) if role else None

    def drafts(self) -> Iterator[_Draft]:
        """The drafts of each section: its figures and lists in turn, and what it says at all."""
        for section in self._document.sections:
            found = list(self._figures(section)), list(self._lists(section))
            yield from (d for pair in zip_longest(*found) for d in pair if d)
            if not any(found):
                yield from self._heading(section)

    def _text(self, span: Span | tuple[int, int]) -> str:
        start, end = span if isinstance(span, tuple) else (span.start, span.end)
        return " ".join(readable(self._document.text[start:end]).split())

    def _draft(self, kind: str, question: str, section: Section, facts: Sequence[Fact]) -> _Draft:
        whom = _plural(self._role) if self._role else ""
        return _Draft(kind, self._of_whom(question), section.path[-1], tuple(facts), whom)

    def _of_whom(self, question: str) -> str:
        """`question`, saying whom or what it is about where it does not."""
        question = " ".join(question.split()).rstrip(".")
        title = self._document.title
        if self._role:
            return question if _role_in(question) else f"for {_plural(self._role)}, {question}"
        return f"according to {_titled(title)}, {question}" if self._known.several else question

    def _figures(self, section: Section) -> Iterator[_Draft]:
        for number, span in enumerate(section.spans):
            text = self._text(span)
            if span.kind == "row" and span.lead:
                yield from self._cell(section, span, number)
            elif span.kind == "sentence" and (asked := self._asked(_FIGURES, text.rstrip("."))):
                yield self._draft("numeric", asked[0], section, [_wordings(asked[1]["fig"])])
            elif span.kind == "item" and (found := _LABELLED.fullmatch(text)):
                label = self._known.lowered(found["label"])
                if _MEASURE.search(label):
                    fact = _wordings(found["fig"])
                    yield self._draft("numeric", f"what is the {label}", section, [fact])

    def _cell(self, section: Section, span: Span, number: int) -> Iterator[_Draft]:
        """A question for one cell of a row, in each row another column."""
        cells, header = self._cells(span), self._cells(span.lead or (0, 0))
        fit = [
            (name, value)
            for name, value in zip(header[1:], cells[1:], strict=False)
            if _MEASURE.search(name.split("(")[0]) and re.search(r"\d", value) and len(value) < 30
        ]
        if not fit or not cells[0] or re.search(r"\d", cells[0]):
            return
        name, value = fit[number % len(fit)]
        measure = self._known.lowered(re.sub(r"\s*\(.*?\)|,.*", "", name))
        if _PAY.search(section.path[-1]) and not _PAY.search(measure):
            measure = re.sub(r"(percentile)$", r"\1 of pay", measure)
            measure = re.sub(r"(median|average)$", r"\1 pay", measure)
        label = self._known.lowered(cells[0])
        if label.endswith("average"):
            label = f"the {label}"
        elif (_role_in(label) or _RANKS.search(header[0])) and not _NO_ARTICLE.search(label):
            label = f"{_article(label)} {label}"
        be = "are" if re.search(r"[^su]s$", measure.split(" of ")[0]) else "is"
        yield self._draft("numeric", f"what {be} the {measure} for {label}", section, [(value,)])

    def _cells(self, span: Span | tuple[int, int]) -> list[str]:
        start, end = span if isinstance(span, tuple) else (span.start, span.end)
        row = self._document.text[start:end].strip().strip("|")
        return [readable(cell).strip() for cell in row.split("|")]

    def _asked(self, forms: str, text: str) -> tuple[str, re.Match[str]] | None:
        """The question of the first form that `text` has, and how it fits."""
        if len(text) > _LONG_SENTENCE:
            return None
        text = _REPORTED.sub("", text)
        for form, question in _rules(forms):
            found = form.match(text)
            if found and self._is_clear(found):
                return self._filled(question, found), found
        return None

    def _is_clear(self, found: re.Match[str]) -> bool:
        """Whether what is asked about can be understood without the sentences around it."""
        parts = found.groupdict()
        about = " ".join(parts.get(name) or "" for name in ("s", "o", "what", "rest", "pre"))
        subject = parts.get("s") or ""
        return (
            not _POINTS_BACK.search(about)
            and not _NO_SUBJECT.match(subject)
            and not _UNCLEAR.search(subject)
            and not re.search(r"\bbetween \S+\s*$", about)
            and len(subject.split()) <= 14
        )

    def _filled(self, question: str, found: re.Match[str]) -> str:
        parts = {name: value or "" for name, value in found.groupdict().items()}
        for name in ("s", "pre"):
            if name in parts:
                parts[name] = self._known.lowered(parts[name], all_words=False)
        verb = parts.get("do", "")
        if verb:
            first, _, rest = verb.partition(" ")
            base = "have" if first == "has" else first.removesuffix("s")
            parts["v"] = f"{base} {rest}".strip()
            parts["do"] = "does" if first.endswith("s") else "do"
        if parts.get("be", "").lower().startswith("include"):
            parts["be"] = "are" if parts["be"] == "include" else "is"
        if parts.get("rest", "").startswith(" of ") and "how long" in question:
            parts["rest"] = ""
        if question == _WHAT_ARE:
            parts["s"] = _with_article(re.sub(r"^(?:other|further) ", "", parts["s"]))
        return question.format(**parts)

    def _lists(self, section: Section) -> Iterator[_Draft]:
        for lead, spans in groupby(section.spans, key=lambda span: (span.kind, span.lead)):
            items = [self._text(span) for span in spans]
            if lead[0] != "item" or len(items) < 2 or _is_table(items):
                continue
            facts = list(dict.fromkeys(filter(None, map(_phrase, items))))
            many = len(items) > _LONG_LIST
            question = self._list_question(section, lead[1], some=many)
            if question and facts:
                held = [tuple(facts)] if many else [(fact,) for fact in facts]
                yield self._draft("list", question, section, held)

    def _list_question(
        self, section: Section, lead: tuple[int, int] | None, *, some: bool
    ) -> str | None:
        some_of = "some of " if some else ""
        asked = lead and self._asked(_LEADS, self._text(lead).rstrip(":"))
        if asked and (not asked[1].groupdict().get("pre") or _role_in(asked[0]) or not self._role):
            return asked[0].replace("what are the ", f"what are {some_of}the ", 1)
        heading = section.path[-1]
        if not _LISTED.search(heading) or re.search(r"[,:&]| and ", heading):
            return None
        return f"what are {some_of}the {self._known.lowered(heading)}"

    def _heading(self, section: Section) -> Iterator[_Draft]:
        heading = section.path[-1]
        texts = [self._text(span) for span in section.spans if span.kind == "sentence"]
        phrases = tuple(dict.fromkeys(p for text in texts[:3] if (p := _key_phrase(text, heading))))
        if (
            not phrases
            or len(texts) < 2
            or _GENERIC.match(heading)
            or _NO_SUBJECT.match(heading)
            or len(heading.split()) > 6
        ):
            return
        about = self._known.lowered(heading)
        if found := re.fullmatch(r"how to (.+)", about, re.IGNORECASE):
            question = f"how does one {found[1]}"
        elif (
            re.match(r"what|how|why|when|who|where", about, re.IGNORECASE)
            or heading == self._document.title
        ):
            return
        else:
            question = f"what does {_titled(self._document.title)} say about {about}"
            yield _Draft("section", question, heading, (phrases,))
            return
        yield self._draft("section", question, section, [phrases])


@cache
def _rules(forms: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Each form of a table with its question."""
    lines = [line.strip() for line in forms.strip().split("\n")]
    parts = re.compile(f"{{({'|'.join(_PARTS)})}}")
    return tuple(
        (re.compile(parts.sub(lambda part: _PARTS[part[1]], form), re.IGNORECASE), question)
        for form, question in zip(lines[::2], lines[1::2], strict=True)
    )


def _is_table(items: Sequence[str]) -> bool:
    """Whether the items give a figure each, so that their labels alone answer nothing."""
    return sum(bool(re.search(r":\D{0,40}\d", item)) for item in items) * 2 >= len(items)


def _with_article(subject: str) -> str:
    known = re.match(r"(?:the|a|an|your|our|\w+'s)\b", subject, re.IGNORECASE)
    return subject if known else f"the {subject}"


def _titled(title: str) -> str:
    short = title.split(":")[0].strip()
    if _PUBLICATION.search(short):
        return short if re.match(r"(?:the|a|an)\b", short, re.IGNORECASE) else f"the {short}"
    return f"“{title}”"


def _plural(role: str) -> str:
    if role.endswith("s"):
        return role
    return f"{role[:-1]}ies" if role.endswith("ry") else f"{role}s"


def _wordings(figure: str) -> Fact:
    """A figure as it is written, and as else it might be."""
    number = re.sub(r"\s?(?:%|per ?cent)$", "", figure)
    if number != figure and number[-1].isdigit():
        return tuple(
            dict.fromkeys((figure, f"{number} percent", f"{number}%", f"{number} per cent"))
        )
    return (figure,)


def _phrase(item: str) -> str:
    """The words of a list item that tell it from others: its label, or its first ones."""
    label = re.match(r"[^:.]{3,50}(?=: )", item)
    whole = re.split(r" \(|; |\. |\.$", label[0] if label else item)[0]
    parts = [part.split() for part in re.split(r",? and |, (?:which|so|such) |, ", whole)]
    words = whole.split()
    if len(words) > _PHRASE_WORDS and len(parts[0]) > 1:
        words = parts[0]
    words = words[:_PHRASE_WORDS]
    while len(words) > 1 and words[-1].lower() in FUNCTION_WORDS:
        words.pop()
    return " ".join(words).rstrip(",")


def _key_phrase(sentence: str, heading: str) -> str | None:
    """The longest run of meaning words, at most four; the first of equals."""
    taken = set(heading.lower().split())
    runs: list[list[str]] = []
    run: list[str] = []
    for word in [*re.findall(r"[^\W_][\w'-]*|[^\w\s]", sentence), "."]:
        if word.lower() in FUNCTION_WORDS or not word.isalpha():
            runs.append(run)
            run = []
        else:
            run.append(word)
    fit = [r[-4:] for r in runs if len(r) > 1 and not {w.lower() for w in r} <= taken]
    fit = [r for r in fit if not _role_in(r[-1])]
    best = max(fit, key=len, default=None)
    return " ".join(best) if best else None
