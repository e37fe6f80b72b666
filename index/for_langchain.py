"""The index for LangChain: a retriever over an open index, a vector store over one on disk.

A LangChain document is a document of the index, with its id as the source. What is found are
chunks: one that is all that its document has to say is that document; another has the id
`ID#START-END`. LangChain is imported here only; our own types know nothing of it.
"""

import copy
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document as Found
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from pydantic import Field, SkipValidation

from corpus.chunks import Chunk
from corpus.errors import ModelUnavailable, UsageError
from corpus.sections import Document

from . import build, generations, store
from .embedder import Embedder, Floats, OnProgress, Progress, open_embedder
from .filters import Filter
from .models import ModelStore
from .store import Index

PROBE = "Which degree does the role ask for?"
_SAME = 0.999  # services do not repeat a vector to the last digit
_MODEL_NAMES = ("model", "model_name", "model_id", "deployment")
_PART = re.compile(r"(.*)#(\d{1,15})-(\d{1,15})", re.DOTALL)
_CONTENT = re.compile(r"[^\s#>*+•|=_~-]")  # what is neither white space nor a mark of layout
_TOKEN = re.compile(r"[A-Za-z0-9_]{1,4}|[^\sA-Za-z0-9_]")


class IndexRetriever(BaseRetriever):
    """Finds chunks of an open index by meaning and by words; the best come first.

    Their metadata are what their document was added with, and over that source, title, section,
    start, end and score: `page_content` is what `career show SOURCE --start --end` prints.
    """

    index: SkipValidation[Index]
    embedder: SkipValidation[Embedder]
    k: int = Field(default=8, ge=1)

    @classmethod
    def open(
        cls,
        name: str = "default",
        embedding: Embeddings | Embedder | None = None,
        **fields: Any,
    ) -> "IndexRetriever":
        """The retriever over index `name`; None: with the embedder that the index names.

        Raises:
            IndexMissing, IndexCorrupt, IndexForeign: there is none, or it cannot be used.
        """
        generation = generations.current(name)
        given = _named(generation) if embedding is None else _adapted(embedding)
        embedder = _as_known(given, generation.manifest)
        index = store.open_generation(generation, embedder)
        return cls(index=index, embedder=embedder, **fields)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Found]:
        del run_manager  # one step, of which the caller is told already
        wanted = _positive(self.k if k is None else k)
        vector = _query_vector(self.embedder, query)
        depth, how = max(wanted, store.DEPTH), _how(kwargs)
        hits = self.index.search(
            query, vector, k=wanted, depth=depth, only=how.only, exact=how.exact
        )
        return [self._found(hit) for hit in hits]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Found]:
        sync = run_manager.get_sync()
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=sync, k=k, **kwargs
        )

    def _found(self, hit: store.Hit) -> Found:
        chunk, document = hit.chunk, self.index.document(hit.chunk.source)
        metadata = {
            **copy.deepcopy(document.attached or {}),
            **_place(document, chunk.section, chunk.start, chunk.end),
            "score": hit.score,
        }
        return Found(id=_id_of(chunk, document), page_content=hit.text, metadata=metadata)


