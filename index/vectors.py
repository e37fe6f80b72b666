"""The vectors of an index: immutable segments, what was deleted from them, and their search.

A snapshot never changes. Adding and deleting give a new one that shares what is the same; readers
of the old one are not disturbed. A vector's id is a number that is never used again.

Added vectors form a small tail that is searched exactly. `compacted` merges segments of like size,
so that there are few (the log-structured merge of O'Neil et al. 1996), drops deleted rows for good
and gives a large segment an approximate index. Segments that did not change keep their files.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import approximate, kernels
from .approximate import Approximate, OperatingPoint
from .kernels import Flags, Floats, Rows

Ids = NDArray[np.int64]
Bytes = NDArray[np.uint8]
KINDS = ("auto", "exact", *approximate.KINDS)
EXACT_UP_TO = 200_000  # vectors: an exact query takes ten milliseconds here
SCANNED_UP_TO = 500_000  # rows of a segment whose codes are scanned whole
_SMALL_PART = 20_000  # rows of a segment that stays exact beside large ones: a millisecond
_TAIL = 8_192  # rows up to which an unpublished segment grows by copying
_RATIO = 4  # a segment has at least so many times the rows of the next one
_REWRITTEN = 65_536  # rows up to which a segment is rewritten for one deleted row
_DEAD_SHARE = 0.2  # deleted rows that a larger segment carries
_SLACK = 8  # rows beyond k: where the last of them is as good as the k-th, there may be more
_ROUNDING = 5e-6  # what the product of a BLAS and ours may differ by
_TOO_DEEP = 20_000  # candidates beyond which comparing all is no slower
_WIDER = 1.5  # how much deeper to look than the share of allowed rows asks for
_COPIED = 65_536  # rows at a time
_WRITTEN = 1 << 22  # numbers at a time
_WARMED_FROM = 32_000_000  # bytes


@dataclass(frozen=True)
class Plan:
    """How vectors shall be searched.

    `kind` is one of KINDS: `auto` decides by size; the others hold for every segment of more than
    a few hundred rows. `recall` is the recall@10 that approximate search is tuned to.
    """

    kind: str = "auto"
    recall: float = 0.98

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 0 < self.recall <= 1:
            raise ValueError(f"{self} is none of {KINDS} with a recall above 0 and up to 1")

    def kind_for(self, rows: int, total: int) -> str:
        """How a segment of `rows` is searched in an index of `total` vectors."""
        if rows < approximate.SMALLEST:
            return "exact"
        if self.kind != "auto":
            return self.kind
        if rows <= (EXACT_UP_TO if total <= EXACT_UP_TO else _SMALL_PART):
            return "exact"
        return "pq" if rows <= SCANNED_UP_TO else "ivf"


AUTOMATIC = Plan()


@dataclass(frozen=True)
class Segment:
    """Rows that stand together for good: ids ascend, and `dead` flags what was deleted since."""

    number: int  # names its files; -1 while it has none
    ids: Ids
    vectors: Floats  # (n, dim)
    dead: Flags | None = None
    approximate: Approximate | None = None

    @cached_property
    def live(self) -> int:
        """How many rows are not deleted."""
        return len(self.ids) - (0 if self.dead is None else int(self.dead.sum()))

    @property
    def kind(self) -> str:
        """How it is searched."""
        return self.approximate.kind if self.approximate else "exact"

    def rows_of(self, ids: Ids) -> Rows:
        """The rows of those of the ascending `ids` that stand here, deleted ones too."""
        if not len(self.ids) or not len(ids):
            return np.empty(0, dtype=np.int64)
        first, last = self.ids[0], self.ids[-1]
        inside = ids[np.searchsorted(ids, first) : np.searchsorted(ids, last, side="right")]
        if last - first + 1 == len(self.ids):
            rows: Rows = inside - first
            return rows
        rows = np.searchsorted(self.ids, inside)
        found: Rows = rows[self.ids[rows] == inside]
        return found

    def without(self, ids: Ids) -> "Segment":
        """The same with `ids`, as far as they stand here, deleted."""
        rows = self.rows_of(ids)
        if not len(rows):
            return self
        dead = np.zeros(len(self.ids), dtype=bool) if self.dead is None else self.dead.copy()
        dead[rows] = True
        return replace(self, dead=dead)

    def search(
        self, queries: Floats, k: int, allowed: Ids | None, *, exact: bool
    ) -> tuple[Floats, Rows]:
        """The products and rows of the best `k` of each query, best first; -inf and -1 for none.

        Equal products are ordered by row.
        """
        rows, kept = self._allowed(allowed), min(k + _SLACK, len(self.ids))
        found = self._found(queries, k, kept, rows, exact=exact)
        scores, found = _best(kernels.products(self.vectors, queries, found), found, kept)
        if kept > k:
            last, least = scores[:, -1], scores[:, k - 1] - _ROUNDING
            for at in np.flatnonzero((last > -np.inf) & (last >= least)):
                scores[at, :k], found[at, :k] = self._ordered(queries[at], k, rows, least[at])
        return scores[:, :k], found[:, :k]

    def _found(self, queries: Floats, k: int, kept: int, rows: Rows | None, *, exact: bool) -> Rows:
        """The best `kept` rows of each query, in no order, -1 for none."""
        if self.approximate is None or exact:
            return self._exact(queries, kept, rows)
        count = self.live if rows is None else len(rows)
        point = self.approximate.point
        deep = point.depth_for(k)
        if count < len(self.ids):  # so many that enough of them are allowed
            deep = int(_WIDER * deep * len(self.ids) / max(1, count))
        if deep >= min(count, _TOO_DEEP):
            return self._exact(queries, kept, rows)
        found = self.approximate.candidates(queries, deep)
        if count == len(self.ids):
            return self._filled(queries, kept, rows, found, (found >= 0).sum(axis=1) >= kept)
        fits = self._flags(rows)[np.maximum(found, 0)] & (found >= 0)
        # Where the nearest are filtered out, the best that are left are no longer the best ten of
        # all, but the best hundred, say: then it must be as deep as for so many.
        places = (fits.cumsum(axis=1) < max(k, approximate.TUNED_FOR)).sum(axis=1) + 1
        enough = np.array([point.depth_for(int(place)) <= deep for place in places])
        return self._filled(queries, kept, rows, np.where(fits, found, -1), enough)

    def _allowed(self, allowed: Ids | None) -> Rows | None:
        """The rows that may be found; None for all that live."""
        if allowed is None:
            return None
        rows = self.rows_of(allowed)
        return rows if self.dead is None else rows[~self.dead[rows]]

    def _exact(self, queries: Floats, k: int, rows: Rows | None) -> Rows:
        if rows is not None and len(rows) * 4 > len(self.ids):  # reading all is faster than picking
            return kernels.best_rows(self.vectors, queries, k, skip=~self._flags(rows))
        skip = self.dead if rows is None else None
        return kernels.best_rows(self.vectors, queries, k, rows=rows, skip=skip)

    def _filled(
        self, queries: Floats, k: int, rows: Rows | None, found: Rows, enough: Flags
    ) -> Rows:
        """The best `k` of `found`; a query that has not `enough` of them compares all rows."""
        best = self._refined(queries, found, k)
        if not enough.all():
            best[~enough] = self._exact(queries[~enough], k, rows)
        return best

    def _ordered(
        self, query: Floats, k: int, rows: Rows | None, least: float
    ) -> tuple[Floats, Rows]:
        """The best `k`, at least, of those whose product is `least` or more, equal ones by row."""
        skip = self.dead if rows is None else None
        good = kernels.rows_from(self.vectors, query, least, rows=rows, skip=skip)
        scores = kernels.products(self.vectors, query[None, :], good[None, :])
        best, found = _best(scores, good[None, :], k)
        return best[0], found[0]

    def _refined(self, queries: Floats, found: Rows, k: int) -> Rows:
        """The best `k` of `found`: (queries, depth), by their exact products."""
        best = np.full((len(queries), k), -1, dtype=np.int64)
        for at, (query, candidates) in enumerate(zip(queries, found, strict=True)):
            rows = candidates[candidates >= 0]
            if len(rows) > k:
                scores = self.vectors[rows] @ query
                rows = rows[np.argpartition(scores, len(rows) - k)[len(rows) - k :]]
            best[at, : len(rows)] = rows
        return best

    def _flags(self, rows: Rows | None) -> Flags:
        if rows is None:
            return np.ones(len(self.ids), dtype=bool) if self.dead is None else ~self.dead
        flags = np.zeros(len(self.ids), dtype=bool)
        flags[rows] = True
        return flags


@dataclass(frozen=True)
class Vectors:
    """A snapshot of unit vectors of one dimension, each with an id."""

    dimension: int
    segments: tuple[Segment, ...] = ()  # ids ascend over all of them
    next_id: int = 0
    next_number: int = 1

    @staticmethod
    def empty(dimension: int) -> "Vectors":
        """No vectors, of `dimension`."""
        return Vectors(dimension)

    def __len__(self) -> int:
        return sum(segment.live for segment in self.segments)

    @property
    def ids(self) -> Ids:
        """The ids that are not deleted, ascending."""
        live = [s.ids if s.dead is None else s.ids[~s.dead] for s in self.segments]
        return np.concatenate(live) if live else np.empty(0, dtype=np.int64)

    @property
    def kind(self) -> str:
        """How the largest segment is searched."""
        return max(self.segments, key=lambda s: len(s.ids)).kind if self.segments else "exact"

    def rows(self, ids: Ids) -> Floats:
        """The vectors of `ids`, in their order, deleted ones too: (len(ids), dim).

        Raises:
            ValueError: an id was never given, or its vector is gone.
        """
        order = np.argsort(ids, kind="stable")
        wanted = ids[order]
        found = np.empty((len(ids), self.dimension), dtype=np.float32)
        filled = 0
        for segment in self.segments:
            rows = segment.rows_of(wanted)
            found[order[filled : filled + len(rows)]] = segment.vectors[rows]
            filled += len(rows)
        if filled < len(ids):
            raise ValueError(f"{len(ids) - filled} of {len(ids)} ids have no vector")
        return found

    def added(self, vectors: Floats) -> "Vectors":
        """With the unit `vectors`: (n, dim); their ids are `next_id` and those that follow.

        The array may be kept as it is: it must not be written to any more.

        Raises:
            ValueError: they have another dimension.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"vectors of shape {vectors.shape} for dimension {self.dimension}")
        if not len(vectors):
            return self
        ids = np.arange(self.next_id, self.next_id + len(vectors), dtype=np.int64)
        new = Segment(-1, ids, np.ascontiguousarray(vectors, dtype=np.float32))
        before = self.segments
        if before and before[-1].number < 0 and len(before[-1].ids) + len(ids) <= _TAIL:
            before, new = before[:-1], _merged((*before[-1:], new))
        return replace(self, segments=(*before, new), next_id=self.next_id + len(ids))

    def removed(self, ids: Ids) -> "Vectors":
        """Without `ids`; those that are not there are passed over."""
        gone = np.unique(ids)
        return replace(self, segments=tuple(segment.without(gone) for segment in self.segments))

    def compacted(self, plan: Plan = AUTOMATIC) -> "Vectors":
        """The same vectors in few segments, each searched as `plan` has it."""
        total, number, kept = len(self), self.next_number, []
        for group in self._groups():
            whole = group[0] if len(group) == 1 and not _to_rewrite(group[0]) else _merged(group)
            fitted = _fitted(whole, plan.kind_for(whole.live, total), plan.recall)
            if fitted is not group[0] or fitted.number < 0:
                fitted, number = replace(fitted, number=number), number + 1
            kept.append(fitted)
        return replace(self, segments=tuple(kept), next_number=number)

    def stay(self, plan: Plan) -> set[int]:
        """The numbers of the segments whose files `compacted` leaves as they are."""
        return {
            group[0].number
            for group in self._groups()
            if len(group) == 1
            and not _to_rewrite(group[0])
            and _fits(group[0], plan.kind_for(group[0].live, len(self)), plan.recall)
        }

    def _groups(self) -> list[list[Segment]]:
        """The segments that still hold something, those together that are to be one."""
        groups: list[list[Segment]] = []
        for segment in self.segments:
            if segment.live:
                groups.append([segment])
            while len(groups) > 1 and _live(groups[-2]) < _RATIO * _live(groups[-1]):
                groups[-2:] = [groups[-2] + groups[-1]]
        return groups

    def search(
        self, queries: Floats, k: int, *, allowed: Ids | None = None, exact: bool = False
    ) -> tuple[Floats, Ids]:
        """The products and ids of the best `k` for each query: both (queries, k), best first.

        `queries` are unit vectors: (queries, dim). Only ids in the ascending `allowed` are found,
        when given. With `exact`, all vectors are compared, whatever the kind. Equal products are
        ordered by id; where there are fewer than `k`, -inf and -1 stand.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        scores: list[Floats] = [np.full((len(queries), k), -np.inf, dtype=np.float32)]
        ids: list[Ids] = [np.full((len(queries), k), -1, dtype=np.int64)]
        for segment in self.segments:
            if not segment.live:
                continue
            products, rows = segment.search(queries, k, allowed, exact=exact)
            scores.append(products)
            ids.append(np.where(rows < 0, -1, segment.ids[np.maximum(rows, 0)]))
        return _best(np.concatenate(scores, axis=1), np.concatenate(ids, axis=1), k)

    def describe(self) -> dict[str, Any]:
        """What `read` needs beside the files, as JSON."""
        return {
            "dimension": self.dimension,
            "next_id": self.next_id,
            "next_number": self.next_number,
            "deleted": sum(len(segment.ids) - segment.live for segment in self.segments),
            "segments": [_describe(segment) for segment in self.segments],
        }

    def write(self, folder: Path, earlier: Path | None = None) -> dict[str, Any]:
        """Put a compacted snapshot's files into `folder`; its description.

        Files that `earlier`, the folder of the snapshot that this one came from, holds are linked,
        or copied where links are not to be had.
        """
        for segment in self.segments:
            for name, data in _files(segment).items():
                if earlier is None or not _linked(earlier / name, folder / name):
                    _write(folder / name, data)
        dead = [segment.ids[segment.dead] for segment in self.segments if segment.dead is not None]
        if dead:
            _write(folder / DELETED, np.concatenate(dead).astype("<i8"))
        return self.describe()

    @staticmethod
    def read(description: dict[str, Any], fetch: Callable[[str], Bytes]) -> "Vectors":
        """The snapshot of a description; `fetch` gives a file's verified bytes, mapped or read."""
        dimension = int(description["dimension"])
        segments = [_read(one, dimension, fetch) for one in description["segments"]]
        whole = Vectors(
            dimension, tuple(segments), description["next_id"], description["next_number"]
        )
        return whole.removed(fetch(DELETED).view("<i8")) if description["deleted"] else whole


