"""A small cross-encoder: two texts read together, one score. The reranker and the support model.

A base of the catalogue with low-rank changes (LoRA, Hu et al. 2021) and a head over the means of
both texts, the best match of each word of the first in the second and, where the base is a
cross-encoder itself, its own score. `eval/learner.py` is the same in torch and makes the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.bert import BertEncoder, Floats, batches, gelu, read_model
from index.models import ModelStore

_OWN = ("pooler.", "classifier.")  # what gives a base its own score


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
        encoder: BertEncoder,
        tokenizer: Any,
        head: dict[str, Floats],
        *,
        max_tokens: int,
        first_tokens: int,
    ) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._head = head
        self._scores_itself = scores_itself(head)
        self.max_tokens = max_tokens
        self.first_tokens = first_tokens

    @classmethod
    def open(cls, models: ModelStore, weights: Path) -> "CrossEncoder":
        """The cross-encoder of `weights`, over the base of the catalogue that they change."""
        from safetensors import safe_open

        with safe_open(weights, "numpy") as file:
            card = file.metadata()
            stored = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118 no dict
        head = {name: stored.pop(name) for name in list(stored) if name.startswith("head.")}
        names = sorted({name.rpartition(".")[0] for name in stored})
        folder = models.resolve(card["base"])
        base = read_model(folder)
        for name in names:
            change = stored[f"{name}.up"] @ stored[f"{name}.down"]
            base.weights[f"{name}.weight"] = base.weights[f"{name}.weight"] + change
        if scores_itself(base.weights):
            head |= {name: base.weights[name] for name in base.weights if name.startswith(_OWN)}
        return cls(
            BertEncoder(base),
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
        pairs = encode(self._tokenizer, texts, self.max_tokens, self.first_tokens)
        scores = np.empty(len(texts), dtype=np.float32)
        for rows in batches(list(map(len, pairs.ids))):
            batch = pairs[rows]
            states = self._encoder.states(batch.ids, batch.kinds if self._scores_itself else None)
            scores[rows] = self._read(states, batch.parts)
        return scores

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(e.ids) for e in encoded]

    def _read(self, states: Floats, parts: Sequence[Sequence[int]]) -> Floats:
        """The head over the `states` of a batch: (batch, longest, dim) -> (batch,)."""
        which = np.zeros(states.shape[:2], dtype=np.int8)
        for row, part in enumerate(parts):
            which[row, : len(part)] = part
        first, second = _mean(states, which == 1), _mean(states, which == 2)
        matched = _best_match(states, which)
        features = [first, second, np.abs(first - second), first * second]
        own: Floats | float = 0.0
        if self._scores_itself:
            pooled = np.tanh(self._linear(states[:, 0], "pooler.dense"))
            features.append(pooled)
            own = self._linear(pooled, "classifier") * self._head["head.scale"]
        hidden = gelu(self._linear(np.concatenate([*features, matched], axis=1), "head.0"))
        scores: Floats = (self._linear(hidden, "head.2") + own)[:, 0]
        return scores - self._head["head.null"]

    def _linear(self, x: Floats, name: str) -> Floats:
        out: Floats = x @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"]
        return out


def scores_itself(weights: Mapping[str, Any]) -> bool:
    """Whether a base is a cross-encoder, which tells both texts apart and scores them."""
    return "classifier.weight" in weights


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder, which neither cuts nor pads."""
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


def _mean(states: Floats, wanted: NDArray[np.bool_]) -> Floats:
    """The mean state of the `wanted` tokens: (batch, dim)."""
    weights = wanted[:, :, None].astype(np.float32)
    mean: Floats = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
    return mean


def _best_match(states: Floats, which: NDArray[np.int8]) -> Floats:
    """Mean and least of the cosines of each word of the first to its best match: (batch, 2)."""
    norms = np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), 1e-12)
    unit = states / norms
    cosines = unit @ unit.transpose(0, 2, 1)  # (batch, tokens, tokens)
    best = np.where((which == 2)[:, None, :], cosines, -1.0).max(axis=-1)
    asked = which == 1
    mean = (best * asked).sum(axis=1) / np.maximum(asked.sum(axis=1), 1)
    least = np.where(asked, best, 2.0).min(axis=1)
    return np.stack([mean, least], axis=1).astype(np.float32)
