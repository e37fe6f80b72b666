"""Cases and other inputs of the evaluation: JSON lines, checked before anything runs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from assistant.question import MAX_CHARACTERS
from corpus.errors import UsageError

SHIPPED_CASES = Path(__file__).parent / "cases" / "career.jsonl"

Row = TypeVar("Row")


@dataclass(frozen=True)
class Case:
    """A question, and what its answer must hold.

    `facts` are all needed, each in one of its wordings; nothing of `forbidden` may be said.
    `sections` are the headings below which the answer stands, `reference` is a good answer. A
    `draft` waits for a person to accept it.
    """

    id: str
    question: str
    answerable: bool
    kind: str = ""
    history: tuple[dict[str, str], ...] = ()
    sections: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    reference: str = ""
    draft: bool = False

    @property
    def split(self) -> str:
        """The half of the cases that it belongs to: dev is for choosing, test for reporting."""
        return "test" if hashlib.sha256(self.id.encode()).digest()[0] % 2 else "dev"


def read_rows(file: Path, row: type[Row]) -> list[Row]:
    """The rows of a JSON lines file, in order.

    Raises:
        UsageError: the file cannot be read, holds no row, or a line is not a `row`.
    """
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise UsageError(f"{file}: {reason}", "name a file of JSON lines") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise UsageError(f"{file} is empty", "write one JSON object per line")
    reader = TypeAdapter(row)
    return [_read_row(reader, line, f"{file} line {number}") for number, line in numbered]


def read_cases(file: Path, split: str = "all", limit: int | None = None) -> list[Case]:
    """The first `limit` cases of one half of `file`, or of all of it.

    Raises:
        UsageError: the file holds none, or two with one id.
    """
    cases = read_rows(file, Case)
    _refuse_twins(file, cases)
    for case in cases:
        if fault := _fault(case):
            raise UsageError(f"{file}: case {case.id!r}: {fault}", "correct that case")
    chosen = [case for case in cases if split in ("all", case.split)][:limit]
    if not chosen:
        raise UsageError(f"{file} has no case of the split {split!r}", "use --split all")
    return chosen


def _read_row(reader: TypeAdapter[Row], line: str, place: str) -> Row:
    try:
        return reader.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise UsageError(f"{place}: {where}{first['msg']}", "correct that line") from error


def _fault(case: Case) -> str:
    """What would stop a run at this case; empty when nothing would."""
    if not case.question.strip():
        return "its question is empty"
    if len(case.question) > MAX_CHARACTERS:
        return f"its question has {len(case.question):,} characters, {MAX_CHARACTERS:,} are read"
    if any(not {"question", "answer"} <= set(turn) for turn in case.history):
        return 'its history is no list of {"question", "answer"}'
    words = (*case.sections, *case.forbidden, *(w for fact in case.facts for w in fact))
    if not all(case.facts) or not all(word.strip() for word in words):
        return "an empty text stands in its facts, sections or forbidden words"
    return ""


def _refuse_twins(file: Path, cases: Sequence[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise UsageError(f"{file}: two cases have the id {case.id!r}", "give each its own")
        seen.add(case.id)
