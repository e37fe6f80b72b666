"""Writing an index, from files and folders or from a program: only what changed is embedded."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus.chunks import CHUNKER_VERSION, TARGET_TOKENS, Chunk, chunk_document, embedding_text
from corpus.errors import CareerError, IndexCorrupt, IndexForeign, IndexMissing, UsageError
from corpus.readers import Unread, read_paths, supported
from corpus.sections import Document

from . import generations, store
from .embedder import Embedder, Floats, OnProgress

Edit = Callable[[Sequence[Document]], Sequence[Document]]


@dataclass(frozen=True)
class BuildReport:
    """What a build or an update did."""

    index: str
    generation: str
    documents: int
    chunks: int
    embedded: int  # chunks whose vectors were computed; the others were kept
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unread: tuple[Unread, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        plain = {**self.__dict__, "unread": [vars(u) for u in self.unread]}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def build(
    name: str,
    paths: Sequence[Path],
    embedder: Embedder,
    on_progress: OnProgress | None = None,
    *,
    keep_added: bool = False,
) -> BuildReport:
    """Make index `name` hold the documents below `paths`, and nothing else.

    With `keep_added`, what a program added stays, also in the place of a file of the same source.

    Raises:
        UsageError: a path is missing, or nothing below them can be read.
        IndexBusy: another process writes the index.
    """
    if not paths:
        raise UsageError("no files or folders were named", "name what to index")
    roots = [path.expanduser().absolute() for path in paths]
    with generations.writing(name) as folder:
        reading = read_paths(roots)
        if not reading.documents:
            raise _nothing_to_index(paths, reading.unread)
        old = _previous(name, embedder)
        documents = {document.source: document for document in reading.documents}
        if keep_added:
            documents |= {d.source: d for d in old.documents if d.attached is not None}
        if not any(document.sections for document in documents.values()):
            first = reading.documents[0].source
            reason = f"nothing to index: {first} holds no text below its headings"
            raise UsageError(reason, supported())
        report = _write(name, folder, tuple(documents.values()), old, roots, embedder, on_progress)
    return replace(report, unread=reading.unread)


def change(
    name: str, edit: Edit, embedder: Embedder, on_progress: OnProgress | None = None
) -> BuildReport | None:
    """Make index `name` hold what `edit` makes of its documents; None when that is the same.

    There need be no index before, and there may be no document left in it after.

    Raises:
        IndexForeign: it was made with another embedder.
        IndexCorrupt: its documents are damaged.
        IndexBusy: another process writes the index.
    """
    with generations.writing(name) as folder:
        old, roots = _NOTHING, []
        if name in generations.index_names():
            store.refuse_foreign(generations.current(name), embedder)
            old, roots = _held(name, embedder), recorded_paths(name)
        documents = tuple(edit(old.documents))
        if _hashes(documents) == _hashes(old.documents):
            return None
        return _write(name, folder, documents, old, roots, embedder, on_progress)


def update(name: str, embedder: Embedder, on_progress: OnProgress | None = None) -> BuildReport:
    """Look again at the files and folders that index `name` was built from.

    Raises:
        IndexMissing: there is no such index.
        UsageError: a folder it was built from is gone, and nothing is dropped; or it was not built
            from files.
    """
    recorded = recorded_paths(name)
    if not recorded:
        raise UsageError(
            f"index {name!r} was not built from files; a program added what it holds",
            "let that program update it",
        )
    gone = [path for path in recorded if not path.exists()]
    folders = [path for path in gone if not path.suffix]
    if folders or len(gone) == len(recorded):
        raise UsageError(
            f"{(folders or gone)[0]}, from which index {name!r} was built, is gone",
            f"bring it back, or build again with: career index build PATH… --index {name}",
        )
    there = [path for path in recorded if path.exists()]
    return build(name, there, embedder, on_progress, keep_added=True)


def recorded_paths(name: str) -> list[Path]:
    """The files and folders that index `name` was built from."""
    return [Path(path) for path in generations.current(name).manifest["paths"]]


def verify(name: str) -> dict[str, str]:
    """Hash every file of index `name`: file to `ok` or what is wrong with it.

    Raises:
        IndexMissing, IndexCorrupt: there is no index, or not even its manifest is whole.
    """
    generation = generations.current(name)
    results: dict[str, str] = {}
    for file in generation.manifest["files"]:
        try:
            generation.read(file)
            results[file] = "ok"
        except IndexCorrupt as error:
            results[file] = error.message
    if set(results.values()) != {"ok"} and generations.current(name).folder != generation.folder:
        return verify(name)  # it was replaced while we read
    return results


_NOTHING = store.Stored((), (), np.empty((0, 0), dtype=np.float32))


def _previous(name: str, embedder: Embedder) -> store.Stored:
    """What the index holds now; nothing when it cannot be read."""
    try:
        return _held(name, embedder)
    except (IndexMissing, IndexCorrupt, IndexForeign):
        return _NOTHING


def _held(name: str, embedder: Embedder) -> store.Stored:
    """What the index holds now, without chunks that cannot be used again: then all is embedded."""
    generation = generations.current(name)
    making = _making(embedder)
    if making == {key: generation.manifest.get(key) for key in making}:
        try:
            return store.read(generation)
        except IndexCorrupt:  # perhaps not the documents
            pass
    return replace(_NOTHING, documents=store.read_documents(generation))


def _write(
    name: str,
    folder: Path,
    documents: tuple[Document, ...],
    old: store.Stored,
    roots: Sequence[Path],
    embedder: Embedder,
    on_progress: OnProgress | None,
) -> BuildReport:
    """Publish `documents` as what index `name` holds, in the place of `old`."""
    stored, texts, embedded = _embed(documents, old, embedder, on_progress)
    manifest = _manifest(stored, roots, embedder)
    published = generations.publish(
        name, folder, manifest, lambda target: store.write(target, stored, texts)
    )
    known, new = _hashes(old.documents), _hashes(documents)
    return BuildReport(
        name,
        published.folder.name,
        len(documents),
        len(stored.chunks),
        embedded,
        added=tuple(s for s in new if s not in known),
        changed=tuple(s for s in new if s in known and new[s] != known[s]),
        removed=tuple(s for s in known if s not in new),
        unread=(),
    )


def _hashes(documents: Sequence[Document]) -> dict[str, str]:
    return {document.source: document.sha256 for document in documents}


def _embed(
    documents: Sequence[Document],
    old: store.Stored,
    embedder: Embedder,
    on_progress: OnProgress | None,
) -> tuple[store.Stored, list[str], int]:
    """The documents' chunks with vectors, those of unchanged documents taken from `old`."""
    before = {document.source: document for document in old.documents}
    kept: dict[str, list[tuple[Chunk, Floats]]] = {}
    for chunk, vector in zip(old.chunks, old.vectors, strict=True):
        kept.setdefault(chunk.source, []).append((chunk, vector))
    chunks: list[Chunk] = []
    vectors: list[Floats | None] = []
    texts: list[str] = []
    for document in documents:
        pairs = kept.get(document.source, [])
        if pairs and _same_text(before[document.source], document):
            chunks += [chunk for chunk, _ in pairs]
            vectors += [vector for _, vector in pairs]
        else:
            new = chunk_document(document, embedder.count_tokens, limit=embedder.limit)
            chunks += new
            vectors += [None] * len(new)
        texts += [
            embedding_text(document, chunk, embedder.count_tokens, embedder.limit)
            for chunk in chunks[len(texts) :]
        ]
    if not chunks:
        nothing = embedder.embed(["nothing"])[:0]  # (0, dim)
        return store.Stored(tuple(documents), (), nothing), [], 0
    missing = [at for at, vector in enumerate(vectors) if vector is None]
    if missing:
        fresh = embedder.embed([texts[at] for at in missing], on_progress)
        for at, vector in zip(missing, fresh, strict=True):
            vectors[at] = vector
    matrix = np.stack([v for v in vectors if v is not None])
    return store.Stored(tuple(documents), tuple(chunks), matrix), texts, len(missing)


