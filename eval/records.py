"""A run as it is stored: `run.json`, the same bytes for the same inputs on the same machine."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from assistant.answer import Citation, Dropped, Nearest
from corpus.errors import UsageError, from_os_error

from .faithfulness import JudgedSentence
from .metrics import RiskPoint, Value

SCHEMA = 1
_WRONG_PLACE = frozenset(  # what another place would mend
    (
        errno.EACCES,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    )
)
RUN_FILE = "run.json"
TIMINGS_FILE = "timings.json"


@dataclass(frozen=True)
class Context:
    """A text that the answer could rest on, and the title and the headings above it."""

    text: str
    source: str = ""
    section: tuple[str, ...] = ()
    title: str = ""

    @property
    def read(self) -> str:
        """What the judge reads: title, headings and text, as the chat's check does."""
        above = " > ".join(dict.fromkeys(filter(None, (self.title, *self.section))))
        return f"{above}.\n{self.text}" if above else self.text


@dataclass(frozen=True)
class Item:
    """One question, its answer, and what was found of it. `scores` are by metric."""

    id: str
    question: str
    answer: str
    status: str  # answered | abstained
    sentences: tuple[JudgedSentence, ...]
    contexts: tuple[Context, ...]
    scores: dict[str, float | None]
    reason: str = ""  # why there is no faithfulness
    kind: str = ""
    history: tuple[dict[str, str], ...] = ()
    standalone_question: str = ""
    answerable: bool | None = None  # None: not known
    sections: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    reference: str = ""
    confidence: float | None = None
    citations: tuple[Citation, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether it answers what it should not, or misses a fact, or says what is forbidden."""
        bad = (self.scores.get(name) for name in ("false_answers", "forbidden_said"))
        missed = self.answerable and self.facts and self.scores.get("facts_held") == 0
        return any(score == 1 for score in bad) or bool(missed)


@dataclass(frozen=True)
class Gate:
    """A condition that the run had to meet, and whether it did."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Run:
    """All that one evaluation found."""

    kind: str  # run: our assistant's answers | score: answers made elsewhere
    manifest: dict[str, Any]
    judge_card: dict[str, Any] | None
    metrics: dict[str, Value]
    by_kind: dict[str, dict[str, Value]]
    risk_coverage: tuple[RiskPoint, ...]
    items: tuple[Item, ...]
    gates: tuple[Gate, ...] = field(default=())
    schema: int = SCHEMA

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(gate.passed for gate in self.gates)

    def summary(self) -> dict[str, Any]:
        """The run without its items, as JSON values."""
        whole = asdict(self)
        del whole["items"]
        return whole


def save_run(run: Run, folder: Path) -> None:
    """Write `run.json` into `folder`."""
    write_file(folder / RUN_FILE, as_json(asdict(run)))


def load_run(place: Path) -> Run:
    """The run in a folder, or in a `run.json` itself.

    Raises:
        UsageError: there is none, or it was written by another version.
    """
    file = place / RUN_FILE if place.is_dir() else place
    try:
        stored = json.loads(file.read_text("utf-8"), parse_constant=_refused)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "is not JSON"
        raise UsageError(f"{file}: {reason}", "name the folder of a finished run") from error
    if not isinstance(stored, Mapping) or stored.get("schema") != SCHEMA:
        raise UsageError(f"{file} is no run of this version", "run the cases again")
    try:
        return TypeAdapter(Run).validate_python(stored)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{file}: {where}: {first['msg']}", "run the cases again") from error


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def as_json(value: Mapping[str, Any]) -> str:
    """`value` as it is stored; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_file(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(text, "utf-8", newline="\n")
    os.replace(unfinished, file)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Let an error of the disk while `place` is written be one that a user reads.

    Raises:
        UsageError: something else is there, or it may not be written.
        MachineError: the disk refused it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _WRONG_PLACE:
            reason = os.strerror(error.errno)
            raise UsageError(f"{place} cannot be written ({reason})", "name another one") from error
        raise from_os_error(error, place) from error
