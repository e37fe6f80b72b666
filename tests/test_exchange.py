"""Answers, rankings and collections of other programs: read, written, and there and back."""

import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.sections import Document
from eval.answers import AnswerRow, read_answers
from eval.cases import Case, read_rows
from eval.exchange import (
    Beir,
    deepeval_rows,
    export_beir,
    ragas_rows,
    ranking_metrics,
    read_beir,
    read_qrels,
    read_trec_run,
    trec_run,
    write_beir_documents,
)
from eval.records import Context, Item, Run
from eval.retrieval import Query, bench_retrieval
from index import build, generations, store
from index.embedder import LocalEmbedder

REFUSAL = "The documents do not answer this question."
LONG = " ".join(f"Sentence number {n} says a thing." for n in range(50))


def written(place: Path, content: str | bytes, name: str = "answers.jsonl") -> Path:
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(place: Path, *rows: Any) -> list[AnswerRow]:
    return read_answers(written(place, lines(*rows)))


# --- answers


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "answer": "a", "contexts": ["c"], "reference": "r"},
        {"question": "q", "answer": "a", "contexts": ["c"], "ground_truth": "r"},
        {"question": "q", "answer": "a", "contexts": ["c"], "ground_truths": ["r"]},
        {"user_input": "q", "response": "a", "retrieved_contexts": ["c"], "reference": "r"},
        {
            "input": "q",
            "actual_output": "a",
            "retrieval_context": ["c"],
            "context": ["ideal"],
            "expected_output": "r",
        },
        {"input": "q", "actualOutput": "a", "retrievalContext": ["c"], "expectedOutput": "r"},
        {"input": "q", "actual_output": "a", "context": ["c"], "expected_output": "r"},
        {  # ragas, a conversation
            "user_input": [
                {"content": "hello", "type": "human"},
                {"content": "Hi.", "type": "ai"},
                {"content": "q", "type": "human"},
                {"content": "", "type": "ai", "tool_calls": [{"name": "f", "args": {}}]},
                {"content": "42", "type": "tool"},
                {"content": "a", "type": "ai"},
            ],
            "retrieved_contexts": ["c"],
            "reference": "r",
        },
        {  # a chat, as it came from a service
            "question": "q",
            "answer": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            ],
            "contexts": ["c"],
            "reference": "r",
        },
    ],
)
def test_the_columns_of_each_program_are_known(tmp_path: Path, row: dict[str, Any]):
    (found,) = read(tmp_path, row)
    given = found.given
    assert (given.question, given.answer, given.contexts) == ("q", "a", ("c",))
    assert (found.reference, found.id, given.id) == ("r", "1", "1")
    assert given.cited is None


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (REFUSAL, REFUSAL),
        (None, ""),
        ("", ""),
        (7, "7"),
        (0.25, "0.25"),
        (True, "true"),
        (math.nan, ""),
        (LONG, LONG),
        ("👩‍🔬 earns 5\u202f%", "👩‍🔬 earns 5\u202f%"),
        ("half \ud83d of it", "half \ufffd of it"),
        ({"text": "a"}, "a"),
        ({"page_content": None, "x": 1}, '{"page_content": null, "x": 1}'),
        (["a", None, "b"], "a\nb"),
        ([], ""),
        ([{"role": "user", "content": "q"}], ""),
        ([[["deep"]]], "deep"),
        ("[1]", "[1]"),
    ],
)
def test_every_value_of_an_answer_comes_out(tmp_path: Path, value: Any, answer: str):
    (found,) = read(tmp_path, {"question": "q", "answer": value})
    assert found.given.answer == answer
    found.given.answer.encode()