def _same_text(one: Document, other: Document) -> bool:
    """Whether both documents have the same chunks and embedded texts."""
    compared = [(d.text, d.markup, d.meta, d.attached is None) for d in (one, other)]
    return compared[0] == compared[1]


def _making(embedder: Embedder) -> dict[str, Any]:
    """What must be the same for vectors to be kept."""
    probe = getattr(embedder, "probe", None)  # embeddings without weights to hash have one
    return {
        "embedder": {
            "name": embedder.name,
            "weights": embedder.weights,
            "limit": embedder.limit,
            "normalised": True,
        },
        "chunker": {"version": CHUNKER_VERSION, "target_tokens": TARGET_TOKENS},
        **({"probe": probe} if probe else {}),
    }


def _manifest(stored: store.Stored, roots: Sequence[Path], embedder: Embedder) -> dict[str, Any]:
    hashes = _hashes(stored.documents)
    making = _making(embedder)
    weights = making["embedder"]["weights"]
    identity = json.dumps([weights, making["chunker"], sorted(hashes.items())])
    return {
        **making,
        "kind": "exact",
        "dimension": int(stored.vectors.shape[1]),
        "chunks": len(stored.chunks),
        "documents": hashes,
        "paths": [str(root) for root in roots],
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest()[:16],
    }


def _nothing_to_index(paths: Sequence[Path], unread: Sequence[Unread]) -> CareerError:
    if unread:
        first = unread[0]
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        return UsageError(f"nothing to index: {first.path} {first.reason}{more}", supported())
    named = ", ".join(map(str, paths))
    return UsageError(f"no documents below {named}", supported())
