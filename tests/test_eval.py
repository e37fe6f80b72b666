"""The evaluation: values worked out by hand, and both benchmarks on small inputs."""

import json
import math
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant import Answer, Assistant, Citation, Sentence, Settings
from assistant.llm import Message
from corpus.errors import ModelUnavailable, UsageError
from eval.bench import answer_times, ask_all, decode_rate, quantile
from eval.cases import SHIPPED_CASES, Case, read_cases, read_rows
from eval.quality import holds, mark, summary, uncited_figures
from eval.retrieval import Query, bench_retrieval, interval, scores
from index import build, generations, store
from index.embedder import Floats, OnProgress

TEXT = "# Pay\n\n## Bonus\n\nThe bonus is 10-20% of the salary. It is paid in May.\n"
QUOTE = "The bonus is 10-20% of the salary."
CASE = Case("a", "How much?", True, sections=("Bonus",), facts=(("10-20%", "10 to 20%"),))


def an_answer(
    text: str = f"{QUOTE[:-1]} [1].", *, section: str = "Bonus", shift: int = 0
) -> Answer:
    """An answer of one sentence that cites QUOTE, `shift` characters beside its place."""
    start = TEXT.index(QUOTE) + shift
    citation = Citation(1, "pay.md", "Pay", ("Pay", section), start, start + len(QUOTE), QUOTE)
    sentence = Sentence(text, 0, len(text), (1,), "supported", 0.9, "model")
    return Answer("How much?", "How much?", "answered", text, (sentence,), (citation,))


ABSTENTION = Answer("How much?", "How much?", "abstained", "The documents do not say.")


# Cases.


def test_the_shipped_cases_are_read_in_two_halves():
    every, dev, test = (read_cases(SHIPPED_CASES, split) for split in ("all", "dev", "test"))
    assert len(every) == len(dev) + len(test) > 300
    assert {case.id for case in dev} & {case.id for case in test} == set()
    assert read_cases(SHIPPED_CASES, "dev", 3) == dev[:3]


def test_a_case_is_dev_when_the_first_byte_of_its_ids_hash_is_even():
    assert Case("c001", "?", True).split == "dev"  # sha256 begins with 26
    assert Case("c002", "?", True).split == "test"  # 8f


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b'{"id": "a", "question": "?"}\n', "line 1: answerable"),
        (b'\n{"id": "a", "question": "?", "answerable": true}\nnope\n', "line 3"),
        (b'{"id": "a", "question": "?", "answerable": true}\n' * 2, "two cases"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_bad_case_file_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str):
    file = tmp_path / "cases.jsonl"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said) as refused:
        read_cases(file)
    assert "\n" not in str(refused.value)


def test_a_missing_case_file_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="No such file"):
        read_cases(tmp_path / "none.jsonl")


# Quality.


@pytest.mark.parametrize(
    ("text", "wording", "held"),
    [
        ("It is 5%.", "5%", True),
        ("It is 25%.", "5%", False),
        ("It is 2.5%.", "5%", False),
        ("In 2029.", "2029", True),
        ("In 20290.", "2029", False),
        ("It is $143,500.", "$143,500", True),
        ("It is $143,500,000.", "$143,500", False),
        ("Resilience counts.", "resilien", True),
        ("fourteen", "four", True),  # wordings are beginnings of words
        ("They distrust it.", "trust", False),
    ],
)
def test_a_fact_is_held_in_one_of_its_wordings(text: str, wording: str, held: bool):
    assert holds(text, [(wording, "something else entirely")]) is held


def test_all_facts_are_needed():
    assert holds("Python and SQL", [("Python",), ("SQL",)])
    assert not holds("Python", [("Python",), ("SQL",)])
    assert holds("anything", [])


def test_a_right_answer_has_all_marks():
    marks = mark(CASE, an_answer(), {"pay.md": TEXT}.__getitem__)
    assert vars(marks) == {
        "facts_held": True,
        "section_cited": True,
        "only_sections_cited": True,
        "false_refusals": False,
        "false_answers": None,
        "forbidden_said": None,
        "citations_exact": True,
        "figures_cited": True,
    }


def test_wrong_answers_lose_the_marks_that_they_should():
    stored = {"pay.md": TEXT}.__getitem__
    assert mark(CASE, an_answer(section="Leave"), stored).section_cited is False
    assert mark(CASE, an_answer(shift=1), stored).citations_exact is False
    assert mark(CASE, an_answer("The bonus is 30% [1]."), stored).facts_held is False
    assert mark(CASE, an_answer("The bonus is 30% [1]."), stored).figures_cited is False
    forbidden = Case("b", "?", False, forbidden=("10-20%",))
    assert mark(forbidden, an_answer(), stored).forbidden_said is True
    assert mark(forbidden, an_answer(), stored).false_answers is True


