"""`career-eval judge`: how far the support check can be trusted, on pairs with human labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, mannwhitneyu

from assistant.figure_check import missing_figures
from assistant.support import THRESHOLD
from assistant.words import content_stems, stems

from .judges import Judge, Judgement, OnPair, judge_pairs

OVERLAP_THRESHOLD = 0.65  # frozen on the pairs that chose the check's weights
_RESAMPLES = 2000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledPair:
    """A claim, its evidence, and whether people found that the evidence fully supports it (1)."""

    id: str
    evidence: str
    claim: str
    label: Literal[0, 1]


def judge_labelled(
    pairs: Sequence[LabelledPair], judge: Judge, on_pair: OnPair | None = None
) -> list[Judgement]:
    """The judgement of each of `pairs`, in order."""
    return judge_pairs([(pair.claim, pair.evidence) for pair in pairs], judge, on_pair)


def reliability(pairs: Sequence[LabelledPair], judged: Sequence[Judgement]) -> dict[str, Any]:
    """Agreement with the labels: of the whole judge, its score alone, and word overlap.

    Balanced accuracy is the mean of the shares judged right of both labels (Brodersen et al. 2010);
    AUROC the share of pairs of a supported and an unsupported claim that the score orders right.
    Intervals are 95 % bootstrap ones (percentile, fixed seed); None where a label does not occur.
    What was not judged is left out and counted.
    """
    told = [(p, j) for p, j in zip(pairs, judged, strict=True) if j.supported is not None]
    labels = np.array([pair.label for pair, _ in told])
    whole = np.array([float(bool(j.supported)) for _, j in told])
    scores = np.array([j.score or 0.0 for _, j in told])
    overlap = np.array([word_overlap(pair) for pair, _ in told])
    return {
        "n": len(pairs),
        "judged": len(told),
        "supported": int(sum(pair.label for pair in pairs)),
        "threshold": THRESHOLD,
        "whole_check": {"balanced_accuracy": _interval(balanced_accuracy, labels, whole)},
        "model": {
            "balanced_accuracy": _interval(
                balanced_accuracy, labels, (scores >= THRESHOLD).astype(float)
            ),
            "auroc": _interval(auroc, labels, scores),
        },
        "word_overlap": {
            "balanced_accuracy": _interval(
                balanced_accuracy, labels, (overlap >= OVERLAP_THRESHOLD).astype(float)
            ),
            "auroc": _interval(auroc, labels, overlap),
        },
        "calibration": calibration(labels, scores),
    }


def calibration(labels: Values, scores: Values) -> list[dict[str, float | int]]:
    """How often pairs were labelled supported, by tenths of their score; empty tenths left out."""
    tenths = np.minimum((scores * 10).astype(int), 9)
    return [
        {
            "from": round(tenth / 10, 1),
            "to": round((tenth + 1) / 10, 1),
            "n": int((tenths == tenth).sum()),
            "score": round(float(scores[tenths == tenth].mean()), 4),
            "supported": round(float(labels[tenths == tenth].mean()), 4),
        }
        for tenth in range(10)
        if (tenths == tenth).any()
    ]


def balanced_accuracy(labels: Values, judged: Values) -> float:
    """The mean of the shares of 1s and of 0s that are judged so; NaN without both labels."""
    right = labels == judged
    ones = labels == 1
    if ones.all() or not ones.any():
        return float("nan")
    return float(right[ones].mean() + right[~ones].mean()) / 2


def auroc(labels: Values, scores: Values) -> float:
    """The area under the ROC curve, ties counted half; NaN without both labels."""
    ones, zeros = scores[labels == 1], scores[labels == 0]
    if not len(ones) or not len(zeros):
        return float("nan")
    return float(mannwhitneyu(ones, zeros).statistic / (len(ones) * len(zeros)))


def word_overlap(pair: LabelledPair) -> float:
    """The floor to beat: the share of the claim's content words that the evidence holds.

    Half is taken off when the evidence lacks one of its figures.
    """
    claimed = set(content_stems(pair.claim))
    held = len(claimed & stems(pair.evidence)) / max(1, len(claimed))
    absent = missing_figures(pair.claim, pair.evidence)
    return held - 0.5 * bool(absent)


def _interval(
    metric: Callable[[Values, Values], float], labels: Values, values: Values
) -> dict[str, float | None]:
    """The metric with its 95 % interval."""
    value = metric(labels, values)
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    drawn = bootstrap(
        (labels, values),
        lambda a, b: _vectorised(metric, a, b),
        paired=True,
        vectorized=False,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = drawn.confidence_interval
    return {
        name: round(float(x), 4) for name, x in (("value", value), ("low", low), ("high", high))
    }


def _vectorised(metric: Callable[[Values, Values], float], labels: Values, values: Values) -> float:
    value = metric(labels, values)
    return 0.5 if np.isnan(value) else value  # a resample without both labels tells nothing
