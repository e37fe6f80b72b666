"""The index: chunks with their vectors and words (BM25), opened from a generation.

Search finds chunks both ways and fuses the two rankings by reciprocal rank
(Cormack, Clarke & Büttcher 2009).
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from corpus.chunks import Chunk
from corpus.errors import IndexCorrupt, IndexForeign, IndexMissing
from corpus.sections import Document, Span

from .combining import Combined
from .embedder import Embedder, Floats
from .filters import Filter
from .generations import Generation, current
from .kernels import Flags, Rows
from .threads import settle
from .vectors import Ids, Vectors
from .words import Words, WordSearch

RRF_K = 60
DEPTH = 50  # ranks that each way contributes
_VECTORS = "vectors"


@dataclass(frozen=True)
class Hit:
    """A found chunk. `score` is the fused one, `similarity` the cosine to the query in [-1, 1]."""

    rank: int
    score: float
    similarity: float
    chunk: Chunk
    text: str


@dataclass(frozen=True)
class Entry:
    """A chunk as the index keeps it: with the id of its vector.

    `before` is what stands before its text where it is embedded and its words are counted.
    """

    chunk: Chunk
    before: str
    id: int


@dataclass(frozen=True)
class Stored:
    """Everything that a generation holds, before it is written or after it is read."""

    documents: tuple[Document, ...]
    entries: tuple[Entry, ...]
    vectors: Vectors

    @cached_property
    def ids(self) -> Ids:
        """The vector's id of each entry: (entries,)."""
        return np.fromiter((entry.id for entry in self.entries), np.int64, len(self.entries))

    @property
    def matrix(self) -> Floats:
        """The vectors in the order of the entries: (entries, dim)."""
        return self.vectors.rows(self.ids)

    def texts(self) -> list[str]:
        """What was embedded, of each entry; its words are counted, too."""
        texts = {document.source: document.text for document in self.documents}
        return [e.before + texts[e.chunk.source][e.chunk.start : e.chunk.end] for e in self.entries]


