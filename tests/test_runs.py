"""`career-eval run`, `score`, `compare` and the pytest fixture, with real assistant and judge."""

import json
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Ran, ran_here, started

from assistant import Answer
from corpus.errors import UsageError
from eval.cases import read_cases, read_rows
from eval.cli import main
from eval.compare import BETTER, SAME, UNDECIDED, WORSE, compare
from eval.records import Item, Run, load_run, save_run
from eval.runs import Asked, _finished
from eval.systems import ANSWERS, GoldAnswer

CASES = [
    {
        "id": "salary",
        "question": "What is the national average base salary?",
        "answerable": True,
        "kind": "numeric",
        "sections": ["Base Salary Ranges"],
        "facts": [["$126,557"]],
    },
    {
        "id": "seattle",
        "question": "And in Seattle?",
        "history": [{"question": "How much more do they pay in Boston?", "answer": "10-15%."}],
        "answerable": True,
        "kind": "follow-up",
        "sections": ["Geographic Variations"],
        "facts": [["15-20%"]],
    },
    {"id": "mongolia", "question": "What is the capital of Mongolia?", "answerable": False},
]


def career_eval(*arguments: str) -> Ran:
    """`career-eval`, in this process."""
    return ran_here(main, *arguments)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "eval.cli", *arguments]


