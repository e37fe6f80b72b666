"""Approximate search in one segment: FAISS proposes rows, their exact products decide.

    pq   4-bit product quantisation, scanned whole (André, Kermarrec & Le Scouarnec 2015)
    ivf  the same codes in inverted lists, of which the nearest are scanned (Jégou et al. 2011)

How far to look is measured when the index is built, on queries that it does not hold, until the
target of recall@10 is reached; that operating point is stored with the index. Distances are L2:
between unit vectors they rank as products do, and the codes of lists are more exact with them.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from . import kernels
from .kernels import Floats, Rows

KINDS = ("pq", "ivf")
SMALLEST = 256  # rows below which there is too little to learn codes from
_TRAINED_ON = 65_536  # rows, or for many lists as many more as FAISS asks for:
_TRAINED_ON_PER_LIST = 40
_LARGEST = 1.01  # number in a unit vector
_ADDED = 65_536  # rows at a time
_QUERIES = 200  # of each of the two sorts that tune an index
_TIMED = 40
TUNED_FOR = 10  # the best so many
_NEARER = np.float32(0.5)  # questions lie apart from what answers them: halfway between two rows
_SHARED_QUERIES, _SHARED_LISTS = 0, 15  # FAISS's numbers for its ways to search lists
_DEPTHS = (50, 100, 150, 200, 300, 400, 600, 800)


@dataclass(frozen=True)
class OperatingPoint:
    """How far to look, and what that was measured to give.

    `effort` is the number of lists that a query visits (0 where there are none), and `depth` of how
    many rows the exact product is computed for the best ten. The recall@10 is of queries like the
    rows and of queries apart from them, which are harder; `ms` is for one query.
    """

    effort: int
    depth: int
    recall: float
    recall_apart: float
    ms: float

    def depth_for(self, k: int) -> int:
        """The rows to look at for the best `k`: more for more, but not as many times more."""
        return max(2 * k, math.ceil(self.depth * math.sqrt(max(1.0, k / TUNED_FOR))))


@dataclass(frozen=True)
class Approximate:
    """A built and tuned approximate index of the rows of one segment."""

    kind: str
    factory: str  # FAISS's name for it
    target: float  # recall@10
    point: OperatingPoint
    faiss_index: Any

    def candidates(self, queries: Floats, depth: int) -> Rows:
        """The rows that look nearest, nearest first: (queries, depth), -1 where there are fewer.

        Those that look as near as the last one are left out, for others like them may be, too.
        """
        return _candidates(self.kind, self.faiss_index, queries, depth)

    def to_bytes(self) -> NDArray[np.uint8]:
        """FAISS's own serial form."""
        data: NDArray[np.uint8] = faiss.serialize_index(self.faiss_index)
        return data


def read(
    kind: str, factory: str, target: float, point: OperatingPoint, data: NDArray[np.uint8]
) -> Approximate:
    """The index whose serial form is `data`, which must have been verified."""
    index: Any = faiss.deserialize_index(data)
    _set_effort(kind, index, point.effort)
    return Approximate(kind, factory, target, point, index)


def build(vectors: Floats, kind: str, recall: float) -> Approximate:
    """An index of `kind` over unit `vectors`: (n, dim), n >= SMALLEST, tuned to `recall`@10.

    Where nothing reaches the recall, it looks as far as the ladder goes; the point says what it
    reached.

    Raises:
        ValueError: they are no unit vectors; of infinite lengths FAISS would end the process.
    """
    if not all((np.abs(part) <= _LARGEST).all() for part in _parts(vectors)):
        raise ValueError("vectors to be searched are no unit vectors")
    factory = _factory(kind, *vectors.shape)
    index: Any = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_L2)
    index.pq.cp.min_points_per_centroid = 1  # of few rows it would warn on stderr
    lists = index.nlist if kind == "ivf" else 0
    index.train(_sample(vectors, max(_TRAINED_ON, _TRAINED_ON_PER_LIST * lists)))
    for part in _parts(vectors):
        index.add(np.ascontiguousarray(part))
    point = _tuned(vectors, kind, index, recall)
    _set_effort(kind, index, point.effort)
    return Approximate(kind, factory, recall, point, index)


def _parts(vectors: Floats) -> Iterator[Floats]:
    for start in range(0, len(vectors), _ADDED):
        yield vectors[start : start + _ADDED]


def _factory(kind: str, n: int, dimension: int) -> str:
    """FAISS's name for it: codes of half a byte for every three dimensions, or four."""
    width = next(width for width in (3, 4, 2, 1) if dimension % width == 0)
    codes = f"PQ{dimension // width}x4fs"
    return codes if kind == "pq" else f"IVF{_lists(n)},{codes}"


