"""`career-eval bench systems`: answers of known quality, which a judge must rank as they deserve.

Gold answers by hand, the same with some sentences made wrong by hand, gold answers to other
sections' questions, and fluent nonsense, each judged against the same five contexts.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from assistant.llm import LLM
from assistant.prompts import draft_messages
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.readers import read_file
from corpus.sections import Document

from .cases import read_rows
from .faithfulness import Given, assess
from .judges import Judge, OnPair
from .metrics import SEED, bootstrap_interval, mean_of

ANSWERS = Path(__file__).parent / "judged" / "answers.jsonl"
NONSENSE = Path(__file__).parent / "judged" / "nonsense.jsonl"
_OTHERS = Path(__file__).parent / "training"
_CONTEXTS = 5
_DRAFT_TOKENS = 96  # as in the chat
GOLD, TENTH, THIRD = "gold", "10 % made wrong", "30 % made wrong"
WRONG_SECTION, FLUENT = "of another section", "fluent nonsense"


@dataclass(frozen=True)
class Corruption:
    """A gold sentence with one thing changed."""

    kind: str
    text: str


@dataclass(frozen=True)
class GoldAnswer:
    """A question, three sentences that answer it from one section, and each of them made wrong."""

    id: str
    document: str
    section: str
    question: str
    gold: tuple[str, ...]
    corrupted: tuple[Corruption, ...]


@dataclass(frozen=True)
class Nonsense:
    """Sentences that sound like an answer and are borne out by nothing."""

    sentences: tuple[str, ...]


def bench_systems(
    judge: Judge,
    limit: int | None = None,
    on_pair: OnPair | None = None,
    *,
    llm: LLM | None = None,
    on_answer: OnPair | None = None,
) -> dict[str, Any]:
    """The faithfulness of each system, and by how much each falls behind the one before it.

    With an `llm`, what that answers from the same contexts is a system too, unchecked.
    """
    every = read_rows(ANSWERS, GoldAnswer)
    items = every[:: max(1, len(every) // (limit or len(every)))][:limit]  # of all documents
    systems = {name: make(items) for name, make in _SYSTEMS.items()}
    if llm:
        systems[f"{llm.fingerprint}, unchecked"] = _drafts(items, llm, on_answer)
    found: dict[str, list[float | None]] = {}
    for name, answers in systems.items():
        given = [
            Given(item.id, item.question, " ".join(sentences), _contexts(item))
            for item, sentences in zip(items, answers, strict=True)
        ]
        found[name] = [a.faithfulness for a in assess(given, judge, on_pair)]
    return {
        "n": len(items),
        "judge": judge.fingerprint,
        "systems": {name: vars(mean_of(values)) for name, values in found.items()},
        "differences": {
            f"{better} - {worse}": _difference(found[better], found[worse])
            for better, worse in ((GOLD, TENTH), (TENTH, THIRD), (THIRD, WRONG_SECTION))
        },
    }


def _made_wrong(share: float) -> Callable[[Sequence[GoldAnswer]], list[tuple[str, ...]]]:
    """Gold answers with that share of all sentences made wrong; a larger share holds a smaller."""

    def make(items: Sequence[GoldAnswer]) -> list[tuple[str, ...]]:
        places = [(at, n) for at, item in enumerate(items) for n in range(len(item.gold))]
        places.sort(key=lambda place: _dice(items[place[0]].id, place[1]))
        chosen = set(places[: round(share * len(places))])
        return [
            tuple(
                item.corrupted[n].text if (at, n) in chosen else sentence
                for n, sentence in enumerate(item.gold)
            )
            for at, item in enumerate(items)
        ]

    return make


def _of_another_section(items: Sequence[GoldAnswer]) -> list[tuple[str, ...]]:
    """To each question the gold answer to another of the document, whose section is not given."""
    answers = []
    every = read_rows(ANSWERS, GoldAnswer)
    for item in items:
        given = {name for name, _ in _given_sections(item)}
        others = [o for o in every if o.document == item.document and o.section not in given]
        answers.append(min(others, key=lambda o: _dice(item.id, o.id)).gold)
    return answers


def _drafts(
    items: Sequence[GoldAnswer], llm: LLM, on_answer: OnPair | None
) -> list[tuple[str, ...]]:
    """What `llm` answers to each question from its contexts."""
    drafts: list[tuple[str, ...]] = []
    for item in items:
        messages = draft_messages(item.question, [" ".join(t.split()) for t in _contexts(item)])
        drafts.append(("".join(llm.stream(messages, max_tokens=_DRAFT_TOKENS)).strip(),))
        if on_answer:
            on_answer(len(drafts), len(items))
    return drafts


def _nonsense(items: Sequence[GoldAnswer]) -> list[tuple[str, ...]]:
    rows = read_rows(NONSENSE, Nonsense)
    return [rows[at % len(rows)].sentences for at in range(len(items))]


_SYSTEMS: dict[str, Callable[[Sequence[GoldAnswer]], list[tuple[str, ...]]]] = {
    GOLD: _made_wrong(0.0),
    TENTH: _made_wrong(0.1),
    THIRD: _made_wrong(0.3),
    WRONG_SECTION: _of_another_section,
    FLUENT: _nonsense,
}


def _contexts(item: GoldAnswer) -> tuple[str, ...]:
    """The texts of its section and four others of the document, shuffled."""
    texts = [f"{name}.\n{text}" for name, text in _given_sections(item)]
    random.Random(item.id).shuffle(texts)  # noqa: S311 guards no secret
    return tuple(texts)


def _given_sections(item: GoldAnswer) -> list[tuple[str, str]]:
    """Heading and text of its section, and of the four around it."""
    held = _sections(item.document)
    at = next(n for n, (name, _) in enumerate(held) if name == item.section)
    first = max(0, min(at - _CONTEXTS // 2, len(held) - _CONTEXTS))
    return held[first : first + _CONTEXTS]


@cache
def _sections(name: str) -> list[tuple[str, str]]:
    shipped = SHIPPED_DOCUMENTS / name
    document: Document = read_file(shipped if shipped.exists() else _OTHERS / name, name)
    return [
        (section.path[-1], document.told(section.spans[0].start, section.spans[-1].end))
        for section in document.sections
    ]


def _difference(
    better: Sequence[float | None], worse: Sequence[float | None]
) -> dict[str, float | None]:
    """The mean of the paired differences with its 95 % interval."""
    both = [(b, w) for b, w in zip(better, worse, strict=True) if b is not None and w is not None]
    paired = np.array([b - w for b, w in both])
    low, high = bootstrap_interval(np.mean, paired)
    return {"value": round(float(paired.mean()), 4), "low": low, "high": high}


def _dice(*of: object) -> bytes:
    return hashlib.sha256(f"{SEED} {of}".encode()).digest()
