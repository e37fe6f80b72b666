"""The claims of an answer: what in it can be true or false, and what says nothing to check."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from assistant.words import content_stems
from corpus.readable import readable
from corpus.sections import sentence_ranges

from .phrases import COURTESY, OPENER, REFUSAL

_LABEL = r"(?:\^|(?:source|doc|document|context|passage|ref)s?\.?[ #]{0,2})?"
_MARK = re.compile(  # [1], [1, 2], [1-3], [Source 1], [^1], 【1】, [1](https://…); not (1)
    r"(?:(?<!\s)\s+)?[\[【]"
    rf"( {{0,3}}{_LABEL}\d{{1,3}}(?: {{0,3}}[,;–-] {{0,3}}{_LABEL}\d{{1,3}})* {{0,3}})"  # noqa: RUF001
    r"(?:†[^】\n]{0,80})?[\]】](?:\(https?://[^\s)]*\))?",
    re.IGNORECASE,
)
_ENDING_MARKS = re.compile(rf"(?<=[.!?])((?:{_MARK.pattern})+)$", re.IGNORECASE)
_NUMBERS = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")  # noqa: RUF001 a typed dash
_ITEM = re.compile(
    r"\s*(?:[-*+•◦▪●·‣✓✔✅➤►–—]\s+(?:\[[ xX]\]\s+)?|\(?\d{1,2}[.)]\s+|[a-z]\)\s+|\|)"  # noqa: RUF001
)
_ROW = re.compile(r"\S\s\|\s\S")
_LABELLED = re.compile(r"\s*(?:\*\*)?[A-Z][^\n:.]{0,40}:")
_HEADING = re.compile(r"\s*#{1,6}\s")
_BOLD_HEADING = re.compile(r"\s*\*\*[^*]*[^*.!?]\*\*:?\s*$")
_JOINERS = "\ufe0f\u200d"  # of emoji
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_RULE = re.compile(r"[\s|:=_*-]*$|\s*(?:`{3,}|~{3,})[\w+-]*\s*$")
_LONGEST_HEADING = 300
_QUOTE = re.compile(r"^[ \t]*>[ \t>]*(?=[^\W\d])", re.MULTILINE)
_GLUED = re.compile(  # "…$5.Doctors earn…", "….[1]Doctors earn…"
    r"(?:(?<=[a-z]{2}[.!?])|(?<=\d[.!?])|(?<=[.!?]\[\d\]))(?=[A-Z][a-z]*[ ,])"
)
_CLAUSES = re.compile(
    r";\s+(?:however,?\s+)?|(?<!\s),?\s+(?:whereas|while|although|though|but)\s+|"
    r",\s+(?:and|yet|so)\s+|(?<!\s)\s+and\s+(?=(?:it|they|he|she|we|you)\s)"
)
_CONCESSION = re.compile(r"((?:while|although|though)\s[^,;]{1,200}),\s+", re.IGNORECASE)
_NEAR = 150  # characters around a joint in which the verbs must stand
_SUBJECT = re.compile(
    r"(?:(?:the|a|an|this|that|these|those|its|their|his|her|our|your|my|it|they|he|she|we|you|"
    r"there|some|many|most|all|both|each|every|no|another|others?)\b|[A-Z\d$€£])",
)
_PRONOUN = re.compile(r"(?:it|they|he|she|we|you|there|this|that|these|those)\s+\w+", re.IGNORECASE)
_FINITE = re.compile(
    r"\b(?:is|are|was|were|isn't|aren't|wasn't|weren't|has|have|had|do|does|did|don't|doesn't|"
    r"can|cannot|could|will|would|shall|should|may|might|must|\w{3,}ed|(?:ask|call|come|cost|cover|"
    r"depend|differ|earn|expect|fall|find|get|give|grow|help|include|lead|lie|make|mean|need|offer|"
    r"open|pay|provide|range|receive|require|rise|run|say|show|start|take|use|vary|varie|want|work)"
    r"s?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Claim:
    """A sentence, clause or list item of an answer: `answer[start:end] == text`.

    `stated` is what is judged: without marks and Markdown, an item after its lead-in. `marks` are
    the numbers that it cites. `unchecked` says why there is nothing to judge; empty for a claim.
    """

    text: str
    start: int
    end: int
    stated: str
    marks: tuple[int, ...] = ()
    unchecked: str = ""


@dataclass(frozen=True)
class _Block:
    """Lines that belong together: a heading, an item of a list or a row of a table, or prose."""

    kind: str  # heading | item | prose
    start: int
    end: int
    indent: int = -1  # of an item


def claims_in(answer: str) -> list[Claim]:
    """The claims of `answer` in order, and between them what is none, with the reason.

    Sentences are claims; joined clauses ("…; …", "…, and it …") and list items each are one of
    their own. Questions, courtesies, headings, lead-ins and refusals are none.
    """
    whole = _SURROGATE.sub("\ufffd", answer)  # the segmenter encodes what it reads
    return [replace(c, text=answer[c.start : c.end]) for c in _claims_in(whole)]


def is_refusal(answer: str) -> bool:
    """Whether `answer` says that it has no answer, and claims nothing besides."""
    found = claims_in(answer)
    return any(c.unchecked == "a refusal" for c in found) and all(c.unchecked for c in found)


def _claims_in(answer: str) -> list[Claim]:
    found: list[Claim] = []
    items: list[Claim] = []  # of the list that is being read
    leads: list[tuple[int, str]] = []  # the lead-ins above, each with its indent
    for block in _blocks(answer):
        while leads and block.indent <= leads[-1][0]:
            leads.pop()
        lead = leads[-1][1] if leads else ""
        if block.kind == "item":
            read = list(_sentences(answer, block.start, block.end, lead))
            items += read
        else:
            found += _sharing_marks(items)
            items = []
            if block.kind == "heading":
                read = [_claim(answer, block.start, block.end, unchecked="a heading")]
            else:
                read = list(_sentences(answer, block.start, block.end))
            found += read
        if read and read[-1].unchecked == "a lead-in":
            leads.append((block.indent, read[-1].stated))
    return found + _sharing_marks(items)


def _blocks(answer: str) -> Iterator[_Block]:
    """The blocks of `answer`; rules and the fences of code are none."""
    last = len(answer.rstrip())
    open_: _Block | None = None
    for match in re.finditer(r"[^\n]*(?:\n|$)", answer):
        start, end = match.start(), match.start() + len(match[0].rstrip("\n"))
        line = answer[start:end]
        new = None if _RULE.match(line) else _opened(line, start, end, last)
        if open_ and new and _continues(answer, open_, new):
            open_ = replace(open_, end=end)
            continue
        if open_:
            underlined = not new and ("|" in line or "=" in line) and start == open_.end + 1
            yield replace(open_, kind="heading") if underlined else open_
        open_ = new
    if open_:
        yield open_


def _opened(line: str, start: int, end: int, last: int) -> _Block:
    """The block that `line` is or begins; a bold line heads only what follows it."""
    heading = _HEADING.match(line) or (_BOLD_HEADING.match(line) and end < last)
    if heading and len(line) <= _LONGEST_HEADING:
        return _Block("heading", start, end)
    if item := _ITEM.match(line):
        return _Block("item", start + item.end(), end, len(line) - len(line.lstrip()))
    if _ROW.search(line):
        return _Block("item", start, end, 0)
    return _Block("prose", start, end)


def _continues(answer: str, block: _Block, new: _Block) -> bool:
    """Whether the line `new` goes on with what `block` says."""
    if new.kind != "prose" or block.kind == "heading":
        return False
    if block.kind == "item":
        return answer[new.start].isspace()
    return not (_LABELLED.match(answer, new.start) and _LABELLED.match(answer, block.start))


def _sentences(answer: str, start: int, end: int, lead: str = "") -> Iterator[Claim]:
    for left, right in _with_their_marks(answer, start, end):
        clauses = [_claim(answer, a, b, lead) for a, b in _clauses(answer, left, right)]
        yield from _sharing_marks(clauses)


def _sharing_marks(claims: list[Claim]) -> list[Claim]:
    """Clauses or items without a mark cite what the next one does: "A, and B [1]"."""
    shared: list[Claim] = []
    marks: tuple[int, ...] = ()
    for claim in reversed(claims):
        marks = claim.marks or marks
        shared.append(replace(claim, marks=marks))
    return shared[::-1]


def _with_their_marks(answer: str, start: int, end: int) -> list[tuple[int, int]]:
    """Sentences as ranges; marks after a full stop belong to the sentence before them."""
    ranges: list[tuple[int, int]] = []
    pieces = [r for whole in sentence_ranges(answer, start, end) for r in _unglued(answer, *whole)]
    if pieces and _MARK.match(answer, *pieces[0]):
        return _behind_their_marks(answer, pieces)
    for left, right in pieces:
        while ranges and (marks := _MARK.match(answer, left, right)):
            ranges[-1] = (ranges[-1][0], marks.end())
            left = right - len(answer[marks.end() : right].lstrip(" ."))
        if ranges and not re.search(r"\w", answer[left:right]):
            ranges[-1] = (ranges[-1][0], right)  # what closes it: **, an emoji
        elif answer[left:right].strip():
            ranges.append((left, right))
    return ranges


def _behind_their_marks(answer: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """`pieces` where marks come first, "[1] A. [2] B.": those that end one belong to the next."""
    ranges: list[tuple[int, int]] = []
    left, last = pieces[0][0], pieces[-1][1]
    for _, right in pieces[:-1]:
        ending = _ENDING_MARKS.search(answer, left, right)
        cut = ending.start() if ending else right
        ranges.append((left, cut))
        left = cut
    return [*ranges, (left, last)]


def _unglued(answer: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences of one that lacks the space between them; addresses stay whole."""
    left = start
    for joint in _GLUED.finditer(answer, start, end):
        word = answer[left : joint.start() - 1].rsplit(None, 1)[-1:]
        if not re.search(r"[/@]|www", "".join(word)):
            yield left, joint.start()
            left = joint.start()
    yield left, end