def _lists(n: int) -> int:
    """About twice the square root of `n`, a power of two, so that 39 rows or more fall to each."""
    return int(2 ** min(round(math.log2(n) / 2 + 1), math.floor(math.log2(n / 39))))


def _set_effort(kind: str, index: Any, effort: int) -> None:
    if kind == "ivf":
        index.nprobe = effort


def _candidates(kind: str, index: Any, queries: Floats, depth: int) -> Rows:
    if kind == "ivf":
        # The lists of one query are shared among the threads; many queries are shared out whole.
        # Any setting is right for any number: a thread that sets it meanwhile does no harm.
        index.implem = _SHARED_LISTS if len(queries) == 1 else _SHARED_QUERIES
    distances, rows = index.search(queries, min(depth, index.ntotal))
    rows[distances >= distances[:, -1:]] = -1
    found: Rows = rows
    return found


def _efforts(kind: str, index: Any) -> list[int]:
    """From few lists to all."""
    if kind == "pq":
        return [0]
    return [*(2**power for power in range(3, 11) if 2**power < index.nlist), index.nlist]


@dataclass(frozen=True)
class _Trial:
    """Queries with the rows that are truly the best ten: (queries, 10)."""

    queries: Floats
    best: Rows

    def recalls(self, found: Rows) -> dict[int, float]:
        """The share of the best ten that the first `depth` of `found` hold, by depth."""
        hit = (found[:, None, :] == self.best[:, :, None]) & (self.best[:, :, None] >= 0)
        counted = hit.any(axis=1).cumsum(axis=1)  # (queries, depth)
        truths = int((self.best >= 0).sum())
        return {d: float(counted[:, min(d, found.shape[1]) - 1].sum()) / truths for d in _DEPTHS}


def _tuned(vectors: Floats, kind: str, index: Any, recall: float) -> OperatingPoint:
    """The fastest of the points that reach `recall` on both sorts of queries."""
    trials = _trials(vectors)
    points: list[OperatingPoint] = []
    deepest = min(_DEPTHS[-1], index.ntotal)
    for effort in _efforts(kind, index):
        _set_effort(kind, index, effort)
        like, apart_from = (t.recalls(_candidates(kind, index, t.queries, deepest)) for t in trials)
        good = [depth for depth in _DEPTHS if min(like[depth], apart_from[depth]) >= recall]
        depth = good[0] if good else _DEPTHS[-1]
        recalls = round(like[depth], 4), round(apart_from[depth], 4)
        ms = _milliseconds(vectors, kind, index, depth, trials[0].queries)
        points.append(OperatingPoint(effort, depth, *recalls, ms))
        if sum(_reaches(point, recall) for point in points) == 2:
            break  # visiting more only takes longer
    reached = [point for point in points if _reaches(point, recall)]
    if reached:
        return min(reached, key=lambda point: point.ms)
    return max(points, key=lambda point: min(point.recall, point.recall_apart))


def _reaches(point: OperatingPoint, recall: float) -> bool:
    return min(point.recall, point.recall_apart) >= recall


def _milliseconds(vectors: Floats, kind: str, index: Any, depth: int, queries: Floats) -> float:
    """The median time of one query, the exact products included."""
    times = []
    for query in queries[:_TIMED]:
        started = time.perf_counter()
        rows = _candidates(kind, index, query[None, :], depth)
        kernels.products(vectors, query[None, :], rows)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1000, 3)


def _trials(vectors: Floats) -> tuple[_Trial, _Trial]:
    """Queries that are rows, which then do not count as found, and queries apart from all."""
    chance = np.random.default_rng(1)
    count = min(_QUERIES, len(vectors) // 2)
    one, other = chance.permutation(len(vectors))[: 2 * count].reshape(2, count)
    own = np.ascontiguousarray(vectors[one])
    apart = _NEARER * own + (1 - _NEARER) * vectors[other]
    apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-12)
    found = _ranked(vectors, own, TUNED_FOR + 1)
    others = np.stack([row[row != at][:TUNED_FOR] for row, at in zip(found, one, strict=True)])
    return _Trial(own, others), _Trial(apart, _ranked(vectors, apart, TUNED_FOR))


def _ranked(vectors: Floats, queries: Floats, k: int) -> Rows:
    """The best `k` rows of each query, best first."""
    rows = kernels.best_rows(vectors, queries, k)
    order = np.argsort(-kernels.products(vectors, queries, rows), axis=1, kind="stable")
    ranked: Rows = np.take_along_axis(rows, order, axis=1)
    return ranked


def _sample(vectors: Floats, most: int) -> Floats:
    if len(vectors) <= most:
        return np.ascontiguousarray(vectors)
    chosen = np.random.default_rng(0).choice(len(vectors), most, replace=False)
    return np.ascontiguousarray(vectors[np.sort(chosen)])
