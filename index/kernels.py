"""Exact search: the best rows of a matrix for one query or for many, at the speed of memory.

One query is a matrix-vector product, which reads each row once. Many are a matrix product, by
numpy or by FAISS, whichever is faster here: a BLAS that does not know the processor is many times
slower. The best scores are found through the maxima of groups of rows: the k groups with the
greatest maxima hold the k best rows, so no more than k groups are looked into.
"""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_GROUP = 64  # rows that share a maximum
_BLOCK = 16_384  # rows of one matrix product: their scores stay in the cache
_GATHERED = 65_536  # rows that are copied at a time
_FEW = 3  # queries up to here are asked one by one
_TRIAL = (8_192, 384, 64)  # rows, dimension and queries of the trial between the kernels
_OWN_PRODUCT_UP_TO = 1_000  # queries: beyond, FAISS would call its BLAS, which is slower


def best_rows(
    vectors: Floats, queries: Floats, k: int, *, rows: Rows | None = None, skip: Flags | None = None
) -> Rows:
    """The `k` rows of `vectors`: (n, dim) with the greatest products for each query: (queries, k).

    Only `rows` are looked at when given, and none that `skip` flags: (n,). They come in no order,
    and -1 stands where there are fewer.
    """
    if not len(queries) or not k:
        return np.empty((len(queries), k), dtype=np.int64)
    if rows is None and len(queries) <= _FEW:
        return np.stack([_of_one(vectors, query, k, skip) for query in queries])
    if rows is None and skip is None and batch_kernel() == "faiss":
        return _of_many_by_faiss(vectors, queries, k)
    return _of_many(_blocks(vectors, rows, skip), queries, k)


def rows_from(
    vectors: Floats,
    query: Floats,
    least: float,
    *,
    rows: Rows | None = None,
    skip: Flags | None = None,
) -> Rows:
    """All rows whose product with `query`: (dim,) is `least` or more, as BLAS has it, in order.

    Only `rows` are looked at when given, and none that `skip` flags: (n,).
    """
    found = [np.empty(0, dtype=np.int64)]
    for block, numbers, skipped in _blocks(vectors, rows, skip):
        good = block @ query >= least
        places = np.flatnonzero(good if skipped is None else good & ~skipped)
        found.append(places + numbers if isinstance(numbers, int) else numbers[places])
    return np.concatenate(found)


def products(vectors: Floats, queries: Floats, rows: Rows) -> Floats:
    """The product of each query with its `rows`: (queries, k); -inf where the row is -1.

    Equal rows have equal products, wherever they stand: BLAS does not promise that.
    """
    found = np.empty(rows.shape, dtype=np.float32)
    step = max(1, _GATHERED // max(1, len(queries)))
    for start in range(0, rows.shape[1], step):
        part = slice(start, start + step)
        gathered = vectors[np.maximum(rows[:, part], 0)]  # (queries, step, dim)
        found[:, part] = np.einsum("qkd,qd->qk", gathered, queries)
    found[rows < 0] = -np.inf
    return found


@lru_cache(maxsize=1)
def batch_kernel() -> str:
    """`numpy` or `faiss`: which multiplies batches faster on this machine, tried once."""
    times = trial()
    return min(times, key=lambda name: times[name])


@lru_cache(maxsize=1)
def trial() -> dict[str, float]:
    """The seconds of each kernel for 64 queries over 8,192 rows, the best of three runs."""
    faiss.cvar.distance_compute_blas_threshold = _OWN_PRODUCT_UP_TO
    n, dim, batch = _TRIAL
    drawn = np.random.default_rng(0).standard_normal((n + batch, dim), dtype=np.float32)
    vectors, queries = drawn[:n], drawn[n:]
    kernels: dict[str, Callable[[], Rows]] = {
        "faiss": lambda: _of_many_by_faiss(vectors, queries, 10),
        "numpy": lambda: _of_many(_blocks(vectors, None, None), queries, 10),
    }
    return {name: min(_seconds(run) for _ in range(3)) for name, run in kernels.items()}


def _seconds(run: Callable[[], Rows]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _of_one(vectors: Floats, query: Floats, k: int, skip: Flags | None) -> Rows:
    scores = vectors @ query
    if skip is not None:
        scores[skip] = -np.inf
    top = _best(scores[None, :], k)[0]
    top[np.isneginf(scores[top])] = -1
    widened: Rows = _widened(top[None, :], k)[0]
    return widened


def _of_many_by_faiss(vectors: Floats, queries: Floats, k: int) -> Rows:
    few = min(k, len(vectors))
    found: Rows = faiss.knn(queries, vectors, few, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return _widened(found, k)


Block = tuple[Floats, Rows | int, Flags | None]  # vectors, their rows or the first, what to skip


def _blocks(vectors: Floats, rows: Rows | None, skip: Flags | None) -> Iterator[Block]:
    for start in range(0, len(vectors) if rows is None else len(rows), _BLOCK):
        if rows is None:
            part = slice(start, start + _BLOCK)
            yield vectors[part], start, None if skip is None else skip[part]
        else:
            chosen = rows[start : start + _BLOCK]
            yield vectors[chosen], chosen, None if skip is None else skip[chosen]


def _of_many(blocks: Iterator[Block], queries: Floats, k: int) -> Rows:
    kept_scores, kept_rows = [], []
    for vectors, rows, skip in blocks:
        scores = queries @ vectors.T  # (queries, rows of the block)
        if skip is not None:
            scores[:, skip] = -np.inf
        top = _best(scores, k)
        kept_scores.append(np.take_along_axis(scores, top, axis=1))
        kept_rows.append(top + rows if isinstance(rows, int) else rows[top])
    if not kept_rows:
        return np.full((len(queries), k), -1, dtype=np.int64)
    scores, found = np.concatenate(kept_scores, axis=1), np.concatenate(kept_rows, axis=1)
    top = _best(scores, k)
    found = np.take_along_axis(found, top, axis=1)
    found[np.isneginf(np.take_along_axis(scores, top, axis=1))] = -1
    return _widened(found, k)


def _best(scores: Floats, k: int) -> Rows:
    """The places of the `k` greatest of each row of `scores`, or of all, in no order."""
    count, n = scores.shape
    if n <= k:
        return np.tile(np.arange(n), (count, 1))
    groups = n // _GROUP
    if groups <= 2 * k:
        return np.argpartition(scores, n - k, axis=1)[:, n - k :]
    whole = groups * _GROUP
    # Group g has the places g, g + groups, g + 2 groups …: the maxima are taken of whole rows.
    maxima = scores[:, :whole].reshape(count, _GROUP, groups).max(axis=1)
    chosen = np.argpartition(maxima, groups - k, axis=1)[:, groups - k :]  # (rows, k)
    within = (chosen[:, :, None] + np.arange(_GROUP) * groups).reshape(count, -1)
    rest = np.tile(np.arange(whole, n), (count, 1))
    places = np.concatenate([within, rest], axis=1)
    few = np.take_along_axis(scores, places, axis=1)
    top = np.argpartition(few, few.shape[1] - k, axis=1)[:, few.shape[1] - k :]
    return np.take_along_axis(places, top, axis=1)


def _widened(found: Rows, k: int) -> Rows:
    """`found` with -1 up to `k` columns."""
    missing = k - found.shape[1]
    if missing <= 0:
        return found
    return np.concatenate([found, np.full((len(found), missing), -1)], axis=1)
