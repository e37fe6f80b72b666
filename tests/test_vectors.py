"""The vectors of an index: what is found, for every kind, whatever was added, deleted and allowed.

Unit vectors around centres stand for those of texts. Where order matters to the last bit they are
corners of a cube: their products are exact in any arithmetic, and many are equal.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from index import approximate, kernels, vectors
from index.combining import MOST, Combined
from index.kernels import Floats
from index.vectors import Ids, Plan, Vectors

KINDS = ("exact", "pq", "ivf")
DIM = 48
SHARES = (0.001, 0.01, 0.1, 0.5, 0.99)


def mixture(n: int, seed: int, dim: int = DIM, noise: float = 0.8) -> Floats:
    """Unit vectors around sixty centres, the same for every seed: (n, dim)."""
    centres = np.random.default_rng(99).standard_normal((60, dim))
    chance = np.random.default_rng(seed)
    drawn = centres[chance.integers(0, 60, n)] + noise * chance.standard_normal((n, dim))
    return unit(drawn)


def unit(drawn: np.ndarray) -> Floats:
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    scaled: Floats = (drawn / lengths).astype(np.float32)
    return scaled


def corners(n: int, seed: int) -> Floats:
    """Corners of the cube of 64 dimensions, as unit vectors: (n, 64)."""
    return np.random.default_rng(seed).choice(np.array([-0.125, 0.125], np.float32), (n, 64))


def ranked(rows: Floats, queries: Floats, k: int, ids: Ids | None = None) -> Ids:
    """The best `k` for each query, equal ones by id, -1 where there are fewer: (queries, k)."""
    numbers = np.arange(len(rows)) if ids is None else ids
    order = np.argsort(-(queries.astype(np.float64) @ rows.T), axis=1, kind="stable")[:, :k]
    padding = np.full((len(queries), max(0, k - len(rows))), -1)
    return np.concatenate([numbers[order], padding], axis=1)


def recalls(found: Ids, best: Ids) -> np.ndarray:
    """For each query, the share of `best` that was found: (queries,)."""
    shares = [
        len(set(f) & set(b)) / len(set(b))
        for f, b in zip(found.tolist(), best.tolist(), strict=True)
    ]
    return np.asarray(shares)


def same_found(found: tuple[Floats, Ids], expected: tuple[Floats, Ids]) -> bool:
    """Whether the products and ids are the same, to the last bit."""
    return bool((found[0] == expected[0]).all() and (found[1] == expected[1]).all())


@cache
def rows_of(n: int = 12_000) -> Floats:
    return mixture(n, seed=1)


@cache
def built(kind: str, n: int = 12_000) -> Vectors:
    """A snapshot of the mixture that is searched by `kind`; snapshots do not change."""
    snapshot = Vectors.empty(DIM).added(rows_of(n)).compacted(Plan(kind))
    assert snapshot.kind == kind
    return snapshot


@cache
def unseen(n: int = 200) -> Floats:
    """Queries like the rows, none of which is one."""
    return mixture(n, seed=2)


def apart(n: int = 200) -> Floats:
    """Queries halfway between two that are like the rows."""
    return unit(mixture(n, seed=3) + mixture(n, seed=4))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread of FAISS: several wait in a loop, ten times as long where others work too."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


# --- exact search


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 20_000])
@pytest.mark.parametrize("count", [1, 3, 4, 64])
def test_exact_search_is_a_sort_with_equal_products_by_id(n: int, count: int) -> None:
    rows, queries = corners(n, 1), corners(count, 2)
    snapshot = Vectors.empty(64).added(rows)
    for k in (1, 2, 10, 100, n + 5):
        if k * count > 100_000:
            continue
        scores, ids = snapshot.search(queries, k)
        expected = ranked(rows, queries, k)
        assert (ids == expected).all(), k
        products = (queries[:, None, :] * rows[np.maximum(expected, 0)]).sum(axis=2) if n else 0
        assert (scores == np.where(expected < 0, -np.inf, products)).all(), k
        assert (scores.dtype.name, ids.dtype.name) == ("float32", "int64")


@pytest.mark.parametrize("count", [1, 64])
def test_exact_search_of_vectors_that_are_like_those_of_texts(count: int) -> None:
    rows, queries = mixture(20_000, seed=1, dim=384), mixture(count, seed=2, dim=384)
    scores, ids = Vectors.empty(384).added(rows).search(queries, 50)
    truth = np.sort(queries.astype(np.float64) @ rows.T, axis=1)[:, ::-1][:, :50]
    assert np.abs(scores - truth).max() < 1e-6
    assert (np.diff(scores, axis=1) <= 0).all()
    assert np.abs((queries[:, None, :] * rows[ids]).sum(axis=2) - truth).max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [48, 50, 384])
def test_equal_vectors_have_equal_products_and_the_first_ones_are_found(
    kind: str, dim: int
) -> None:
    """However many they are, wherever they stand and however many ask at the same time."""
    rows, queries = mixture(2_000, seed=1, dim=dim), mixture(64, seed=2, dim=dim)
    same = np.arange(7, 2_000, 19)  # more than any slack
    rows[same] = queries[0]
    snapshot = Vectors.empty(dim).added(rows).compacted(Plan(kind))
    seen = set()
    for count in (1, 2, 3, 4, 17, 64):
        for k in (1, 10, 60):
            scores, ids = snapshot.search(queries[:count], k)
            assert ids[0].tolist() == same[:k].tolist(), (count, k)
            seen |= set(scores[0].tolist())
    assert len(seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_finds_the_same_alone_and_among_others(kind: str) -> None:
    snapshot, queries = built(kind), unseen()[:64]
    alone = [snapshot.search(query[None, :], 20) for query in queries]
    for count in (2, 3, 4, 17, 64):
        scores, ids = snapshot.search(queries[:count], 20)
        assert (ids == np.concatenate([ids for _, ids in alone[:count]])).all()
        assert (scores == np.concatenate([scores for scores, _ in alone[:count]])).all()


def test_many_equal_vectors_take_no_memory_for_each_query() -> None:
    snapshot = Vectors.empty(64).added(np.repeat(corners(1, 1), 80_000, axis=0))
    assert (snapshot.search(corners(64, 2), 3)[1] == [0, 1, 2]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_query_and_none_wanted_find_nothing(kind: str) -> None:
    for snapshot in (Vectors.empty(DIM), built(kind)):
        for queries, k in [(0, 3), (1, 0), (4, 0), (64, 0)]:
            scores, ids = snapshot.search(unseen()[:queries], k)
            assert scores.shape == ids.shape == (queries, k)


# --- the kernels


@pytest.mark.parametrize("count", [1, 3, 4, 64])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1_000, 20_000])
def test_the_best_of_some_rows_without_others(n: int, count: int) -> None:
    rows, queries, chance = mixture(n, 1), mixture(count, 2), np.random.default_rng(3)
    skip = chance.random(n) < 0.3
    for some in (None, np.flatnonzero(chance.random(n) < 0.5), np.empty(0, dtype=np.int64)):
        for flags in (None, skip, np.ones(n, dtype=bool)):
            numbers = np.arange(n) if some is None else some
            numbers = numbers if flags is None else numbers[~flags[numbers]]
            for k in (1, 10, 300):
                found = kernels.best_rows(rows, queries, k, rows=some, skip=flags)
                expected = ranked(rows[numbers], queries, k, numbers)
                assert found.shape == (count, k)
                assert (np.sort(found) == np.sort(expected)).all()


def test_both_kernels_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(kernels.trial()) == {"numpy", "faiss"}
    rows, queries = mixture(5_000, 1), mixture(20, 2)
    for kernel in ("numpy", "faiss"):
        monkeypatch.setattr(kernels, "batch_kernel", lambda name=kernel: name)
        found = kernels.best_rows(rows, queries, 10)
        assert (np.sort(found) == np.sort(ranked(rows, queries, 10))).all(), kernel


# --- approximate search


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_reaches_its_recall_on_queries_that_it_did_not_see(kind: str) -> None:
    snapshot = built(kind)
    for queries in (unseen(), apart()):
        best = ranked(rows_of(), queries, 10)
        # The queries that tuned it are a sample, and so are these.
        assert recalls(snapshot.search(queries, 10)[1], best).mean() >= Plan().recall - 0.015
        exact = snapshot.search(queries, 10, exact=True)[1]
        assert recalls(exact, best).mean() == 1.0


@pytest.mark.parametrize("kind", ["pq", "ivf"])
def test_the_stored_operating_point_is_true(kind: str) -> None:
    """Measured again, as documented, on rows that are queries and on others halfway between two."""
    (segment,) = built(kind).segments
    (described,) = built(kind).describe()["segments"]
    point, rows = described["operating_point"], rows_of()
    assert segment.approximate
    chosen, others = np.random.default_rng(5).permutation(len(rows))[:600].reshape(2, 300)
    like, between = rows[chosen], unit(rows[chosen] + rows[others])
    best = ranked(rows, like, 11)
    best = np.stack([row[row != at][:10] for row, at in zip(best, chosen, strict=True)])
    for queries, truth, told in [
        (like, best, point["recall"]),
        (between, ranked(rows, between, 10), point["recall_apart"]),
    ]:
        found = segment.approximate.candidates(queries, point["depth"])
        assert recalls(found, truth).mean() == pytest.approx(told, abs=0.015)
    assert min(point["recall"], point["recall_apart"]) >= described["target"]
    assert point["ms"] > 0
    assert segment.approximate.faiss_index.ntotal == len(rows)
    if kind == "ivf":
        assert segment.approximate.faiss_index.nprobe == point["effort"]


@pytest.mark.parametrize("kind", ["pq", "ivf"])
def test_a_target_that_nothing_reaches_is_told_as_it_is(kind: str) -> None:
    rows = unit(np.random.default_rng(1).standard_normal((6_000, 96)))  # no structure at all
    snapshot = Vectors.empty(96).added(rows).compacted(Plan(kind, recall=1.0))
    (described,) = snapshot.describe()["segments"]
    point = described["operating_point"]
    told = min(point["recall"], point["recall_apart"])
    assert described["target"] == 1.0 > told > 0.8
    queries = unit(np.random.default_rng(2).standard_normal((200, 96)))
    found = snapshot.search(queries, 10)[1]
    assert recalls(found, ranked(rows, queries, 10)).mean() == pytest.approx(told, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 300, 1_000, 5_999, 6_010])
def test_as_many_are_found_as_were_asked_for(kind: str, k: int) -> None:
    """Lists that a query visits may hold fewer."""
    snapshot = built(kind, 6_000)
    for count in (1, 8):
        ids = snapshot.search(unseen()[:count], k)[1]
        assert ((ids >= 0).sum(axis=1) == min(k, 6_000)).all()
        assert all(len(set(row.tolist())) == len(row) for row in ids[:, :6_000])


def test_few_rows_are_learned_from_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    for kind in ("pq", "ivf"):
        for n in (approximate.SMALLEST - 1, approximate.SMALLEST, 400):
            small = Vectors.empty(DIM).added(rows_of(n)).compacted(Plan(kind))
            assert small.kind == (kind if n >= approximate.SMALLEST else "exact")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_what_is_no_unit_vector_ends_no_process(value: float) -> None:
    rows = rows_of(300).copy()
    rows[299, 3] = value
    with pytest.raises(ValueError, match="unit"):
        Vectors.empty(DIM).added(rows).compacted(Plan("pq"))


@pytest.mark.parametrize("kind", ["pq", "ivf"])
def test_equal_vectors_alone_are_no_reason_to_fail(kind: str) -> None:
    snapshot = Vectors.empty(DIM).added(np.repeat(unseen()[:1], 300, axis=0)).compacted(Plan(kind))
    assert snapshot.search(unseen()[:2], 4)[1].tolist() == [[0, 1, 2, 3]] * 2


def test_the_automatic_kind_goes_by_size() -> None:
    plan = Plan()
    sizes = {(200_000, 200_000): "exact", (200_001, 200_001): "pq", (500_001, 600_000): "ivf"}
    sizes |= {(20_000, 600_000): "exact", (20_001, 600_000): "pq", (255, 10**6): "exact"}
    assert {size: plan.kind_for(*size) for size in sizes} == sizes
    assert Plan("ivf").kind_for(255, 10**6) == "exact"
    assert Plan("exact").kind_for(10**6, 10**6) == "exact"


@pytest.mark.parametrize(("kind", "recall"), [("hnsw", 0.98), ("", 0.9), ("pq", 0), ("pq", 98)])
def test_a_plan_that_cannot_be_is_refused(kind: str, recall: float) -> None:
    with pytest.raises(ValueError, match="recall"):
        Plan(kind, recall)


# --- filters


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", SHARES)
def test_a_filter_costs_no_recall(kind: str, share: float) -> None:
    rows, queries = rows_of(), unseen()[:40]
    size, chance = int(share * len(rows)), np.random.default_rng(7)
    at_random = np.sort(chance.choice(len(rows), size, replace=False))
    best = ranked(rows[at_random], queries, 10, at_random)
    found = built(kind).search(queries, 10, allowed=at_random)[1]
    assert recalls(found, best).mean() >= 0.99
    for query in queries:  # those that are far from it, and only those
        far = np.sort(np.argsort(rows @ query, kind="stable")[:size])
        found = built(kind).search(query[None, :], 10, allowed=far)[1]
        assert recalls(found, ranked(rows[far], query[None, :], 10, far)).min() >= 0.8
        assert set(found[0].tolist()) <= {-1, *far.tolist()}


@pytest.mark.parametrize("kind", ["pq", "ivf"])
def test_recall_holds_where_the_nearest_are_filtered_out_or_deleted(kind: str) -> None:
    """The hard case: so few are taken out that others still seem enough, and all stand close."""
    rows, queries = mixture(10_000, 1, dim=96, noise=2.0), mixture(60, 2, dim=96, noise=2.0)
    snapshot = Vectors.empty(96).added(rows).compacted(Plan(kind))
    (segment,) = snapshot.segments
    assert segment.approximate
    for share in (0.02, 0.1, 0.25, 0.4, 0.49):
        gone = int(share * segment.approximate.point.depth)
        shares = []
        for query in queries:
            order = np.argsort(-(rows @ query), kind="stable")
            found = snapshot.search(query[None, :], 10, allowed=np.sort(order[gone:]))
            assert same_found(snapshot.removed(order[:gone]).search(query[None, :], 10), found)
            shares.append(recalls(found[1], order[None, gone : gone + 10])[0])
        assert np.mean(shares) >= 0.93, share


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 5])
def test_a_filter_of_one_of_none_and_of_unknown_ids(kind: str, count: int) -> None:
    queries = unseen()[:count]
    for allowed, expected in [
        ([77], [77, -1, -1]),
        ([], [-1, -1, -1]),
        ([-5, 77, 10**9], [77, -1, -1]),
        ([12_000, 12_001], [-1, -1, -1]),
    ]:
        scores, ids = built(kind).search(queries, 3, allowed=np.asarray(allowed, dtype=np.int64))
        assert ids.tolist() == [expected] * count
        assert ((ids < 0) == np.isneginf(scores)).all()


# --- adding and removing


def test_ids_are_never_used_again_and_snapshots_do_not_change() -> None:
    rows = rows_of()
    first = Vectors.empty(DIM).added(rows[:10])
    second = first.removed(np.array([8, 9])).compacted()
    third = second.added(rows[10:12])
    assert first.ids.tolist() == list(range(10))
    assert second.ids.tolist() == list(range(8))
    assert third.ids.tolist() == [*range(8), 10, 11]
    fourth = third.removed(np.array([0]))
    fifth = fourth.removed(np.array([1]))
    assert [len(fourth), len(fifth)] == [9, 8]
    assert fourth.ids.tolist() == [*range(1, 8), 10, 11]
    emptied = third.removed(third.ids).compacted()
    assert len(emptied) == 0
    assert emptied.segments == ()
    assert emptied.added(rows[:1]).ids.tolist() == [12]
    assert (first.rows(first.ids) == rows[:10]).all()
    assert first.search(rows[9:10], 1)[1].tolist() == [[9]]
    assert second.search(rows[9:10], 1)[1].tolist() != [[9]]
    assert first.added(rows[:0]) is first


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_is_not_disturbed_by_those_that_come_from_it(kind: str) -> None:
    snapshot = built(kind)
    before = snapshot.search(unseen(), 10)
    later = snapshot.removed(before[1][:, 0]).added(unseen()).compacted(Plan(kind))
    assert same_found(snapshot.search(unseen(), 10), before)
    assert (later.search(unseen(), 1)[1][:, 0] == 12_000 + np.arange(200)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compact", [False, True])
def test_what_was_removed_is_never_found(kind: str, compact: bool) -> None:
    rows, queries = rows_of(2_000), unseen()[:5]
    snapshot = built(kind, 2_000)
    gone = np.unique(snapshot.search(queries, 300)[1])
    left = np.setdiff1d(snapshot.ids, gone)
    smaller = snapshot.removed(gone)
    smaller = smaller.compacted(Plan(kind)) if compact else smaller
    assert len(smaller) == len(left)
    assert (smaller.ids == left).all()
    for k in (10, len(left), len(left) + 50):
        for batch in (queries, queries[:1]):
            scores, ids = smaller.search(batch, k)
            assert not set(ids.ravel().tolist()) & set(gone.tolist())
            assert ((ids >= 0).sum(axis=1) == min(k, len(left))).all()
            assert ((ids < 0) == np.isneginf(scores)).all()
            exact = smaller.search(batch, k, exact=True)[1]
            assert (exact == ranked(rows[left], batch, k, left)).all()
            filtered = smaller.search(batch, k, allowed=np.union1d(gone, left[-1:]))[1]
            assert (filtered[:, 0] == left[-1]).all()
            assert (filtered[:, 1:] == -1).all()
    emptied = smaller.removed(left)
    assert len(emptied) == 0
    assert (emptied.search(queries, 4)[1] == -1).all()
    assert (emptied.search(queries, 4, exact=True)[1] == -1).all()


def test_removed_rows_of_small_segments_are_gone_after_compacting() -> None:
    snapshot = built("pq", 2_000).removed(np.array([5, 1_999, 10**6]))
    assert snapshot.describe()["deleted"] == 2
    (segment,) = snapshot.compacted(Plan("pq")).segments
    assert segment.dead is None
    assert segment.vectors.shape == (1_998, DIM)
    assert not (segment.vectors == rows_of()[5]).all(axis=1).any()
    assert segment.kind == "pq"
    assert snapshot.removed(np.array([5])).compacted().ids.tolist() == snapshot.ids.tolist()


def test_large_segments_carry_some_deleted_rows_and_are_rewritten_for_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "_REWRITTEN", 1_000)
    snapshot = built("pq", 2_000)
    few = snapshot.removed(np.arange(400)).compacted(Plan("pq"))
    assert [len(segment.ids) for segment in few.segments] == [2_000]
    assert few.segments[0].number == snapshot.segments[0].number
    assert len(few) == 1_600
    many = few.removed(np.array([400])).compacted(Plan("pq"))
    assert [len(segment.ids) for segment in many.segments] == [1_599]


def test_many_small_additions_give_few_segments() -> None:
    snapshot, rows = Vectors.empty(DIM), rows_of()
    for start in range(0, 3_000, 30):
        snapshot = snapshot.added(rows[start : start + 30]).compacted()
        sizes = [len(segment.ids) for segment in snapshot.segments]
        assert all(large >= 4 * small for large, small in pairwise(sizes))
        numbers = [segment.number for segment in snapshot.segments]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) < snapshot.next_number
    assert (snapshot.rows(snapshot.ids) == rows[:3_000]).all()
    for start in range(3_000, 3_200):
        snapshot = snapshot.added(rows[start : start + 1])
    assert sum(segment.number < 0 for segment in snapshot.segments) == 1


def test_segments_that_stay_the_same_are_not_built_again() -> None:
    snapshot = built("ivf", 2_000)
    grown = snapshot.added(unseen()[:3]).compacted(Plan("ivf"))
    assert grown.segments[0] is snapshot.segments[0]
    assert grown.compacted(Plan("ivf")).segments == grown.segments
    other = grown.compacted(Plan("ivf", recall=0.9))
    assert other.segments[0].number > max(segment.number for segment in grown.segments)
    assert other.describe()["segments"][0]["target"] == 0.9
    exact = grown.compacted(Plan("exact"))
    assert exact.kind == "exact"
    assert exact.segments[0].number >= grown.next_number, "a number never names other files"


def test_rows_come_in_the_order_of_the_ids() -> None:
    snapshot = built("pq", 2_000).added(unseen()).removed(np.array([3])).added(unseen()[:5])
    everything = np.concatenate([rows_of(2_000), unseen(), unseen()[:5]])
    chance = np.random.default_rng(3)
    for ids in (chance.permutation(2_205), chance.integers(0, 2_205, 50), np.array([], dtype=int)):
        assert (snapshot.rows(ids) == everything[ids]).all()
    compacted = snapshot.compacted()
    ids = np.setdiff1d(np.arange(2_205), [3])[::-1]
    assert (compacted.rows(ids) == everything[ids]).all()
    for unknown in ([-1], [0, 3], [2_205], [10**12]):
        with pytest.raises(ValueError, match="1 of"):
            compacted.rows(np.asarray(unknown))


def test_vectors_of_another_dimension_are_refused() -> None:
    for shape in [(3, DIM + 1), (DIM,), (0, DIM - 1)]:
        with pytest.raises(ValueError, match="dimension"):
            built("exact").added(np.zeros(shape, dtype=np.float32))


class History(RuleBasedStateMachine):
    """Any order of additions, deletions, compactions and restarts, beside a plain model."""

    kind = "exact"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.plan = Plan(self.kind)
        self.snapshot = Vectors.empty(24)
        self.model: dict[int, Floats] = {}
        self.next_id = 0
        self.written: Path | None = None

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(seed=st.integers(0, 9), n=st.integers(200, 500))
    def begin(self, seed: int, n: int) -> None:
        self.add(mixture(n, seed, dim=24))
        self.compact()

    @rule(seed=st.integers(10, 99), n=st.integers(0, 300), again=st.integers(0, 20))
    def add_some(self, seed: int, n: int, again: int) -> None:
        known = [*self.model.values()][:again]
        self.add(np.concatenate([mixture(n, seed, dim=24), *(row[None, :] for row in known)]))

    @rule(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.01, 0.3, 0.9]))
    def remove_some(self, seed: int, share: float) -> None:
        chance = np.random.default_rng(seed)
        known = np.fromiter(self.model, np.int64, len(self.model))
        self.remove(known[chance.random(len(known)) < share])

    @rule()
    def remove_the_best(self) -> None:
        self.remove(self.snapshot.search(mixture(1, 1, dim=24), 15)[1][0])

    @rule()
    def remove_all(self) -> None:
        self.remove(self.snapshot.ids)

    @rule(kind=st.sampled_from(["exact", "same"]))
    def compact(self, kind: str = "same") -> None:
        self.snapshot = self.snapshot.compacted(self.plan if kind == "same" else Plan(kind))

    @rule()
    def restart(self) -> None:
        self.compact()
        folder = Path(tempfile.mkdtemp(dir=self.folder.name))
        described = json.loads(json.dumps(self.snapshot.write(folder, self.written)))
        self.snapshot, self.written = Vectors.read(described, reading(folder)), folder
        assert self.snapshot.describe() == described

    @precondition(lambda self: self.snapshot.segments)
    @rule(k=st.integers(1, 700), count=st.sampled_from([1, 4]), share=st.floats(0, 1))
    def search(self, k: int, count: int, share: float) -> None:
        queries, chance = mixture(count, k, dim=24), np.random.default_rng(k)
        for allowed in (None, np.flatnonzero(chance.random(self.next_id + 5) < share)):
            known = [at for at in self.model if allowed is None or at in set(allowed.tolist())]
            for exact in (True, False):
                found = self.snapshot.search(queries, k, allowed=allowed, exact=exact)
                for scores, ids in zip(*found, strict=True):
                    self.must_be_good(scores, ids, known, k)
                if exact:
                    best = found[0]
                elif allowed is None and self.kind != "exact":  # a few may be missed
                    same = (best[:, :10] == found[0][:, :10]).mean()
                    fewest = 0.5 if count > 1 else 0.2  # it is tuned to the mean of many queries
                    assert same > fewest, "far from the recall that it was tuned to"
            rows = np.stack([self.model[at] for at in known]) if known else np.empty((0, 24))
            products = np.sort(-(queries @ rows.T), axis=1)[:, :k]
            assert np.abs(best[:, : products.shape[1]] + products).max(initial=0) < 1e-6

    def must_be_good(self, scores: Floats, ids: Ids, known: list[int], k: int) -> None:
        count = min(k, len(known))
        assert (ids[count:] == -1).all()
        assert np.isneginf(scores[count:]).all()
        pairs = list(zip((-scores[:count]).tolist(), ids[:count].tolist(), strict=True))
        assert pairs == sorted(pairs)
        assert len(set(ids[:count].tolist())) == count
        assert set(ids[:count].tolist()) <= set(known)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert len(self.snapshot) == len(self.model)
        assert self.snapshot.next_id == self.next_id
        assert self.snapshot.ids.tolist() == list(self.model)
        if self.model:
            held = self.snapshot.rows(self.snapshot.ids)
            assert (held == np.stack([*self.model.values()])).all()

    def add(self, rows: Floats) -> None:
        self.snapshot = self.snapshot.added(rows)
        self.model |= dict(enumerate(rows, self.next_id))
        self.next_id += len(rows)

    def remove(self, ids: Ids) -> None:
        self.snapshot = self.snapshot.removed(ids)
        for at in ids.tolist():
            self.model.pop(at, None)


@pytest.mark.parametrize("kind", KINDS)
def test_any_history_leaves_what_a_plain_model_holds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_REWRITTEN", 100)  # larger segments carry deleted rows
    machine: Any = type("HistoryOf", (History,), {"kind": kind})
    test = machine.TestCase
    test.settings = settings(
        max_examples=20,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    test("runTest").runTest()


# --- files


def reading(folder: Path, *, mapped: bool = False) -> Callable[[str], vectors.Bytes]:
    def fetch(name: str) -> vectors.Bytes:
        if mapped:
            return np.memmap(folder / name, dtype=np.uint8, mode="r")
        return np.frombuffer((folder / name).read_bytes(), dtype=np.uint8)

    return fetch


def inodes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mapped", [False, True])
def test_what_was_written_is_read_and_only_what_is_new_is_written(
    kind: str, mapped: bool, tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    plan, first = Plan(kind), built(kind, 2_000)
    described = first.write(folders[0])
    assert json.loads(json.dumps(described)) == described == first.describe()
    grown = Vectors.read(described, reading(folders[0], mapped=mapped))
    grown = grown.added(unseen()[:20]).compacted(plan)
    described = grown.write(folders[1], folders[0])
    before, after = inodes(folders[0]), inodes(folders[1])
    assert {name: after[name] for name in before} == before, "links"
    assert len(after) == len(before) + 2
    again = Vectors.read(described, reading(folders[1], mapped=mapped))
    copied = again.write(folders[2]) == again.write(folders[3], tmp_path / "none") == described
    assert copied
    assert not set(inodes(folders[2]).values()) & set(after.values())
    for folder in folders[1:]:
        read = Vectors.read(described, reading(folder, mapped=mapped))
        assert read.describe() == grown.describe() == described
        for exact in (False, True):
            found, expected = (v.search(unseen(), 10, exact=exact) for v in (read, grown))
            assert same_found(found, expected)


def test_deleted_rows_of_large_segments_stay_deleted_in_the_next_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_REWRITTEN", 100)
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    first = built("pq", 2_000)
    first.write(old)
    gone = np.array([3, 1_000, 1_999])
    described = first.removed(gone).compacted(Plan("pq")).write(new, old)
    assert described["deleted"] == 3
    assert {name: inodes(new)[name] for name in inodes(old)} == inodes(old)
    assert np.fromfile(new / vectors.DELETED, dtype="<i8").tolist() == gone.tolist()
    read = Vectors.read(described, reading(new))
    assert (read.ids == np.setdiff1d(np.arange(2_000), gone)).all()
    assert not set(read.search(rows_of()[gone], 50)[1].ravel().tolist()) & set(gone.tolist())


def refused_link(source: Path, target: Path) -> None:
    raise OSError(95, "Operation not supported")


def test_where_there_are_no_links_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    first = built("pq", 2_000)
    first.write(old)
    monkeypatch.setattr(os, "link", refused_link)
    first.added(unseen()).compacted(Plan("pq")).write(new, old)
    for name, inode in inodes(old).items():
        assert (new / name).read_bytes() == (old / name).read_bytes()
        assert inodes(new)[name] != inode


def test_files_on_another_disk_are_copied(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second disk")
    first = built("pq", 2_000)
    with tempfile.TemporaryDirectory(dir=shared) as other:
        first.write(tmp_path)
        assert first.write(Path(other), tmp_path) == first.describe()
        for file in tmp_path.iterdir():
            assert (Path(other) / file.name).read_bytes() == file.read_bytes()


# --- searches at the same moment


@pytest.mark.parametrize("kind", KINDS)
def test_from_many_threads_each_finds_what_it_finds_alone(kind: str) -> None:
    """Also where others ask for more: how deep they look is theirs alone."""
    snapshot, queries = built(kind), unseen()
    asked = [(query, (10, 50, 300)[at % 3]) for at, query in enumerate(queries)]
    alone = [snapshot.search(query[None, :], k) for query, k in asked]
    combined = Combined(snapshot.search)
    wrong: list[object] = []

    def ask(first: int) -> None:
        for step in range(len(asked)):
            at = (first + step) % len(asked)
            scores, ids = combined.one(*asked[at])
            if not (ids == alone[at][1][0]).all() or not (scores == alone[at][0][0]).all():
                wrong.append((first, at))

    together(*(lambda first=first: ask(first) for first in range(0, 200, 25)))
    assert wrong == []
    assert combined.queries == 8 * 200


def together(*acts: Callable[[], object]) -> None:
    """Run `acts` in threads of their own, to the end of all."""
    threads = [threading.Thread(target=act, daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a search hangs"


class Slow:
    """A search that takes its time, and does what `trouble` does first."""

    def __init__(self, trouble: Callable[[int], None] = lambda call: None) -> None:
        self.sizes: list[int] = []
        self.trouble = trouble

    def __call__(self, queries: Floats, k: int) -> tuple[Floats, Ids]:
        self.sizes.append(len(queries))
        time.sleep(0.02)
        self.trouble(len(self.sizes))
        return built("exact", 2_000).search(queries, k)


def outcomes(combined: Combined, queries: list[Floats]) -> list[object]:
    """What each query found, or the exception that it was told, asked at the same moment."""
    told: list[object] = [None] * len(queries)

    def ask(at: int) -> None:
        try:
            told[at] = int(combined.one(queries[at], 3)[1][0])
        except BaseException as problem:  # told to the test
            told[at] = problem

    together(*(lambda at=at: ask(at) for at in range(len(queries))))
    return told


def test_under_load_searches_are_batched() -> None:
    search = Slow()
    combined = Combined(search)
    told = outcomes(combined, [*rows_of(2_000)[:100]])
    assert told == list(range(100))
    assert sum(search.sizes) == combined.queries == 100
    assert len(search.sizes) == combined.batches < 50
    assert max(search.sizes) <= MOST
    combined.one(unseen()[0], 3)
    assert search.sizes[-1] == 1, "who is alone searches alone"


def test_a_query_of_another_shape_fails_alone() -> None:
    queries = [*rows_of(2_000)[:20]]
    queries[7], queries[13] = queries[7][:5], np.zeros((2, 2, 2), dtype=np.float32)
    told = outcomes(Combined(Slow()), queries)
    assert isinstance(told[7], ValueError)
    assert isinstance(told[13], ValueError)
    assert [it for at, it in enumerate(told) if at not in (7, 13)] == [
        at for at in range(20) if at not in (7, 13)
    ]


def test_a_failed_search_is_told_to_all_who_asked_and_the_next_one_succeeds() -> None:
    def fail(call: int) -> None:
        if broken:
            raise MemoryError("no room")

    broken = True
    combined = Combined(Slow(fail))
    told = outcomes(combined, [*rows_of(2_000)[:8]])
    assert [str(problem) for problem in told] == ["no room"] * 8
    broken = False
    assert outcomes(combined, [*rows_of(2_000)[:8]]) == list(range(8))


@pytest.mark.parametrize("interrupted", [1, 2])
def test_an_interrupted_search_leaves_nobody_waiting(interrupted: int) -> None:
    def interrupt(call: int) -> None:
        if call == interrupted:
            raise KeyboardInterrupt

    combined = Combined(Slow(interrupt))
    told = outcomes(combined, [*rows_of(2_000)[:30]])
    stopped = [at for at, it in enumerate(told) if isinstance(it, KeyboardInterrupt)]
    assert len(stopped) == 1
    told[stopped[0]] = stopped[0]
    assert told == list(range(30))
    assert outcomes(combined, [*rows_of(2_000)[:3]]) == [0, 1, 2]
