"""`career-eval bench ingest`: our embedder and sentence-transformers' embed the same chunks.

Both take turns with slices of the chunks, so that a change of the machine's speed meets both. A
whole index is built in a process of its own, with a data folder that is thrown away.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assistant.settings import Settings
from corpus.chunks import chunk_document, embedding_text
from corpus.errors import CareerError, UsageError
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.readers import read_paths, supported
from corpus.sections import Document
from index.embedder import (
    FEW_TEXTS,
    MANY_TEXTS,
    Embedder,
    Floats,
    best_device,
    open_embedder,
)
from index.models import ModelStore

from .bench import machine
from .retrieval import Query, scores

THEIRS, OURS, WHOLE = "sentence-transformers defaults", "ours", "ours, whole index"
_SLICE = 3 * MANY_TEXTS // 2  # chunks of a turn, at least: each begins with a choice of precision
_SLICES = 3
_CHANGED = 0.01  # share of the files
_DEPTH = 200  # chunks that a ranking of documents is made from, as in `bench retrieval`
_REVISION = "\n\nThis page was revised on the first of May.\n"

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Passage:
    """What is embedded for a chunk, and the source of its document."""

    source: str
    text: str


@dataclass(frozen=True)
class Embedded:
    """Unit vectors of all passages, in order, and the seconds of each slice."""

    vectors: Floats  # (passages, dim)
    seconds: tuple[float, ...]


def read_documents(texts: Path | None, limit: int | None) -> list[Document]:
    """The first `limit` documents of a file or folder, or the shipped ones.

    Raises:
        UsageError: it is not there, or nothing in it can be read.
    """
    documents = read_paths([texts or SHIPPED_DOCUMENTS]).documents[:limit]
    if not documents:
        raise UsageError(f"no texts in {texts}", supported())
    return list(documents)


def bench_ingest(
    documents: Sequence[Document],
    queries: Sequence[Query],
    settings: Settings,
    limit: int | None,
    on_step: OnStep,
    *,
    build: bool,
) -> dict[str, Any]:
    """Rows of both embedders and, with `build`, of a whole index.

    Raises:
        UsageError: the documents have no text, or none is relevant to a query.
    """
    store = ModelStore()
    embedder = open_embedder(settings.embedder, store, settings.device, settings.precision)
    device = best_device() if settings.device == "auto" else settings.device
    every = passages_of(documents, embedder)
    passages = every[:limit]
    if not passages:
        raise UsageError("the documents hold no text below their headings", supported())
    asked = asked_of(queries, passages)
    theirs = _open_theirs(store.resolve(settings.embedder), device)
    arms: dict[str, Callable[[Sequence[str]], Floats]] = {
        THEIRS: lambda texts: theirs.encode(list(texts)),
        OURS: embedder.embed,
    }
    on_step(f"embedding {len(passages):,} chunks on {device}, by both")
    done = embed_in_turns(passages, arms)
    vectors = theirs.encode([query.query for query in asked]) if asked else None
    rows = [_row(name, done, passages, asked, vectors) for name in arms]
    rows[1]["precision"] = embedder.chosen.to_dict() if embedder.chosen else None
    if build:
        on_step(f"building an index of {len(documents):,} documents, twice")
        rows.append(_whole(documents, len(every), settings, store.folder))
    return {
        "machine": machine(),
        "device": device,
        "embedder": {"name": embedder.name, "weights": embedder.weights[:12]},
        "documents": len(documents),
        "chunks": len(passages),
        "queries": len(asked),
        "queries_left_out": len(queries) - len(asked),
        "rows": rows,
    }


def passages_of(documents: Sequence[Document], embedder: Embedder) -> list[Passage]:
    """What the index embeds for the documents, in order."""
    count, limit = embedder.count_tokens, embedder.limit
    return [
        Passage(document.source, embedding_text(document, chunk, count, limit))
        for document in documents
        for chunk in chunk_document(document, count, limit=limit)
    ]


def asked_of(queries: Sequence[Query], passages: Sequence[Passage]) -> list[Query]:
    """The queries that one of the passages' documents is relevant to.

    Raises:
        UsageError: there are queries, and none is.
    """
    known = {passage.source for passage in passages}
    asked = [query for query in queries if known & set(query.sources)]
    if queries and not asked:
        first = queries[0].sources[0] if queries[0].sources else ""
        raise UsageError(
            f"the texts hold none of the relevant sources, such as {first!r}",
            "name their folder with --texts",
        )
    return asked


def embed_in_turns(
    passages: Sequence[Passage], arms: Mapping[str, Callable[[Sequence[str]], Floats]]
) -> dict[str, Embedded]:
    """Every passage embedded by every arm, slice by slice, each arm first in its turn.

    A slice is every third passage (or so), so that all are alike. What an arm loads and decides
    the first time is no part of the seconds.
    """
    texts = [passage.text for passage in passages]
    for embed in arms.values():
        embed([f"{number}: {text}" for number, text in enumerate(texts[: FEW_TEXTS + 1])])
    slices = max(1, min(_SLICES, len(texts) // _SLICE))
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    vectors: dict[str, Floats] = {}
    for number in range(slices):
        order = list(arms.items())
        for name, embed in order if number % 2 == 0 else reversed(order):
            part = texts[number::slices]
            started = time.perf_counter()
            found = np.asarray(embed(part), dtype=np.float32)
            seconds[name].append(time.perf_counter() - started)
            whole = vectors.setdefault(name, np.empty((len(texts), found.shape[1]), np.float32))
            whole[number::slices] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return {name: Embedded(vectors[name], tuple(seconds[name])) for name in arms}


def recall_at_10(
    vectors: Floats, passages: Sequence[Passage], asked: Sequence[Query], queries: Floats
) -> float:
    """The mean recall of documents that are ranked by their best chunk, by exact products."""
    rankings = []
    for query in queries:
        order = np.argsort(-(vectors @ query), kind="stable")[:_DEPTH]
        rankings.append(list(dict.fromkeys(passages[at].source for at in order)))
    return statistics.fmean(scores([query.sources for query in asked], rankings)["recall@10"])


def _row(
    name: str,
    done: Mapping[str, Embedded],
    passages: Sequence[Passage],
    asked: Sequence[Query],
    queries: Floats | None,
) -> dict[str, Any]:
    """What an arm did, beside sentence-transformers."""
    mine, theirs = done[name], done[THEIRS]
    ratios = [b / a for a, b in zip(mine.seconds, theirs.seconds, strict=True)]
    cosines = np.einsum("ij,ij->i", mine.vectors, theirs.vectors)
    recall = None if queries is None else recall_at_10(mine.vectors, passages, asked, queries)
    return {
        "arm": name,
        "n": len(passages),
        "chunks_per_s": round(len(passages) / sum(mine.seconds), 1),
        "ratio": round(sum(theirs.seconds) / sum(mine.seconds), 3),
        "ratio_of_slices": {"low": round(min(ratios), 3), "high": round(max(ratios), 3)},
        "smallest_cosine": round(min(1.0, float(cosines.min())), 6),
        "recall_at_10": None if recall is None else round(recall, 4),
        "slices": len(ratios),
    }


def _open_theirs(folder: Path, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    from index.embedder import quiet_transformers

    quiet_transformers()
    return SentenceTransformer(str(folder), device=device, local_files_only=True)


def _whole(
    documents: Sequence[Document], chunks: int, settings: Settings, models: Path
) -> dict[str, Any]:
    """The seconds that an index takes, and those after one file in a hundred changed."""
    with tempfile.TemporaryDirectory() as place:
        texts = Path(place) / "texts"
        for document in documents:
            file = texts / document.source
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(document.text, "utf-8")
        job = {
            "texts": str(texts),
            "models": str(models),
            "embedder": settings.embedder,
            "device": settings.device,
            "precision": settings.precision,
            "chunks": chunks,
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "eval.ingest_bench", json.dumps(job)],
            env=os.environ | {"CAREER_HOME": str(Path(place) / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
    with suppress(ValueError, IndexError):
        return {"arm": WHOLE, **json.loads(done.stdout.splitlines()[-1])}
    said = (done.stderr.strip() or "it said nothing").splitlines()[-1][:300]
    raise CareerError(f"the index could not be built: {said}", "run: career doctor")


def build_twice(job: Mapping[str, Any]) -> dict[str, Any]:
    """Build an index of a folder in this process's data folder, change some files, build again."""
    from index.build import build

    store = ModelStore(Path(job["models"]))
    embedder = open_embedder(job["embedder"], store, job["device"], job["precision"])
    for few in (min(job["chunks"], FEW_TEXTS + 1), 1):  # what both builds need is loaded before
        embedder.embed([f"Text {number}." for number in range(few)])
    texts = Path(job["texts"])
    started = time.perf_counter()
    first = build("bench", [texts], embedder)
    built = time.perf_counter() - started
    files = sorted(file for file in texts.rglob("*") if file.is_file())
    count = max(1, round(len(files) * _CHANGED))
    for file in files[:: len(files) // count][:count]:
        file.write_text(file.read_text("utf-8") + _REVISION, "utf-8")
    started = time.perf_counter()
    second = build("bench", [texts], embedder)
    again = time.perf_counter() - started
    return {
        "n": first.chunks,
        "documents": first.documents,
        "build_s": round(built, 2),
        "chunks_per_s": round(first.chunks / built, 1),
        "changed": len(second.changed),
        "embedded_again": second.embedded,
        "reingest_s": round(again, 2),
        "reingest_share": round(again / built, 4),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build_twice(json.loads(sys.argv[1]))) + "\n")
