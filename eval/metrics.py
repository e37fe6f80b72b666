"""The metrics: what each means, its value over a run, and its interval.

A metric is the mean of a score that each answer has, or has not: where the question does not arise
the score is None and the answer is not counted. Of none, the value is None.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 0
RESAMPLES = 2000
HIGHER, LOWER = "higher", "lower"

Scores = Mapping[str, float | None]  # of one answer, by metric


@dataclass(frozen=True)
class Metric:
    """A metric: `better` says which way; `counted` says for which answers there is a score."""

    name: str
    title: str
    better: str
    meaning: str
    counted: str


METRICS = (
    Metric(
        "faithfulness",
        "Faithfulness",
        HIGHER,
        "share of the judged claims of an answer that its contexts bear out",
        "answers with a judged claim",
    ),
    Metric(
        "citation_recall",
        "Citation recall",
        HIGHER,
        "share of the claims that the texts they cite bear out (ALCE)",
        "answers with claims whose cited texts are known",
    ),
    Metric(
        "citation_precision",
        "Citation precision",
        HIGHER,
        "share of the citations that bear their claim out alone, or are needed for it (ALCE)",
        "answers with claims whose cited texts are known; 0 where nothing is cited",
    ),
    Metric(
        "key_facts",
        "Key facts",
        HIGHER,
        "share of the case's key facts that the answer holds; 0 for a refusal",
        "answerable cases with key facts",
    ),
    Metric(
        "facts_held",
        "All key facts",
        HIGHER,
        "whether the answer holds every key fact; 0 for a refusal",
        "answerable cases",
    ),
    Metric(
        "reference_similarity",
        "Similarity to the reference",
        HIGHER,
        "cosine of the embeddings of answer and reference answer, at least 0",
        "answers to cases with a reference, refusals apart",
    ),
    Metric(
        "answer_relevance",
        "Answer relevance",
        HIGHER,
        "cosine of the embeddings of question and answer, at least 0",
        "answers with a claim",
    ),
    Metric(
        "context_recall",
        "Context recall",
        HIGHER,
        "share of the key facts, else of the reference's claims, that the contexts hold",
        "answerable cases with key facts or a reference",
    ),
    Metric(
        "context_precision",
        "Context precision",
        HIGHER,
        "mean precision at the ranks of the contexts that are of the right section, or else hold a "
        "key fact or bear out a claim of the reference; 0 when none does",
        "answerable cases with sections, key facts or a reference, and a context",
    ),
    Metric(
        "recall@10",
        "Retrieval recall@10",
        HIGHER,
        "share of the case's sections among the first ten that the search finds",
        "answerable cases with sections that the index holds",
    ),
    Metric("mrr", "Retrieval MRR", HIGHER, "1 / rank of the first right section", "the same"),
    Metric(
        "ndcg@10",
        "Retrieval nDCG@10",
        HIGHER,
        "normalised discounted cumulative gain of the first ten sections",
        "the same",
    ),
    Metric(
        "section_cited",
        "Right section cited",
        HIGHER,
        "whether a citation stands below a right heading; 0 for a refusal",
        "answerable cases with sections",
    ),
    Metric(
        "only_sections_cited",
        "Only right sections cited",
        HIGHER,
        "whether all citations do",
        "answerable cases with sections",
    ),
    Metric(
        "false_refusals",
        "False refusals",
        LOWER,
        "whether an answerable question was refused",
        "answerable cases",
    ),
    Metric(
        "false_answers",
        "False answers",
        LOWER,
        "whether an unanswerable question was answered",
        "unanswerable cases",
    ),
    Metric(
        "refusal_precision",
        "Refusal precision",
        HIGHER,
        "whether a refused question was unanswerable",
        "refusals",
    ),
    Metric(
        "refusal_recall",
        "Refusal recall",
        HIGHER,
        "whether an unanswerable question was refused",
        "unanswerable cases",
    ),
    Metric(
        "forbidden_said",
        "Forbidden words said",
        LOWER,
        "whether the answer says what the case forbids",
        "cases that forbid something",
    ),
    Metric(
        "citations_exact",
        "Citations exact",
        HIGHER,
        "whether every quote is the stored text at its offsets",
        "answers that cite",
    ),
    Metric(
        "figures_cited",
        "Figures cited",
        HIGHER,
        "whether every figure stands in what its sentence cites",
        "answers",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Value:
    """A metric over a run: `judged` of its `n` answers have a score, whose mean is `value`.

    `low` and `high` bound its 95 % interval; None for fewer than two scores.
    """

    value: float | None
    low: float | None
    high: float | None
    judged: int
    n: int


@dataclass(frozen=True)
class RiskPoint:
    """At the confidence `threshold`: the share of cases answered, and of those the wrong ones."""

    threshold: float
    coverage: float
    risk: float


def over(scored: Sequence[Scores]) -> dict[str, Value]:
    """Every metric that at least one answer has a score for, over `scored`."""
    values = {
        metric.name: mean_of([scores.get(metric.name) for scores in scored]) for metric in METRICS
    }
    return {name: value for name, value in values.items() if value.judged}


def mean_of(scores: Sequence[float | None]) -> Value:
    """The mean of the scores that there are, with its interval.

    Where all are 1, or all 0, resampling says nothing: it is Clopper and Pearson's (1934).
    """
    known = np.array([score for score in scores if score is not None], dtype=np.float64)
    if not len(known):
        return Value(None, None, None, 0, len(scores))
    if len(known) > 1 and known.mean() in (0.0, 1.0):
        low, high = _exact_interval(int(known.sum()), len(known))
    else:
        low, high = bootstrap_interval(np.mean, known)
    return Value(_rounded(known.mean()), low, high, len(known), len(scores))


def bootstrap_interval(
    statistic: Callable[..., Any], *samples: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """The 95 % percentile bootstrap interval (Efron 1979) of a statistic with an `axis`.

    Several samples are drawn together, row by row. None for fewer than two rows.
    """
    from scipy.stats import bootstrap

    if len(samples[0]) < 2:
        return None, None
    if all((sample == sample[0]).all() for sample in samples):
        value = _rounded(statistic(*samples, axis=-1))
        return value, value
    drawn = bootstrap(
        samples,
        statistic,
        paired=len(samples) > 1,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=200,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return _rounded(drawn.low), _rounded(drawn.high)


def _exact_interval(ones: int, n: int) -> tuple[float | None, float | None]:
    from scipy.stats import binomtest

    interval = binomtest(ones, n).proportion_ci(method="exact")
    return _rounded(interval.low), _rounded(interval.high)


def risk_coverage(confident: Sequence[float], wrong: Sequence[bool], cases: int) -> list[RiskPoint]:
    """Risk at each coverage (El-Yaniv & Wiener 2010), from answering least to most.

    One point per confidence that occurs among the answers: at least so sure ones are answered, of
    so many `cases`.
    """
    points: list[RiskPoint] = []
    order = sorted(zip(confident, wrong, strict=True), key=lambda pair: -pair[0])
    mistaken = 0
    for answered, (sure, is_wrong) in enumerate(order, 1):
        mistaken += is_wrong
        if answered == len(order) or order[answered][0] != sure:
            points.append(
                RiskPoint(_rounded(sure), _rounded(answered / cases), _rounded(mistaken / answered))
            )
    return points


def average_precision(relevant: Iterable[bool]) -> float:
    """The mean of precision@k at the ranks k of what is relevant; 0 when nothing is."""
    found: list[float] = []
    for rank, is_relevant in enumerate(relevant, 1):
        if is_relevant:
            found.append((len(found) + 1) / rank)
    return _rounded(sum(found) / len(found)) if found else 0.0


def percentiles(milliseconds: Sequence[float]) -> dict[str, float | int | None]:
    """Count, median, 90th and 99th percentile and maximum."""
    if not milliseconds:
        return {"n": 0, "p50": None, "p90": None, "p99": None, "max": None}
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99], method="inverted_cdf")
    return {
        "n": len(milliseconds),
        "p50": round(float(p50), 1),
        "p90": round(float(p90), 1),
        "p99": round(float(p99), 1),
        "max": round(max(milliseconds), 1),
    }


def _rounded(value: Any) -> float:
    return round(float(value), 4)