DELETED = "deleted.i64"


def _best(scores: Floats, ids: Ids, k: int) -> tuple[Floats, Ids]:
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


def _live(segments: Sequence[Segment]) -> int:
    return sum(segment.live for segment in segments)


def _fits(segment: Segment, kind: str, recall: float) -> bool:
    """Whether `segment` is searched by `kind` already, as well as is wanted."""
    found = segment.approximate
    return segment.kind == kind and (found is None or found.target == recall)


def _fitted(segment: Segment, kind: str, recall: float) -> Segment:
    """`segment`, searched by `kind`; the same one if it is already."""
    if _fits(segment, kind, recall):
        return segment
    if kind == "exact":
        return replace(segment, approximate=None)
    return replace(segment, approximate=approximate.build(segment.vectors, kind, recall))


def _to_rewrite(segment: Segment) -> bool:
    """Whether deleted rows are worth a copy of the others."""
    dead = len(segment.ids) - segment.live
    return dead > 0 and (len(segment.ids) <= _REWRITTEN or dead > _DEAD_SHARE * len(segment.ids))


def _merged(segments: Sequence[Segment]) -> Segment:
    """One exact segment with what lives in `segments`."""
    ids = np.empty(sum(s.live for s in segments), dtype=np.int64)
    vectors = np.empty((len(ids), segments[0].vectors.shape[1]), dtype=np.float32)
    filled = 0
    for segment in segments:
        for start in range(0, len(segment.ids), _COPIED):
            part = slice(start, start + _COPIED)
            keep = slice(None) if segment.dead is None else ~segment.dead[part]
            some = segment.ids[part][keep]
            vectors[filled : filled + len(some)] = segment.vectors[part][keep]
            ids[filled : filled + len(some)] = some
            filled += len(some)
    return Segment(-1, ids, vectors)


