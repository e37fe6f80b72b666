"""Forms in which a drafted case asks: what a sentence, a list or a table suggests, as rules.

No rule knows the documents: a text comes with its first letter as it stands inside a question.
What no rule can ask well is not asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from assistant.lexicon import FUNCTION_WORDS, OCCUPATIONS

_LONG_SENTENCE = 400  # characters; a question made of more would not be read
_PHRASE_WORDS = 7

_HEADS = OCCUPATIONS | frozenset("manager director officer specialist operator auditor".split())
_NO_NARROWING = FUNCTION_WORDS | {f"{head}{s}" for head in _HEADS for s in ("", "s")}
_NARROWING = (
    "senior|junior|staff|lead|chief|data|software|machine|product|project|financial|business|hotel|"
    "general|legal|tax|cloud|test|site|head|systems|security|mobile|game|network|civil|corporate|"
    r"social|[\w/&-]{1,30}(?:ing|ical)|(?-i:[A-Z][\w/&-]{0,30}(?: and(?= [A-Z]))?)"
)
_ROLE = re.compile(  # possessive and bounded: no text makes it slow
    rf"\b(?:(?!(?:becoming|working|running|being|{'|'.join(sorted(_NO_NARROWING))}) )"
    rf"(?:{_NARROWING}) ){{0,9}}+(?:{'|'.join(sorted(_HEADS))})s?\b",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"salary|\bpay\b|wage|income|\brate\b|share|hours|(?<!-)cost|median|percentile|bonus|fee|price",
    re.IGNORECASE,
)
_PAY = re.compile(r"\bpay\b|salar|wage|earning|income", re.IGNORECASE)
_RANKS = re.compile(r"role|level|position|job|title|stage|rank", re.IGNORECASE)
_NO_ARTICLE = re.compile(r"^the |(?:s|ed|ing|level|\W)$|,", re.IGNORECASE)
_LISTED = re.compile(
    r"\b(?:skills|tasks|duties|responsibilities|requirements|benefits|challenges|trends|tools|perks|"
    r"qualities|practices|habits|steps|qualifications|occupations)$",
    re.IGNORECASE,
)
_GENERIC = re.compile(r"introduction|overview|summary|conclusion|general|about|prepar|what|how|why")
_OPENS_WELL = frozenset(
    "the a an our your good bad old long help numbers getting making finding using".split()
)
_OPENS_BADLY = FUNCTION_WORDS | frozenset("ahead another nearly almost around half changes".split())
_LEANS = re.compile(  # on other sentences, or on what was cut off
    r"\b(?:its?|they|their|them|there|these|those|this|that sum|such|s?he|his|her|same)\b|"
    r"\bbetween \S+\s*$",
    re.IGNORECASE,
)
_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirty|forty"
_UNCLEAR = re.compile(  # a subject with figures, verbs of its own, an end that wants more
    rf"\b(?:{_NUMBERS}|one|lasts|costs|whether|shows? that)\b|"
    r"^(?!.*\b(?:who|that|which)\b).*\b(?:is|are|was|were)\b|"
    r"\b(?:to|of|and|for|with|can|may|should|must|by)$",
    re.IGNORECASE,
)

_ABOUT = (
    r"(?:(?:about|around|roughly|nearly|almost|some|only|over|under|more than|less than|at least|"
    r"up to|close to|on average|an average of|a median of) )*"
)
_TO = r"(?: to |\s?[-\u2013]\s?)"
_N = rf"(?:\d[\d,]*(?:\.\d+)?|{_NUMBERS})\b\+?"
_RANGE = rf"{_N}(?:{_TO}{_N})?"
_SUM = r"[$€£]\d[\d,.]*\d"
_UNIT = "(?:hours|days|weeks|months|years|minutes)"
_LABELLED = re.compile(
    rf"(?P<label>[^:\d]{{3,40}}): (?P<fig>{_SUM}|{_RANGE}(?:\s?%| per ?cent| {_UNIT}))\.?",
    re.IGNORECASE,
)

# Forms of sentences, each above the question that it answers. {do} and {be} agree with the subject
# {s}, {v} is the verb, {the} stands for an article that is not there.
_FIGURES = r"""
    {PERCENT} of {OF}{END}
    what percentage of {o}
    {S} (?P<be>is|are) (?P<v>expected|projected|forecast|predicted) to {GROW} by {PERCENT}{REST}
    by what percentage {be} {s} {v} to {o}{rest}
    {S} (?P<be>has|have) (?P<v>risen|grown|fallen|increased|dropped) (?:by )?{PERCENT}{REST}
    by what percentage {be} {s} {v}{rest}
    {S} (?P<do>costs?|earns?|charges?|receives?|pays?|bills?) {MONEY}{REST}
    how much {do} {s} {v}{rest}
    {S} (?P<do>lasts?|takes?) {TIME}(?: of(?: (?!and\b)[a-z-]+)+)?{REST}
    how long {do} {s} {v}{rest}
    {S} (?P<be>is|are) {DONE} (?:only )?(?P<p>by|in) {PERCENT} of {OF}{END}
    {p} what percentage of {o} {be} {s} {v}
    {S} (?P<do>fills?|makes? up|spends?|covers?|handles?|employs?) {PERCENT} of {OF}{END}
    what percentage of {o} {do} {s} {v}
    {S} (?P<do>has|have|requires?|contains?|needs?|completes?) {COUNT}{END}
    how many {what} {do} {s} {v}
    {S} (?P<be>is|are|was|were) {TIME}{END}
    how long {be} {s}
    {S} (?P<be>is|are|was|were) {MONEY}{REST}
    what {be} {s}{rest}
    {S} (?P<be>is|are|was|were) {PERCENT}(?: of [a-z ]+?)?{END}
    what {be} {s}
