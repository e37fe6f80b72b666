"""A BERT encoder in numpy, for a question and a handful of sentences.

Importing torch and sentence-transformers takes seconds; a question waits for neither. Large batches
go through sentence-transformers, which is faster there and knows GPUs.

Method: Devlin et al. 2019 (encoder), Reimers & Gurevych 2019 (mean pooling).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_ERFC = np.array(
    [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592], dtype=np.float32
)
_GELU_ROWS = 32
_BATCH_TOKENS = 512  # enough for a fast product, and little padding


class BertEncoder:
    """The last states that the BERT model of a folder gives tokens."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        config = json.loads((folder / "config.json").read_text())
        self._weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self.dim = int(config["hidden_size"])

    def states(self, batch: Sequence[Sequence[int]]) -> Floats:
        """The last layer's state of each token: (len(batch), longest, dim), padded at the end."""
        ids, mask = _padded(batch)
        states = self._embeddings(ids)
        blocked = (mask[:, None, None, :] - 1.0) * 1e9
        for layer in range(self._layers):
            states = self._layer(states, blocked, f"encoder.layer.{layer}")
        return states

    def _embeddings(self, ids: NDArray[np.int64]) -> Floats:
        prefix = "embeddings"
        summed = (
            self._weights[f"{prefix}.word_embeddings.weight"][ids]
            + self._weights[f"{prefix}.position_embeddings.weight"][: ids.shape[1]]
            + self._weights[f"{prefix}.token_type_embeddings.weight"][0]
        )
        return self._norm(summed, f"{prefix}.LayerNorm")

    def _layer(self, states: Floats, blocked: Floats, prefix: str) -> Floats:
        attended = self._attention(states, blocked, f"{prefix}.attention.self")
        dense = self._linear(attended, f"{prefix}.attention.output.dense")
        states = self._norm(dense + states, f"{prefix}.attention.output.LayerNorm")
        hidden = gelu(self._linear(states, f"{prefix}.intermediate.dense"))
        dense = self._linear(hidden, f"{prefix}.output.dense")
        return self._norm(dense + states, f"{prefix}.output.LayerNorm")

    def _attention(self, states: Floats, blocked: Floats, prefix: str) -> Floats:
        batch, tokens, dim = states.shape
        width = dim // self._heads
        query, key, value = (
            self._linear(states, f"{prefix}.{name}")
            .reshape(batch, tokens, self._heads, width)
            .transpose(0, 2, 1, 3)  # (batch, heads, tokens, width)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width)) + blocked
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = scores / scores.sum(axis=-1, keepdims=True)
        joined: Floats = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, dim)
        return joined

    def _linear(self, states: Floats, name: str) -> Floats:
        rows = states.reshape(-1, states.shape[-1])  # one GEMM for the whole batch
        out: Floats = rows @ self._weights[f"{name}.weight"].T
        out += self._weights[f"{name}.bias"]
        return out.reshape(*states.shape[:-1], -1)

    def _norm(self, states: Floats, name: str) -> Floats:
        scaled: Floats = states - states.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", scaled, scaled) / np.float32(states.shape[-1])
        scaled /= np.sqrt(variance + np.float32(self._epsilon))[..., None]
        scaled *= self._weights[f"{name}.weight"]
        scaled += self._weights[f"{name}.bias"]
        return scaled


class SentenceEncoder:
    """Mean-pooled unit vectors of a BERT model folder in sentence-transformers' layout.

    The same vectors as sentence-transformers gives; a test compares the two.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._encoder = BertEncoder(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens(folder))
        self._tokenizer.no_padding()

    @staticmethod
    def reads(folder: Path) -> bool:
        """Whether the folder holds a model that this class computes: BERT, mean pooling, unit."""
        config, pooling = folder / "config.json", folder / "1_Pooling" / "config.json"
        needed = (config, pooling, folder / "model.safetensors", folder / "tokenizer.json")
        if not all(file.is_file() for file in needed):
            return False
        described = json.loads(config.read_text())
        return (
            described.get("model_type") == "bert"
            and described.get("hidden_act") == "gelu"
            and bool(json.loads(pooling.read_text()).get("pooling_mode_mean_tokens"))
        )

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors for `texts`, in order: (len(texts), dim) float32."""
        encodings = [e.ids for e in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(texts), self._encoder.dim), dtype=np.float32)
        for batch in _batches(list(map(len, encodings))):
            vectors[batch] = self._pooled([encodings[i] for i in batch])
        return vectors

    def _pooled(self, batch: Sequence[Sequence[int]]) -> Floats:
        _, mask = _padded(batch)
        summed = (self._encoder.states(batch) * mask[:, :, None]).sum(axis=1)
        return _unit(summed / mask.sum(axis=1, keepdims=True))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts of so many tokens, those of like length together.

    A batch, padded to its longest text, takes texts up to `_BATCH_TOKENS` tokens.
    """
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[at] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def max_tokens(folder: Path) -> int:
    """How many tokens, the two special ones included, the model reads."""
    file = folder / "sentence_bert_config.json"
    limit = json.loads(file.read_text()).get("max_seq_length") if file.is_file() else None
    return int(limit or 512)


def gelu(x: Floats) -> Floats:
    """The Gaussian error linear unit (Hendrycks & Gimpel 2016), to within 5e-7.

    gelu(x) = max(x, 0) - |x| / 2 * erfc(|x| / sqrt 2), with Abramowitz and Stegun's 7.1.26 for the
    last factor. A few rows at a time, which stay in the cache through all the steps: that is three
    times as fast as the whole array step by step.
    """
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty_like(rows)
    size, scratch = (np.empty((_GELU_ROWS, rows.shape[1]), dtype=np.float32) for _ in range(2))
    for start in range(0, len(rows), _GELU_ROWS):
        given, tail = rows[start : start + _GELU_ROWS], out[start : start + _GELU_ROWS]
        s, t = size[: len(given)], scratch[: len(given)]
        np.abs(given, out=s)
        np.multiply(s, np.float32(0.3275911 * np.sqrt(0.5)), out=t)
        t += np.float32(1.0)
        np.reciprocal(t, out=t)
        np.multiply(t, _ERFC[0], out=tail)
        for factor in _ERFC[1:]:
            tail += factor
            tail *= t
        np.square(s, out=t)
        t *= np.float32(-0.5)
        np.exp(t, out=t)
        tail *= t
        tail *= s
        tail *= np.float32(-0.5)
        np.maximum(given, 0.0, out=s)
        tail += s
    return out.reshape(x.shape)


def _padded(batch: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], Floats]:
    """Token ids and where they are real (1) or padding (0), both (len(batch), longest)."""
    longest = max(map(len, batch))
    ids = np.zeros((len(batch), longest), dtype=np.int64)
    mask = np.zeros((len(batch), longest), dtype=np.float32)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1.0
    return ids, mask


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(norms, 1e-12)
    return unit
