"""Answers and rankings of other programs: read, written, and there and back."""

import errno
import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import DiskFull, MachineError, UsageError
from eval.answers import AnswerRow, read_answers
from eval.exchange import (
    deepeval_rows,
    ragas_rows,
    ranking_metrics,
    read_qrels,
    read_trec_run,
    section_id,
    trec_run,
)
from eval.records import Context, Item, Run, writing

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


def test_a_section_has_one_id_of_one_word():
    assert (
        section_id("a guide.md", ("Pay and\tperks", "Bonus")) == "a_guide.md#Pay_and_perks_>_Bonus"
    )
    assert section_id("a.md", ()) == "a.md"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *[(n, UsageError) for n in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR)],
        (errno.ENOSPC, DiskFull),
        (errno.EIO, MachineError),
    ],
)
def test_what_the_disk_refuses_is_said_in_one_line(tmp_path: Path, number: int, kind: Any):
    with pytest.raises(kind, match="out") as refused, writing(tmp_path / "out"):
        raise OSError(number, "no")
    assert "\n" not in str(refused.value)


def test_each_row_is_read_in_the_schema_that_it_is_in(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    rows = [{"answer": "One.", "contexts": []}, {"response": "Two.", "retrieved_contexts": ["x"]}]
    file.write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [(r.given.answer, r.given.contexts) for r in read_answers(file)] == [
        ("One.", ()),
        ("Two.", ("x",)),
    ]
