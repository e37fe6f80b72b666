"""`career-eval bench drafts`: what the check leaves of drafts that a larger model might write.

Each question has a good draft, all borne out by the documents, and one with one wrong sentence. The
assistant is asked both times with an LLM that writes just that, so that everything but the writing
is as in the chat. With a capable model the first should be displayed and the wrong one never.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from assistant import Answer, Assistant, Settings
from assistant.draft_rules import REPEATS, cleaned
from assistant.llm import Message
from corpus.sections import sentence_ranges

from .bench import OnCase, machine


@dataclass(frozen=True)
class GivenDraft:
    """A question with a `good` draft, and a `slip` whose sentence `wrong` nothing bears out."""

    id: str
    question: str
    good: str
    slip: str
    wrong: str
    history: tuple[dict[str, str], ...] = ()
    kind: str = ""  # of the mistake


class _Writer:
    """An LLM that writes what it is given, of our own protocol."""

    fingerprint = "given drafts"

    def __init__(self) -> None:
        self.text = ""

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        """The text, whatever is asked."""
        del messages, max_tokens
        yield self.text

    def count_tokens(self, text: str) -> int:
        """About as many as a model's."""
        return len(text) // 4 + 1

    def close(self) -> None:
        """Nothing is open."""


def bench_drafts(
    drafts: Sequence[GivenDraft],
    *,
    index: str,
    settings: Settings,
    on_case: OnCase | None = None,
) -> dict[str, Any]:
    """How many sentences of good drafts are displayed, and of wrong sentences, and why not.

    Those that repeat a quote displayed before them do not count. An abstention displays nothing;
    two sentences that fail one after the other end a draft.
    """
    writer = _Writer()
    assistant = Assistant.open(index=index, llm=writer, settings=settings)
    told = shown = wrong = 0
    reasons: Counter[str] = Counter()
    try:
        for number, draft in enumerate(drafts, 1):
            writer.text = draft.good
            answer = assistant.ask(draft.question, history=draft.history)
            refused = [dropped.reason.split(":")[0] for dropped in answer.dropped]
            told += len(sentence_ranges(draft.good)) - refused.count(REPEATS)
            shown += len(_written(answer))
            reasons.update(refused)
            writer.text = draft.slip
            slipped = assistant.ask(draft.question, history=draft.history)
            wrong += any(_bare(draft.wrong) == _bare(text) for text in _written(slipped))
            if on_case:
                on_case(number, len(drafts))
    finally:
        assistant.close()
    return {
        "n": len(drafts),
        "machine": machine(),
        "fingerprint": assistant.fingerprint,
        "right_displayed": _share(shown, told),
        "wrong_displayed": _share(wrong, len(drafts)),
        "reasons": dict(reasons.most_common()),
    }


def _written(answer: Answer) -> list[str]:
    return [sentence.text for sentence in answer.sentences if sentence.origin == "model"]


def _bare(text: str) -> str:
    """The letters and figures of a sentence as it is displayed, without its marks."""
    return "".join(char for char in cleaned(text).lower() if char.isalnum())


def _share(count: int, n: int) -> dict[str, Any]:
    return {"rate": round(count / n, 3) if n else None, "count": count, "n": n}
