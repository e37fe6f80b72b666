"""One browser session's conversation: what was asked and what was shown for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from corpus.sections import Document
from index.store import Index

from ..answer import (
    Answer,
    Citation,
    Done,
    Dropped,
    Event,
    Nearest,
    Retrieved,
    Sentence,
    SentenceDropped,
    SentenceReady,
)
from ..conversation import Turn

LONGEST = 100  # exchanges that a page keeps


@dataclass
class Exchange:
    """A question and what the page shows for it, as it comes.

    `documents` are those that the citations and sections name, as they stood: a mark opens what
    was cited even after the index has changed.
    """

    number: int
    question: str
    state: str = (
        "waiting"  # waiting | searching | drafting | answered | abstained | stopped | failed
    )
    standalone: str = ""
    sections: tuple[Nearest, ...] = ()
    sentences: list[Sentence] = field(default_factory=list)
    citations: dict[int, Citation] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    answer: Answer | None = None
    problem: str = ""
    documents: dict[str, Document] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether more is to come."""
        return self.state in ("waiting", "searching", "drafting")

    @property
    def turn(self) -> Turn:
        """The exchange as the assistant's history takes it."""
        if self.answer:
            return self.answer
        shown = " ".join(sentence.text for sentence in self.sentences)
        return {"question": self.standalone or self.question, "answer": shown}

    def take(self, event: Event, index: Index) -> None:
        """Show what happened; `index` is the one that is asked."""
        if isinstance(event, Retrieved):
            self.state = "drafting"
            self.standalone = event.standalone_question
            self.sections = event.sections
        elif isinstance(event, SentenceReady):
            self.sentences.append(event.sentence)
            self.citations.update({citation.mark: citation for citation in event.citations})
        elif isinstance(event, SentenceDropped):
            self.dropped.append(event.dropped)
        elif isinstance(event, Done):
            self._finish(event.answer)
        sources = {s.source for s in self.sections} | {c.source for c in self.citations.values()}
        self.documents.update({source: index.document(source) for source in sources})

    def end(self, state: str, problem: str = "") -> None:
        """Nothing more comes: it was `stopped` or has `failed`."""
        self.state = state
        self.problem = problem

    def _finish(self, answer: Answer) -> None:
        self.answer = answer
        self.state = answer.status
        self.standalone = answer.standalone_question
        self.sections = answer.nearest
        self.sentences = list(answer.sentences)
        self.citations = {citation.mark: citation for citation in answer.citations}
        self.dropped = list(answer.dropped)


class Conversation:
    """The exchanges of one browser session, oldest first."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._asked = 0

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return any(exchange.running for exchange in self.exchanges)

    @property
    def history(self) -> Sequence[Turn]:
        """What a follow-up may lean on."""
        return [e.turn for e in self.exchanges if not e.running and e.state != "failed"]

    def ask(self, question: str) -> Exchange:
        """A new exchange at the end."""
        self._asked += 1
        exchange = Exchange(self._asked, question)
        self.exchanges = [*self.exchanges, exchange][-LONGEST:]
        return exchange

    def find(self, number: int) -> Exchange | None:
        """The exchange with this number, while the page keeps it."""
        return next((e for e in self.exchanges if e.number == number), None)

    def clear(self) -> None:
        """Forget all."""
        self.exchanges = []