def jsonl(file: Path, rows: Sequence[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jsonl(tmp_path_factory.mktemp("cases") / "cases.jsonl", CASES)


@pytest.fixture(scope="module")
def finished(home: Path, cases: Path) -> Path:
    """The folder of a run that was let finish."""
    out = cases.parent / "run"
    ran = career_eval("run", str(cases), "--out", str(out), "--json", "--min-faithfulness", "0.5")
    assert ran.code == 0, ran.stderr
    assert ran.json["passed"] is True
    assert ran.json["metrics"]["facts_held"]["value"] == 1.0
    return out


# Runs.


def test_a_run_leaves_its_figures_and_its_reports(finished: Path) -> None:
    names = {file.name for file in finished.iterdir()} - {".lock"}
    assert names == {"run.json", "timings.json", "report.html", "report.md", "junit.xml"}
    run = load_run(finished)
    assert [item.id for item in run.items] == ["salary", "seattle", "mongolia"]
    assert run.metrics["false_answers"].value == 0.0
    assert set(run.by_kind) == {"numeric", "follow-up"}
    assert run.manifest["cases"]["n"] == 3
    assert run.judge_card
    salary = run.items[0]
    quote = salary.citations[0]
    assert "$126,557" in quote.quote
    assert all(s.verdict == "supported" for s in salary.sentences)
    assert "How far this judge can be trusted" in (finished / "report.html").read_text()
    suites = ET.parse(finished / "junit.xml").getroot()
    assert len(suites.findall(".//testcase")) == 4
    assert suites.findall(".//failure") == []
    timings = json.loads((finished / "timings.json").read_text())
    assert timings["latency"]["answer_ms"]["n"] == 2
    assert "ms" not in re.sub(r'"(?!\w*_ms")[^"]*"', "", (finished / "run.json").read_text())


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    finished: Path, cases: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    progress = out / "progress.jsonl"
    with started(command("run", str(cases), "--out", str(out))) as process:
        deadline = time.monotonic() + 120
        while not progress.exists() or progress.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    kept = progress.read_bytes().split(b"\n")[1]
    with progress.open("ab") as file:
        file.write(b'{"id": "seattle", "asked": {"ans')  # what a crash leaves
    ran = career_eval("run", str(cases), "--out", str(out), "--min", "faithfulness=0.5")
    assert ran.code == 0, ran.stderr
    first = json.loads((out / "timings.json").read_text())["items"]["salary"]
    assert first["total_ms"] == json.loads(kept)["asked"]["total_ms"], "asked a second time"
    assert (out / "run.json").read_bytes() == (finished / "run.json").read_bytes()


def test_what_is_there_is_not_overwritten(finished: Path, cases: Path, tmp_path: Path) -> None:
    before = (finished / "run.json").read_bytes()
    ran = career_eval("run", str(cases), "--out", str(finished))
    assert (ran.code, ran.stderr.count("\n")) == (2, 1)
    assert "finished run" in ran.stderr
    assert (finished / "run.json").read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    jsonl(other / "progress.jsonl", [{"manifest": {"cases": "others"}}])
    ran = career_eval("run", str(cases), "--out", str(other))
    assert (ran.code, "other cases" in ran.stderr) == (2, True), ran.stderr


def test_a_gate_that_fails_is_exit_code_1(finished: Path, cases: Path, tmp_path: Path) -> None:
    better = load_run(finished)
    items = [replace(i, scores={**i.scores, "answer_relevance": 1.0}) for i in better.items]
    baseline = tmp_path / "baseline"
    baseline.mkdir()
    many = [replace(i, id=f"{i.id}") for i in items]
    save_run(replace(better, items=tuple(many)), baseline)
    ran = career_eval(
        "run",
        str(cases),
        *("--out", str(tmp_path / "run"), "--json"),
        *("--max", "facts_held=0.5", "--baseline", str(baseline)),
    )
    assert ran.code == 1, ran.stderr
    gates = {gate["name"]: gate["passed"] for gate in ran.json["gates"]}
    assert gates["facts_held <= 0.5"] is False
    assert gates["faithfulness no worse than the baseline"] is True
    assert "failed" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min", "fathfulness=1"), "names no metric"),
        (("--baseline", "nowhere"), "nowhere"),
        (("--judge", "no/such-judge"), "no/such-judge"),
        (("--index", "nothing-here"), "nothing-here"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    home: Path, cases: Path, tmp_path: Path, options: tuple[str, str], said: str
) -> None:
    ran = career_eval("run", str(cases), "--out", str(tmp_path / "run"), *options)
    assert ran.code in (2, 3, 4)
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_asked(
    home: Path, cases: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    ran = career_eval("run", str(cases), "--out", str(taken))
    assert (ran.code, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert ran.stderr.startswith("career-eval: ")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "progress.jsonl").write_text("{}\n")
    ran = career_eval("score", str(jsonl(tmp_path / "a.jsonl", RAGAS)), "--out", str(unfinished))
    assert (ran.code, ran.stdout) == (2, b"")
    assert (unfinished / "progress.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "  "}, "question is empty"),
        ({"question": "x" * 5000}, "5,000 characters"),
        ({"history": [{"role": "user"}]}, "history"),
        ({"facts": [[]]}, "empty text"),
        ({"forbidden": [""]}, "empty text"),
    ],
)
def test_a_case_that_would_stop_the_run_is_refused_before_it(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = jsonl(tmp_path / "cases.jsonl", [CASES[0], CASES[1] | change])
    with pytest.raises(UsageError, match=said) as refused:
        read_cases(file)
    assert "'seattle'" in str(refused.value)


def test_every_finished_answer_is_found_again(tmp_path: Path) -> None:
    answer = Answer("a\u2028b", "?", "answered", "c\u0085d\u2029e")
    asked = Asked(answer, (), None, 1.0)
    progress = tmp_path / "progress.jsonl"
    rows = [{"manifest": {}}, *({"id": i, "asked": asdict(asked)} for i in "xyz")]
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for cut_off in ("", '{"id": "w", "asked"', "5\n", '{"id": 1}\n'):
        progress.write_text(whole + cut_off, "utf-8", newline="\n")
        assert list(_finished(progress, {})) == ["x", "y", "z"]
        assert progress.read_text("utf-8") == whole
    progress.write_text("5\n")
    assert _finished(progress, {}) == {}


def test_drafts_wait_for_a_person(home: Path, tmp_path: Path) -> None:
    drafts = jsonl(tmp_path / "drafts.jsonl", [CASES[0] | {"draft": True}])
    ran = career_eval("run", str(drafts), "--out", str(tmp_path / "run"))
    assert (ran.code, "drafts" in ran.stderr) == (2, True)


# Comparing.


def a_run(scores: Sequence[float], answers: Sequence[str] = ()) -> Run:
    items = tuple(
        Item(
            id=f"c{at:02}",
            question="?",
            answer=answers[at] if answers else "x",
            status="answered",
            sentences=(),
            contexts=(),
            answerable=True,
            facts=(("x",),),
            scores={"faithfulness": score, "facts_held": score},
        )
        for at, score in enumerate(scores)
    )
    return Run("run", {"judge": "one"}, None, {}, {}, (), items)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([0.0] * 12, [1.0] * 12, BETTER),
        ([1.0] * 12, [0.0] * 12, WORSE),
        ([1.0] * 12, [1.0] * 12, SAME),
        ([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0], UNDECIDED),
        ([0.0], [1.0], UNDECIDED),
    ],
)
def test_a_difference_is_told_only_where_the_cases_tell_it(
    before: list[float], after: list[float], verdict: str
) -> None:
    found = compare(a_run(before), a_run(after))
    assert found.differences[0].metric == "faithfulness"
    assert found.differences[0].verdict == verdict


def test_gained_and_lost_cases_are_named() -> None:
    a, b = a_run([1.0, 0.0, 1.0], ["x", "y", "z"]), a_run([0.0, 1.0, 1.0], ["y", "x", "z"])
    assert [(c.now, c.a.id) for c in compare(a, b).changes] == [("lost", "c00"), ("gained", "c01")]
    fewer = replace(b, items=b.items[:2], manifest={"judge": "another"})
    told = compare(a, fewer)
    assert [d.metric for d in told.differences] == ["facts_held"]
    assert len(told.notes) == 2
    with pytest.raises(UsageError, match="no case in common"):
        compare(a, replace(b, items=()))


def test_twins_in_answers_of_others_are_compared_each_with_its_own() -> None:
    run = a_run([1.0, 0.0])
    twins = replace(run, items=tuple(replace(item, id="1") for item in run.items))
    assert {d.verdict for d in compare(twins, twins).differences} == {SAME}


def test_a_run_that_holds_no_number_is_refused(tmp_path: Path) -> None:
    save_run(a_run([0.5]), tmp_path)
    file = tmp_path / "run.json"
    for bad in (file.read_text().replace("0.5", "NaN"), "[" * 100_000):
        file.write_text(bad)
        with pytest.raises(UsageError):
            load_run(tmp_path)


def test_compare_prints_both_answers(finished: Path, tmp_path: Path) -> None:
    run = load_run(finished)
    other = [replace(i, answer="No idea.", scores={"facts_held": 0.0}) for i in run.items]
    save_run(replace(run, items=tuple(other)), tmp_path)
    ran = career_eval("compare", str(finished), str(tmp_path))
    assert ran.code == 0, ran.stderr
    assert "lost" in ran.text
    assert "No idea." in ran.text
    told = career_eval("compare", str(finished), str(tmp_path), "--json").json
    assert {c["id"]: c["now"] for c in told["changes"]}["salary"] == "lost"
    (tmp_path / "run.json").write_text('{"schema": 99}')
    ran = career_eval("compare", str(finished), str(tmp_path))
    assert (ran.code, ran.stderr.count("\n")) == (2, 1)


# Answers made elsewhere.


RAGAS = [
    {
        "user_input": "When is the bonus paid?",
        "response": "The bonus is paid in May. It is 10-20% of the salary.",
        "retrieved_contexts": ["The bonus is paid in May.", "The bonus is 10-20% of the salary."],
        "reference": "The bonus is paid in May.",
    },
    {"user_input": "?", "response": "I don't know.", "retrieved_contexts": ["x"]},
    {"user_input": "?", "response": "", "retrieved_contexts": []},
    {"user_input": "?", "response": None, "retrieved_contexts": None},
    {"user_input": "?", "response": "\U0001f600", "retrieved_contexts": ["\U0001f600"]},
    {"user_input": "?", "response": "It pays 5%. " * 50, "retrieved_contexts": []},
]
DEEPEVAL = [
    {"input": "?", "actual_output": "Pay day is in June.", "retrieval_context": ["Pay day: May."]}
]


def test_every_row_gets_a_score_or_a_reason_in_its_order(home: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "answers.jsonl", RAGAS)
    out = tmp_path / "report"
    ran = career_eval("score", str(file), "--out", str(out))
    assert ran.code == 0, ran.stderr
    again = career_eval("score", str(file), "--json")
    assert again.stdout == ran.stdout
    rows = [json.loads(line) for line in ran.text.splitlines()]
    assert [row["id"] for row in rows] == [str(n) for n in range(1, 7)]
    assert [row["faithfulness"] for row in rows] == [1.0, None, None, None, None, 0.0]
    assert all(row["reason"] for row in rows if row["faithfulness"] is None)
    assert [len(row["sentences"]) for row in rows] == [2, 1, 0, 0, 1, 50], rows
    assert [s["context"] for s in rows[0]["sentences"]] == [0, 1]
    assert "NaN" not in ran.text
    assert str(tmp_path) not in ran.text
    assert "balanced accuracy" in ran.stderr, "the judge's own reliability stands beside the score"
    run = load_run(out)
    assert run.metrics["context_recall"].value == 1.0
    assert (out / "report.html").exists()


def test_deepeval_s_columns_are_known(home: Path, tmp_path: Path) -> None:
    ran = career_eval("score", str(jsonl(tmp_path / "answers.jsonl", DEEPEVAL)))
    (sentence,) = json.loads(ran.text)["sentences"]
    assert sentence["verdict"] == "unsupported"
    assert 0 <= sentence["support"] < 0.5


# The judge.


def test_the_judge_s_figures_follow_from_its_scores(home: Path, tmp_path: Path) -> None:
    rows = lines(ROOT / "eval/judged/career.jsonl")[::15]
    file, scores = jsonl(tmp_path / "pairs.jsonl", rows), tmp_path / "scores.jsonl"
    report = career_eval("judge", str(file), "--json", "--scores", str(scores)).json
    told = lines(scores)
    assert [t["id"] for t in told] == [r["id"] for r in rows]
    both = [(r["label"], t["supported"], t["score"]) for t, r in zip(told, rows, strict=True)]
    right = [
        np.mean([verdict == bool(label) for label, verdict, _ in both if label == wanted])
        for wanted in (0, 1)
    ]
    found = report["whole_check"]["balanced_accuracy"]["value"]
    assert found == pytest.approx(np.mean(right), abs=1e-4)
    ones = [score for label, _, score in both if label]
    zeros = [score for label, _, score in both if not label]
    wins = [(a > b) + (a == b) / 2 for a in ones for b in zeros]
    assert report["model"]["auroc"]["value"] == pytest.approx(np.mean(wins), abs=1e-4)
    assert sum(row["n"] for row in report["calibration"]) == len(rows)


def test_the_judge_ranks_answers_as_they_deserve(home: Path) -> None:
    report = career_eval("bench", "systems", "--limit", "15", "--json").json
    values = [row["value"] for row in report["systems"].values()]
    assert values[:3] == sorted(values[:3], reverse=True)
    assert max(values[3:]) < 0.1 < values[2]  # of fifteen, one sentence decides which is worse
    assert values[0] > 0.7


def test_the_gold_answers_are_whole() -> None:
    answers = read_rows(ANSWERS, GoldAnswer)
    assert len(answers) == len({a.id for a in answers}) == 300
    for answer in answers:
        assert len(answer.gold) == len(answer.corrupted) == 3
        assert not set(answer.gold) & {c.text for c in answer.corrupted}


# The pytest plugin.


TESTS = """
def test_good(career_eval):
    career_eval.require_faithful("The bonus is paid in May.", ["The bonus is paid in May."])

def test_bad(career_eval):
    career_eval.require_faithful("The bonus is paid in June.", ["The bonus is paid in May."])

def test_one_text_is_no_list(career_eval):
    career_eval.require_faithful("The bonus is paid in May.", "The bonus is paid in May.")

def test_cases(career_eval):
    run = career_eval.run("cases.jsonl")
    career_eval.require(run, least={"facts_held": 1.0}, most={"false_refusals": 0.0})
    career_eval.require(run, most={"facts_held": 0.5})
"""


def test_a_team_gates_its_documents_in_its_own_tests(home: Path, tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(TESTS)
    jsonl(tmp_path / "cases.jsonl", CASES[:1])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
    )
    assert "3 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "The bonus is paid in June. (June is not in the cited text)" in ran.stdout
    assert "give a list of texts" in ran.stdout
    assert "facts_held <= 0.5: 1 over 1 of 1 answers" in ran.stdout
    assert "salary: What is the national average base salary?" in ran.stdout
