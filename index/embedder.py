"""The embedder: texts become unit vectors.

A few at once in numpy, many through sentence-transformers on the best device; very many on a CPU in
bfloat16, where a sample of them shows that this is faster here and gives the same vectors.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ModelUnavailable

from .bert import SentenceEncoder, max_tokens
from .threads import cores

if TYPE_CHECKING:
    from .models import ModelStore

Floats = NDArray[np.float32]
FEW_TEXTS = 256  # up to here numpy answers before torch is even imported
MANY_TEXTS = 1024  # beyond this, to try bfloat16 takes less time than it may save
MIN_GAIN = 1.2  # times as fast as float32
MIN_COSINE = 0.999  # between the two vectors of any text of the sample
_SAMPLE = 64
# Padded tokens in a batch: on a CPU they shall stay in its caches, a GPU wants work.
_BATCH_TOKENS, _BATCH_TOKENS_GPU = 4096, 16_384

Setting = Literal["auto", "float32", "bfloat16"]


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

    @classmethod
    def since(cls, started: float, done: int, total: int) -> "Progress":
        """The progress of a job that was begun at the monotonic time `started`."""
        seconds = time.monotonic() - started
        return cls(done, total, done / seconds if seconds else 0.0)


OnProgress = Callable[[Progress], None]
Keep = Callable[[Sequence[str], Floats], None]


@dataclass(frozen=True)
class Precision:
    """What very many texts were embedded in, and what bfloat16 did on a sample of them.

    Against float32: the smallest cosine between two vectors of a text, and how many times as fast.
    None: not compared.
    """

    name: Literal["float32", "bfloat16"]
    smallest_cosine: float | None = None
    gain: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The precision as JSON; `Precision(**row)` reads it."""
        return dict(vars(self))


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
    """A sentence-transformers model in a local folder.

    `chosen` is the precision that the latest many texts were embedded in; None: float32, for there
    were too few to compare, or not on a CPU.
    """

    chosen: Precision | None = None

    def __init__(
        self,
        name: str,
        folder: Path,
        weights: str,
        device: str = "auto",
        precision: Setting = "auto",
    ) -> None:
        self.name = name
        self.weights = weights
        self.precision = precision
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

    def embed(
        self,
        texts: Sequence[str],
        on_progress: OnProgress | None = None,
        *,
        keep: Keep | None = None,
        precision: Precision | None = None,
    ) -> Floats:
        """Unit vectors for `texts`, in order, equal for equal texts: (len(texts), dim) float32.

        `keep` is given each batch of texts with its vectors as soon as it is done. `precision` is
        the one that an interrupted call had chosen; None: choose.

        Raises:
            ValueError: a text is empty.
        """
        if not all(text.strip() for text in texts):
            raise ValueError("an empty text cannot be embedded")
        distinct = list(dict.fromkeys(texts))
        if len(distinct) < len(texts):
            place = {text: at for at, text in enumerate(distinct)}
            vectors = self.embed(distinct, on_progress, keep=keep, precision=precision)
            return vectors[[place[text] for text in texts]]
        if len(texts) > FEW_TEXTS or self._small is None:
            return self._embed_many(texts, on_progress, keep, precision)
        vectors = self._small.embed(texts)
        if keep:
            keep(texts, vectors)
        if on_progress:
            on_progress(Progress(len(texts), len(texts), 0.0))
        return vectors

    def _embed_many(
        self,
        texts: Sequence[str],
        on_progress: OnProgress | None,
        keep: Keep | None,
        precision: Precision | None,
    ) -> Floats:
        batches = self._batches(texts)
        order = [at for batch in batches for at in batch]
        self.chosen, model = self._choose([texts[at] for at in order], precision)
        started, done, parts = time.monotonic(), 0, []
        for batch in batches:
            group = [texts[at] for at in batch]
            parts.append(_encode(model, group))
            if keep:
                keep(group, parts[-1])
            done += len(batch)
            if on_progress:
                on_progress(Progress.since(started, done, len(texts)))
        vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(parts)
        return vectors

    def _batches(self, texts: Sequence[str]) -> list[list[int]]:
        """The places of `texts` in batches of like lengths, longest first: memory fails early."""
        sizes = [min(tokens, self.limit) + 2 for tokens in self.count_tokens(texts)]
        room = _BATCH_TOKENS if self._on == "cpu" else _BATCH_TOKENS_GPU
        batches: list[list[int]] = []
        for at in sorted(range(len(texts)), key=lambda i: (-sizes[i], i)):
            if not batches or (len(batches[-1]) + 1) * sizes[batches[-1][0]] > room:
                batches.append([])
            batches[-1].append(at)
        return batches

    def _choose(
        self, ordered: Sequence[str], before: Precision | None
    ) -> tuple[Precision | None, Any]:
        """The precision for texts ordered by length, or the one chosen `before`, and its model.

        The bfloat16 model is a second one, which lives as long as the call.
        """
        if before is None and self.precision != "auto":
            before = Precision(self.precision)
        if before is not None:
            return before, self._model if before.name == "float32" else self._load("bfloat16")
        if len(ordered) <= MANY_TEXTS or self._on != "cpu":
            return None, self._model
        try:
            reduced = self._load("bfloat16")
            chosen = self._compare(reduced, _spread(ordered, _SAMPLE))
        except RuntimeError:  # of torch: not every model computes in it
            return Precision("float32"), self._model
        return chosen, self._model if chosen.name == "float32" else reduced

    def _compare(self, reduced: Any, sample: Sequence[str]) -> Precision:
        """The precision for texts like `sample`: bfloat16 where it is faster and as good."""
        gain, cosine = 0.0, 0.0
        for texts in (sample[::8], sample):  # a few first: they warm up both models,
            exact, seconds = self._timed(self._model, texts)
            vectors, fewer = self._timed(reduced, texts)
            cosine, gain = float((exact * vectors).sum(axis=1).min()), seconds / fewer
            if gain < 0.5:  # and end it where the CPU has to emulate
                break
        good = gain >= MIN_GAIN and cosine >= MIN_COSINE
        known = round(cosine, 6) if np.isfinite(cosine) else None
        return Precision("bfloat16" if good else "float32", known, round(gain, 2))

    def _timed(self, model: Any, texts: Sequence[str]) -> tuple[Floats, float]:
        batches = [[texts[at] for at in batch] for batch in self._batches(texts)]
        started = time.perf_counter()
        vectors = np.concatenate([_encode(model, batch) for batch in batches])
        return vectors, time.perf_counter() - started

    @cached_property
    def _small(self) -> SentenceEncoder | None:
        return SentenceEncoder(self._folder) if SentenceEncoder.reads(self._folder) else None

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _on(self) -> str:
        return best_device() if self._device == "auto" else self._device

    @cached_property
    def _model(self) -> Any:
        return self._load("float32")

    def _load(self, precision: str) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        quiet_transformers()
        torch.set_num_threads(cores())
        model = SentenceTransformer(
            str(self._folder),
            device=self._on,
            local_files_only=True,
            model_kwargs={"dtype": precision},
        )
        transformer, *rest = model.children()
        if precision != "float32":  # what pools and normalises its states does so in float32
            transformer.register_forward_hook(_widen)
            for module in rest:
                module.float()
        return model


def _widen(_module: Any, _inputs: Any, features: dict[str, Any]) -> dict[str, Any]:
    """The features that a transformer gives, its states in float32."""
    import torch

    states = {k: v for k, v in features.items() if torch.is_tensor(v) and v.is_floating_point()}
    return features | {name: state.float() for name, state in states.items()}


def _encode(model: Any, batch: Sequence[str]) -> Floats:
    """Unit vectors of one batch, in order: (len(batch), dim) float32."""
    vectors = model.encode(list(batch), batch_size=len(batch), show_progress_bar=False)
    vectors = vectors.astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(norms, np.float32(1e-12))
    return unit


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """`count` of at least as many `texts`, at even distances."""
    return [texts[(2 * at + 1) * len(texts) // (2 * count)] for at in range(count)]


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


def open_embedder(
    name: str, store: "ModelStore", device: str = "auto", precision: Setting = "auto"
) -> LocalEmbedder:
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
    return LocalEmbedder(name, folder, store.weights_hash(folder), device, precision)


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
