"""Makes the weights of the reranker.

    python -m eval.train_reranker [--also eval/training/more]

Learns from `eval/training/`: career documents written for this purpose, and the shipped one, each
with questions and the lines that answer them, or none. Some come in twins: a question, and one that
differs in one thing, so that nothing answers it. One step sees some questions; each has one text
that answers it, when there is one, the texts most like it that do not, and the choice that none
does (cross-entropy over all of them). Texts are passages and the single items of lists, as the
assistant ranks both. The weights are the mean of two trainings that see the same in different ways.
The same machine gives the same weights. The shipped ones know nothing of `eval/training/more/`: on
top of what they know it changed nothing (docs/decisions/0016).
"""

import argparse
import hashlib
import json
import math
import random
import sys
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

from .learner import Learner, Schedule, Told, mean_of, save, seed

EMBEDDER = "all-minilm-l6-v2"  # finds the texts that are most like a question
LESSONS = Path(__file__).parent / "training"
RANK, MAX_TOKENS, QUESTION_TOKENS = 24, 128, 48
QUESTIONS = 16  # of a step, or twins
_HARD = 20  # texts most like the question, from which those that do not answer it are taken


@dataclass(frozen=True)
class Recipe:
    """How a training sees the lessons: so many texts a question, with twins or without."""

    texts: int
    twins: bool


EPOCHS = 3
RECIPES = (Recipe(texts=8, twins=True), Recipe(texts=12, twins=False))


@dataclass(frozen=True)
class Text:
    """What is scored: a passage, or one item of a list; `spans` are its spans in the lesson."""

    words: str
    spans: frozenset[int]


@dataclass(frozen=True)
class Asked:
    """A question and the spans of its lesson that answer it, none when nothing does.

    `tempting` are spans that look like an answer and are none: its twin's.
    """

    question: str
    spans: frozenset[int]
    tempting: frozenset[int] = frozenset()

    def right(self, text: Text) -> bool:
        """Whether `text` answers: an item that does, or a passage that holds one."""
        return bool(text.spans & self.spans)


@dataclass(frozen=True)
class Lesson:
    """One document as texts, and its questions."""

    texts: tuple[Text, ...]
    asked: tuple[tuple[Asked, ...], ...]  # one question, or twins


def document_of(questions: Path) -> Path:
    """The document that a file of questions is about; more questions may be about a known one."""
    places = (questions.parent, LESSONS, SHIPPED_DOCUMENTS)
    return next(p for folder in places if (p := folder / f"{questions.stem}.md").exists())


def read_lesson(file: Path, questions: Path, *, twins: bool = True) -> Lesson:
    """The lesson of a document; a question may have a twin, `near` it, that nothing answers.

    Raises:
        ValueError: an answer is no line of the document.
    """
    document = read_paths([file]).documents[0]
    passages = list(passages_of(document))
    spans = [span for passage in passages for span in passage.spans]
    number = {span: n for n, span in enumerate(spans)}
    texts = [
        Text(passage.scored(chosen), frozenset(number[span] for span in chosen))
        for passage in passages
        for chosen in _views(passage)
    ]

    def holding(answers: Sequence[str]) -> frozenset[int]:
        places = [range(at := document.text.index(text), at + len(text)) for text in answers]
        held = [s for s in spans if any(s.start < p.stop and p.start < s.end for p in places)]
        return frozenset(number[span] for span in held)

    asked: list[tuple[Asked, ...]] = []
    for row in map(json.loads, questions.read_text("utf-8").splitlines()):
        right = holding(row["answers"])
        if bool(right) != bool(row["answers"]):
            continue  # a heading or lead-in answers nothing by itself
        earlier = [{"question": question} for question in row.get("history", ())]
        twin = [Asked(row["near"], frozenset(), right)] if twins and "near" in row else []
        asked.append((Asked(standalone(row["q"], earlier), right), *twin))
    return Lesson(tuple(texts), tuple(asked))


def _views(passage: Passage) -> Iterator[tuple[Span, ...]]:
    yield passage.spans
    if len(passage.spans) > 1:
        yield from ((span,) for span in passage.spans)


