"""Makes the weights of `assistant/reranker.py`; run as python -m eval.train_reranker.

Learns from `eval/training/`: career documents written for this purpose, and the shipped one, each
with questions and the lines that answer them, or none. One step sees some questions; each has one
text that answers it, when there is one, the texts most like it that do not, and the choice that
none does (cross-entropy over all of them). Texts are passages and the single items of lists, as the
assistant ranks both. The same machine gives the same weights.
"""

import argparse
import hashlib
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assistant.conversation import standalone
from assistant.cross_encoder import BASE
from assistant.evidence import Passage, passages_of
from assistant.reranker import WEIGHTS
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.readers import read_paths
from corpus.sections import Span
from index.embedder import Embedder, open_embedder, quiet_transformers
from index.models import ModelStore

from .learner import Learner, Schedule, save, seed

LESSONS = Path(__file__).parent / "training"
RANK, MAX_TOKENS, QUESTION_TOKENS = 32, 128, 48
EPOCHS, QUESTIONS, OTHERS = 4, 16, 11  # questions of a step, and texts that do not answer each
_HARD = 20  # texts most like the question, from which those that do not answer it are taken


@dataclass(frozen=True)
class Text:
    """What is scored: a passage, or one item of a list; `spans` are its spans in the lesson."""

    words: str
    spans: frozenset[int]


@dataclass(frozen=True)
class Asked:
    """A question and the spans of its lesson that answer it; none when nothing does."""

    question: str
    spans: frozenset[int]

    def right(self, text: Text) -> bool:
        """Whether `text` answers: an item that does, or a passage that holds one."""
        return bool(text.spans & self.spans)


@dataclass(frozen=True)
class Lesson:
    """One document as texts, and its questions."""

    texts: tuple[Text, ...]
    asked: tuple[Asked, ...]


def document_of(questions: Path) -> Path:
    """The Markdown file beside `questions`, or the shipped document of that name."""
    beside = questions.with_suffix(".md")
    return beside if beside.exists() else SHIPPED_DOCUMENTS / beside.name


def read_lesson(questions: Path) -> Lesson:
    """The lesson of a file of questions, JSON lines, and its document.

    Raises:
        ValueError: an answer is no line of the document.
    """
    document = read_paths([document_of(questions)]).documents[0]
    passages = list(passages_of(document))
    spans = [span for passage in passages for span in passage.spans]
    number = {span: n for n, span in enumerate(spans)}
    texts = [
        Text(passage.scored(chosen), frozenset(number[span] for span in chosen))
        for passage in passages
        for chosen in _views(passage)
    ]
    asked = []
    for line in questions.read_text("utf-8").splitlines():
        row = json.loads(line)
        places = [document.text.index(answer) for answer in row["answers"]]
        ends = [at + len(answer) for at, answer in zip(places, row["answers"], strict=True)]
        right = {
            number[span]
            for at, end in zip(places, ends, strict=True)
            for span in spans
            if span.start < end and at < span.end
        }
        if bool(right) == bool(row["answers"]):  # a heading or lead-in answers nothing by itself
            earlier = [{"question": question} for question in row.get("history", ())]
            asked.append(Asked(standalone(row["q"], earlier), frozenset(right)))
    return Lesson(tuple(texts), tuple(asked))


def _views(passage: Passage) -> Iterator[tuple[Span, ...]]:
    yield passage.spans
    if len(passage.spans) > 1:
        yield from ((span,) for span in passage.spans)


def train(
    lessons: Sequence[Lesson], near: Sequence[Sequence[Sequence[int]]], folder: Path, epochs: int
) -> Learner:
    """A learner that saw each question `epochs` times; `near` as `nearest` gives it."""
    seed()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    learner = Learner(folder, rank=RANK, max_tokens=MAX_TOKENS, first_tokens=QUESTION_TOKENS)
    learner.to(device).train()
    tasks = [(at, n) for at, lesson in enumerate(lessons) for n in range(len(lesson.asked))]
    schedule = Schedule(learner, epochs * math.ceil(len(tasks) / QUESTIONS))
    for epoch in range(1, epochs + 1):
        random.shuffle(tasks)
        started, losses = time.monotonic(), []
        for at in range(0, len(tasks), QUESTIONS):
            chosen = tasks[at : at + QUESTIONS]
            loss = _loss(learner, [_choices(lessons[d], n, near[d][n]) for d, n in chosen])
            schedule.step(loss)
            losses.append(loss.detach())
        told = torch.stack(losses).mean().item()
        _tell(f"epoch {epoch} of {epochs}: loss {told:.3f}, {time.monotonic() - started:.0f} s")
    return learner.eval()


def nearest(lesson: Lesson, embedder: Embedder) -> list[list[int]]:
    """For each question of `lesson`, its texts, those most like it first."""
    texts = embedder.embed([text.words for text in lesson.texts])
    asked = embedder.embed([asked.question for asked in lesson.asked])
    return [list(row) for row in np.argsort(-(asked @ texts.T), axis=1, kind="stable").tolist()]


def _choices(lesson: Lesson, n: int, near: Sequence[int]) -> tuple[str, list[str], bool]:
    """A question, the texts to choose from, and whether the first of them answers."""
    asked = lesson.asked[n]
    right = [text.words for text in lesson.texts if asked.right(text)]
    wrong = [lesson.texts[i].words for i in near if not asked.right(lesson.texts[i])][:_HARD]
    hardest, rest = wrong[: OTHERS // 2], wrong[OTHERS // 2 :]
    others = hardest + random.sample(rest, min(len(rest), OTHERS - len(hardest)))
    first = [random.choice(right)] if right else []
    return asked.question, first + others, bool(right)


def _loss(learner: Learner, choices: Sequence[tuple[str, list[str], bool]]) -> Tensor:
    """The mean cross-entropy of choosing the text that answers, or none (whose score is 0)."""
    pairs = learner.encode([(question, text) for question, texts, _ in choices for text in texts])
    with torch.autocast(learner.null.device.type, dtype=torch.bfloat16):
        scores = learner(pairs)
    losses, at = [], 0
    for _, texts, answered in choices:
        own = torch.cat([scores[at : at + len(texts)].float(), scores.new_zeros(1).float()])
        losses.append(-torch.log_softmax(own, dim=0)[0 if answered else -1])
        at += len(texts)
    return torch.stack(losses).mean()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description="Train the reranker.")
    parser.add_argument("--lessons", type=Path, default=LESSONS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    quiet_transformers()
    files = sorted(given.lessons.glob("*.jsonl"))
    lessons = [read_lesson(file) for file in files]
    _tell(f"{len(lessons)} documents, {sum(len(lesson.asked) for lesson in lessons)} questions")
    models = ModelStore()
    embedder = open_embedder(BASE, models, "cpu")
    near = [nearest(lesson, embedder) for lesson in lessons]
    data = b"".join(f.read_bytes() for file in files for f in (document_of(file), file))
    card = {"base": BASE, "lessons": hashlib.sha256(data).hexdigest(), "epochs": str(given.epochs)}
    save(train(lessons, near, models.resolve(BASE), given.epochs), given.out, card)


if __name__ == "__main__":
    main()
