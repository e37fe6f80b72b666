"""Writing an index, from files and folders or from a program: only what changed is embedded."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from corpus.chunks import CHUNKER_VERSION, TARGET_TOKENS, Chunk, chunk_document, embedding_text
from corpus.errors import CareerError, IndexCorrupt, IndexForeign, IndexMissing, UsageError
from corpus.readers import Unread, read_paths, supported
from corpus.sections import Document

from . import generations, store
from .embedder import Embedder, OnProgress
from .journal import Journal, embed_with, identity
from .vectors import AUTOMATIC, Plan, Vectors
from .words import Words

_NO_VECTOR = -1
_JOURNAL = "EMBEDDED"  # what a build that was interrupted had embedded
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
    plan: Plan | None = None,
    keep_added: bool = False,
) -> BuildReport:
    """Make index `name` hold the documents below `paths`, and nothing else.

    With `keep_added`, what a program added stays, also in the place of a file of the same source.
    No `plan`: that of the index before. A build that was interrupted goes on from what it had
    embedded.

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
        report = _write(
            name, folder, tuple(documents.values()), old, roots, embedder, on_progress, plan
        )
    return replace(report, unread=reading.unread)


def change(
    name: str,
    edit: Edit,
    embedder: Embedder,
    on_progress: OnProgress | None = None,
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
        return _write(name, folder, documents, old, roots, embedder, on_progress, None)


def update(
    name: str,
    embedder: Embedder,
    on_progress: OnProgress | None = None,
    *,
    plan: Plan | None = None,
) -> BuildReport:
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
    return build(name, there, embedder, on_progress, plan=plan, keep_added=True)


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
            generation.check(file)
            results[file] = "ok"
        except IndexCorrupt as error:
            results[file] = error.message
    if set(results.values()) != {"ok"} and generations.current(name).folder != generation.folder:
        return verify(name)  # it was replaced while we read
    return results


@dataclass(frozen=True)
class _Held:
    """What an index holds before it is written: where, and what can be used again."""

    documents: tuple[Document, ...] = ()
    entries: tuple[store.Entry, ...] = ()
    vectors: Vectors | None = None
    generation: generations.Generation | None = None
    precision: dict[str, Any] | None = None
    plan: Plan = AUTOMATIC

    def text(self, entry: store.Entry) -> str:
        """What was embedded."""
        document = self._by_source[entry.chunk.source]
        return entry.before + document.text[entry.chunk.start : entry.chunk.end]

    def unchanged(self, document: Document) -> list[store.Entry]:
        """The entries of a document with this text; empty when it is new or has changed."""
        before = self._by_source.get(document.source)
        same = before is not None and _same_text(before, document)
        return self._by_document.get(document.source, []) if same else []

    @cached_property
    def _by_source(self) -> dict[str, Document]:
        return {document.source: document for document in self.documents}

    @cached_property
    def _by_document(self) -> dict[str, list[store.Entry]]:
        found: dict[str, list[store.Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.chunk.source, []).append(entry)
        return found


_NOTHING = _Held()


def _previous(name: str, embedder: Embedder) -> _Held:
    """What the index holds now; nothing when it cannot be read."""
    try:
        return _held(name, embedder)
    except (IndexMissing, IndexCorrupt, IndexForeign):
        return _NOTHING


def _held(name: str, embedder: Embedder) -> _Held:
    """What the index holds now, without chunks that cannot be used again: then all is embedded."""
    generation = generations.current(name)
    manifest, making = generation.manifest, _making(embedder)
    plan = Plan(**manifest["plan"])
    if making == {key: manifest.get(key) for key in making} and _as_precise(embedder, manifest):
        try:
            stored = store.read(generation)
            known = (stored.documents, stored.entries, stored.vectors, generation)
            return _Held(*known, manifest["precision"], plan)
        except IndexCorrupt:  # perhaps not the documents
            pass
    return _Held(store.read_documents(generation), plan=plan)


def _as_precise(embedder: Embedder, manifest: dict[str, Any]) -> bool:
    """Whether the vectors are in the precision that `embedder` was told, if it was told one."""
    told = getattr(embedder, "precision", "auto")
    return told in ("auto", (manifest["precision"] or {"name": "float32"})["name"])


def _write(
    name: str,
    folder: Path,
    documents: tuple[Document, ...],
    old: _Held,
    roots: Sequence[Path],
    embedder: Embedder,
    on_progress: OnProgress | None,
    plan: Plan | None,
) -> BuildReport:
    """Publish `documents` as what index `name` holds, in the place of `old`."""
    plan = plan or old.plan
    journal = Journal.open(folder / _JOURNAL, identity(embedder))
    stored, embedded = _embed(documents, old, embedder, journal, on_progress)
    if _damaged(old, stored.vectors.stay(plan)):
        old = _Held(old.documents, plan=old.plan)  # nothing of it is used again
        return _write(name, folder, documents, old, roots, embedder, on_progress, plan)
    stored = replace(stored, vectors=stored.vectors.compacted(plan))
    precision = journal.precision.to_dict() if journal.precision else old.precision
    manifest = _manifest(stored, roots, embedder) | {"plan": vars(plan), "precision": precision}
    words = _words(stored, old)
    earlier = old.generation.folder if old.generation else None
    published = generations.publish(
        name, folder, manifest, lambda target: store.write(target, stored, words, earlier)
    )
    journal.remove()
    known, new = _hashes(old.documents), _hashes(documents)
    return BuildReport(
        name,
        published.folder.name,
        len(documents),
        len(stored.entries),
        embedded,
        added=tuple(s for s in new if s not in known),
        changed=tuple(s for s in new if s in known and new[s] != known[s]),
        removed=tuple(s for s in known if s not in new),
        unread=(),
    )


def _damaged(old: _Held, stay: Collection[int]) -> bool:
    """Whether a mapped segment that does not `stay`, but is copied, is not what was published.

    It was opened by its stamp; in its new place the damage would be hashed as good.
    """
    if old.vectors is None or old.generation is None:
        return False
    gone = {segment.number for segment in old.vectors.segments}.difference(stay)
    try:
        for file in store.vector_files(old.generation, gone):
            old.generation.check(file)
    except IndexCorrupt:
        return True
    return False


def _words(stored: store.Stored, old: _Held) -> Words:
    """The words of all entries; those of `old` are taken again for what has the same vector."""
    known = Words.read(old.generation) if old.generation else Words.none()
    rows = {entry.id: row for row, entry in enumerate(old.entries[: len(known.ends)])}
    texts = stored.texts()
    new = [at for at, entry in enumerate(stored.entries) if entry.id not in rows]
    rows |= {stored.entries[at].id: row for row, at in enumerate(new, len(known.ends))}
    taken = np.fromiter((rows[entry.id] for entry in stored.entries), np.int64)
    return known.with_texts([texts[at] for at in new]).taken(taken)


def _hashes(documents: Sequence[Document]) -> dict[str, str]:
    return {document.source: document.sha256 for document in documents}


def _embed(
    documents: Sequence[Document],
    old: _Held,
    embedder: Embedder,
    journal: Journal,
    on_progress: OnProgress | None,
) -> tuple[store.Stored, int]:
    """The documents' chunks with vectors, and how many of these were computed.

    Vectors of `old` are taken again for what has the same text.
    """
    entries, new = _entries(documents, old, embedder)
    texts = [text for _, text in new]
    fresh = embed_with(journal, embedder, texts, on_progress) if texts else None
    if old.vectors is not None:
        vectors = old.vectors
    elif fresh is not None:
        vectors = Vectors.empty(fresh.shape[1])
    else:
        vectors = Vectors.empty(embedder.embed(["nothing"]).shape[1])
    for number, (at, _) in enumerate(new):
        entries[at] = replace(entries[at], id=vectors.next_id + number)
    kept = {entry.id for entry in entries}
    gone = [entry.id for entry in old.entries if entry.id not in kept]
    vectors = vectors.removed(np.asarray(gone, dtype=np.int64))
    vectors = vectors if fresh is None else vectors.added(fresh)
    return store.Stored(tuple(documents), tuple(entries), vectors), len(new)


def _entries(
    documents: Sequence[Document], old: _Held, embedder: Embedder
) -> tuple[list[store.Entry], list[tuple[int, str]]]:
    """All entries, and of those without a vector the place and the text."""
    kept = {document.source: old.unchanged(document) for document in documents}
    spare: dict[str, list[int]] = {}  # vectors of chunks that go, by what was embedded
    for entry in old.entries:
        if not kept.get(entry.chunk.source):
            spare.setdefault(old.text(entry), []).append(entry.id)
    entries: list[store.Entry] = []
    new: list[tuple[int, str]] = []
    for document in documents:
        entries += kept[document.source]
        for chunk in () if kept[document.source] else _chunks(document, embedder):
            text = embedding_text(document, chunk, embedder.count_tokens, embedder.limit)
            before = text[: len(text) - (chunk.end - chunk.start)]
            again = spare.get(text)
            if not again:
                new.append((len(entries), text))
            entries.append(store.Entry(chunk, before, again.pop() if again else _NO_VECTOR))
    return entries, new


def _chunks(document: Document, embedder: Embedder) -> list[Chunk]:
    return chunk_document(document, embedder.count_tokens, limit=embedder.limit)


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
        "kind": stored.vectors.kind,
        "vectors": stored.vectors.describe(),
        "dimension": stored.vectors.dimension,
        "chunks": len(stored.entries),
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
