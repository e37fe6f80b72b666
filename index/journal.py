"""A journal of vectors on disk: an interrupted build goes on from what it had embedded.

    header   eight bytes that name this format, then the SHA-256 of the journal's identity
    record   the SHA-256 of what follows in it
             three numbers of four bytes: texts, dimension, bytes of JSON
             the precision as JSON, the SHA-256 of each text, and its vector in float32

It holds no text. A record whose checksum is wrong ends the reading, and the next one is written in
its place. Records are flushed, not synced: a kill loses nothing, a power cut some seconds of work.
"""

import hashlib
import json
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .embedder import (
    FEW_TEXTS,
    Embedder,
    Floats,
    LocalEmbedder,
    OnProgress,
    Precision,
    Progress,
)

_FORMAT = b"vectors1"
_SUM = hashlib.sha256().digest_size
_COUNTS = struct.Struct("<III")
_GROUP = 512  # texts that an embedder which keeps no journal itself is asked for at once


@dataclass(frozen=True)
class _Record:
    """Texts, by their hashes, with their vectors."""

    keys: tuple[bytes, ...]
    vectors: Floats  # (len(keys), dim)
    precision: Precision | None

    def to_bytes(self) -> bytes:
        noted = json.dumps(self.precision.to_dict() if self.precision else None).encode()
        counts = _COUNTS.pack(*self.vectors.shape, len(noted))
        content = counts + noted + b"".join(self.keys) + self.vectors.astype("<f4").tobytes()
        return hashlib.sha256(content).digest() + content

    @classmethod
    def read(cls, source: BinaryIO, left: int) -> "_Record | None":
        """The record that begins here; None when the `left` bytes do not begin with a whole one."""
        head = source.read(_SUM + _COUNTS.size)
        if len(head) < _SUM + _COUNTS.size:
            return None
        count, dimension, noted = _COUNTS.unpack(head[_SUM:])
        vectors_at = noted + count * _SUM
        size = vectors_at + count * dimension * 4
        if size > left - len(head):  # before it is read: garbage may name any size
            return None
        body = source.read(size)
        if hashlib.sha256(head[_SUM:] + body).digest() != head[:_SUM]:
            return None
        keys = tuple(body[at : at + _SUM] for at in range(noted, vectors_at, _SUM))
        row = json.loads(body[:noted])
        vectors = np.frombuffer(body, "<f4", offset=vectors_at).reshape(count, dimension)
        return cls(keys, vectors.astype(np.float32), Precision(**row) if row else None)


class Journal:
    """The vectors of texts that are embedded already. One process writes a journal.

    `precision` is the one in which many were embedded; None where none was chosen.
    """

    precision: Precision | None = None

    def __init__(self, file: Path, header: bytes) -> None:
        self.file = file
        self._header = header
        self._end = 0  # of the records that are whole
        self._vectors: dict[bytes, Floats] = {}

    @classmethod
    def open(cls, file: Path, identity: str) -> "Journal":
        """The journal in `file`; empty when there is none, or when it has another identity.

        Nothing is written before the first vectors are.
        """
        journal = cls(file, _FORMAT + hashlib.sha256(identity.encode()).digest())
        for record, end in _records(file, journal._header):
            journal._remember(record, end)
        return journal

    def known(self, texts: Sequence[str]) -> dict[str, Floats]:
        """The vectors of those of `texts` that the journal holds: (dim,) each."""
        keyed = ((text, _key(text)) for text in texts)
        return {text: self._vectors[key] for text, key in keyed if key in self._vectors}

    def add(
        self, texts: Sequence[str], vectors: Floats, precision: Precision | None = None
    ) -> None:
        """Write down the `vectors` of `texts`: (len(texts), dim)."""
        record = _Record(tuple(map(_key, texts)), vectors, precision)
        data = record.to_bytes() if self._end else self._header + record.to_bytes()
        with self.file.open("r+b" if self._end else "wb") as out:
            out.truncate(self._end)  # what a kill or a full disk left half written
            out.seek(self._end)
            out.write(data)
        self._remember(record, self._end + len(data))

    def remove(self) -> None:
        """Delete the journal; it is empty then."""
        self.file.unlink(missing_ok=True)
        self._end, self.precision = 0, None
        self._vectors.clear()

    def _remember(self, record: _Record, end: int) -> None:
        self._end = end
        self._vectors.update(zip(record.keys, record.vectors, strict=True))
        self.precision = record.precision or self.precision


def identity(embedder: Embedder) -> str:
    """What must be the same for vectors of a journal to be those that `embedder` would give."""
    setting = getattr(embedder, "precision", None)
    return json.dumps([embedder.name, embedder.weights, embedder.limit, setting])


def embed_with(
    journal: Journal,
    embedder: Embedder,
    texts: Sequence[str],
    on_progress: OnProgress | None = None,
) -> Floats:
    """Unit vectors for `texts`, in order: (len(texts), dim) float32, from `journal` where it can.

    The others are embedded once each and, unless they are few, written down as they are done; in
    the precision in which the journal was begun. Texts of the journal count as done.
    """
    if not texts:
        return embedder.embed(texts)
    known = journal.known(texts)
    new = [text for text in dict.fromkeys(texts) if text not in known]
    tell = _counting(on_progress, len(texts) - len(new), len(texts))
    if not new:
        tell(Progress(0, 0, 0.0))
    elif len(new) <= FEW_TEXTS:
        known.update(zip(new, embedder.embed(new, tell), strict=True))
    else:
        _embed_many(journal, embedder, new, tell)
        known.update(journal.known(new))
    return np.stack([known[text] for text in texts])


def _embed_many(
    journal: Journal, embedder: Embedder, texts: Sequence[str], tell: OnProgress
) -> None:
    """Put the vectors of `texts` into `journal`, as they are done."""
    if isinstance(embedder, LocalEmbedder):
        embedder.embed(
            texts,
            tell,
            keep=lambda batch, vectors: journal.add(batch, vectors, embedder.chosen),
            precision=journal.precision,
        )
        return
    sizes = embedder.count_tokens(texts)
    order = sorted(range(len(texts)), key=lambda at: (-sizes[at], at))
    started = time.monotonic()
    for start in range(0, len(order), _GROUP):
        group = [texts[at] for at in order[start : start + _GROUP]]
        journal.add(group, embedder.embed(group))
        tell(Progress.since(started, start + len(group), len(texts)))


def _counting(on_progress: OnProgress | None, before: int, total: int) -> OnProgress:
    """Tells of all texts, of which `before` were done when the work began."""

    def tell(progress: Progress) -> None:
        if on_progress:
            on_progress(Progress(before + progress.done, total, progress.rate))

    return tell


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _records(file: Path, header: bytes) -> Iterator[tuple[_Record, int]]:
    """The records of `file` up to the first bad one, each with the place where it ends."""
    if not file.is_file():
        return
    size = file.stat().st_size
    with file.open("rb") as source:
        if source.read(len(header)) != header:
            return
        while record := _Record.read(source, size - source.tell()):
            yield record, source.tell()