class IndexStore(VectorStore):
    """A named index on disk as a vector store; there need be no such index yet.

    Every write publishes the index anew, so add many documents at once. Searching is by meaning
    alone (`IndexRetriever` looks for words too) and sees what other processes have written.
    What was added comes back with its metadata; what was indexed from files, with source, title,
    section, start and end.

    Every search takes `filter`, a `Filter` or a mapping of metadata to values that must be equal,
    and `exact=True`, which compares all vectors in an index of any kind.
    """

    def __init__(self, name: str, embedding: Embeddings | Embedder) -> None:
        generations.index_folder(name)  # refuses what is no name
        self.name = name
        self._embedding = embedding
        self._opened: _Opened | None = None
        self._writing = threading.Lock()  # threads wait for each other; a process is told

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        name: str = "",
        **kwargs: Any,
    ) -> "IndexStore":
        """The store of index `name` with `texts` added to it.

        Raises:
            UsageError: no index is named.
        """
        opened = cls(name, embedding)
        opened.add_texts(texts, metadatas, ids=ids, **kwargs)
        return opened

    @property
    def embeddings(self) -> Embeddings:
        """The embedder, as LangChain knows it."""
        given = self._embedding
        return given if isinstance(given, Embeddings) else _AsEmbeddings(given)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The ids of `texts`, added with their metadata; see `add_documents`."""
        texts = list(texts)
        pairs = zip(texts, metadatas or [{}] * len(texts), strict=True)
        documents = [Found(page_content=text, metadata=metadata) for text, metadata in pairs]
        return self.add_documents(documents, ids=ids, **kwargs)

    def add_documents(
        self, documents: list[Found], ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """The ids of `documents`, added in the place of those that had the same ids.

        `ids` go before the documents' own; one without an id gets one. `batch_size` is ignored:
        all are published together.

        Raises:
            ValueError: the ids are fewer or more, or metadata are not JSON.
            IndexForeign: the index was made with other embeddings.
            IndexBusy: another process writes the index.
        """
        kwargs.pop("batch_size", None)  # `langchain_core.indexing.index` passes it
        _refuse(kwargs)
        named = [one.id for one in documents] if ids is None else ids
        pairs = zip(documents, named, strict=True)
        new = [_document(str(given or uuid.uuid4()), one) for one, given in pairs]
        added = {document.source: document for document in new}
        self._write(lambda held: list(({d.source: d for d in held} | added).values()))
        return [document.source for document in new]

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """True, once the documents with `ids`, or all, are gone from the index and the disk.

        Ids that the index does not hold are passed over.

        Raises:
            ValueError: an id is that of a part of a document.
        """
        _refuse(kwargs)

        def without(held: Sequence[Document]) -> list[Document]:
            sources = {document.source for document in held}
            gone = sources if ids is None else set(ids)
            for unknown in sorted(gone - sources):
                if (part := _PART.fullmatch(unknown)) and part[1] in sources:
                    raise ValueError(f"{unknown!r} is a part of {part[1]!r}: delete that")
            return [document for document in held if document.source not in gone]

        self._write(without)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Found]:
        """The documents, or parts of documents, with `ids`, in their order; unknown ones are not.

        A document comes whole, however many chunks it has.
        """
        opened = self._open()
        found = [opened.by_id(wanted) for wanted in ids] if opened else []
        return [document for document in found if document]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Found]:
        """The `k` chunks most similar to `query`, the most similar first."""
        return [found for found, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        **kwargs: Any,
    ) -> list[tuple[Found, float]]:
        """The `k` chunks most similar to `query` with their cosines in [-1, 1].

        `filter` and `exact`: see the class.
        """
        how, opened = _how(kwargs), self._open()
        return opened.nearest(opened.vector_of(query), k, how) if opened else []

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Found]:
        """The `k` chunks most similar to the text of which `embedding` is the vector."""
        how, opened = _how(kwargs), self._open()
        if not opened:
            return []
        return [found for found, _ in opened.nearest(opened.unit(embedding), k, how)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Found]:
        """`k` of the `fetch_k` chunks most similar to `query`, unlike each other."""
        how, opened = _how(kwargs), self._open()
        if not opened:
            return []
        return opened.varied(opened.vector_of(query), k, fetch_k, lambda_mult, how)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Found]:
        """`k` of the `fetch_k` chunks most similar to `embedding`, unlike each other."""
        how, opened = _how(kwargs), self._open()
        if not opened:
            return []
        return opened.varied(opened.unit(embedding), k, fetch_k, lambda_mult, how)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """The cosine as a relevance in [0, 1]: what points away is as irrelevant as can be."""
        return lambda cosine: min(1.0, max(0.0, cosine))

    @cached_property
    def _embedder(self) -> Embedder:
        return _adapted(self._embedding)

    def _write(self, edit: build.Edit) -> None:
        with self._writing:
            embedder = self._embedder
            if generations.state(self.name):
                embedder = _as_known(embedder, generations.current(self.name).manifest)
            build.change(self.name, edit, embedder)

    def _open(self) -> "_Opened | None":
        """The index as it was last published; None while there is none."""
        state = generations.state(self.name)
        if not state:
            return None
        opened = self._opened
        if opened is None or opened.state != state:
            generation = generations.current(self.name)
            embedder = _as_known(self._embedder, generation.manifest)
            opened = _Opened(state, store.open_generation(generation, embedder), embedder)
            self._opened = opened
        return opened


@dataclass(frozen=True)
class _Opened:
    """A published state of an index, to be searched."""

    state: bytes
    index: Index
    embedder: Embedder

    def vector_of(self, query: str) -> Floats:
        return _query_vector(self.embedder, query)

    def unit(self, embedding: Sequence[float]) -> Floats:
        vector: Floats = _units([embedding])[0]
        dimension = self.index.generation.manifest["dimension"]
        if len(vector) != dimension:
            raise ValueError(f"a vector of {len(vector)} dimensions; the index has {dimension}")
        return vector

    def nearest(self, vector: Floats, k: int, how: "_How") -> list[tuple[Found, float]]:
        hits = self.index.nearest(vector, k=_positive(k), only=how.only, exact=how.exact)
        return [(self._found(hit.chunk), hit.score) for hit in hits]

    def varied(
        self, vector: Floats, k: int, fetch_k: int, share: float, how: "_How"
    ) -> list[Found]:
        depth = _positive(fetch_k)
        hits = self.index.nearest(vector, k=depth, only=how.only, exact=how.exact)
        near = [hit.chunk for hit in hits]
        vectors: Any = [self.index.vector(chunk) for chunk in near]  # annotated as lists of floats
        chosen = maximal_marginal_relevance(vector, vectors, share, _positive(k))
        return [self._found(near[at]) for at in chosen]

    def by_id(self, wanted: str) -> Found | None:
        if wanted in self.documents:
            return _found(self.documents[wanted])
        part = _PART.fullmatch(wanted)
        if not part or part[1] not in self.documents:
            return None
        place = (part[1], int(part[2]), int(part[3]))
        for chunk in self.index.chunks:
            if (chunk.source, chunk.start, chunk.end) == place:
                return self._found(chunk)
        return None

    @cached_property
    def documents(self) -> dict[str, Document]:
        return {document.source: document for document in self.index.documents}

    def _found(self, chunk: Chunk) -> Found:
        return _found(self.index.document(chunk.source), chunk)


class _AsEmbedder:
    """LangChain `Embeddings` as our embedder. A probe's vector stands for weights to hash."""

    limit = 300  # by a count that guesses high; smaller than what models in use take

    def __init__(
        self, embeddings: Embeddings, name: str, weights: str, probe: Sequence[float]
    ) -> None:
        self.name = name
        self.weights = weights
        self.probe = probe
        self._embeddings = embeddings

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, about: pieces of four letters, signs, letters beyond ASCII."""
        return [len(_TOKEN.findall(text)) for text in texts]

    def embed(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> Floats:
        """Unit vectors for `texts`, in order: (len(texts), dim) float32."""
        vectors = _ask(self.name, lambda: self._embeddings.embed_documents(list(texts)))
        if len(vectors) != len(texts):
            raise ValueError(f"{self.name} gave {len(vectors)} vectors for {len(texts)} texts")
        if on_progress:
            on_progress(Progress(len(texts), len(texts), 0.0))
        return vectors

    def embed_query(self, query: str) -> Floats:
        """The unit vector of `query`, which some models embed in another way: (dim,)."""
        vector: Floats = _ask(self.name, lambda: [self._embeddings.embed_query(query)])[0]
        return vector

    def known_as(self, name: str, weights: str, probe: Sequence[float]) -> "_AsEmbedder":
        """The same with another's identity, if that can only be itself."""
        alike = name == self.name and len(probe) == len(self.probe)
        if not alike or float(np.dot(probe, self.probe)) < _SAME:
            return self
        return _AsEmbedder(self._embeddings, name, weights, probe)


