"""A small cross-encoder: two texts read together, one score. The reranker and the support model.

A base of the catalogue with low-rank changes (LoRA, Hu et al. 2021) and a head over the means of
both texts, the best match of each word of the first in the second, and the base's own score.
`eval/learner.py` is the same in torch and makes the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.bert import Floats, gelu
from index.models import ModelStore

if TYPE_CHECKING:
    from index.onnx_bert import OnnxBert

BASE = "ms-marco-minilm-l12-v2"
OWN = ("pooler.", "classifier.")  # what gives the base its own score
_NO_MATCH = -1.0  # the cosine of a word when there is none to match


@dataclass(frozen=True)
class Pairs:
    """Tokens of pairs, and what each is of.

    `parts`: 0 special, 1 of the first text, 2 of the second. `kinds`, as the base is told: 0 up to
    the end of the first text, then 1.
    """

    ids: list[list[int]]
    parts: list[list[int]]
    kinds: list[list[int]]

    def __getitem__(self, rows: Sequence[int]) -> "Pairs":
        """The pairs of these numbers."""
        ids, parts, kinds = ([of[i] for i in rows] for of in (self.ids, self.parts, self.kinds))
        return Pairs(ids, parts, kinds)


class CrossEncoder:
    """Scores pairs of texts; deterministic, safe to use from several threads.

    A pair takes `max_tokens` at most, its first text `first_tokens` and the special ones three.
    """

    def __init__(
        self,
        encoder: "OnnxBert",
        tokenizer: Any,
        head: dict[str, Floats],
        *,
        max_tokens: int,
        first_tokens: int,
    ) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._head = head
        self.max_tokens = max_tokens
        self.first_tokens = first_tokens

    @classmethod
    def open(cls, models: ModelStore, weights: Path) -> "CrossEncoder":
        """The cross-encoder of `weights`, over the base of the catalogue that they change."""
        from safetensors import safe_open

        from index.onnx_bert import OnnxBert, OnnxModel

        with safe_open(weights, "numpy") as file:
            card = file.metadata()
            stored = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118 no dict
        head = {name: stored.pop(name) for name in list(stored) if name.startswith("head.")}
        changes = {
            f"{name}.weight": stored[f"{name}.up"] @ stored[f"{name}.down"]
            for name in {name.rpartition(".")[0] for name in stored}
        }
        folder = models.resolve(card["base"])
        base = OnnxModel(folder / "model.onnx")
        for prefix in OWN:
            head |= base.weights(prefix)
        return cls(
            OnnxBert(base.changed(changes)),
            open_tokenizer(folder),
            head,
            max_tokens=int(card["max_tokens"]),
            first_tokens=int(card["first_tokens"]),
        )

    def score(self, first: str, seconds: Sequence[str]) -> Floats:
        """The log-odds for `first` with each of `seconds`: (len(seconds),) float32."""
        return self.score_pairs([(first, second) for second in seconds])

    def score_pairs(self, texts: Sequence[tuple[str, str]]) -> Floats:
        """The log-odds for each pair: (len(texts),) float32."""
        if not texts:
            return np.empty(0, dtype=np.float32)
        pairs = encode(self._tokenizer, texts, self.max_tokens, self.first_tokens)
        states = self._encoder.states(pairs.ids, pairs.kinds)
        return self._read(states, pairs.parts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(e.ids) for e in encoded]

    def _read(self, states: Sequence[Floats], parts: Sequence[Sequence[int]]) -> Floats:
        """The head over the `states`, (tokens, dim), of each pair: (pairs,)."""
        pooled = np.tanh(self._linear(np.stack([s[0] for s in states]), "pooler.dense"))
        pairs = [_compared(s, np.array(p)) for s, p in zip(states, parts, strict=True)]
        compared, matched = (np.stack(found) for found in zip(*pairs, strict=True))
        features = np.concatenate([compared, pooled, matched], axis=1)
        own = self._linear(pooled, "classifier") * self._head["head.scale"]
        read = self._linear(gelu(self._linear(features, "head.0")), "head.2")
        scores: Floats = (read + own)[:, 0] - self._head["head.null"]
        return scores

    def _linear(self, x: Floats, name: str) -> Floats:
        out: Floats = x @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"]
        return out


@cache
def open_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder, which neither cuts nor pads; opened once."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(
    tokenizer: Any, texts: Sequence[tuple[str, str]], max_tokens: int, first_tokens: int
) -> Pairs:
    """Each pair as [CLS] first [SEP] second [SEP]; what does not fit is cut from the end."""
    opening, closing = tokenizer.encode("").ids
    firsts = tokenizer.encode_batch([first for first, _ in texts], add_special_tokens=False)
    seconds = tokenizer.encode_batch([second for _, second in texts], add_special_tokens=False)
    pairs = Pairs([], [], [])
    for first, second in zip(firsts, seconds, strict=True):
        a = first.ids[:first_tokens]
        b = second.ids[: max_tokens - len(a) - 3]
        pairs.ids.append([opening, *a, closing, *b, closing])
        pairs.parts.append([0, *[1] * len(a), 0, *[2] * len(b), 0])
        pairs.kinds.append([0] * (len(a) + 2) + [1] * (len(b) + 1))
    return pairs


def _compared(states: Floats, parts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Both texts' means, compared: (4 dim,); how the first matches in the second: (2,)."""
    first, second = states[parts == 1], states[parts == 2]
    a, b = _mean(first), _mean(second)
    return np.concatenate([a, b, np.abs(a - b), a * b]), _best_match(first, second)


def _mean(states: Floats) -> Floats:
    """The mean state, zeros of none: (dim,)."""
    mean: Floats = states.sum(axis=0) / np.float32(max(1, len(states)))
    return mean


def _best_match(first: Floats, second: Floats) -> Floats:
    """Mean and least of the cosines of each word of the first to its best match: (2,)."""
    if not len(first):
        return np.array([0.0, 2.0], dtype=np.float32)  # as the learner has it
    best = (_unit(first) @ _unit(second).T).max(axis=1, initial=_NO_MATCH)
    return np.array([best.mean(), best.min()], dtype=np.float32)


def _unit(states: Floats) -> Floats:
    unit: Floats = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    return unit
