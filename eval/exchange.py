"""Runs, rankings and test collections in the formats of ragas, deepeval, TREC and BEIR."""

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from index.store import Index

from .cases import Case
from .metrics import Value, mean_of
from .records import Run, write_file

_BEIR_HEADER = "query-id"
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What would make of a line a heading, a rule, a code block, a quote, HTML or a link's target,
# also behind the mark of a list.
_MARKUP = re.compile(
    r"((?:(?:[-+*]|\d{1,9}[.)]) )*)"
    r"(#{1,6}(?: |$)|=+$|(?:- ?)+$|(?:\* ?){3,}$|(?:_ ?){3,}$|```|~~~|>|<|\[[^\]]*\]:)"
)

Qrels = Mapping[str, Mapping[str, int]]  # relevance by query and document
Rankings = Mapping[str, Sequence[str]]  # documents by query, best first


@dataclass(frozen=True)
class Beir:
    """A test collection: documents as (title, text), queries, and what is relevant to each."""

    documents: Mapping[str, tuple[str, str]]
    queries: Mapping[str, str]
    qrels: Qrels


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
    return "".join(
        f"{_word(query)} Q0 {_word(document)} {rank} {len(ranking) - rank + 1} {_word(name)}\n"
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
    for number, line in _lines(file):
        try:
            (scored,) = ir_measures.read_trec_run(f"{line}\n")  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise _bad(file, number, "is not 'query Q0 document rank score name'") from error
        of_query = found.setdefault(scored.query_id, {})
        if not math.isfinite(scored.score) or scored.doc_id in of_query:
            twice = "names a document twice" if scored.doc_id in of_query else "has no finite score"
            raise _bad(file, number, twice)
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

    lines = list(_lines(file))
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
            raise _bad(file, number, f"does not hold {columns}") from error
        if found.setdefault(judged.query_id, {}).get(judged.doc_id) not in (None, judged.relevance):
            raise _bad(file, number, "judges a document a second time, otherwise")
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


def read_beir(folder: Path, split: str = "test") -> Beir:
    """The collection in `folder`: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.

    Each may be gzipped.

    Raises:
        UsageError: a file is missing, empty, or has a line that does not belong there.
    """
    documents = {
        _field(row, "_id", place): (_field(row, "title", place, ""), _field(row, "text", place))
        for row, place in _json_lines(_existing(folder / "corpus.jsonl"))
    }
    queries = {
        _field(row, "_id", place): _field(row, "text", place)
        for row, place in _json_lines(_existing(folder / "queries.jsonl"))
    }
    return Beir(documents, queries, read_qrels(_existing(folder / "qrels" / f"{split}.tsv")))


def write_beir_documents(beir: Beir, out: Path) -> Path:
    """`out`, with `documents/` to be indexed, and beside it `queries.jsonl` and `sources.jsonl`.

    Each document is a Markdown file; `sources.jsonl` tells which. Queries without a relevant
    document are left out.

    Raises:
        UsageError: no query has one, or `out` holds documents already, which would be indexed too.
    """
    if (out / "documents").exists():
        raise UsageError(f"{out / 'documents'} is there already", "name a new folder")
    sources = {
        id_: f"{number:06d}-{_slug(id_)}.md"
        for number, (id_, (title, text)) in enumerate(beir.documents.items(), 1)
        if title.strip() or text.strip()
    }
    queries = [
        {"query": text, "relevant": relevant}
        for id_, text in beir.queries.items()
        if text.strip() and (relevant := _relevant(beir.qrels.get(id_, {}), sources))
    ]
    if not queries:
        raise UsageError("no query has a relevant document", "name another split of the collection")
    (out / "documents").mkdir(parents=True, exist_ok=True)
    for id_, source in sources.items():
        write_file(out / "documents" / source, _markdown(*beir.documents[id_]))
    _write_rows(out / "sources.jsonl", ({"id": i, "source": s} for i, s in sources.items()))
    _write_rows(out / "queries.jsonl", queries)
    return out


def export_beir(cases: Sequence[Case], index: Index, out: Path) -> int:
    """How many answerable cases were written to `out`, with the sections of `index`, as BEIR.

    A document is a section, "source#n" from 1; relevant are those below the case's headings.

    Raises:
        UsageError: the index holds the sections of no case.
    """
    corpus: list[dict[str, str]] = []
    below: dict[str, list[str]] = {}  # the sections below a heading
    for document in index.documents:
        for number, section in enumerate(document.sections, 1):
            id_ = f"{document.source}#{number}"
            text = document.text[section.spans[0].start : section.spans[-1].end]
            corpus.append({"_id": id_, "title": " > ".join(section.path), "text": text})
            for heading in dict.fromkeys(section.path):
                below.setdefault(heading, []).append(id_)
    asked = [(case, _below(case, below)) for case in cases if case.answerable]
    asked = [(case, found) for case, found in asked if found]
    if not asked:
        raise UsageError(
            f"index {index.name!r} holds the sections of no answerable case",
            "name the index that the cases were written for",
        )
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    _write_rows(out / "corpus.jsonl", corpus)
    _write_rows(out / "queries.jsonl", ({"_id": _word(c.id), "text": c.question} for c, _ in asked))
    judged = "".join(f"{_word(case.id)}\t{id_}\t1\n" for case, found in asked for id_ in found)
    write_file(out / "qrels" / "test.tsv", f"query-id\tcorpus-id\tscore\n{judged}")
    return len(asked)


def _below(case: Case, below: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(id_ for name in case.sections for id_ in below.get(name, ())))


def _relevant(judged: Mapping[str, int], sources: Mapping[str, str]) -> list[str]:
    return [sources[id_] for id_, relevance in judged.items() if relevance > 0 and id_ in sources]


def _slug(id_: str) -> str:
    """What of an id can stand in a file name anywhere; the number before it makes it unique."""
    return re.sub(r"[^A-Za-z0-9]+", "-", id_).strip("-")[:60] or "document"


def _markdown(title: str, text: str) -> str:
    """A heading and below it the lines of `text`, none of which means more than it says."""
    lines = [_plain_line(line) for line in (text if text.strip() else title).splitlines()]
    heading = _PUNCTUATION.sub(r"\\\1", _plain(title))
    return (f"# {heading}\n\n" if heading else "") + "\n".join(lines).strip("\n") + "\n"


def _plain_line(line: str) -> str:
    found = _MARKUP.match(line := _plain(line))
    return f"{found[1]}\\{found[2]}{line[found.end() :]}" if found else line


def _plain(line: str) -> str:
    """`line` on one line that every reader takes: single spaces, no NUL."""
    return " ".join(line.replace("\0", "\ufffd").split())


def _word(text: str) -> str:
    return re.sub(r"\s+", "_", text)


def _existing(file: Path) -> Path:
    """`file`, or else its gzipped form."""
    zipped = file.with_name(f"{file.name}.gz")
    return zipped if zipped.exists() and not file.exists() else file


def _lines(file: Path) -> Iterator[tuple[int, str]]:
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


def _json_lines(file: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The objects of a JSON lines file, each with its place for an error."""
    for number, line in _lines(file):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad(file, number, "is not JSON") from error
        if not isinstance(row, dict):
            raise _bad(file, number, "is not an object")
        yield row, f"{file} line {number}"


def _field(row: Mapping[str, Any], name: str, place: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{place}: {name!r} is missing or no text", "correct that line")
    return str(value).encode("utf-8", "replace").decode()


def _bad(file: Path, number: int, reason: str) -> UsageError:
    return UsageError(f"{file} line {number}: {reason}", "correct that line")


def _write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_file(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
