"""Test collections in the format of BEIR: read as documents and queries, written from an index."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from index.store import Index

from .cases import Case
from .exchange import (
    Qrels,
    bad_line,
    numbered_lines,
    one_word,
    read_qrels,
    section_id,
)
from .records import write_file, writing

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What would make of a line a heading, a rule, a code block, a quote, HTML or a link's target,
# also behind the mark of a list.
_MARKUP = re.compile(
    r"((?:(?:[-+*]|\d{1,9}[.)]) )*)"
    r"(#{1,6}(?: |$)|=+$|(?:- ?)+$|(?:\* ?){3,}$|(?:_ ?){3,}$|```|~~~|>|<|\[[^\]]*\]:)"
)


@dataclass(frozen=True)
class Beir:
    """A test collection: documents as (title, text), queries, and what is relevant to each."""

    documents: Mapping[str, tuple[str, str]]
    queries: Mapping[str, str]
    qrels: Qrels


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
    """`out/queries.jsonl`, written beside `sources.jsonl` and the folder `documents/` to index.

    Each document is a Markdown file; `sources.jsonl` tells which. Queries without a relevant
    document are left out.

    Raises:
        UsageError: no query has one; `out` holds documents already, which would be indexed too, or
            cannot be written.
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
    with writing(out):
        (out / "documents").mkdir(parents=True, exist_ok=True)
        for id_, source in sources.items():
            write_file(out / "documents" / source, _markdown(*beir.documents[id_]))
        _write_rows(out / "sources.jsonl", ({"id": i, "source": s} for i, s in sources.items()))
        _write_rows(out / "queries.jsonl", queries)
    return out / "queries.jsonl"


def export_beir(cases: Sequence[Case], index: Index, out: Path) -> int:
    """How many answerable cases were written to `out`, with the sections of `index`, as BEIR.

    A document is a section by its `section_id`, those of one path together; relevant are the ones
    below the case's headings.

    Raises:
        UsageError: the index holds the sections of no case, or `out` cannot be written.
    """
    corpus: dict[str, dict[str, str]] = {}
    below: dict[str, list[str]] = {}  # the sections below a heading
    for document in index.documents:
        for section in document.sections:
            id_ = section_id(document.source, section.path)
            text = document.text[section.spans[0].start : section.spans[-1].end]
            if id_ in corpus:
                text = f"{corpus[id_]['text']}\n\n{text}"
            corpus[id_] = {"_id": id_, "title": " > ".join(section.path), "text": text}
            for heading in section.path:
                below.setdefault(heading, []).append(id_)
    asked = [(case, _below(case, below)) for case in cases if case.answerable]
    asked = [(case, found) for case, found in asked if found]
    if not asked:
        raise UsageError(
            f"index {index.name!r} holds the sections of no answerable case",
            "name the index that the cases were written for",
        )
    queries = ({"_id": one_word(case.id), "text": case.question} for case, _ in asked)
    judged = "".join(f"{one_word(case.id)}\t{id_}\t1\n" for case, ids in asked for id_ in ids)
    with writing(out):
        (out / "qrels").mkdir(parents=True, exist_ok=True)
        _write_rows(out / "corpus.jsonl", corpus.values())
        _write_rows(out / "queries.jsonl", queries)
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


def _existing(file: Path) -> Path:
    """`file`, or else its gzipped form."""
    zipped = file.with_name(f"{file.name}.gz")
    return zipped if zipped.exists() and not file.exists() else file


def _json_lines(file: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The objects of a JSON lines file, each with its place for an error."""
    for number, line in numbered_lines(file):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise bad_line(file, number, "is not JSON") from error
        if not isinstance(row, dict):
            raise bad_line(file, number, "is not an object")
        yield row, f"{file} line {number}"


def _field(row: Mapping[str, Any], name: str, place: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{place}: {name!r} is missing or no text", "correct that line")
    return str(value).encode("utf-8", "replace").decode()


def _write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_file(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