def test_an_abstention_holds_nothing_and_shows_nothing():
    marks = mark(CASE, ABSTENTION, {}.__getitem__)
    assert (marks.facts_held, marks.section_cited, marks.false_refusals) == (False, False, True)
    assert (marks.citations_exact, marks.figures_cited) == (None, None)
    assert mark(Case("b", "?", False), ABSTENTION, {}.__getitem__).false_answers is False


def test_a_mark_is_no_figure_and_a_heading_gives_figures_too():
    assert uncited_figures(an_answer("The bonus is 10-20% [1].")) == []
    assert uncited_figures(an_answer("The bonus of 2024 is 10-20% [1].")) == ["2024"]
    assert uncited_figures(an_answer("The bonus of 2024 is 10-20% [1].", section="Pay 2024")) == []


def test_the_summary_counts_only_where_the_question_arises():
    stored = {"pay.md": TEXT}.__getitem__
    rates = summary([mark(CASE, an_answer(), stored), mark(CASE, ABSTENTION, stored)])
    assert rates["facts_held"] == {"rate": 0.5, "count": 1, "n": 2}
    assert rates["citations_exact"] == {"rate": 1.0, "count": 1, "n": 1}
    assert rates["false_answers"] == {"rate": None, "count": 0, "n": 0}


# Speed.


@pytest.mark.parametrize(("q", "value"), [(0.0, 1), (0.5, 5), (0.9, 9), (0.91, 10), (1.0, 10)])
def test_a_quantile_is_one_of_the_values(q: float, value: int):
    assert quantile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], q) == value


class Parrot:
    """An LLM that says the same few words to everything."""

    fingerprint = "parrot"

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        yield from self._pieces

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def close(self) -> None:
        pass


def test_the_decode_rate_leaves_the_first_piece_out(monkeypatch: pytest.MonkeyPatch):
    ticks = iter([10.0, 10.5, 12.0])
    monkeypatch.setattr("eval.bench.time.perf_counter", lambda: next(ticks))
    assert decode_rate(Parrot("one ", "two ", "three four")) == 1.5  # three words in two seconds


def test_a_model_that_writes_one_piece_cannot_be_timed():
    with pytest.raises(ModelUnavailable, match="too little"):
        decode_rate(Parrot("hm"))


def test_each_case_is_asked_once_and_timed(home: Path):
    cases = read_cases(SHIPPED_CASES, "dev", 3)
    assistant = Assistant.open(llm=Parrot("Nothing."), settings=Settings())
    asked = ask_all(assistant, cases)
    times = answer_times(asked)
    assert [a.case.id for a in asked] == [case.id for case in cases]
    assert all(a.first is None or 0 < a.first <= a.total for a in asked)
    assert times["answer_ms"]["n"] + times["abstention_ms"]["n"] == 3


# Retrieval.


def test_retrieval_scores_are_those_worked_out_by_hand():
    relevant = [("a",), ("a", "c"), ("a",), ("z",)]
    rankings = [["b", "a"], ["a"], [*(str(n) for n in range(11)), "a"], []]
    found = scores(relevant, rankings)
    ideal = 1 + 1 / math.log2(3)
    assert found["recall@10"] == [1.0, 0.5, 0.0, 0.0]
    assert found["ndcg@10"] == pytest.approx([1 / math.log2(3), 1 / ideal, 0.0, 0.0], abs=1e-4)
    assert found["mrr"] == pytest.approx([1 / 2, 1.0, 1 / 12, 0.0])


def test_intervals_hold_the_mean_and_repeat():
    values = [0.0, 1.0] * 50
    first = interval(values)
    assert first == interval(values)
    assert first["mean"] == 0.5
    assert 0.38 < first["low"] < 0.43  # 0.5 - 1.96 * 0.05 = 0.402
    assert 0.57 < first["high"] < 0.62
    assert interval([1.0, 1.0, 1.0]) == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert interval([0.25]) == {"mean": 0.25, "low": None, "high": None}


class WordEmbedder:
    """An embedder whose dimensions are five words: what it finds can be worked out by hand."""

    name, weights, limit = "words", "0" * 64, 200
    _words = ("bread", "wood", "law", "court", "oven")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> Floats:
        counts = [[text.lower().count(word) for word in self._words] for text in texts]
        vectors = np.asarray(counts, dtype=np.float32) + np.float32(1e-3)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture
