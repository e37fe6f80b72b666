"""`career-eval compare`: two runs over the same cases, difference by difference."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.errors import UsageError

from .metrics import HIGHER, METRICS, SEED, bootstrap_interval
from .records import Item, Run

BETTER, WORSE, SAME = "better", "worse", "the same"
UNDECIDED = "not enough cases to tell"
_PERMUTATIONS = 9999
_SURE = 0.05  # of a sign test's p
_JUDGED = ("faithfulness", "citation_recall", "citation_precision")


@dataclass(frozen=True)
class Difference:
    """A metric over the cases that both runs have a score for: `value` is B less A.

    `low` and `high` bound its 95 % paired bootstrap interval, `p` is of the permutation test that
    flips signs (Fisher 1935); None for fewer than two cases. `verdict` is of B.
    """

    metric: str
    a: float
    b: float
    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    verdict: str  # better | worse | the same | not enough cases to tell


@dataclass(frozen=True)
class Change:
    """A case that the runs answer differently; `now` says what became of it."""

    now: str  # gained: wrong in A, right in B | lost: the other way round | changed
    a: Item
    b: Item


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs over `n` common cases; `notes`: what could not be compared."""

    n: int
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values, of each changed case what changed."""
        return {
            "n": self.n,
            "differences": [vars(d) for d in self.differences],
            "changes": [
                {
                    "id": c.a.id,
                    "now": c.now,
                    "question": c.a.question,
                    "a": _shown(c.a),
                    "b": _shown(c.b),
                }
                for c in self.changes
            ],
            "notes": list(self.notes),
        }


def compare(a: Run, b: Run) -> Comparison:
    """What B does better and worse than A on the cases that both have.

    Raises:
        UsageError: they have no case in common.
    """
    others = dict(_numbered(b.items))
    pairs = [(item, others[key]) for key, item in _numbered(a.items) if key in others]
    if not pairs:
        raise UsageError("the two runs have no case in common", "compare runs of the same cases")
    same_judge = a.manifest.get("judge") == b.manifest.get("judge")
    names = [m.name for m in METRICS if same_judge or m.name not in _JUDGED]
    found = [_difference(name, pairs) for name in names]
    changes = [_change(x, y) for x, y in pairs if x.answer != y.answer or x.wrong != y.wrong]
    return Comparison(
        len(pairs),
        tuple(d for d in found if d is not None),
        tuple(sorted(changes, key=lambda c: (_ORDER[c.now], c.a.id))),
        tuple(_notes(a, b, pairs, same_judge=same_judge)),
    )


def _numbered(items: Sequence[Item]) -> Iterator[tuple[tuple[str, int], Item]]:
    """Each item with its id and the how-manieth of that id it is: answers of others have twins."""
    seen: Counter[str] = Counter()
    for item in items:
        yield (item.id, seen[item.id]), item
        seen[item.id] += 1


def _difference(name: str, pairs: Sequence[tuple[Item, Item]]) -> Difference | None:
    """The paired difference of a metric; None where no case has a score in both."""
    scored = [(x.scores.get(name), y.scores.get(name)) for x, y in pairs]
    both = np.array([(x, y) for x, y in scored if x is not None and y is not None], dtype=float)
    if not len(both):
        return None
    before, after = both[:, 0], both[:, 1]
    apart = after - before
    low, high = bootstrap_interval(np.mean, apart)
    p = _sign_test(apart) if len(apart) > 1 else None
    return Difference(
        metric=name,
        a=round(float(before.mean()), 4),
        b=round(float(after.mean()), 4),
        value=round(float(apart.mean()), 4),
        low=low,
        high=high,
        p=p,
        n=len(apart),
        verdict=_verdict(name, apart, low, high, p),
    )


def _sign_test(apart: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """The two-sided p of the mean under flipped signs."""
    from scipy.stats import permutation_test

    if not apart.any():
        return 1.0
    tested = permutation_test(
        (apart,),
        lambda values, axis: np.mean(values, axis=axis),
        permutation_type="samples",
        n_resamples=_PERMUTATIONS,
        vectorized=True,
        batch=200,
        rng=np.random.default_rng(SEED),
    )
    return round(float(tested.pvalue), 4)


def _verdict(
    name: str,
    apart: "np.ndarray[Any, np.dtype[np.float64]]",
    low: float | None,
    high: float | None,
    p: float | None,
) -> str:
    if not apart.any():
        return SAME
    if low is None or high is None or p is None or p >= _SURE or low <= 0 <= high:
        return UNDECIDED
    higher_is_better = next(m for m in METRICS if m.name == name).better == HIGHER
    return BETTER if (low > 0) == higher_is_better else WORSE


_ORDER = {"lost": 0, "gained": 1, "changed": 2}


def _change(a: Item, b: Item) -> Change:
    if a.wrong == b.wrong:
        return Change("changed", a, b)
    return Change("gained" if a.wrong else "lost", a, b)


def _shown(item: Item) -> dict[str, Any]:
    return {
        "status": item.status,
        "answer": item.answer,
        "faithfulness": item.scores.get("faithfulness"),
        "wrong": item.wrong,
    }


def _notes(a: Run, b: Run, pairs: Sequence[tuple[Item, Item]], *, same_judge: bool) -> list[str]:
    notes = []
    left = len(a.items) + len(b.items) - 2 * len(pairs)
    if left:
        notes.append(f"{left} cases that only one of the runs has are left out")
    if not same_judge:
        notes.append("the runs have different judges: what those judged is not compared")
    return notes