def _names(segment_number: int) -> tuple[str, str, str]:
    stem = f"{segment_number:06d}"
    return f"{stem}.ids.i64", f"{stem}.vectors.f32", f"{stem}.faiss"


def _files(segment: Segment) -> dict[str, NDArray[Any]]:
    ids, vectors, codes = _names(segment.number)
    files: dict[str, NDArray[Any]] = {
        ids: segment.ids.astype("<i8", copy=False),
        vectors: segment.vectors.astype("<f4", copy=False),
    }
    if segment.approximate:
        files[codes] = segment.approximate.to_bytes()
    return files


def _describe(segment: Segment) -> dict[str, Any]:
    described = {"number": segment.number, "rows": len(segment.ids), "kind": segment.kind}
    if segment.approximate:
        described["factory"] = segment.approximate.factory
        described["target"] = segment.approximate.target
        described["operating_point"] = vars(segment.approximate.point)
    return described


def _read(described: dict[str, Any], dimension: int, fetch: Callable[[str], Bytes]) -> Segment:
    ids, vectors, codes = _names(described["number"])
    found = None
    if described["kind"] != "exact":
        made = (described["kind"], described["factory"], described["target"])
        point = OperatingPoint(**described["operating_point"])
        found = approximate.read(*made, point, fetch(codes))
    matrix = np.asarray(fetch(vectors)).view("<f4").reshape(described["rows"], dimension)
    if found and matrix.nbytes >= _WARMED_FROM:
        threading.Thread(target=_touch, args=(matrix,), daemon=True).start()
    return Segment(described["number"], fetch(ids).view("<i8"), matrix, None, found)


def _write(file: Path, data: NDArray[Any]) -> None:
    flat = data.reshape(-1)
    with file.open("wb") as out:
        for start in range(0, len(flat), _WRITTEN):
            out.write(flat[start : start + _WRITTEN].tobytes())


def _touch(matrix: Floats) -> None:
    """Read a byte of every page of a mapped matrix, in the background, where there is room.

    Rows are then compared without a page fault each.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):  # a system that does not tell
        if matrix.nbytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4:
            matrix.reshape(-1).view(np.uint8)[:: os.sysconf("SC_PAGE_SIZE")].max()


def _linked(source: Path, target: Path) -> bool:
    """Whether `target` now is the file `source`."""
    if not source.is_file():
        return False
    with contextlib.suppress(OSError):  # a file system without links
        os.link(source, target)
        return True
    shutil.copyfile(source, target)
    return True
