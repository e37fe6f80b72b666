"""Runs and rankings in the formats of ragas, deepeval and TREC."""

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError

from .metrics import Value, mean_of
from .records import Run

_BEIR_HEADER = "query-id"

Qrels = Mapping[str, Mapping[str, int]]  # relevance by query and document
Rankings = Mapping[str, Sequence[str]]  # documents by query, best first


@dataclass(frozen=True)
class RankingMetrics:
    """Values by name; `missing` of the queries stand in no ranking and count 0."""

    values: dict[str, Value]
    missing: int


def ragas_rows(run: Run) -> list[dict[str, Any]]:
    """The items of `run` as samples of ragas; a refusal is its text."""
    return [
        {
            "id": item.id,
            "user_input": item.question,
            "response": item.answer,
            "retrieved_contexts": [context.read for context in item.contexts],
            "reference": item.reference or None,
        }
        for item in run.items
    ]


def deepeval_rows(run: Run) -> list[dict[str, Any]]:
    """The items of `run` as test cases of deepeval; a refusal is its text."""
    return [
        {
            "name": item.id,
            "input": item.question,
            "actual_output": item.answer,
            "retrieval_context": [context.read for context in item.contexts],
            "expected_output": item.reference or None,
        }
        for item in run.items
    ]


def trec_run(rankings: Rankings, name: str) -> str:
    """The lines of a TREC run; white space in ids and in `name` becomes "_"."""
    tag = one_word(name)
    return "".join(
        f"{one_word(query)} Q0 {one_word(document)} {rank} {len(ranking) - rank + 1} {tag}\n"
        for query, ranking in rankings.items()
        for rank, document in enumerate(ranking, 1)
    )


def read_trec_run(file: Path) -> dict[str, tuple[str, ...]]:
    """The documents of each query by falling score; ties by falling id, as trec_eval has them.

    Raises:
        UsageError: the file cannot be read or is empty, or a line is no line of a run.
    """
    import ir_measures

    found: dict[str, dict[str, float]] = {}
    for number, line in numbered_lines(file):
        try:
            (scored,) = ir_measures.read_trec_run(f"{line}\n")  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise bad_line(file, number, "is not 'query Q0 document rank score name'") from error
        of_query = found.setdefault(scored.query_id, {})
        if not math.isfinite(scored.score) or scored.doc_id in of_query:
            twice = "names a document twice" if scored.doc_id in of_query else "has no finite score"
            raise bad_line(file, number, twice)
        of_query[scored.doc_id] = scored.score
    return {
        query: tuple(sorted(sorted(scores, reverse=True), key=lambda d: -scores[d]))
        for query, scores in found.items()
    }


def read_qrels(file: Path) -> dict[str, dict[str, int]]:
    """The relevance of documents by query, from TREC's four columns or BEIR's table.

    Raises:
        UsageError: the file cannot be read or is empty, or a line is neither.
    """
    import ir_measures

    lines = list(numbered_lines(file))
    beir = lines[0][1].lower().startswith(_BEIR_HEADER)
    found: dict[str, dict[str, int]] = {}
    for number, line in lines[1:] if beir else lines:
        try:
            if beir:
                query, document, score = line.split("\t")
                (judged,) = [ir_measures.Qrel(query.strip(), document.strip(), int(score))]
            else:
                (judged,) = ir_measures.read_trec_qrels(f"{line}\n")  # type: ignore[no-untyped-call]
        except ValueError as error:
            columns = "query-id, corpus-id, score" if beir else "query, 0, document, relevance"
            raise bad_line(file, number, f"does not hold {columns}") from error
        if found.setdefault(judged.query_id, {}).get(judged.doc_id) not in (None, judged.relevance):
            raise bad_line(file, number, "judges a document a second time, otherwise")
        found[judged.query_id][judged.doc_id] = judged.relevance
    return found


def ranking_metrics(qrels: Qrels, run: Rankings) -> RankingMetrics:
    """Recall@10, nDCG@10 and MRR over the queries of `qrels`, through ir-measures.

    A query without a relevant document has no score; one that `run` lacks counts 0.
    """
    import ir_measures
    from ir_measures import RR, R, nDCG

    asked = [query for query, judged in qrels.items() if any(r > 0 for r in judged.values())]
    judged = [ir_measures.Qrel(q, d, r) for q in asked for d, r in qrels[q].items()]
    ranked = [
        ir_measures.ScoredDoc(query, document, -float(rank))
        for query in asked
        for rank, document in enumerate(run.get(query, ()))
    ]
    names = {R @ 10: "recall@10", nDCG @ 10: "ndcg@10", RR: "mrr"}
    scores: dict[str, dict[str, float | None]] = {
        name: {query: 0.0 if query in set(asked) else None for query in qrels}
        for name in names.values()
    }
    for metric in ir_measures.iter_calc(list(names), judged, ranked) if judged else ():
        scores[names[metric.measure]][metric.query_id] = float(metric.value)
    values = {name: mean_of(list(by_query.values())) for name, by_query in scores.items()}
    return RankingMetrics(values, sum(query not in run for query in asked))


def one_word(text: str) -> str:
    """`text` with "_" for white space, as an id that stands in a line of TREC."""
    return re.sub(r"\s+", "_", text)


def section_id(source: str, path: Sequence[str]) -> str:
    """The id of a section in rankings and collections, one word; `source` alone without a path."""
    return one_word(f"{source}#{' > '.join(path)}" if path else source)


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1; there is one at least."""
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "cannot be read as UTF-8 text"
        raise UsageError(f"{file}: {reason}", "check the path and the file") from error
    numbered = [
        (number, line.strip("\r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not numbered:
        raise UsageError(f"{file} is empty", "check the path and the file")
    yield from numbered


def bad_line(file: Path, number: int, reason: str) -> UsageError:
    """The error of a line that does not belong in `file`."""
    return UsageError(f"{file} line {number}: {reason}", "correct that line")
