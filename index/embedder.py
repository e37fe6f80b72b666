"""The embedder: texts become unit vectors.

A few at once in numpy, many through sentence-transformers on the best device.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ModelUnavailable

from .bert import BertEncoder, max_tokens

if TYPE_CHECKING:
    from .models import ModelStore

Floats = NDArray[np.float32]
FEW_TEXTS = 256  # up to here numpy answers before torch is even imported
_GROUP = 512  # texts between two progress reports


@dataclass(frozen=True)
class Progress:
    """How far a long job is: `done` of `total` texts, at `rate` texts a second."""

    done: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """The time left at the present rate."""
        return (self.total - self.done) / self.rate if self.rate else 0.0


OnProgress = Callable[[Progress], None]


class Embedder(Protocol):
    """What the index asks of an embedder."""

    name: str
    weights: str  # SHA-256 of the weights: the identity that an index is bound to

    @property
    def limit(self) -> int:
        """Tokens that fit between the special tokens."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without special tokens."""

    def embed(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> Floats:
        """Unit vectors for `texts`, in order: (len(texts), dim) float32."""


class LocalEmbedder:
    """A sentence-transformers model in a local folder."""

    def __init__(self, name: str, folder: Path, weights: str, device: str = "auto") -> None:
        self.name = name
        self.weights = weights
        self._folder = folder
        self._device = device

    @cached_property
    def limit(self) -> int:
        """Tokens that fit between the special tokens."""
        return max_tokens(self._folder) - 2

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without special tokens."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(e.ids) for e in encoded]

    def embed(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> Floats:
        """Unit vectors for `texts`, in order, equal for equal texts: (len(texts), dim) float32.

        Raises:
            ValueError: a text is empty.
        """
        if not all(text.strip() for text in texts):
            raise ValueError("an empty text cannot be embedded")
        distinct = list(dict.fromkeys(texts))
        if len(distinct) < len(texts):
            place = {text: at for at, text in enumerate(distinct)}
            return self.embed(distinct, on_progress)[[place[text] for text in texts]]
        if len(texts) <= FEW_TEXTS and self._small is not None:
            vectors = self._small.embed(texts)
            if on_progress:
                on_progress(Progress(len(texts), len(texts), 0.0))
            return vectors
        return self._embed_many(texts, on_progress)

    def _embed_many(self, texts: Sequence[str], on_progress: OnProgress | None) -> Floats:
        """Longest first, so that a batch holds texts of one length and memory fails early."""
        sizes = self.count_tokens(texts)
        order = sorted(range(len(texts)), key=lambda i: (-sizes[i], i))
        started, parts = time.monotonic(), []
        for start in range(0, len(order), _GROUP):
            group = [texts[i] for i in order[start : start + _GROUP]]
            parts.append(self._model.encode(group, batch_size=32, normalize_embeddings=True))
            if on_progress:
                done = start + len(group)
                rate = done / (time.monotonic() - started)
                on_progress(Progress(done, len(texts), rate))
        vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(parts)
        return vectors

    @cached_property
    def _small(self) -> BertEncoder | None:
        return BertEncoder(self._folder) if BertEncoder.reads(self._folder) else None

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        quiet_transformers()
        device = best_device() if self._device == "auto" else self._device
        return SentenceTransformer(str(self._folder), device=device, local_files_only=True)


class CachedEmbedder:
    """Remembers the vectors of the texts it has seen lately; several threads may share it."""

    def __init__(self, embedder: Embedder, size: int = 20_000) -> None:
        self._embedder = embedder
        self._size = size
        self._known: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors for `texts`, in order: (len(texts), dim) float32."""
        with self._lock:
            fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
            if fresh:
                self._known.update(zip(fresh, self._embedder.embed(fresh), strict=True))
            vectors = np.stack([self._known[text] for text in texts])
            for text in texts:
                self._known.move_to_end(text)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return vectors


def open_embedder(name: str, store: "ModelStore", device: str = "auto") -> LocalEmbedder:
    """The embedder called `name`: of the catalogue, a local folder or a hub id.

    Raises:
        ModelUnavailable: it is not here and cannot be fetched, or is no embedder.
    """
    folder = store.resolve(name)
    needed = ("config.json", "tokenizer.json")
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise ModelUnavailable(
            f"{name!r} is no embedder: {folder} lacks {', '.join(missing)}",
            "name a sentence-transformers model with a fast tokenizer",
        )
    return LocalEmbedder(name, folder, store.weights_hash(folder), device)


@lru_cache(maxsize=1)
def best_device() -> str:
    """cuda, else mps, else cpu: the first that torch can use here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def quiet_transformers() -> None:
    """Keep weight-loading bars off stderr: our own bar tells what takes time."""
    from transformers.utils import logging

    logging.disable_progress_bar()