"""
_LEADS = r"""
    (?P<s>[^,:]+?) {ADV}(?P<be>is|are|includes?)(?: in| the following| these| as follows)?$
    what {be} {the}{s}
    {S} {ADV}{V} (?:these|the following|several|two|three|four|five|six) (?P<o>[a-z ]*s\b[^,:]*)$
    which {o} {do} {s} {v}
    {S} {ADV}{V}(?: the following| these)?$
    what {do} {s} {v}
    {S} (?P<be>is|are) (?P<v>expected|required|asked|able) to$
    what {be} {s} {v} to do
"""
_END = "(?=[,;.]| and | but | plus |$)"
_PARTS = {
    "PERCENT": rf"{_ABOUT}(?P<fig>{_RANGE}(?:\s?%| per ?cent\b))",
    "MONEY": rf"{_ABOUT}(?P<fig>{_SUM}(?:{_TO}[$€£]?\d[\d,.]*\d)?(?: (?:million|billion))?|"
    r"\d[\d,]*(?: to \d[\d,]*)? (?:dollars|euros?|pounds))",
    "TIME": rf"{_ABOUT}(?P<fig>{_RANGE} {_UNIT})",
    "COUNT": rf"{_ABOUT}(?P<fig>{_RANGE}) (?P<what>[a-z]+s\b[^,;:]*?)",
    "S": r"(?P<s>[^,;:\d]+?)",
    "OF": r"(?P<o>(?!them\b|these\b|those\b|it\b|that\b|what\b)[a-z][^,;:\d]*?)",
    "END": _END,
    "REST": r"(?P<rest>(?: (?!(?:and|but|while|because|so|which)\b)[^\s,;:]+){0,10}?)" + _END,
    "V": r"(?P<do>(?:ask|look|apply) for|asks for|looks for|offers?|expects?|wants?|recommends?|"
    r"values?|demands?|covers?|requires?|needs?|involves?|prepares?|uses?|includes?|consists? of|"
    r"deals? with|divides? into|falls? into|go into)",
    "ADV": r"(?:(?:typically|usually|normally|often|also|mostly|frequently|commonly) )?",
    "GROW": "(?P<o>rise|grow|fall|increase|decrease|shrink|decline|drop)",
    "DONE": "(?P<v>held|requested|passed|used|required|accepted|offered)",
}


@dataclass(frozen=True)
class Asked:
    """A question without its mark, and the figure that answers it, as the text writes it."""

    question: str
    figure: str = ""


def figure_question(sentence: str) -> Asked | None:
    """The question that `sentence` answers with a figure."""
    return _asked(_FIGURES, sentence.rstrip("."))


def lead_question(lead: str) -> str | None:
    """The question that a list answers after `lead`."""
    asked = _asked(_LEADS, lead.rstrip(":"))
    return asked.question if asked else None


def label_question(item: str) -> Asked | None:
    """The question of a list item that is a measure and a figure: "Exam fee: $200"."""
    found = _LABELLED.fullmatch(item)
    if not found or not _MEASURE.search(found["label"]):
        return None
    return Asked(f"what is the {found['label']}", found["fig"])


def cell_question(
    header: Sequence[str], row: Sequence[str], number: int, heading: str
) -> Asked | None:
    """The question of one measure in a table's row, by the row's `number` another column's.

    `heading` is the section's: below "Salaries" a median is one of pay.
    """
    fit = [
        (re.sub(r"\s*\(.*?\)|,.*", "", name), value)
        for name, value in zip(header[1:], row[1:], strict=False)
        if _MEASURE.search(name.split("(")[0]) and re.search(r"\d", value) and len(value) < 30
    ]
    if not fit or not row[0] or re.search(r"\d", row[0]):
        return None
    measure, value = fit[number % len(fit)]
    if _PAY.search(heading) and not _PAY.search(measure):
        measure = re.sub(r"(percentile|median|average)$", r"\1 pay", measure)
    label = f"the {row[0]}" if row[0].endswith("average") else row[0]
    if (role_in(label) or _RANKS.search(header[0])) and not _NO_ARTICLE.search(label):
        label = with_article(label)
    return Asked(f"what is the {measure} for {label}", value)


def names_list(heading: str) -> bool:
    """Whether a list below `heading` holds what the heading names."""
    return bool(_LISTED.search(heading)) and not re.search(r"[,:&]| and ", heading)


def names_topic(heading: str) -> bool:
    """Whether it can be asked what a document says about `heading`."""
    return not _GENERIC.match(heading.lower()) and _opens_well(heading)


def is_table(items: Sequence[str]) -> bool:
    """Whether the items give a figure each, so that their labels alone answer nothing."""
    return sum(bool(re.search(r":\D{0,40}\d", item)) for item in items) * 2 >= len(items)


def role_in(text: str) -> str | None:
    """The occupation that `text` names first, with the words that narrow it."""
    found = _ROLE.search(text)
    return found[0] if found else None


def with_article(name: str) -> str:
    """`name` after "a" or "an"."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def plural(role: str) -> str:
    """More than one of an occupation."""
    return role if role.endswith("s") else re.sub("ry$", "rie", role) + "s"


