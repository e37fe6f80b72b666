"""Fits the weights by which the support check joins what is read with what is counted.

    python -m eval.fit_support --judge calibrate.jsonl.gz

Logistic regression on pairs that taught the cross-encoder nothing: the sets of `--judge`, and our
own that are held back. Each set weighs as many pairs as it has, and in it both labels the same.
Prints what to write into `assistant/support.py`, and for each set the balanced accuracy of the
whole check when its pairs are judged by weights that were fitted without those of their group
(ten-fold).
"""

import argparse
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assistant.support import Comparison, Signals, SupportCheck
from index.models import ModelStore

from .train_support import OWN, Pair, held_back, judge_pairs, own_pairs

_OWN_PAIRS, _FOLDS = 1600, 10


def measuring_pairs(judged: Path) -> list[Pair]:
    """The pairs of `judged`, and of our own some that are held back, no twins."""
    own = [pair for pair in own_pairs() if held_back(pair) and not pair.twins]
    random.seed(1)
    return [*judge_pairs(judged), *random.sample(own, _OWN_PAIRS)]


def signals_of(pairs: Sequence[Pair]) -> tuple[list[Signals], list[bool]]:
    """For each pair its signals, and whether something counts against it whatever they say."""
    verdicts = SupportCheck.open(ModelStore()).judge_all([(p.claim, p.evidence) for p in pairs])
    compared = [Comparison(pair.claim, pair.evidence) for pair in pairs]
    read = [math.log(v.read / (1 - v.read)) for v in verdicts]
    signals = [c.signals(r) for c, r in zip(compared, read, strict=True)]
    return signals, [verdict.support == 0.0 for verdict in verdicts]


def main() -> None:
    """Fit, and print the weights and how well they do."""
    parser = argparse.ArgumentParser(description="Fit the weights of the support check.")
    parser.add_argument("--judge", type=Path, required=True, help="labelled pairs, JSON lines")
    pairs = measuring_pairs(parser.parse_args().judge)
    signals, refused = signals_of(pairs)
    x = np.array([astuple(s) for s in signals])
    y = np.array([pair.label for pair in pairs])
    sets = np.array([pair.set for pair in pairs])
    weights = np.zeros(len(pairs))
    for name in set(sets):
        own = sets == name
        for label in (0, 1):
            alike = own & (y == label)
            weights[alike] = own.sum() / 2 / alike.sum()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    fitting = {"logisticregression__sample_weight": weights}
    said = cross_val_predict(
        model,
        x,
        y,
        groups=[f"{pair.set}/{pair.group}" for pair in pairs],
        cv=GroupKFold(_FOLDS),
        params=fitting,
    )
    passed = (said == 1) & ~np.array(refused)
    for name in sorted(set(sets), key=lambda name: name == OWN):
        own = sets == name
        accuracy = balanced_accuracy_score(y[own], passed[own])
        sys.stdout.write(f"{name}: {accuracy:.3f} of {own.sum()} pairs\n")
    scaler, regression = model.fit(x, y, **fitting)
    coefficients = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - (coefficients * scaler.mean_).sum()
    names = [field.name for field in fields(Signals)]
    told = ", ".join(f"{name}={c:.3f}" for name, c in zip(names, coefficients, strict=True))
    sys.stdout.write(f"_BIAS = {bias:.3f}\n_WEIGHTS = Signals({told})\n")


if __name__ == "__main__":
    main()