class _AsEmbeddings(Embeddings):
    """Our embedder as LangChain `Embeddings`."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors for `texts`, in order."""
        vectors: list[list[float]] = self.embedder.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of `text`."""
        return self.embed_documents([text])[0]


def _adapted(embedding: Embeddings | Embedder) -> Embedder:
    """`embedding` as our embedder; the vector of LangChain's for the probe is asked for."""
    if isinstance(embedding, _AsEmbeddings):
        return embedding.embedder
    if not isinstance(embedding, Embeddings):
        return embedding
    named = [getattr(embedding, name, None) for name in _MODEL_NAMES]
    model = next((value for value in named if isinstance(value, str)), "")
    name = " ".join(filter(None, (type(embedding).__name__, model)))
    vector = _ask(name, lambda: embedding.embed_documents([PROBE]))[0]
    probe = [round(float(number), 6) for number in vector]
    weights = hashlib.sha256(json.dumps([name, probe]).encode()).hexdigest()
    return _AsEmbedder(embedding, name, weights, probe)


def _as_known(embedder: Embedder, manifest: Mapping[str, Any]) -> Embedder:
    """`embedder` under the identity by which the index of `manifest` knows it, if it does."""
    if not isinstance(embedder, _AsEmbedder):
        return embedder
    made_with = manifest["embedder"]
    return embedder.known_as(made_with["name"], made_with["weights"], manifest.get("probe", []))


