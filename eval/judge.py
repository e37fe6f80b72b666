"""`career-eval judge`: how far the support check can be trusted, on pairs with human labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, mannwhitneyu

from assistant.figures import missing_figures
from assistant.support import THRESHOLD, SupportCheck, Verdict
from assistant.words import content_stems, stems

_AT_ONCE = 64  # pairs between two progress reports
_RESAMPLES = 2000

OnPair = Callable[[int, int], None]  # pairs done, pairs in all
Values = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledPair:
    """A claim, its evidence, and whether people found that the evidence fully supports it (1)."""

    id: str
    evidence: str
    claim: str
    label: Literal[0, 1]


def judge_pairs(
    pairs: Sequence[LabelledPair], check: SupportCheck, on_pair: OnPair | None = None
) -> list[Verdict]:
    """The verdict of the whole check for each of `pairs`, in order."""
    verdicts: list[Verdict] = []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        verdicts += check.judge_all([(pair.claim, pair.evidence) for pair in some])
        if on_pair:
            on_pair(len(verdicts), len(pairs))
    return verdicts


def reliability(pairs: Sequence[LabelledPair], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Agreement with the labels: of the whole check, the support model alone, and word overlap.

    Balanced accuracy is the mean of the shares judged right of both labels (Brodersen et al. 2010);
    AUROC the share of pairs of a supported and an unsupported claim that the score orders right.
    Intervals are 95 % bootstrap ones (percentile, fixed seed); None where a label does not occur.
    """
    labels = np.array([pair.label for pair in pairs])
    whole = np.array([float(v.supported) for v in verdicts])
    scores = np.array([v.score for v in verdicts])
    overlap = np.array([word_overlap(pair) for pair in pairs])
    return {
        "n": len(pairs),
        "supported": int(labels.sum()),
        "threshold": THRESHOLD,
        "whole_check": {"balanced_accuracy": _interval(balanced_accuracy, labels, whole)},
        "model": {
            "balanced_accuracy": _interval(
                balanced_accuracy, labels, (scores >= THRESHOLD).astype(float)
            ),
            "auroc": _interval(auroc, labels, scores),
        },
        "word_overlap": {"auroc": _interval(auroc, labels, overlap)},
    }


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