def train(
    lessons: Sequence[Lesson], recipe: Recipe, embedder: Embedder, models: ModelStore
) -> Learner:
    """A learner that saw each question `EPOCHS` times, as `recipe` says."""
    seed()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    learner = Learner(models, rank=RANK, max_tokens=MAX_TOKENS, first_tokens=QUESTION_TOKENS)
    learner.in_half().to(device).train()
    near = [nearest(lesson, embedder) for lesson in lessons]
    tasks = [(at, n) for at, lesson in enumerate(lessons) for n in range(len(lesson.asked))]
    schedule = Schedule(learner, EPOCHS * math.ceil(len(tasks) / QUESTIONS))
    for epoch in range(1, EPOCHS + 1):
        random.shuffle(tasks)
        told = Told(f"{epoch} of {EPOCHS}")
        for at in range(0, len(tasks), QUESTIONS):
            chosen = [
                _choices(lessons[d], asked, like, recipe.texts)
                for d, n in tasks[at : at + QUESTIONS]
                for asked, like in zip(lessons[d].asked[n], near[d][n], strict=True)
            ]
            loss = _loss(learner, chosen)
            schedule.step(loss)
            told.step(loss)
        told.end()
    return learner.eval()


def nearest(lesson: Lesson, embedder: Embedder) -> list[list[list[int]]]:
    """For each question of each group of `lesson`, its texts, those most like it first."""
    texts = embedder.embed([text.words for text in lesson.texts])
    asked = embedder.embed([asked.question for group in lesson.asked for asked in group])
    rows = iter(np.argsort(-(asked @ texts.T), axis=1, kind="stable").tolist())
    return [[next(rows) for _ in group] for group in lesson.asked]


def _choices(
    lesson: Lesson, asked: Asked, near: Sequence[int], most: int
) -> tuple[str, list[str], bool]:
    """A question, at `most` so many texts to choose from, and whether the first of them answers."""
    right = [text.words for text in lesson.texts if asked.right(text)]
    tempting = [text.words for text in lesson.texts if text.spans & asked.tempting]
    wrong = [lesson.texts[i].words for i in near if not asked.right(lesson.texts[i])][:_HARD]
    wrong = [words for words in wrong if words not in tempting]
    first = [random.choice(right)] if right else random.sample(tempting, min(2, len(tempting)))
    room = most - len(first)
    hardest, rest = wrong[: room // 2], wrong[room // 2 :]
    others = hardest + random.sample(rest, min(len(rest), room - len(hardest)))
    return asked.question, first + others, bool(right)


def _loss(learner: Learner, choices: Sequence[tuple[str, list[str], bool]]) -> Tensor:
    """The mean cross-entropy of choosing the text that answers, or none (whose score is 0)."""
    scores = learner.score([(question, text) for question, texts, _ in choices for text in texts])
    losses, at = [], 0
    for _, texts, answered in choices:
        own = torch.cat([scores[at : at + len(texts)], scores.new_zeros(1)])
        losses.append(-torch.log_softmax(own, dim=0)[0 if answered else -1])
        at += len(texts)
    return torch.stack(losses).mean()


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description="Train the reranker.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="default: the shipped file")
    parser.add_argument("--also", type=Path, metavar="FOLDER", help="more lessons")
    given = parser.parse_args()
    quiet_transformers()
    folders = [LESSONS, given.also] if given.also else [LESSONS]
    files = [f for folder in folders for f in sorted(folder.glob("*.jsonl"), key=lambda f: f.stem)]
    documents = [document_of(file) for file in files]
    models = ModelStore()
    embedder = open_embedder(EMBEDDER, models, "cpu", "float32")
    learners = []
    for recipe in RECIPES:
        lessons = [
            read_lesson(document, questions, twins=recipe.twins)
            for document, questions in zip(documents, files, strict=True)
        ]
        asked = sum(len(together) for lesson in lessons for together in lesson.asked)
        sys.stderr.write(f"{len(lessons)} documents, {asked} questions, {recipe}\n")
        learners.append(train(lessons, recipe, embedder, models))
    data = b"".join(file.read_bytes() for file in (*documents, *files))
    card = {
        "base": BASE,
        "lessons": hashlib.sha256(data).hexdigest(),
        "epochs": str(EPOCHS),
        "mean_of": str(len(RECIPES)),
    }
    save(mean_of(learners), given.out, card)


if __name__ == "__main__":
    main()
