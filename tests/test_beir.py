"""BEIR collections: read, made into documents to index, and written from cases and an index."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpus.errors import UsageError
from corpus.sections import Document
from eval.beir import Beir, export_beir, read_beir, write_beir_documents
from eval.cases import Case, read_rows
from eval.cli.data import app
from eval.records import Context, Item, Run, save_run
from eval.retrieval import Query, bench_retrieval
from index import build, generations, store
from index.embedder import LocalEmbedder


def written(place: Path, content: str | bytes, name: str) -> Path:
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


HOSTILE = """# not a heading
   ## nor this
#tag
Underlined
===
Also underlined
---
- # in a list
1. ```python
```
~~~
<div>
> quoted > thing
[label]: http://example.org
    indented code
* * *
---
title: no front matter
---
\x00 null, tab\tand\u2028line
| a | b |
- plain item"""


def a_collection() -> Beir:
    return Beir(
        {
            "MED-1": ("Bakers: *all* of # them", "Bakers rise early to make bread.\n\nThey sleep."),
            "../e v/il:?": ("", HOSTILE),
            "é": ("", "Ferries cross the water every hour."),
            "É": ("Only a title", ""),
            "none": ("", " "),
        },
        {"q1": "when do bakers rise", "q2": "how often do ferries cross", "q3": "x", "q4": " "},
        {"q1": {"MED-1": 1, "é": 0}, "q2": {"é": 2, "gone": 1}, "q3": {"none": 1}, "q4": {"é": 1}},
    )


def stored(beir: Beir, folder: Path, zipped: bool) -> None:
    """The collection as it is published."""
    qrels = "".join(f"{q}\t{d}\t{r}\n" for q, of in beir.qrels.items() for d, r in of.items())
    documents = beir.documents.items()
    files = {
        "corpus.jsonl": lines(*({"_id": i, "title": t, "text": x} for i, (t, x) in documents)),
        "queries.jsonl": lines(
            *({"_id": i, "text": t, "metadata": {}} for i, t in beir.queries.items())
        ),
        "qrels/test.tsv": f"query-id\tcorpus-id\tscore\n{qrels}",
    }
    for name, text in files.items():
        data = text.encode()
        written(folder, gzip.compress(data) if zipped else data, name + ".gz" * zipped)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_collection_is_read(tmp_path: Path, zipped: bool):
    stored(a_collection(), tmp_path, zipped)
    assert read_beir(tmp_path) == a_collection()
    with pytest.raises(UsageError, match=r"dev\.tsv: No such file"):
        read_beir(tmp_path, "dev")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"title": "t", "text": "x"}', "line 1: '_id' is missing or no text"),
        ('{"_id": "1", "title": "t"}', "line 1: 'text' is missing or no text"),
        ('{"_id": "1", "title": ["t"], "text": "x"}', "line 1: 'title' is missing"),
        ("[]", "line 1: is not an object"),
        ("{", "line 1: is not JSON"),
    ],
)
def test_a_bad_document_is_named(tmp_path: Path, line: str, said: str):
    stored(a_collection(), tmp_path, zipped=False)
    written(tmp_path, line, "corpus.jsonl")
    with pytest.raises(UsageError, match=said):
        read_beir(tmp_path)


def test_written_documents_have_no_heading_but_their_title(tmp_path: Path):
    out = write_beir_documents(a_collection(), tmp_path / "out").parent
    rows = map(json.loads, (out / "sources.jsonl").read_text("utf-8").splitlines())
    table = {row["id"]: row["source"] for row in rows}
    assert set(table) == {"MED-1", "../e v/il:?", "é", "É"}
    assert len({name.lower() for name in table.values()}) == 4
    assert all(re.fullmatch(r"\d{6}-[\w-]+\.md", name, re.ASCII) for name in table.values())
    assert sorted(table.values()) == sorted(f.name for f in (out / "documents").iterdir())

    def read_back(id_: str) -> Document:
        return Document("x.md", (out / "documents" / table[id_]).read_text("utf-8"))

    hostile = read_back("../e v/il:?")
    assert [section.path for section in hostile.sections] == [("x",)]
    assert hostile.meta == {}
    spans = " ".join(hostile.text[s.start : s.end] for s in hostile.sections[0].spans)
    for word in re.findall(r"\w{2,}", HOSTILE):
        assert word in spans
    assert read_back("MED-1").title == "Bakers: *all* of # them"
    assert read_back("MED-1").text.endswith("Bakers rise early to make bread.\n\nThey sleep.\n")
    assert read_back("É").sections


MARKUP = "# ## - * + 1. = --- ``` ~~~ > <div> [a]: | |---|---| *** <!-- \\ word x".split()


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(st.sampled_from([*MARKUP, " ", "\n", "\n\n", "    "]), max_size=20).map("".join)
)
def test_no_text_becomes_a_heading_or_is_lost(tmp_path_factory: pytest.TempPathFactory, text: str):
    beir = Beir({"d": ("A *title*", f"{text}\nend")}, {"q": "?"}, {"q": {"d": 1}})
    out = write_beir_documents(beir, tmp_path_factory.mktemp("text") / "out").parent
    document = Document("d.md", (out / "documents" / "000001-d.md").read_text("utf-8"))
    (section,) = document.sections
    assert section.path == ("A *title*",)
    spans = " ".join(document.text[span.start : span.end] for span in section.spans)
    assert re.findall(r"[a-z]+", spans) == re.findall(r"[a-z]+", f"{text} end")


def test_a_collection_becomes_an_index_that_finds_its_documents(
    tmp_path: Path, fresh_home: Path, embedder: LocalEmbedder
):
    file = write_beir_documents(a_collection(), tmp_path / "out")
    queries = read_rows(file, Query)
    assert [(q.query, len(q.sources)) for q in queries] == [
        ("when do bakers rise", 1),
        ("how often do ferries cross", 1),
    ]
    build.build("beir", [file.parent / "documents"], embedder)
    index = store.open_generation(generations.current("beir"), embedder)
    found = bench_retrieval(queries, index, embedder)
    assert found["relevant_not_indexed"] == 0
    assert found["arms"]["fused"]["recall@10"]["mean"] == 1.0


def test_a_collection_without_relevant_documents_or_a_full_folder_is_refused(tmp_path: Path):
    beir = a_collection()
    with pytest.raises(UsageError, match="no query has a relevant document"):
        write_beir_documents(Beir(beir.documents, beir.queries, {"q1": {"MED-1": 0}}), tmp_path)
    write_beir_documents(beir, tmp_path)
    with pytest.raises(UsageError, match="documents is there already"):
        write_beir_documents(beir, tmp_path)


# From cases and an index

GUIDE = """# Guide