@pytest.mark.parametrize(
    ("value", "contexts"),
    [
        (None, None),
        (math.nan, None),
        ([], ()),
        ([None], ()),
        ("one", ("one",)),
        (["a", None, 3], ("a", "3")),
        ([["a", "b"], "c"], ("a", "b", "c")),
        ([{"text": "a"}, {"content": "b"}, {"page_content": "c"}], ("a", "b", "c")),
        ([{"context": "a", "source": "s"}], ("a",)),
        ({"text": "a"}, ("a",)),
        (["\udc00"], ("\ufffd",)),
    ],
)
def test_every_value_of_contexts_comes_out(tmp_path: Path, value: Any, contexts: Any):
    (found,) = read(tmp_path, {"question": "q", "answer": "a", "contexts": value})
    assert found.given.contexts == contexts
    (absent,) = read(tmp_path, {"question": "q", "answer": "a"})
    assert absent.given.contexts is None


@pytest.mark.parametrize(
    ("own", "id_"), [("x", "x"), (7, 7), (0, 0), (None, "2"), ("", ""), (1.5, "1.5"), ([], "2")]
)
def test_a_rows_id_is_kept_as_it_was_written(tmp_path: Path, own: Any, id_: Any):
    found = read(tmp_path, {"answer": "a"}, {"id": own, "answer": "b"})[1]
    assert (found.id, found.given.id) == (id_, str(id_))


def test_the_whole_file_decides_whose_columns_they_are(tmp_path: Path):
    found = read(tmp_path, {"user_input": "q"}, {"user_input": "r", "response": "a"})
    assert [(f.given.question, f.given.answer) for f in found] == [("q", ""), ("r", "a")]


@pytest.mark.parametrize("name", ["data", "test_cases", "testCases", "goldens", "samples"])
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_may_be_wrapped(tmp_path: Path, name: str, indent: int | None):
    rows = [{"input": "q", "actual_output": "a"}, {"input": "r", "actual_output": None}]
    for whole in (rows, {"version": 1, name: rows}):
        file = written(tmp_path, b"\xef\xbb\xbf" + json.dumps(whole, indent=indent).encode())
        assert [row.given.answer for row in read_answers(file)] == ["a", ""]


def test_one_object_is_one_row_and_line_ends_do_not_matter(tmp_path: Path):
    (only,) = read_answers(written(tmp_path, json.dumps({"answer": "a", "data": []}, indent=1)))
    assert only.given.answer == "a"
    text = '{"answer": "a\u2028b"}\r\n\r\n{"answer": "c"}\r\n'
    assert [r.given.answer for r in read_answers(written(tmp_path, text))] == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"[]", "holds no rows"),
        (b'{"data": []}', "holds no rows"),
        (b'{"answer": "a"}\nnonsense\n', "line 2: is not JSON"),
        (b'{"answer": "a"}\n\n[1]\n', "line 3: is not an object"),
        (b'{"answer": "a"}\n7\n', "line 2: is not an object"),
        (b'[{"answer": "a"}, 7]', "row 2: is not an object"),
        (b'[\n{"answer": "a"},\n', "line 3: is not JSON"),
        (b'{"data": ["x"]}', "row 1: is not an object"),
        (b"\xff\xfe{\x00", "is not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"prompt": "q", "out\\nput": 1}', r"'prompt', 'out\nput'; name the answers"),
        (b'{"input": "q", "expected_output": "r"}', "deepeval: actual_output or actualOutput"),
        (b"{}", "columns are none"),
        (json.dumps({f"c{n}": 1 for n in range(20)}).encode(), "'c11' and 8 more"),
    ],
)
def test_a_file_without_answers_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(UsageError) as refused:
        read_answers(written(tmp_path, content))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="No such file"):
        read_answers(tmp_path / "missing.jsonl")


def a_run() -> Run:
    """A run of an answer and a refusal."""
    contexts = (Context("Pay is good.", "pay.md", ("Pay", "Bonus")), Context("Alone."))
    common: dict[str, Any] = {"sentences": (), "scores": {}}
    answered = Item("a", "How much?", "Good [1].", "answered", contexts=contexts, **common)
    refused = Item("b", "Who?", REFUSAL, "abstained", contexts=(), reference="Nobody.", **common)
    return Run("run", {}, None, {}, {}, (), (answered, refused))