class Index:
    """An open generation of an index: searched, shown, never changed. Threads may share it."""

    def __init__(self, generation: Generation, stored: Stored, words: WordSearch) -> None:
        self.generation = generation
        self.chunks = tuple(entry.chunk for entry in stored.entries)
        self._documents = {document.source: document for document in stored.documents}
        self._vectors = stored.vectors
        self._dense = Combined(stored.vectors.search)
        self._ids = stored.ids
        self._by_id = np.argsort(stored.ids)  # places of chunks, in the order of their ids
        self._ascending = stored.ids[self._by_id]
        self._words = words

    @property
    def name(self) -> str:
        """The index's name."""
        return self.generation.name

    @property
    def fingerprint(self) -> str:
        """Identity of what can be found: documents, chunker and embedder."""
        return str(self.generation.manifest["fingerprint"])

    @property
    def documents(self) -> tuple[Document, ...]:
        """The stored documents, by source."""
        return tuple(self._documents.values())

    @cached_property
    def section_chunks(self) -> dict[tuple[str, tuple[str, ...]], list[Chunk]]:
        """The chunks of each section, in reading order."""
        found: dict[tuple[str, tuple[str, ...]], list[Chunk]] = {}
        for chunk in self.chunks:
            found.setdefault((chunk.source, chunk.section), []).append(chunk)
        return found

    def document(self, source: str) -> Document:
        """The stored document `source`.

        Raises:
            IndexMissing: the index does not hold it.
        """
        if source not in self._documents:
            raise _no_source(self.name, source)
        return self._documents[source]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The words that occur in the documents, lower case."""
        found: set[str] = set()
        for document in self.documents:
            found.update(re.findall(r"[^\W\d_]+", document.text.lower()))
        return frozenset(found)

    def chunks_with(self, stem: str) -> int:
        """In how many chunks, headings included, words of this stem stand."""
        return len(self._words.chunks_with(stem))

    def sources_with(self, stem: str) -> frozenset[str]:
        """The documents in which, headings included, words of this stem stand."""
        return frozenset(self.chunks[at].source for at in self._words.chunks_with(stem).tolist())

    def search(
        self,
        query: str,
        vector: Floats,
        *,
        k: int,
        dense: bool = True,
        lexical: bool = True,
        depth: int = DEPTH,
        only: Filter | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The `k` best chunks for `query`, whose embedding is `vector`: (dim,).

        Each way of searching contributes `depth` chunks of those that `only` lets through. With
        `exact`, all vectors are compared, whatever the kind of the index. Ties go to the chunk
        that stands first.
        """
        allowed = self._allowed(only)
        similarities: dict[int, float] = {}
        nearest: list[int] = []
        if dense:
            similarities, nearest = self._nearest(vector, depth, allowed, exact=exact)
        rankings = [nearest]
        if lexical:
            rankings.append(self._words.best(query, depth, allowed))
        scores: dict[int, float] = {}
        for ranking in rankings:
            for rank, at in enumerate(ranking, 1):
                scores[at] = scores.get(at, 0.0) + 1.0 / (RRF_K + rank)
        best = sorted(scores, key=lambda at: (-scores[at], at))[:k]
        others = [at for at in best if at not in similarities]
        similarities |= dict(zip(others, self._similarities(others, vector), strict=True))
        return [
            self._hit(rank, at, scores[at], similarities[at]) for rank, at in enumerate(best, 1)
        ]

    def nearest(
        self, vector: Floats, *, k: int, only: Filter | None = None, exact: bool = False
    ) -> list[Hit]:
        """The `k` chunks most similar to `vector`: (dim,), whatever their words; that is the score.

        Only chunks that `only` lets through are found; with `exact`, all vectors are compared. Ties
        go to the chunk that stands first.
        """
        similarities, ranked = self._nearest(vector, k, self._allowed(only), exact=exact)
        return [
            self._hit(rank, at, similarities[at], similarities[at])
            for rank, at in enumerate(ranked, 1)
        ]

    def vector(self, chunk: Chunk) -> Floats:
        """The embedding of `chunk`: (dim,)."""
        vector: Floats = self._vectors.rows(self._ids[[self._places[chunk]]])[0]
        return vector

    @cached_property
    def _places(self) -> dict[Chunk, int]:
        return {chunk: at for at, chunk in enumerate(self.chunks)}

    @cached_property
    def _sections(self) -> tuple[list[Chunk], Rows]:
        """A chunk of each section, and which of them each chunk belongs to: (chunks,)."""
        numbers: dict[tuple[str, tuple[str, ...]], int] = {}
        of = [numbers.setdefault((c.source, c.section), len(numbers)) for c in self.chunks]
        first = [chunks[0] for chunks in self.section_chunks.values()]
        return first, np.asarray(of, dtype=np.int64)

    def _allowed(self, only: Filter | None) -> Flags | None:
        """Which chunks `only` lets through: (chunks,); None for all."""
        if not only:
            return None
        sources = {d.source for d in self.documents if only.takes_document(d)}
        sections, of = self._sections
        paths = {path: only.takes_section(path) for path in {c.section for c in sections}}
        takes = [c.source in sources and paths[c.section] for c in sections]
        flags: Flags = np.asarray(takes, dtype=bool)[of]
        return flags

    def _nearest(
        self, vector: Floats, depth: int, allowed: Flags | None, *, exact: bool = False
    ) -> tuple[dict[int, float], list[int]]:
        k = min(depth, len(self.chunks))
        if not k:
            return {}, []
        if allowed is None and not exact:
            scores, ids = self._dense.one(vector, k)
        else:
            ids_allowed = None if allowed is None else np.sort(self._ids[allowed])
            found = self._vectors.search(vector[None, :], k, allowed=ids_allowed, exact=exact)
            scores, ids = found[0][0], found[1][0]
        scores, ids = scores[ids >= 0], ids[ids >= 0]
        places = self._by_id[np.searchsorted(self._ascending, ids)]
        similarities = dict(zip(places.tolist(), scores.tolist(), strict=True))
        ranked = sorted(similarities, key=lambda at: (-similarities[at], at))
        return similarities, ranked

    def _similarities(self, places: Sequence[int], vector: Floats) -> list[float]:
        if not places:
            return []
        found: list[float] = (self._vectors.rows(self._ids[list(places)]) @ vector).tolist()
        return found

    def _hit(self, rank: int, at: int, score: float, similarity: float) -> Hit:
        chunk = self.chunks[at]
        text = self._documents[chunk.source].text[chunk.start : chunk.end]
        return Hit(rank, score, similarity, chunk, text)


