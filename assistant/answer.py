"""The answer record: one object, the same in Python, on the command line, in the UI and in eval."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ABSTENTION = "The indexed documents do not answer this question."
ABSTENTION_LANGUAGE = (
    "The indexed documents are in English and do not answer this question; please ask in English."
)


@dataclass(frozen=True)
class Citation:
    """The exact characters that bear out a sentence: `document text[start:end] == quote`."""

    mark: int
    source: str
    title: str
    section: tuple[str, ...]
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class Sentence:
    """A displayed sentence: `answer[start:end] == text`, its marks included."""

    text: str
    start: int
    end: int
    citations: tuple[int, ...]
    verdict: str  # supported | quoted
    support: float  # [0, 1]; 1.0 for quotes
    origin: str  # model | quote


@dataclass(frozen=True)
class Dropped:
    """A sentence of the model that was not displayed, and why."""

    text: str
    reason: str


@dataclass(frozen=True)
class Nearest:
    """A section that stands close to a question that the documents do not answer."""

    source: str
    title: str
    section: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What `ask` returns; `to_dict` is the JSON of `career ask --json`."""

    question: str
    standalone_question: str
    status: str  # answered | abstained
    text: str
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    notes: tuple[str, ...] = ()  # what was degraded, left out or not answered, for people
    confidence: float = 0.0  # that the documents answer the question, in [0, 1]
    timings_ms: dict[str, float] = field(default_factory=dict)
    fingerprint: dict[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether the documents answered the question."""
        return self.status == "answered"

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        record = {k: _plain(v) for k, v in self.__dict__.items() if k != "text"}
        return {
            "question": record.pop("question"),
            "standalone_question": record.pop("standalone_question"),
            "status": record.pop("status"),
            "answer": self.text,
            **record,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


# What `Assistant.stream` yields, in order: retrieved, then sentences and drops, then done.


@dataclass(frozen=True)
class Retrieved:
    """The search is over: the question that was searched and the sections that were found."""

    standalone_question: str
    sections: tuple[Nearest, ...]
    kind: str = "retrieved"


@dataclass(frozen=True)
class SentenceReady:
    """A sentence passed the check; `citations` are the ones that it is the first to use."""

    sentence: Sentence
    citations: tuple[Citation, ...]
    kind: str = "sentence"


@dataclass(frozen=True)
class SentenceDropped:
    """A sentence of the model failed the check."""

    dropped: Dropped
    kind: str = "dropped"


@dataclass(frozen=True)
class Done:
    """The whole answer."""

    answer: Answer
    kind: str = "done"


Event = Retrieved | SentenceReady | SentenceDropped | Done


def final_answer(events: Iterator[Event]) -> Answer:
    """The answer at the end of `events`."""
    for event in events:
        if isinstance(event, Done):
            return event.answer
    raise ValueError("the events ended without an answer")
