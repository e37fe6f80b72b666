"""`career-eval bench retrieval`: how well queries find the documents that they belong to.

Documents are ranked by their best chunk. Each way of searching is measured on the same open index
with the same query vectors.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.errors import UsageError
from index.embedder import Embedder, Floats
from index.store import Index

RESAMPLES = 2000
_CHUNKS = 200  # more than the index ranks: documents are cut from all that it finds
_DEPTH = 100  # documents that the reciprocal rank looks at

OnQuery = Callable[[int, int], None]


@dataclass(frozen=True)
class Query:
    """A query and the one source, or the sources, that answer it."""

    query: str
    relevant: str | tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The relevant sources."""
        return (self.relevant,) if isinstance(self.relevant, str) else self.relevant


@dataclass(frozen=True)
class Arm:
    """A way of searching."""

    name: str
    dense: bool
    lexical: bool


ARMS = (Arm("dense", True, False), Arm("bm25", False, True), Arm("fused", True, True))


def bench_retrieval(
    queries: Sequence[Query], index: Index, embedder: Embedder, on_query: OnQuery | None = None
) -> dict[str, Any]:
    """Recall@10, nDCG@10 and MRR of each arm with 95 % intervals, and queries per second.

    Raises:
        UsageError: a query is empty, or no relevant source is in the index.
    """
    known = {document.source for document in index.documents}
    _refuse_unusable(queries, known, index.name)
    rankings: dict[str, list[list[str]]] = {arm.name: [] for arm in ARMS}
    seconds: dict[str, list[float]] = {arm.name: [] for arm in ARMS}
    embedding = []
    for number, query in enumerate(queries, 1):
        started = time.perf_counter()
        vector = embedder.embed([query.query])[0]
        embedding.append(time.perf_counter() - started)
        for arm in ARMS:
            started = time.perf_counter()
            rankings[arm.name].append(ranked_sources(index, query.query, vector, arm))
            seconds[arm.name].append(time.perf_counter() - started)
        if on_query:
            on_query(number, len(queries))
    relevant = [query.sources for query in queries]
    return {
        "n": len(queries),
        "relevant_not_indexed": sum(not known & set(sources) for sources in relevant),
        "fingerprint": {"index": index.fingerprint, "embedder": embedder.weights[:12]},
        "arms": {
            arm.name: {
                **{name: interval(v) for name, v in scores(relevant, rankings[arm.name]).items()},
                "queries_per_s": _per_second(seconds[arm.name], embedding if arm.dense else None),
            }
            for arm in ARMS
        },
    }


def ranked_sources(index: Index, text: str, vector: Floats, arm: Arm) -> list[str]:
    """The sources that `arm` finds, each at the rank of its best chunk."""
    hits = index.search(text, vector, k=_CHUNKS, dense=arm.dense, lexical=arm.lexical)
    return list(dict.fromkeys(hit.chunk.source for hit in hits))[:_DEPTH]


def scores(
    relevant: Sequence[Sequence[str]], rankings: Sequence[Sequence[str]]
) -> Mapping[str, list[float]]:
    """Recall@10, nDCG@10 and reciprocal rank of each query, in order, through ir-measures."""
    import ir_measures
    from ir_measures import RR, R, nDCG

    qrels = [
        ir_measures.Qrel(str(at), source, 1)
        for at, sources in enumerate(relevant)
        for source in sources
    ]
    run = [
        ir_measures.ScoredDoc(str(at), source, -float(rank))
        for at, ranking in enumerate(rankings)
        for rank, source in enumerate(ranking)
    ]
    names = {R @ 10: "recall@10", nDCG @ 10: "ndcg@10", RR: "mrr"}
    found = {name: [0.0] * len(relevant) for name in names.values()}  # a query may find nothing
    for metric in ir_measures.iter_calc(list(names), qrels, run):
        found[names[metric.measure]][int(metric.query_id)] = float(metric.value)
    return found


def interval(values: Sequence[float]) -> dict[str, Any]:
    """The mean of `values` with its 95 % percentile bootstrap interval; none for one value."""
    from scipy.stats import bootstrap

    mean = round(statistics.fmean(values), 4)
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    drawn = bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return {"mean": mean, "low": round(float(drawn.low), 4), "high": round(float(drawn.high), 4)}


def _per_second(searches: Sequence[float], embedding: Sequence[float] | None) -> float:
    """Queries a second, one at a time, the embedding of the query included where it is used."""
    return round(len(searches) / (sum(searches) + sum(embedding or ())), 1)


def _refuse_unusable(queries: Sequence[Query], known: set[str], index: str) -> None:
    for query in queries:
        if not query.query.strip():
            raise UsageError("a query is empty", "give each line a query")
    if not any(known & set(query.sources) for query in queries):
        first = ", ".join(queries[0].sources[:1])
        raise UsageError(
            f"index {index!r} holds none of the relevant sources, such as {first!r}",
            "build it from their folder, or name another one with --index",
        )