def write(folder: Path, stored: Stored, words: Words, earlier: Path | None = None) -> None:
    """Write `stored` and its `words` into `folder`; what `earlier`, a generation, has is linked."""
    _write_lines(folder / "documents.jsonl", [_document_to_dict(d) for d in stored.documents])
    _write_lines(folder / "chunks.jsonl", [_entry_to_dict(entry) for entry in stored.entries])
    (folder / _VECTORS).mkdir()
    stored.vectors.write(folder / _VECTORS, earlier / _VECTORS if earlier else None)
    words.write(folder)


def read(generation: Generation) -> Stored:
    """What `generation` holds, every file checked against its hash first.

    Raises:
        IndexCorrupt: a file is missing or changed.
    """
    return Stored(
        read_documents(generation),
        tuple(_entry_from_dict(row) for row in _lines(generation.read("chunks.jsonl"))),
        Vectors.read(
            generation.manifest["vectors"], lambda name: generation.bytes_of(f"{_VECTORS}/{name}")
        ),
    )


def vector_files(generation: Generation, segments: Collection[int]) -> list[str]:
    """The large files of some segments of `generation`."""
    stems = {f"{number:06d}" for number in segments}
    return [
        file
        for file in generation.manifest["files"]
        if file.startswith(f"{_VECTORS}/")
        and Path(file).name.partition(".")[0] in stems
        and generation.maps(file)
    ]


def read_documents(generation: Generation) -> tuple[Document, ...]:
    """The stored documents alone.

    Raises:
        IndexCorrupt: they are missing or changed.
    """
    return tuple(Document(**row) for row in _lines(generation.read("documents.jsonl")))


def read_document(generation: Generation, source: str) -> Document:
    """The stored document `source` alone.

    Raises:
        IndexMissing: the index does not hold it.
        IndexCorrupt: the documents are missing or changed.
    """
    for row in _lines(generation.read("documents.jsonl")):
        if row["source"] == source:
            return Document(**row)
    raise _no_source(generation.name, source)


def open_generation(generation: Generation, embedder: Embedder) -> Index:
    """The index in `generation`, or in the one that replaced it, to be searched with `embedder`.

    Raises:
        IndexForeign: it was embedded by another model.
        IndexCorrupt: a file is missing or changed.
    """
    refuse_foreign(generation, embedder)
    settle()
    try:
        return Index(generation, read(generation), WordSearch.read(generation))
    except IndexCorrupt:
        newer = current(generation.name)
        if newer.folder == generation.folder:
            raise
        return open_generation(newer, embedder)  # it was replaced while we read


def refuse_foreign(generation: Generation, embedder: Embedder) -> None:
    """Nothing, when `generation` was embedded by `embedder`.

    Raises:
        IndexForeign: it was embedded by another model.
    """
    made_with = generation.manifest["embedder"]
    if made_with["weights"] != embedder.weights:
        raise IndexForeign(
            f"index {generation.name!r} was made with embedder {made_with['name']!r} "
            f"({made_with['weights'][:12]}), not {embedder.name!r} ({embedder.weights[:12]})",
            f"rebuild it with: career index build PATH… --index {generation.name}"
            f", or set the embedder to {made_with['name']!r}",
        )


def _no_source(name: str, source: str) -> IndexMissing:
    return IndexMissing(
        f"index {name!r} has no source {source!r}",
        f"list the sources with: career index info --index {name}",
    )


def _document_to_dict(document: Document) -> dict[str, Any]:
    row = {key: getattr(document, key) for key in ("source", "text", "markup", "meta")}
    return row if document.attached is None else row | {"attached": document.attached}


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    chunk = entry.chunk
    spans = [[s.kind, s.start, s.end, *(s.lead or ())] for s in chunk.spans]
    return {
        "source": chunk.source,
        "section": chunk.section,
        "start": chunk.start,
        "end": chunk.end,
        "spans": spans,
        "before": entry.before,
        "vector": entry.id,
    }


def _entry_from_dict(row: dict[str, Any]) -> Entry:
    spans = tuple(
        Span(kind, start, end, (lead[0], lead[1]) if lead else None)
        for kind, start, end, *lead in row["spans"]
    )
    chunk = Chunk(row["source"], tuple(row["section"]), row["start"], row["end"], spans)
    return Entry(chunk, row["before"], row["vector"])


def _write_lines(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line]
