"""Prompts: data and pure functions. No secret stands in them; they may be shown to anyone."""

from collections.abc import Sequence

from .llm import Message

SYSTEM = (
    "Answer the question in one or two short sentences. "
    "Use only the numbered facts, in their words, and end each sentence with its number, like [1]."
)


def draft_messages(question: str, facts: Sequence[str]) -> list[Message]:
    """The chat that asks for a draft: `facts` are numbered from 1."""
    numbered = "\n".join(f"[{n}] {fact}" for n, fact in enumerate(facts, 1))
    return [("system", SYSTEM), ("user", f"{numbered}\n\nQuestion: {question}")]