@pytest.mark.parametrize("rows", [ragas_rows, deepeval_rows])
def test_a_run_is_read_as_it_was_given_away(tmp_path: Path, rows: Any):
    found = read(tmp_path, *rows(a_run()))
    assert [f.given.answer for f in found] == ["Good [1].", REFUSAL]
    assert [f.given.question for f in found] == ["How much?", "Who?"]
    assert [f.given.contexts for f in found] == [("Pay > Bonus.\nPay is good.", "Alone."), ()]
    assert [f.reference for f in found] == ["", "Nobody."]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("a \ud800é🎉", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("text content role type data".split()),
            inner | st.sampled_from(["user", "assistant"]),
            max_size=3,
        )
    ),
    max_leaves=8,
)
COLUMNS = "id question answer contexts reference".split()


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from(COLUMNS), ODD), min_size=1, max_size=3))
def test_whatever_the_values_are_each_row_comes_out(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
):
    found = read(tmp_path_factory.mktemp("odd"), {"answer": "a"}, *rows)
    assert len(found) == len(rows) + 1
    for row in found:
        given_ = row.given
        texts = [given_.id, given_.question, given_.answer, row.reference]
        "".join([*texts, *(given_.contexts or ())]).encode()


# --- TREC


def test_a_run_of_trec_goes_there_and_back(tmp_path: Path):
    text = trec_run({"q 1": ["a b", "c", "b"], "q2": ["a"], "q3": []}, "our run")
    assert text.splitlines()[0] == "q_1 Q0 a_b 1 3 our_run"
    assert read_trec_run(written(tmp_path, text)) == {"q_1": ("a_b", "c", "b"), "q2": ("a",)}


def test_scores_rank_and_equal_ones_rank_by_falling_id(tmp_path: Path):
    text = "1 Q0 a 1 0.5 x\n1 Q0 b 2 0.5 x\n1 Q0 c 3 0.9 x\n"
    assert read_trec_run(written(tmp_path, text)) == {"1": ("c", "b", "a")}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "1 0 a 1\n1 0 b 0\n2 0 a 2\n",
        "query-id\tcorpus-id\tscore\r\n1\ta\t1\r\n1\tb\t0\r\n2\ta\t2\n",
    ],
)
def test_judgements_are_read_in_both_forms(tmp_path: Path, text: str, zipped: bool):
    data = gzip.compress(text.encode()) if zipped else text.encode()
    file = written(tmp_path, data, "qrels.tsv.gz" if zipped else "qrels.tsv")
    assert read_qrels(file) == {"1": {"a": 1, "b": 0}, "2": {"a": 2}}


