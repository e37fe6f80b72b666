"""The words of an index's chunks, and search by them (BM25, computed by bm25s)."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

from corpus.errors import IndexCorrupt

from .generations import Generation
from .kernels import Flags, Rows

_FOLDER = "bm25"
_ARRAYS = ("data", "indices", "indptr")  # bm25s's scores: columns of words, rows of chunks
_VOCABULARY = f"{_FOLDER}/vocab.index.json"
_PARAMETERS = f"{_FOLDER}/params.index.json"
_COUNTED, _ENDS = f"{_FOLDER}/words.i32", f"{_FOLDER}/ends.i64"


class WordSearch:
    """BM25 over the chunks of an open index."""

    def __init__(self, scores: bm25s.BM25) -> None:
        self._scores = scores

    @staticmethod
    def read(generation: Generation) -> "WordSearch":
        """From the checked bytes; bm25s itself would need them in a folder on a disk with room.

        Raises:
            IndexCorrupt: a file is missing or changed.
        """
        for file in (_COUNTED, _ENDS):  # not searched, but damage is to be told when it is there
            if file in generation.manifest["files"]:
                generation.bytes_of(file)
        parameters = json.loads(generation.read(_PARAMETERS))
        parameters.pop("version")
        count = parameters.pop("num_docs")
        scores = bm25s.BM25(**parameters)
        files = {name: f"{_FOLDER}/{name}.csc.index.npy" for name in _ARRAYS}
        arrays = {
            name: np.load(io.BytesIO(generation.read(file)), allow_pickle=False)
            for name, file in files.items()
        }
        scores.scores = {**arrays, "num_docs": count}
        scores.vocab_dict = json.loads(generation.read(_VOCABULARY))
        scores.unique_token_ids_set = set(scores.vocab_dict.values())
        scores.nonoccurrence_array = None
        return WordSearch(scores)

    def chunks_with(self, stem: str) -> Rows:
        """The chunks in which words of this stem stand."""
        column = self._scores.vocab_dict.get(stem)
        if column is None:
            return np.empty(0, dtype=np.int64)
        start, end = self._scores.scores["indptr"][column : column + 2]
        rows: Rows = self._scores.scores["indices"][start:end].astype(np.int64)
        return rows

    def best(self, query: str, k: int, allowed: Flags | None) -> list[int]:
        """The `k` chunks, of those `allowed`: (chunks,), that share most with `query`, best first.

        Chunks that share no word are not found; equal ones stand in their order.
        """
        known = [token for token in tokenize([query])[0] if token in self._scores.vocab_dict]
        if not known:
            return []
        scores = self._scores.get_scores(known)
        places = np.flatnonzero(scores > 0 if allowed is None else (scores > 0) & allowed)
        if len(places) > k:  # sorted are only those that can be among the first
            least = np.partition(scores[places], len(places) - k)[len(places) - k]
            places = places[scores[places] >= least]
        best = places[np.argsort(-scores[places], kind="stable")][:k]
        return [int(at) for at in best]


@dataclass(frozen=True)
class Words:
    """The stemmed words of each chunk, in order, as numbers in a vocabulary.

    They are kept so that a chunk's words are found once, not at every change of its index.
    """

    vocabulary: tuple[str, ...]
    numbers: NDArray[np.int32]  # of all chunks, one chunk after the other
    ends: Rows  # where those of each chunk end: (chunks,)

    @staticmethod
    def none() -> "Words":
        """Of no chunk."""
        return Words((), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))

    @staticmethod
    def read(generation: Generation) -> "Words":
        """Those of a generation; none where it does not have them whole, which costs only time."""
        if _COUNTED not in generation.manifest["files"]:
            return Words.none()  # it was made before they were kept
        try:
            numbers, ends = (generation.read(file) for file in (_COUNTED, _ENDS))
            vocabulary = json.loads(generation.read(_VOCABULARY))
        except IndexCorrupt:
            return Words.none()
        return Words(
            tuple(sorted(vocabulary, key=vocabulary.__getitem__)),
            np.frombuffer(numbers, "<i4"),
            np.frombuffer(ends, "<i8"),
        )

    def with_texts(self, texts: Sequence[str]) -> "Words":
        """With chunks of `texts` after its own."""
        number = {word: at for at, word in enumerate(self.vocabulary)}
        new = [[number.setdefault(w, len(number)) for w in words] for words in tokenize(texts)]
        flat = np.fromiter((at for words in new for at in words), np.int32)
        before = len(self.numbers)
        ends = before + np.cumsum([len(words) for words in new], dtype=np.int64)
        return Words(
            tuple(number),
            np.concatenate([self.numbers, flat]),
            np.concatenate([self.ends, ends]),
        )

    def taken(self, chunks: Rows) -> "Words":
        """Of `chunks`, in their order; words that are in none of them are forgotten."""
        starts = np.concatenate([np.zeros(1, dtype=np.int64), self.ends])[:-1]
        lengths = (self.ends - starts)[chunks]
        ends = np.cumsum(lengths)
        places = np.arange(lengths.sum()) + np.repeat(starts[chunks] - (ends - lengths), lengths)
        numbers = self.numbers[places]
        used = np.bincount(numbers, minlength=len(self.vocabulary)) > 0
        renumbered = (np.cumsum(used) - 1).astype(np.int32)
        left = tuple(word for word, is_used in zip(self.vocabulary, used, strict=True) if is_used)
        return Words(left, renumbered[numbers], ends)

    def write(self, folder: Path) -> None:
        """Put them, and their BM25 scores, into the folder of a generation."""
        scores = bm25s.BM25()
        if len(self.numbers):
            flat, ends = self.numbers.tolist(), self.ends.tolist()
            of_chunks = [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            vocabulary = {word: at for at, word in enumerate(self.vocabulary)}
            scores.index((of_chunks, vocabulary), show_progress=False)
        else:  # BM25 divides by the average length, so it needs one word
            scores.index([[""]] * max(1, len(self.ends)), show_progress=False)
        scores.save(folder / _FOLDER, show_progress=False)
        self.numbers.astype("<i4").tofile(folder / _COUNTED)
        self.ends.astype("<i8").tofile(folder / _ENDS)


def tokenize(texts: Sequence[str]) -> list[list[str]]:
    """The stemmed words of each text, without English stop words."""
    tokens: list[list[str]] = bm25s.tokenize(
        list(texts),
        token_pattern=r"(?u)\b\w+\b",
        stopwords="en",
        stemmer=Stemmer.Stemmer("english"),
        return_ids=False,
        show_progress=False,
    )
    return tokens
