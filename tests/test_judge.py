"""`career-eval judge`: its figures worked out by hand, and the command on pairs people labelled."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assistant.support import SupportCheck
from eval.judge import (
    LabelledPair,
    auroc,
    balanced_accuracy,
    judge_labelled,
    reliability,
    word_overlap,
)
from eval.judges import CheckJudge, Judgement

PAIRS = [
    LabelledPair("a", "Bonus. It is 10-20% of base salary.", "The bonus is 10-20% of salary.", 1),
    LabelledPair("b", "Bonus. It is 10-20% of base salary.", "The bonus is 30% of salary.", 0),
    LabelledPair("c", "Nurses work 38 hours a week.", "A nurse works 38 hours per week.", 1),
    LabelledPair("d", "Nurses work 38 hours a week.", "Doctors play golf on Sundays.", 0),
]


def career_eval(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from eval.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def test_balanced_accuracy_is_the_mean_of_both_labels() -> None:
    labels, judged = np.array([1, 1, 1, 0.0]), np.array([1, 1, 0, 0.0])
    assert balanced_accuracy(labels, judged) == pytest.approx((2 / 3 + 1) / 2)
    assert np.isnan(balanced_accuracy(np.ones(2), np.ones(2)))


def test_auroc_counts_the_pairs_in_order_and_ties_half() -> None:
    labels, scores = np.array([1, 1, 0, 0.0]), np.array([0.9, 0.4, 0.4, 0.1])
    assert auroc(labels, scores) == pytest.approx(3.5 / 4)
    assert np.isnan(auroc(np.zeros(2), scores[:2]))


def test_word_overlap_punishes_a_figure_that_is_not_there() -> None:
    assert word_overlap(PAIRS[0]) == 1.0
    assert word_overlap(PAIRS[1]) == pytest.approx(2 / 3 - 0.5)  # "30" is a word too
    assert word_overlap(PAIRS[3]) == 0.0


def test_a_bad_judge_scores_badly(support: SupportCheck) -> None:
    good = reliability(PAIRS, judge_labelled(PAIRS, CheckJudge("shipped", support)))
    assert good["whole_check"]["balanced_accuracy"]["value"] == 1.0
    turned = [Judgement(not p.label, 1.0 - p.label, score=1.0 - p.label) for p in PAIRS]
    bad = reliability(PAIRS, turned)
    assert bad["whole_check"]["balanced_accuracy"]["value"] == 0.0
    assert bad["model"]["auroc"]["value"] == 0.0


def test_one_label_alone_is_told_and_is_no_number(support: SupportCheck) -> None:
    told = reliability(PAIRS[:1], judge_labelled(PAIRS[:1], CheckJudge("shipped", support)))
    nothing = {"value": None, "low": None, "high": None}
    assert told["whole_check"]["balanced_accuracy"] == told["model"]["auroc"] == nothing


def test_the_command_writes_every_verdict_and_repeats(home: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "pairs.jsonl", tmp_path / "scores.jsonl"
    file.write_text("".join(json.dumps(pair.__dict__) + "\n" for pair in PAIRS))
    ran = [career_eval("judge", str(file), "--json", "--scores", str(out)) for _ in range(2)]
    assert [r.returncode for r in ran] == [0, 0], ran[0].stderr
    assert ran[0].stdout == ran[1].stdout
    report = json.loads(ran[0].stdout)
    assert report["n"] == 4
    low, value, high = (report["model"]["auroc"][k] for k in ("low", "value", "high"))
    assert 0 <= low <= value <= high <= 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == [pair.id for pair in PAIRS]
    assert [row["supported"] for row in rows] == [True, False, True, False]
    assert all(0 <= row["score"] <= 1 for row in rows)


def test_bad_pairs_are_refused_in_one_line(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    for content, said in (
        ('{"id": "a", "evidence": "x", "claim": "y", "label": 2}', "label"),
        ('{"id": "a", "evidence": "x", "label": 1}', "claim"),
    ):
        file.write_text(content)
        ran = career_eval("judge", str(file))
        assert ran.returncode == 2
        assert said in ran.stderr
        assert "Traceback" not in ran.stderr
