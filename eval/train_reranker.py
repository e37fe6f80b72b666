"""Makes the weights of `assistant/reranker.py`; run as python -m eval.train_reranker.

Learns from `eval/training/`: career documents written for this purpose, and the shipped one, each
with questions and the lines that answer them, or none. One step sees some questions; each has one
text that answers it, when there is one, the texts most like it that do not, and the choice that
none does (cross-entropy over all of them). Texts are passages and the single items of lists, as the
assistant ranks both. A round takes about twenty minutes on two cores; the same machine gives the
same weights.
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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, BertModel

from assistant.conversation import standalone
from assistant.evidence import Passage, passages_of
from assistant.reranker import BASE, MAX_TOKENS, WEIGHTS
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.readers import read_paths
from corpus.sections import Span
from index.embedder import open_embedder, quiet_transformers
from index.models import ModelStore

LESSONS = Path(__file__).parent / "training"
RANK, SCALE = 16, 2.0  # of the low-rank changes
HIDDEN = 128
EPOCHS, QUESTIONS, OTHERS = 2, 8, 5  # questions of a step, and texts that do not answer each
RATE, HEAD_RATE, WARM_UP = 3e-4, 1e-3, 50
_HARD = 16  # texts most like the question, from which those that do not answer it are taken
_SUB_BATCH = 12


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


class Learner(nn.Module):
    """The reranker of `assistant/reranker.py` in torch: the same states, features and head."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False)
        self.bert.requires_grad_(False)
        self.changes = dict(_low_rank(self.bert))
        width = self.bert.config.hidden_size
        self.head = nn.Sequential(nn.Linear(4 * width + 2, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))
        self.null = nn.Parameter(torch.zeros(()))
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def forward(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """The log-odds that each text answers its question, against that none does: (pairs,)."""
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        parts = [order[at : at + _SUB_BATCH] for at in range(0, len(order), _SUB_BATCH)]
        scores = torch.cat([self._scores([pairs[i] for i in part]) for part in parts])
        return scores[torch.tensor(order).argsort()] - self.null

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        read = self._tokenizer(
            [question for question, _ in pairs],
            [text for _, text in pairs],
            padding=True,
            truncation="only_second",
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        ids, mask, kinds = read["input_ids"], read["attention_mask"], read["token_type_ids"]
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        special = (ids == self._tokenizer.cls_token_id) | (ids == self._tokenizer.sep_token_id)
        real = (mask == 1) & ~special
        asked, given = real & (kinds == 0), real & (kinds == 1)
        q, p = _mean(states, asked), _mean(states, given)
        unit = nn.functional.normalize(states, dim=-1)
        cosines = (unit @ unit.transpose(1, 2)).masked_fill(~given[:, None, :], -1.0)
        best = cosines.amax(dim=-1)
        mean = (best * asked).sum(dim=1) / asked.sum(dim=1).clamp(min=1)
        least = best.masked_fill(~asked, 2.0).amin(dim=1)
        features = torch.cat([q, p, (q - p).abs(), q * p, torch.stack([mean, least], 1)], dim=1)
        scores: Tensor = self.head(features).squeeze(1)
        return scores


class LowRank(nn.Module):
    """A frozen linear layer with a trained low-rank change."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(RANK, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output with its change."""
        out: Tensor = self.base(x) + x @ self.down.T @ self.up.T * SCALE
        return out


def _low_rank(bert: nn.Module) -> Iterator[tuple[str, LowRank]]:
    """Puts a change on every linear layer of the encoder; yields each with the layer's name."""
    linear = [name for name, part in bert.named_modules() if isinstance(part, nn.Linear)]
    for name in linear:
        holder, _, last = name.rpartition(".")
        changed = LowRank(bert.get_submodule(name))
        setattr(bert.get_submodule(holder), last, changed)
        yield name, changed


def _mean(states: Tensor, wanted: Tensor) -> Tensor:
    weights = wanted.unsqueeze(-1).float()
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def train(lessons: Sequence[Lesson], epochs: int = EPOCHS, *, start: Path | None = None) -> Learner:
    """A learner, going on from the weights `start`, that saw each question `epochs` times."""
    random.seed(0)
    torch.manual_seed(0)
    models = ModelStore()
    learner = Learner(models.resolve(BASE))
    if start:
        load(learner, start)
    near = [_nearest(lesson, models) for lesson in lessons]
    tasks = [(at, n) for at, lesson in enumerate(lessons) for n in range(len(lesson.asked))]
    head = [*learner.head.parameters(), learner.null]
    body = [p for change in learner.changes.values() for p in (change.down, change.up)]
    rates = [{"params": body, "lr": RATE}, {"params": head, "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(rates, weight_decay=0.01)
    steps = epochs * math.ceil(len(tasks) / QUESTIONS)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / steps)
    )
    learner.train()
    for epoch in range(epochs):
        random.shuffle(tasks)
        started, losses = time.monotonic(), []
        for at in range(0, len(tasks), QUESTIONS):
            chosen = tasks[at : at + QUESTIONS]
            loss = _loss(learner, [_choices(lessons[d], n, near[d][n]) for d, n in chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*body, *head], 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % 100 == 0:
                _tell(f"epoch {epoch + 1} step {len(losses)}: loss {np.mean(losses):.3f}")
        took = time.monotonic() - started
        _tell(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3f}, {took:.0f} s")
    return learner.eval()


def _nearest(lesson: Lesson, models: ModelStore) -> list[list[int]]:
    """For each question, the texts most like it, best first."""
    embedder = open_embedder(BASE, models, "cpu")
    texts = embedder.embed([text.words for text in lesson.texts])
    asked = embedder.embed([asked.question for asked in lesson.asked])
    return [list(row) for row in np.argsort(-(asked @ texts.T), axis=1, kind="stable").tolist()]


def _choices(lesson: Lesson, n: int, near: Sequence[int]) -> tuple[str, list[str], bool]:
    """A question, the texts to choose from, and whether the first of them answers."""
    asked = lesson.asked[n]
    right = [text.words for text in lesson.texts if asked.right(text)]
    wrong = [lesson.texts[i].words for i in near if not asked.right(lesson.texts[i])][:_HARD]
    hardest, rest = wrong[:3], wrong[3:]
    others = hardest + random.sample(rest, min(len(rest), OTHERS - len(hardest)))
    first = [random.choice(right)] if right else []  # noqa: S311 no secret
    return asked.question, first + others, bool(right)


def _loss(learner: Learner, choices: Sequence[tuple[str, list[str], bool]]) -> Tensor:
    """The mean cross-entropy of choosing the text that answers, or none (whose score is 0)."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = learner([(question, text) for question, texts, _ in choices for text in texts])
    losses, at = [], 0
    for _, texts, answered in choices:
        own = torch.cat([scores[at : at + len(texts)].float(), scores.new_zeros(1).float()])
        losses.append(-torch.log_softmax(own, dim=0)[0 if answered else -1])
        at += len(texts)
    return torch.stack(losses).mean()


def save(learner: Learner, file: Path, card: dict[str, str]) -> None:
    """Write the changes and the head as float16; `card` says where they come from."""
    tensors = {f"head.{name}": value for name, value in learner.head.state_dict().items()}
    tensors["head.null"] = learner.null.detach()
    for name, change in learner.changes.items():
        tensors[f"{name}.down"] = change.down.detach()
        tensors[f"{name}.up"] = change.up.detach() * SCALE
    save_file({k: v.half().contiguous() for k, v in tensors.items()}, file, metadata=card)


def load(learner: Learner, file: Path) -> None:
    """Give `learner` the changes and the head that `save` wrote."""
    stored = {name: tensor.float() for name, tensor in load_file(file).items()}
    learner.null.data = stored.pop("head.null")
    head = {name.removeprefix("head."): t for name, t in stored.items() if name.startswith("head.")}
    learner.head.load_state_dict(head)
    for name, change in learner.changes.items():
        change.down.data = stored[f"{name}.down"]
        change.up.data = stored[f"{name}.up"] / SCALE


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description="Train the reranker.")
    parser.add_argument("--lessons", type=Path, default=LESSONS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    quiet_transformers()
    files = sorted(given.lessons.glob("*.jsonl"))
    lessons = [read_lesson(file) for file in files]
    _tell(f"{len(lessons)} documents, {sum(len(lesson.asked) for lesson in lessons)} questions")
    data = b"".join(f.read_bytes() for file in files for f in (document_of(file), file))
    card = {"base": BASE, "lessons": hashlib.sha256(data).hexdigest(), "epochs": str(given.epochs)}
    if given.start:
        card["start"] = hashlib.sha256(given.start.read_bytes()).hexdigest()
    save(train(lessons, given.epochs, start=given.start), given.out, card)


if __name__ == "__main__":
    main()