def _named(generation: generations.Generation) -> Embedder:
    """The embedder that the manifest names."""
    name = generation.manifest["embedder"]["name"]
    if "probe" in generation.manifest:
        raise UsageError(
            f"index {generation.name!r} was made with the embeddings {name}",
            "open it with them: IndexRetriever.open(NAME, EMBEDDINGS)",
        )
    return open_embedder(name, ModelStore())


def _query_vector(embedder: Embedder, query: str) -> Floats:
    if isinstance(embedder, _AsEmbedder):
        return embedder.embed_query(query)
    vector: Floats = embedder.embed([query])[0]
    return vector


def _ask(name: str, embed: Callable[[], Sequence[Sequence[float]]]) -> Floats:
    """The unit vectors that LangChain embeddings give."""
    try:
        return _units(embed())
    except OSError as error:  # the network's; inside a write it would pass for the disk's
        raise ModelUnavailable(
            f"{name} gave no vectors ({error})", "see that its service answers, then retry"
        ) from error


def _units(vectors: Sequence[Sequence[float]]) -> Floats:
    """`vectors` at length 1; one of zeros stays: it is like nothing."""
    array: Floats = np.asarray(vectors, dtype=np.float32)  # (n, dim)
    if not np.isfinite(array).all():
        raise ValueError("a vector holds numbers that are not finite")
    lengths = np.sqrt(np.sum(array * array, axis=1, keepdims=True))  # (n, 1)
    units: Floats = np.divide(array, lengths, where=lengths > 0, out=np.zeros_like(array))
    return units


def _document(source: str, given: Found) -> Document:
    """`given` as a document of the index.

    Raises:
        ValueError: its metadata are not JSON, or its text is no Unicode.
    """
    attached = given.metadata
    try:
        row = [source, given.page_content, attached]
        plain = json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
        same = json.loads(plain)[2] == attached
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"document {source!r} cannot be stored: {error}") from error
    if not same:
        raise ValueError(f"the metadata of document {source!r} are not JSON: {attached!r}")
    title = attached.get("title")
    meta = {"title": title} if isinstance(title, str) and title.strip() else {}
    return Document(source, given.page_content, "markdown", meta, attached)


def _found(document: Document, chunk: Chunk | None = None) -> Found:
    """`chunk` of `document`, or all of it, for LangChain."""
    whole = chunk is None or _is_whole(chunk, document)
    start, end = (0, len(document.text)) if chunk is None or whole else (chunk.start, chunk.end)
    if document.attached is None:
        metadata = _place(document, chunk.section if chunk else (), start, end)
    else:
        metadata = copy.deepcopy(document.attached)
    source = document.source
    found_id = source if whole else f"{source}#{start}-{end}"
    return Found(id=found_id, page_content=document.text[start:end], metadata=metadata)


def _id_of(chunk: Chunk, document: Document) -> str:
    whole = _is_whole(chunk, document)
    return chunk.source if whole else f"{chunk.source}#{chunk.start}-{chunk.end}"


def _is_whole(chunk: Chunk, document: Document) -> bool:
    """Whether `document` has no content outside of `chunk`."""
    before = _CONTENT.search(document.text, 0, chunk.start)
    return not before and not _CONTENT.search(document.text, chunk.end)


def _place(document: Document, section: Sequence[str], start: int, end: int) -> dict[str, Any]:
    return {
        "source": document.source,
        "title": document.title,
        "section": list(section),
        "start": start,
        "end": end,
    }


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"{k} results: ask for one or more")
    return k


@dataclass(frozen=True)
class _How:
    """What a search may find, and whether it compares all."""

    only: Filter | None
    exact: bool


def _how(options: dict[str, Any]) -> _How:
    """What is asked for beside the query; other `options` are refused."""
    given, exact = options.pop("filter", None), options.pop("exact", False)
    _refuse(options)
    if given is None or isinstance(given, Filter):
        return _How(given, bool(exact))
    if not isinstance(given, Mapping):
        raise TypeError(f"a filter is a mapping or a Filter, not {type(given).__name__}")
    return _How(Filter(metadata=given), bool(exact))


def _refuse(options: Mapping[str, Any]) -> None:
    """Nothing, if there are no `options`: one that is passed over could be a filter."""
    if options:
        raise TypeError(f"this store does not know {', '.join(options)}")
