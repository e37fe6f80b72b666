"""Prompts: data and pure functions. No secret stands in them; they may be shown to anyone."""

from collections.abc import Sequence

from .llm import Message

SYSTEM = "Answer the question in one short sentence with the words of the numbered facts."
# One worked example: the tiny default model copies its form (docs/decisions/0005-drafting.md).
_EXAMPLE = [
    ("user", "[1] Weekly Hours: 35 hours\n\nQuestion: How long is the working week?"),
    ("assistant", "The working week is 35 hours [1]."),
]


def draft_messages(question: str, facts: Sequence[str]) -> list[Message]:
    """The chat that asks for a draft: `facts` are numbered from 1."""
    numbered = "\n".join(f"[{n}] {fact}" for n, fact in enumerate(facts, 1))
    return [("system", SYSTEM), *_EXAMPLE, ("user", f"{numbered}\n\nQuestion: {question}")]