## Pay

Pay is good.

### Bonus

Ten percent.

## Leave

A lot.

## Pay

Pay is late.
"""
CASES = [
    Case("c 1", "How good is pay?", True, sections=("Pay",)),
    Case("c2", "How much leave?", True, sections=("Leave", "Gone")),
    Case("c3", "Who?", False),
    Case("c4", "Where?", True, sections=("Gone",)),
]


@pytest.fixture
def small(tmp_path: Path, fresh_home: Path, embedder: LocalEmbedder) -> store.Index:
    """An index of one document, "a guide.md"."""
    build.build("small", [written(tmp_path, GUIDE, "in/a guide.md").parent], embedder)
    return store.open_generation(generations.current("small"), embedder)


def test_cases_go_out_with_the_sections_of_their_index(tmp_path: Path, small: store.Index):
    assert export_beir(CASES, small, tmp_path / "out") == 2
    beir = read_beir(tmp_path / "out")
    assert beir.documents == {
        "a_guide.md#Pay": ("Pay", "Pay is good.\n\nPay is late."),
        "a_guide.md#Pay_>_Bonus": ("Pay > Bonus", "Ten percent."),
        "a_guide.md#Leave": ("Leave", "A lot."),
    }
    assert beir.queries == {"c_1": "How good is pay?", "c2": "How much leave?"}
    pay = {"a_guide.md#Pay": 1, "a_guide.md#Pay_>_Bonus": 1}
    assert beir.qrels == {"c_1": pay, "c2": {"a_guide.md#Leave": 1}}
    with pytest.raises(UsageError, match="holds the sections of no answerable case"):
        export_beir(CASES[2:], small, tmp_path / "other")


def test_an_exported_run_is_ranked_against_the_exported_cases(tmp_path: Path, small: store.Index):
    export_beir(CASES, small, tmp_path / "beir")
    paths = {chunk.section[-1]: chunk.section for chunk in small.chunks}
    items = tuple(
        Item(
            id=id_,
            question="?",
            answer="a",
            status="answered",
            sentences=(),
            contexts=tuple(Context("t", "a guide.md", paths[name]) for name in ("Bonus", right)),
            scores={},
        )
        for id_, right in {"c 1": "Pay", "c2": "Leave"}.items()
    )
    save_run(Run("run", {}, None, {}, {}, (), items), tmp_path)
    trec = tmp_path / "run.trec"
    ran = CliRunner().invoke(app, ["export", str(tmp_path), "--to", "trec", "--out", str(trec)])
    assert ran.exit_code == 0, ran.output
    qrels = tmp_path / "beir" / "qrels" / "test.tsv"
    ran = CliRunner().invoke(app, ["rank", str(trec), str(qrels), "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert report["queries_not_in_run"] == 0
    values = {name: value["value"] for name, value in report["metrics"].items()}
    assert values["recall@10"] == 1.0
    assert values["mrr"] == 0.75  # at rank 1, and at rank 2 behind the bonus
    assert 0 < values["ndcg@10"] < 1


@pytest.mark.parametrize("name", ["taken", "taken/below"])
@pytest.mark.parametrize(
    "write",
    [
        lambda out, index: export_beir(CASES, index, out),
        lambda out, index: write_beir_documents(a_collection(), out),
    ],
)
def test_a_file_in_the_place_of_the_folder_is_refused_in_one_line(
    tmp_path: Path, small: store.Index, write: Callable[[Path, store.Index], object], name: str
):
    written(tmp_path, "mine", "taken")
    with pytest.raises(UsageError, match=f"{name} cannot be written") as refused:
        write(tmp_path / name, small)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "taken").read_text() == "mine"