def wordings(figure: str) -> tuple[str, ...]:
    """A figure as it is written, and as else it might be."""
    number = re.sub(r"\s?(?:%|per ?cent)$", "", figure)
    others = [f"{number}{unit}" for unit in (" percent", "%", " per cent") if number != figure]
    return tuple(dict.fromkeys((figure, *others)))


def item_phrase(item: str) -> str:
    """The words of a list item that tell it from others: its label, or its first ones."""
    label = re.match(r"[^:.]{3,50}(?=: )", item)
    whole = re.split(r" \(|; |\. |\.$", label[0] if label else item)[0]
    first, words = re.split(r",? and |, ", whole)[0].split(), whole.split()
    if len(words) > _PHRASE_WORDS and len(first) > 1:
        words = first
    words = words[:_PHRASE_WORDS]
    while len(words) > 1 and words[-1].lower() in FUNCTION_WORDS:
        words.pop()
    return " ".join(words).rstrip(",")


def key_phrase(sentence: str, heading: str) -> str | None:
    """The end of the longest run of words with a meaning that names no one; the first of equals."""
    words = re.findall(r"[^\W_][\w'-]*|[^\w\s]", sentence)
    runs = groupby(words, key=lambda word: word.isalpha() and word.lower() not in FUNCTION_WORDS)
    phrases = [list(run)[-4:] for has_meaning, run in runs if has_meaning]
    known = set(heading.lower().split())
    fit = [p for p in phrases if len(p) > 1 and not {word.lower() for word in p} <= known]
    longest = max((p for p in fit if not role_in(p[-1])), key=len, default=[])
    return " ".join(longest) or None


def _asked(forms: str, text: str) -> Asked | None:
    """The question of the first form that `text` has."""
    if len(text) > _LONG_SENTENCE:
        return None
    for form, question in _rules(forms):
        found = form.match(text)
        if found and _is_clear(found):
            return Asked(_filled(question, found), found.groupdict().get("fig", ""))
    return None


@cache
def _rules(forms: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Each form of a table with its question."""
    lines = [line.strip() for line in forms.strip().split("\n")]
    parts = re.compile(f"{{({'|'.join(_PARTS)})}}")
    return tuple(
        (re.compile(parts.sub(lambda part: _PARTS[part[1]], form), re.IGNORECASE), question)
        for form, question in zip(lines[::2], lines[1::2], strict=True)
    )


def _is_clear(found: re.Match[str]) -> bool:
    """Whether what is asked about can be understood without the sentences around it."""
    parts = found.groupdict("")
    about = " ".join(parts.get(name, "") for name in ("s", "o", "what", "rest"))
    subject = parts.get("s", "")
    return not _LEANS.search(about) and _opens_well(subject) and not _UNCLEAR.search(subject)


def _opens_well(text: str) -> bool:
    """Whether the first word needs nothing before it; true of no words."""
    first = text.lower().split(" ", 1)[0]
    return first in _OPENS_WELL or first not in _OPENS_BADLY


def _filled(question: str, found: re.Match[str]) -> str:
    parts = found.groupdict("")
    verb, _, after = parts.get("do", "").partition(" ")
    if verb:
        base = "have" if verb == "has" else verb.removesuffix("s")
        parts |= {"v": f"{base} {after}".strip(), "do": "does" if verb.endswith("s") else "do"}
    if parts.get("be", "").startswith("include"):
        parts["be"] = "is" if parts["be"].endswith("s") else "are"
    has_article = re.match(r"(?:the|an?|your|our|\w+'s)\b", parts.get("s", ""), re.IGNORECASE)
    return question.format(**parts, the="" if has_article else "the ")
