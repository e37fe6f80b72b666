"""The claims of an answer: what in it can be true or false, and what says nothing to check."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from assistant.words import words
from corpus.readable import readable
from corpus.sections import sentence_ranges

_MARKS = re.compile(r"\s*\[\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*\]")
_NUMBER = re.compile(r"\d+")
_ITEM = re.compile(r"\s*(?:[-*+•]\s+|\(?\d{1,2}[.)]\s+|\|)")
_HEADING = re.compile(r"\s*#{1,6}\s|\s*\*\*[^*]+\*\*:?\s*$")
_RULE = re.compile(r"[\s|:=_*-]*$")
_CLAUSES = re.compile(r";\s+|,?\s+(?:whereas|while)\s+|,\s+(?:and|but|yet|so)\s+")
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
_COURTESY = re.compile(
    r"(?:hi|hello|hey|dear|greetings|welcome|sure|certainly|of course|absolutely|great question|"
    r"good question|thanks?|thank you|you're welcome|sorry|i apologi[sz]e|i hope|"
    r"hope (?:this|that)|"
    r"let me know|feel free|please (?:let|ask)|"
    r"if you (?:have|need) (?:any )?(?:more|other|further)|i(?:'m| am) (?:happy|glad|here) to)\b",
    re.IGNORECASE,
)
_UNABLE = (
    r"(?:(?:do|does|did|could|can|would)(?:n't| not)|cannot|(?:am|is|are|was|were)(?:n't| not)|"
    r"unable to|no)"
)
_REFUSAL = re.compile(
    rf"\b(?:i|we)\b[^.]{{0,20}}\b{_UNABLE}\b[^.]{{0,30}}\b(?:know|answer|find|help|tell|say|sure|"
    r"provide|determine|information|able)\b|"
    r"\b(?:documents?|contexts?|texts?|passages?|sources?|information|articles?|data|excerpts?|"
    rf"materials?)\b[^.]{{0,40}}\b{_UNABLE}\b[^.]{{0,30}}\b(?:answer|mention|contain|"
    r"provide|say|state|include|specif\w+|give|discuss|cover|address|available|information)\b|"
    r"\bno (?:relevant |specific |such )?(?:information|answer|mention|data|details?)\b|"
    r"\b(?:not|n't) (?:mentioned|stated|specified|provided|given|found|covered|available|known)\b"
    r"[^.]{0,20}\b(?:in|by) (?:the|this|these|any|your)\b|"
    r"\bnot enough (?:information|context|data)\b|\binsufficient (?:information|context|data)\b",
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


def claims_in(answer: str) -> list[Claim]:
    """The claims of `answer` in order, and between them what is none, with the reason.

    Sentences are claims; joined clauses ("…; …", "…, and it …") and list items each are one of
    their own. Questions, courtesies, headings, lead-ins and refusals are none.
    """
    found: list[Claim] = []
    items: list[Claim] = []  # of the list that is being read
    lead = ""
    for start, end in _blocks(answer):
        line = answer[start:end]
        item = _ITEM.match(line)
        if _RULE.match(line):
            continue
        if item:
            items += _sentences(answer, start + item.end(), end, lead)
            continue
        found += _sharing_marks(items)
        items, lead = [], ""
        if _HEADING.match(line):
            found.append(_claim(answer, start, end, unchecked="a heading"))
        else:
            found += _sentences(answer, start, end)
            lead = found[-1].stated if found and found[-1].unchecked == "a lead-in" else ""
    return found + _sharing_marks(items)


def is_refusal(answer: str) -> bool:
    """Whether `answer` says that it has no answer, and claims nothing besides."""
    found = claims_in(answer)
    return any(c.unchecked == "a refusal" for c in found) and all(c.unchecked for c in found)


def _blocks(answer: str) -> Iterator[tuple[int, int]]:
    """List items, headings and runs of other lines, as ranges."""
    run: tuple[int, int] | None = None
    for match in re.finditer(r"[^\n]*(?:\n|$)", answer):
        start, end = match.start(), match.start() + len(match[0].rstrip("\n"))
        blank = not answer[start:end].strip()
        alone = bool(_ITEM.match(answer, start, end) or _HEADING.match(answer, start, end))
        if run and (blank or alone):
            yield run
            run = None
        if alone:
            yield start, end
        elif not blank:
            run = (run[0] if run else start, end)
    if run:
        yield run


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
    for left, right in sentence_ranges(answer, start, end):
        while ranges and (marks := _MARKS.match(answer, left, right)):
            ranges[-1] = (ranges[-1][0], marks.end())
            left = (
                marks.end()
                + len(answer[marks.end() : right])
                - len(answer[marks.end() : right].lstrip(" ."))
            )
        if answer[left:right].strip():
            ranges.append((left, right))
    return ranges


def _clauses(answer: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The clauses of a sentence that each state something by themselves, as ranges."""
    left = start
    for joint in _CLAUSES.finditer(answer, start, end):
        before, after = answer[left : joint.start()], answer[joint.end() : end]
        subject = (
            _PRONOUN.match(after)
            or _SUBJECT.match(after)
            or joint[0].strip(" ,") in ("while", "whereas")
        )
        if subject and _stands_alone(before) and (_PRONOUN.match(after) or _stands_alone(after)):
            yield left, joint.start()
            left = joint.end()
    yield left, end


def _stands_alone(clause: str) -> bool:
    return len(clause.split()) > 2 and bool(_FINITE.search(clause))


def _claim(answer: str, start: int, end: int, lead: str = "", unchecked: str = "") -> Claim:
    text = answer[start:end].strip()
    start = answer.index(text, start)
    plain = " ".join(readable(_MARKS.sub("", text)).split())
    stated = f"{lead} {plain}" if lead else plain
    why = unchecked or _nothing_to_check(plain)
    return Claim(text, start, start + len(text), stated, _numbers(text), why)


def _nothing_to_check(plain: str) -> str:
    """Why a sentence is no claim; empty when it is one."""
    if not any(len(word) > 1 or word.isdigit() for word in words(plain)):
        return "it states nothing"
    if plain.endswith("?"):
        return "a question"
    if plain.endswith(":"):
        return "a lead-in"
    if _REFUSAL.search(plain):
        return "a refusal"
    return "a courtesy" if _COURTESY.match(plain) else ""


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers in the marks of `text`, each once."""
    found = [int(n) for mark in _MARKS.findall(text) for n in _NUMBER.findall(mark)]
    return tuple(dict.fromkeys(found))