@pytest.mark.parametrize(
    ("reads", "content", "said"),
    [
        (read_trec_run, "1 Q0 a 1 0.5 x\n1 Q0 a b\n", "line 2: is not 'query Q0"),
        (read_trec_run, "1 Q0 a 1 high x\n", "line 1: is not 'query Q0"),
        (read_trec_run, "1 Q0 a 1 nan x\n", "line 1: has no finite score"),
        (read_trec_run, "1 Q0 a 1 2 x\n\n1 Q0 a 2 1 x\n", "line 3: names a document twice"),
        (read_qrels, "1 0 a 1\n1 0 b\n", "line 2: does not hold query, 0, document, relevance"),
        (read_qrels, "1 0 a much\n", "line 1: does not hold"),
        (read_qrels, "query-id\tcorpus-id\tscore\n1\ta\n", "line 2: does not hold query-id"),
        (read_qrels, "1 0 a 1\n1 0 a 0\n", "line 2: judges a document a second time"),
        (read_qrels, "\n", "is empty"),
        (read_qrels, b"\xff\xff", "cannot be read as UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, reads: Any, content: Any, said: str):
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        reads(written(tmp_path, content, "x.txt"))
    assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match=r"gone\.gz"):
        reads(tmp_path / "gone.gz")
    with pytest.raises(UsageError, match=r"broken\.gz"):
        reads(written(tmp_path, b"no gzip", "broken.gz"))


def test_ranking_metrics_by_hand():
    qrels = {"1": {"a": 2, "b": 1, "c": 0}, "2": {"a": 1}, "3": {"a": 0}, "4": {"d": 1}}
    run = {"1": ["c", "a", "x"], "2": ["a"], "9": ["a"]}
    found = ranking_metrics(qrels, run)
    # 1: one of two found, at rank 2: gain 2 / log2(3) of the ideal 2 + 1 / log2(3). 2: all of it.
    ndcg = (2 / math.log2(3)) / (2 + 1 / math.log2(3))
    assert found.values["recall@10"].value == round((0.5 + 1 + 0) / 3, 4)
    assert found.values["mrr"].value == round((0.5 + 1 + 0) / 3, 4)
    assert found.values["ndcg@10"].value == round((ndcg + 1 + 0) / 3, 4)
    assert {(value.judged, value.n) for value in found.values.values()} == {(3, 4)}
    assert found.missing == 1


def test_no_relevant_document_at_all_is_no_value():
    found = ranking_metrics({"1": {"a": 0}}, {"1": ["a"]})
    assert {value.value for value in found.values.values()} == {None}
    assert found.missing == 0


# --- BEIR

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
    out = write_beir_documents(a_collection(), tmp_path / "out")
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
    out = write_beir_documents(beir, tmp_path_factory.mktemp("text") / "out")
    document = Document("d.md", (out / "documents" / "000001-d.md").read_text("utf-8"))
    (section,) = document.sections
    assert section.path == ("A *title*",)
    spans = " ".join(document.text[span.start : span.end] for span in section.spans)
    assert re.findall(r"[a-z]+", spans) == re.findall(r"[a-z]+", f"{text} end")


def test_a_collection_becomes_an_index_that_finds_its_documents(
    tmp_path: Path, fresh_home: Path, embedder: LocalEmbedder
):
    out = write_beir_documents(a_collection(), tmp_path / "out")
    queries = read_rows(out / "queries.jsonl", Query)
    assert [(q.query, len(q.sources)) for q in queries] == [
        ("when do bakers rise", 1),
        ("how often do ferries cross", 1),
    ]
    build.build("beir", [out / "documents"], embedder)
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


def test_cases_go_out_with_the_sections_of_their_index(
    tmp_path: Path, fresh_home: Path, embedder: LocalEmbedder
):
    text = "# Guide\n\n## Pay\n\nPay is good.\n\n### Bonus\n\nTen percent.\n\n## Leave\n\nA lot.\n"
    written(tmp_path, text, "in/a guide.md")
    build.build("small", [tmp_path / "in"], embedder)
    index = store.open_generation(generations.current("small"), embedder)
    cases = [
        Case("c 1", "How good is pay?", True, sections=("Pay",)),
        Case("c2", "How much leave?", True, sections=("Leave", "Gone")),
        Case("c3", "Who?", False),
        Case("c4", "Where?", True, sections=("Gone",)),
    ]
    assert export_beir(cases, index, tmp_path / "out") == 2
    beir = read_beir(tmp_path / "out")
    assert beir.documents == {
        "a guide.md#1": ("Pay", "Pay is good."),
        "a guide.md#2": ("Pay > Bonus", "Ten percent."),
        "a guide.md#3": ("Leave", "A lot."),
    }
    assert beir.queries == {"c_1": "How good is pay?", "c2": "How much leave?"}
    assert beir.qrels == {"c_1": {"a guide.md#1": 1, "a guide.md#2": 1}, "c2": {"a guide.md#3": 1}}
    with pytest.raises(UsageError, match="holds the sections of no answerable case"):
        export_beir(cases[2:], index, tmp_path / "other")
