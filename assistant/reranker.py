"""The reranker: how far a passage answers a question, read together by a small cross-encoder.

all-MiniLM-L6-v2 with low-rank changes (LoRA, Hu et al. 2021) and a head over the means of question
and passage and the best match of each word of the question. `eval/train_reranker.py` makes the
weights from the questions in `eval/training/`; docs/decisions/0006-reranker.md says how good it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.bert import BertEncoder, gelu
from index.embedder import Floats
from index.models import ModelStore

WEIGHTS = Path(__file__).with_name("reranker.safetensors")
BASE = "all-minilm-l6-v2"
MAX_TOKENS = 96  # question, passage and the three special tokens
_QUESTION_TOKENS = 48
_BATCH = 8


@dataclass(frozen=True)
class _Pairs:
    """Tokens of pairs; `parts` tells of each: 0 special, 1 of the question, 2 of the passage."""

    ids: list[list[int]]
    parts: list[list[int]]


class Reranker:
    """Scores passages for a question; deterministic, safe to use from several threads."""

    def __init__(self, encoder: BertEncoder, tokenizer: Path, head: dict[str, Floats]) -> None:
        from tokenizers import Tokenizer

        self._encoder = encoder
        self._head = head
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def open(cls, models: ModelStore, weights: Path = WEIGHTS) -> "Reranker":
        """The reranker with `weights` over the embedder of the catalogue that it was trained on."""
        from safetensors.numpy import load_file

        stored = {name: array.astype(np.float32) for name, array in load_file(weights).items()}
        head = {name: stored.pop(name) for name in list(stored) if name.startswith("head.")}
        names = sorted({name.rpartition(".")[0] for name in stored})
        changes = {f"{n}.weight": stored[f"{n}.up"] @ stored[f"{n}.down"] for n in names}
        folder = models.resolve(BASE)
        return cls(BertEncoder(folder, changes), folder / "tokenizer.json", head)

    def score(self, question: str, passages: Sequence[str]) -> Floats:
        """The log-odds that each of `passages` answers `question`: (len(passages),) float32."""
        pairs = self._pairs(question, passages)
        order = sorted(range(len(passages)), key=lambda i: (len(pairs.ids[i]), i))
        scores = np.empty(len(passages), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            states = self._encoder.states([pairs.ids[i] for i in rows])
            scores[rows] = self._read(states, [pairs.parts[i] for i in rows])
        return scores

    def _pairs(self, question: str, passages: Sequence[str]) -> _Pairs:
        asked = self._tokenizer.encode(question, add_special_tokens=False).ids[:_QUESTION_TOKENS]
        opening, closing = self._tokenizer.encode("").ids
        pairs = _Pairs([], [])
        for passage in self._tokenizer.encode_batch(list(passages), add_special_tokens=False):
            given = passage.ids[: MAX_TOKENS - len(asked) - 3]
            pairs.ids.append([opening, *asked, closing, *given, closing])
            pairs.parts.append([0, *[1] * len(asked), 0, *[2] * len(given), 0])
        return pairs

    def _read(self, states: Floats, parts: Sequence[Sequence[int]]) -> Floats:
        """The head over the `states` of a batch: (batch, longest, dim) -> (batch,)."""
        which = np.zeros(states.shape[:2], dtype=np.int8)
        for row, part in enumerate(parts):
            which[row, : len(part)] = part
        asked, given = _mean(states, which == 1), _mean(states, which == 2)
        matched = _best_match(states, which)
        features = [asked, given, np.abs(asked - given), asked * given, matched]
        hidden = gelu(self._linear(np.concatenate(features, axis=1), "head.0"))
        out: Floats = self._linear(hidden, "head.2")[:, 0] - self._head["head.null"]
        return out

    def _linear(self, x: Floats, name: str) -> Floats:
        out: Floats = x @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"]
        return out


def _mean(states: Floats, wanted: NDArray[np.bool_]) -> Floats:
    """The mean state of the `wanted` tokens: (batch, dim)."""
    weights = wanted[:, :, None].astype(np.float32)
    mean: Floats = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
    return mean


def _best_match(states: Floats, which: NDArray[np.int8]) -> Floats:
    """Mean and least of the cosines of each word of the question to its best match: (batch, 2)."""
    norms = np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), 1e-12)
    unit = states / norms
    cosines = unit @ unit.transpose(0, 2, 1)  # (batch, tokens, tokens)
    best = np.where((which == 2)[:, None, :], cosines, -1.0).max(axis=-1)
    asked = which == 1
    mean = (best * asked).sum(axis=1) / np.maximum(asked.sum(axis=1), 1)
    least = np.where(asked, best, 2.0).min(axis=1)
    return np.stack([mean, least], axis=1).astype(np.float32)
