"""The metrics: values worked out by hand, and a bad answer set that each of them punishes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from assistant import Answer, Citation, Sentence
from assistant.pipeline import open_index
from assistant.support import SupportCheck
from corpus.errors import UsageError
from eval import card
from eval.cases import Case
from eval.faithfulness import Given, assess
from eval.gates import judged, limits
from eval.judges import CheckJudge, Judgement
from eval.metrics import (
    BY_NAME,
    HIGHER,
    METRICS,
    average_precision,
    bootstrap_interval,
    mean_of,
    over,
    percentiles,
    risk_coverage,
)
from eval.records import Context, Item, Run
from eval.scoring import (
    case_scores,
    context_scores,
    judged_scores,
    reference_claims,
    retrieval_scores,
    similarities,
)
from index.embedder import LocalEmbedder

TEXT = "# Pay\n\n## Bonus\n\nThe bonus is 10-20% of the salary. It is paid in May.\n"
QUOTE = "The bonus is 10-20% of the salary."
ASKED = Case(
    "a",
    "How high is the bonus?",
    True,
    sections=("Bonus",),
    facts=(("10-20%",), ("May",)),
    forbidden=("30%",),
    reference="The bonus is 10-20% of the salary and is paid in May.",
)
NOT_ASKED = Case("b", "How high is the bonus in Chile?", False, forbidden=("Chile",))
CONTEXTS = (
    Context("The bonus is 10-20% of the salary. It is paid in May.", "pay.md", ("Pay", "Bonus")),
)
OTHERS = (Context("Leave is 25 days.", "pay.md", ("Pay", "Leave")),)


# Values.


def test_a_mean_tells_how_many_were_judged() -> None:
    value = mean_of([1.0, 0.5, None, 0.0])
    assert (value.value, value.judged, value.n) == (0.5, 3, 4)
    assert value.low is not None
    assert value.high is not None
    assert value.low <= 0.5 <= value.high


@pytest.mark.parametrize("scores", [[], [None, None]])
def test_of_nothing_judged_there_is_no_value(scores: list[float | None]) -> None:
    value = mean_of(scores)
    assert (value.value, value.low, value.high, value.judged) == (None, None, None, 0)
    assert over([{"faithfulness": score} for score in scores]) == {}


def test_one_score_has_no_interval() -> None:
    assert (mean_of([0.7]).low, mean_of([0.7]).high) == (None, None)


def test_all_right_is_not_sure_to_stay_so() -> None:
    value = mean_of([1.0] * 10)
    assert value.high == 1.0
    assert value.low == pytest.approx(0.6915, abs=1e-3)  # Clopper-Pearson: 0.025 ** (1 / 10)
    none = mean_of([0.0] * 10)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.3085, abs=1e-3)


def test_an_interval_is_that_of_the_normal_distribution_for_many_scores() -> None:
    scores = np.random.default_rng(1).random(400)
    low, high = bootstrap_interval(np.mean, scores)
    half = 1.96 * scores.std() / 20
    assert low == pytest.approx(scores.mean() - half, abs=0.004)
    assert high == pytest.approx(scores.mean() + half, abs=0.004)


def test_average_precision_is_the_mean_of_the_precisions_at_the_hits() -> None:
    assert average_precision([True, False, True]) == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)
    assert average_precision([False, False]) == 0.0


def test_risk_is_the_share_of_wrong_answers_among_the_surest() -> None:
    points = risk_coverage([0.9, 0.8, 0.8, 0.6], [False, True, False, True], cases=8)
    assert [(p.threshold, p.coverage, p.risk) for p in points] == [
        (0.9, 0.125, 0.0),
        (0.8, 0.375, 0.3333),
        (0.6, 0.5, 0.5),
    ]


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles(list(range(1, 101))) == {
        "n": 100,
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 100,
    }
    assert percentiles([]) == {"n": 0, "p50": None, "p90": None, "p99": None, "max": None}


# A bad answer set: each metric must be worse for it than for the good one.


def answer_of(text: str, quote: str = QUOTE, section: str = "Bonus", shift: int = 0) -> Answer:
    """An answer of one sentence that cites `quote`, `shift` characters beside its place."""
    start = TEXT.index(QUOTE) + shift
    citation = Citation(1, "pay.md", "Pay", ("Pay", section), start, start + len(quote), quote)
    sentence = Sentence(text, 0, len(text), (1,), "supported", 0.9, "model")
    return Answer("?", "?", "answered", text, (sentence,), (citation,))


REFUSAL = Answer("?", "?", "abstained", "The indexed documents do not answer this question.")
GOOD = answer_of(
    "The bonus is 10-20% of the salary and is paid in May [1].", TEXT[TEXT.index(QUOTE) : -1]
)
BAD = answer_of("Nurses in Chile get 30% on top, and cats like milk [1].", section="Leave", shift=3)


def test_every_metric_punishes_a_bad_answer_set(
    embedder: LocalEmbedder, support: SupportCheck
) -> None:
    good = scores_of([(ASKED, GOOD), (NOT_ASKED, REFUSAL)], CONTEXTS, embedder, support)
    bad = scores_of([(ASKED, BAD), (NOT_ASKED, BAD)], OTHERS, embedder, support)
    refused = scores_of([(ASKED, REFUSAL), (NOT_ASKED, REFUSAL)], CONTEXTS, embedder, support)
    not_here = {"recall@10", "mrr", "ndcg@10"}  # of the search: the next test
    for metric in METRICS:
        if metric.name in not_here:
            continue
        worse = refused if metric.name in ("false_refusals", "refusal_precision") else bad
        one, other = good[metric.name].value, worse[metric.name].value
        assert one is not None, metric.name
        assert other is not None, metric.name
        assert (one > other) if metric.better == HIGHER else (one < other), metric.name


def scores_of(
    asked: list[tuple[Case, Answer]],
    contexts: tuple[Context, ...],
    embedder: LocalEmbedder,
    support: SupportCheck,
) -> dict[str, object]:
    judge = CheckJudge("shipped", support)
    found = []
    for case, answer in asked:
        cited = {c.mark: c.quote for c in answer.citations}
        given = Given(case.id, case.question, answer.text, tuple(c.read for c in contexts), cited)
        spoken = (case.question, answer.text) if answer.answered else None
        alike = (case.reference, answer.text) if case.reference and answer.answered else None
        (claims,) = reference_claims([(case.reference, contexts)], judge)
        found.append(
            judged_scores(assess([given], judge)[0])
            | case_scores(case, answer, lambda _: TEXT)
            | context_scores(case, contexts, claims)
            | {
                "answer_relevance": similarities([spoken], embedder)[0],
                "reference_similarity": similarities([alike], embedder)[0],
            }
        )
    return over(found)


def test_retrieval_is_scored_by_the_sections_that_the_index_holds(
    home: Path, embedder: LocalEmbedder
) -> None:
    index = open_index("default", embedder)
    case = Case("a", "?", True, sections=("Base Salary Ranges",))
    sections = [Context("", c.source, c.section) for c in index.chunks]
    right = [c for c in sections if "Base Salary Ranges" in c.section][:1]
    wrong = [c for c in sections if "Base Salary Ranges" not in c.section][:3]
    first, third, never = retrieval_scores(
        [case, case, case], [right + wrong, wrong[:2] + right, wrong], index
    )
    assert (first["mrr"], third["mrr"], never["mrr"]) == (1.0, pytest.approx(0.3333), 0.0)
    assert first["recall@10"] == third["recall@10"] == 1.0
    assert (first["ndcg@10"], third["ndcg@10"], never["ndcg@10"]) == (1.0, 0.5, 0.0)
    (unknown,) = retrieval_scores([replace(case, sections=("Nowhere",))], [right], index)
    assert unknown == {"recall@10": None, "mrr": None, "ndcg@10": None}


def test_without_a_case_s_facts_the_reference_tells_which_contexts_help(
    support: SupportCheck,
) -> None:
    case = Case("a", "?", True, reference="The bonus is 10-20% of the salary. Lunch is free.")
    judge = CheckJudge("shipped", support)
    given = (Context("Leave is 25 days."), Context(QUOTE))
    (claims,) = reference_claims([(case.reference, given)], judge)
    assert context_scores(case, given, claims) == {"context_recall": 0.5, "context_precision": 0.5}
    nothing = context_scores(Case("a", "?", True), given, {})
    assert nothing == {"context_recall": None, "context_precision": None}


class Undecided:
    """A judge that gives no verdict on what speaks of leave."""

    name = fingerprint = "undecided"

    def judge_all(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        return [
            Judgement(None, None, "?") if "Leave" in text else Judgement(True, 1.0)
            for _, text in pairs
        ]


def test_a_context_without_a_verdict_keeps_its_place() -> None:
    reference = "The bonus is paid yearly. The bonus is paid yearly. Do you agree?"
    given = (Context("Leave is 25 days."), Context("Bonus."), Context("Leave."))
    (claims,) = reference_claims([(reference, given)], Undecided())
    assert claims == {"The bonus is paid yearly.": [False, True, False]}
    case = Case("a", "?", True, reference=reference)
    assert context_scores(case, given, claims)["context_precision"] == 0.5


# Gates.


def a_run(*faithfulness: float | None) -> Run:
    scores = [{"faithfulness": value} for value in faithfulness]
    items = tuple(
        Item(str(at), "?", "x", "answered", (), (), dict(of)) for at, of in enumerate(scores)
    )
    return Run("run", {}, None, over(scores), {}, (), items)


@pytest.mark.parametrize(
    ("run", "least", "passed"),
    [
        (a_run(1.0, 0.8), 0.9, True),
        (a_run(1.0, 0.7), 0.9, False),
        (a_run(None), 0.0, False),  # what was never judged passes no gate
    ],
)
def test_a_gate_holds_where_the_metric_reaches_it(run: Run, least: float, passed: bool) -> None:
    (gate,) = judged(run, {"faithfulness": least}, {}, None)
    assert gate.passed is passed
    assert gate.said


def test_a_baseline_of_another_judge_passes_no_gate() -> None:
    run = replace(a_run(1.0), manifest={"judge": "one"})
    assert all(gate.passed for gate in judged(run, {}, {}, run))
    other = judged(run, {}, {}, replace(run, manifest={"judge": "another"}))
    assert [gate.passed for gate in other] == [False]


def test_a_gate_of_no_metric_is_refused() -> None:
    for option in ("fathfulness=0.9", "faithfulness=high", "faithfulness", "mrr=nan", "mrr=95"):
        with pytest.raises(UsageError, match=option):
            limits([option])
    assert limits(["mrr=0.5"]) == {"mrr": 0.5}


# The report card.


def test_the_shipped_card_is_that_of_the_shipped_judge(support: SupportCheck) -> None:
    found = card.card_of(support.fingerprint)
    assert found, "run `career-eval judge FILE --card eval/judged/card.json` for each of its sets"
    assert "career.jsonl" in found["sets"]
    assert card.card_of("another judge") is None


def test_a_card_of_another_judge_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    report = {"pairs": {"file": "a.jsonl", "sha256": "1"}, "judge": "one", "n": 3}
    card.add_to_card(file, report)
    card.add_to_card(file, report | {"pairs": {"file": "b.jsonl", "sha256": "2"}})
    assert list(json.loads(file.read_text())["sets"]) == ["a.jsonl", "b.jsonl"]
    card.add_to_card(file, report | {"judge": "two"})
    assert json.loads(file.read_text()) == {
        "judge": "two",
        "sets": {"a.jsonl": {"sha256": "1", "n": 3}},
    }
    file.write_text("[]")
    with pytest.raises(UsageError, match="no report card"):
        card.add_to_card(file, report)


def test_every_metric_says_what_it_means() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert all(metric.meaning and metric.counted and metric.title for metric in METRICS)


def test_the_docs_tell_every_metric() -> None:
    told = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    for metric in METRICS:
        assert f"| `{metric.name}` | {metric.meaning}" in told
        assert f"| {metric.counted} |" in told