def _clauses(answer: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The clauses of a sentence that each state something by themselves, as ranges."""
    left = start
    conceded = _CONCESSION.match(answer, start, end)
    if conceded and REFUSAL.search(_plain(conceded[1])):
        yield conceded.span(1)
        left = conceded.end()
    for joint in _CLAUSES.finditer(answer, left, end):
        before = answer[max(left, joint.start() - _NEAR) : joint.start()]
        after = answer[joint.end() : min(end, joint.end() + _NEAR)]
        pronoun = _PRONOUN.match(after)
        if not (_stands_alone(before) and (pronoun or _stands_alone(after))):
            continue
        contrast = joint[0].strip(" ,") in ("while", "whereas")
        if pronoun or contrast or _SUBJECT.match(after) or REFUSAL.search(_plain(before)):
            yield left, joint.start()
            left = joint.end()
    yield left, end


def _stands_alone(clause: str) -> bool:
    return len(clause.split()) > 2 and bool(_FINITE.search(clause))


def _claim(answer: str, start: int, end: int, lead: str = "", unchecked: str = "") -> Claim:
    text = answer[start:end].strip()
    start = answer.index(text, start)
    plain = _plain(text)
    opener = OPENER.match(plain)
    said = plain[opener.end() :] if opener else plain
    stated = f"{lead} {said}" if lead else said
    why = unchecked or _nothing_to_check(plain, said, lead)
    return Claim(text, start, start + len(text), stated or plain, _numbers(text), why)


def _plain(text: str) -> str:
    """`text` in one line, without marks and Markdown."""
    bare = readable(_QUOTE.sub("", _MARK.sub("", text)))
    bare = "".join(" " if _is_picture(char) else char for char in bare)
    return " ".join(bare.replace("**", "").split())  # one of a pair may stand elsewhere


def _is_picture(char: str) -> bool:
    """Whether `char` is an emoji, an arrow or the like."""
    return char > "\u2000" and (unicodedata.category(char) in ("So", "Sk") or char in _JOINERS)


def _nothing_to_check(plain: str, said: str, lead: str) -> str:
    """Why a sentence is no claim; empty when it is one. `said` is `plain` without an opener."""
    if plain.endswith("?"):
        return "a question"
    if plain.endswith(":"):
        return "a lead-in"
    typed = f"{lead} {plain}".strip().replace("’", "'")  # noqa: RUF001 a typed apostrophe
    if REFUSAL.search(typed):
        return "a refusal"
    if not any(len(stem) > 1 or stem.isdigit() for stem in content_stems(plain)):
        return "it states nothing"
    if not said or COURTESY.match(said.replace("’", "'")):  # noqa: RUF001
        return "a courtesy"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers in the marks of `text`, each once."""
    found: list[int] = []
    for mark in _MARK.findall(text):
        for first, last in _NUMBERS.findall(mark):
            found += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(found))