def trades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Index:
    """An index of three documents."""
    monkeypatch.setenv("CAREER_HOME", str(tmp_path / "home"))
    for name, text in {
        "baker.md": "# Baker\n\nA baker bakes bread in an oven.\n",
        "joiner.md": "# Joiner\n\nA joiner works with wood.\n",
        "judge.md": "# Judge\n\nA judge knows the law and sits in court.\n",
    }.items():
        (tmp_path / name).write_text(text)
    build.build("trades", [tmp_path / f"{n}.md" for n in ("baker", "joiner", "judge")], EMBEDDER)
    return store.open_generation(generations.current("trades"), EMBEDDER)


EMBEDDER = WordEmbedder()


def test_the_arms_of_retrieval_find_what_they_can(trades: store.Index):
    queries = [Query("bread oven", "baker.md"), Query("sits", ("judge.md",))]
    measured = bench_retrieval(queries, trades, EMBEDDER)
    dense, bm25, fused = (measured["arms"][name] for name in ("dense", "bm25", "fused"))
    assert (measured["n"], measured["relevant_not_indexed"]) == (2, 0)
    assert bm25["mrr"]["mean"] == fused["mrr"]["mean"] == 1.0
    assert dense["recall@10"]["mean"] == 1.0
    assert all(arm["queries_per_s"] > 0 for arm in (dense, bm25, fused))


def test_queries_for_another_index_are_refused(trades: store.Index):
    with pytest.raises(UsageError, match="none of the relevant"):
        bench_retrieval([Query("bread", "bakers.md")], trades, EMBEDDER)
    some = [Query("bread", "bakers.md"), Query("bread", "baker.md")]
    assert bench_retrieval(some, trades, EMBEDDER)["relevant_not_indexed"] == 1


def test_a_query_names_one_source_or_several(tmp_path: Path):
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "a", "relevant": "x.md"}\n{"query": "b", "relevant": ["y.md"]}\n')
    assert [query.sources for query in read_rows(file, Query)] == [("x.md",), ("y.md",)]


# The command.


def career_eval(*arguments: str) -> tuple[int, str]:
    """The exit code and the stdout of a new process."""
    code = "import sys; from eval.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=280
    )
    return done.returncode, done.stdout


def test_bench_answer_reports_speed_and_quality_of_the_same_answers(home: Path):
    code, out = career_eval("bench", "answer", "--limit", "2", "--no-backends", "--json")
    report = json.loads(out)
    assert code == 0
    assert (
        report["n"]
        == report["quality"]["facts_held"]["n"] + report["quality"]["false_answers"]["n"]
    )
    assert report["speed"]["cold_ask_ms"]["n"] == 3
    assert report["speed"]["import_assistant_ms"]["median"] > 0
    assert report["cases"]["split"] == "dev"


def test_bench_drafts_counts_right_and_wrong_sentences_displayed(home: Path, tmp_path: Path):
    right, repeated = "Annual bonuses are 10-20% of base salary [1].", "Annual bonuses are 10-20%."
    wrong, vague = "Annual bonuses are 30-40% of base salary [1].", "It may be otherwise."
    row = {"id": "a", "question": "How high is the annual bonus?", "slip": wrong, "wrong": wrong}
    file = tmp_path / "drafts.jsonl"
    file.write_text(json.dumps(row | {"good": f"{right} {repeated} {vague}"}) + "\n")
    code, out = career_eval("bench", "drafts", str(file), "--json")
    report = json.loads(out)
    assert code == 0
    assert report["right_displayed"] == {"rate": 0.5, "count": 1, "n": 2}
    assert report["wrong_displayed"] == {"rate": 0.0, "count": 0, "n": 1}
    assert report["reasons"]["it repeats what was said"] == 1
    file.write_text(json.dumps(row | {"good": right, "slip": right, "wrong": right}) + "\n")
    code, out = career_eval("bench", "drafts", str(file))
    assert code == 0
    assert "wrong_displayed" in out
    assert json.loads(career_eval("bench", "drafts", str(file), "--json")[1])["wrong_displayed"][
        "count"
    ]


def test_bench_retrieval_prints_a_table(home: Path, tmp_path: Path):
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "salary in Boston", "relevant": "senior-ai-ml-engineer.md"}\n')
    code, out = career_eval("bench", "retrieval", "--queries", str(file))
    assert code == 0
    assert "recall@10" in out
    assert "fused" in out


def test_errors_are_those_of_career(tmp_path: Path):
    missing = str(tmp_path / "none.jsonl")
    code, out = career_eval("bench", "retrieval", "--queries", missing, "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "usage")
    assert career_eval("bench", "guess")[0] == 2
