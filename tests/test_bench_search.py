"""`career-eval bench search` and `bench ingest`, real and small."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Ran, ran_here

from eval import search_bench
from eval.cli import main
from eval.search_arms import ARMS, K, doubling, filled, lists_for
from eval.search_bench import ArmFailed, Ground, Plan, Worker, read_lines, tenth_best, write_matrix
from index.embedder import Floats

EXACT = ("numpy", "faiss IndexFlatIP", "ours exact")
ABSENT = "hnswlib"  # no dependency of ours
CONTRACT = (
    "arm n batch p50_ms p99_ms recall_at_10 build_s rss_mb disk_mb open_ms add_ms remove_ms "
    "filter_ms filter_recall_at_10 first_result_ms queries_per_s vectors note"
).split()


def career_eval(*arguments: str) -> Ran:
    return ran_here(main, "bench", *arguments)


def search(texts: Path, out: Path, *more: str, arms: tuple[str, ...] = EXACT) -> Ran:
    """The search of 1,000 vectors by some arms."""
    named = [part for arm in arms for part in ("--arm", arm)]
    place = ("--texts", str(texts), "--out", str(out), "--n", "1000", "--json")
    return career_eval("search", *place, *named, *more)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two real documents: so few lines that numpy embeds them."""
    folder = tmp_path_factory.mktemp("texts")
    for name in ("accountant", "actuary"):
        (folder / f"{name}.md").write_bytes((ROOT / "eval/training" / f"{name}.md").read_bytes())
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def finished(home: Path, texts: Path, out: Path) -> Ran:
    """A search that was let finish."""
    ran = search(texts, out, arms=(*EXACT, ABSENT))
    assert ran.code == 0, ran.stderr
    return ran


def random_units(n: int, dimension: int = 32) -> Floats:
    drawn = np.random.default_rng(n).standard_normal((n, dimension), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


# Search.


def test_rows_keep_the_contract_and_exact_arms_find_everything(finished: Ran) -> None:
    rows = [row for row in finished.json["rows"] if row["arm"] != ABSENT]
    assert [(row["arm"], row["batch"]) for row in rows] == [
        (arm, batch) for arm in EXACT for batch in (1, 64)
    ]
    for row in rows:
        assert set(CONTRACT) <= set(row)
        assert row["recall_at_10"] == row["filter_recall_at_10"] == 1.0, row
        assert row["n"] == 1000
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["calls"] >= 10
        assert row["open_ms"] < row["first_result_ms"]
        assert min(row[key] for key in ("disk_mb", "add_ms", "remove_ms", "filter_ms")) > 0
        assert row["note"] == "", row


def test_the_report_says_what_it_was_measured_on(finished: Ran) -> None:
    report = finished.json
    assert report["machine"]["cores"] >= 1
    assert {pool["of"].partition(".")[0] for pool in report["blas"]} >= {"numpy"}
    assert report["faiss"]
    assert report["recall_target"] == 0.98


def test_vectors_that_are_mixed_are_called_so(finished: Ran, texts: Path) -> None:
    lines = len(read_lines(texts))
    real = lines - lines // 5
    told = {row["vectors"] for row in finished.json["rows"] if "vectors" in row}
    assert told == {f"{real:,} real, {1000 - real:,} mixed"}


def test_a_package_that_is_not_installed_is_a_note(finished: Ran) -> None:
    (row,) = [row for row in finished.json["rows"] if row["arm"] == ABSENT]
    assert row == {"arm": ABSENT, "n": 1000, "note": "not installed: pip install hnswlib"}


def test_what_is_finished_is_not_measured_again(finished: Ran, texts: Path, out: Path) -> None:
    again = search(texts, out, arms=(*EXACT, ABSENT))
    assert again.json["rows"] == finished.json["rows"]  # with the time of the measurement
    assert again.stderr.count("measured before") == len(EXACT)
    assert not list((out / "work").iterdir())
    fresh = search(texts, out, "--fresh", arms=("numpy",))
    assert fresh.json["rows"][0]["p99_ms"] != finished.json["rows"][0]["p99_ms"]


def test_a_table_is_printed_for_people(finished: Ran, texts: Path, out: Path) -> None:
    named = [part for arm in (*EXACT, ABSENT) for part in ("--arm", arm)]
    place = ("--texts", str(texts), "--out", str(out), "--n", "1000")
    told = career_eval("search", *place, *named).text
    for part in (*EXACT, "recall@10", "mixed", "not installed: pip install hnswlib"):
        assert part in told


def test_arms_that_do_not_fit_together_stand_between_looks_at_a_reference(
    home: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_bench, "_memory_left", lambda: 0.0)
    ran = search(texts, tmp_path, arms=("faiss PQfs+refine", "numpy"))
    tuned, _, reference, _ = ran.json["rows"]
    assert "numpy took" in tuned["note"]
    assert tuned["setting"]["k_factor"] >= 1
    assert tuned["filter_ms"] is None  # faiss cannot
    assert tuned["remove_ms"] is None
    assert "numpy took" not in reference["note"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "--texts", "{}/none.md"), "no such file or folder"),
        (("search", "--texts", "{}/empty"), "no texts in"),
        (("search", "--texts", "{}/few.md"), "1 lines longer than 20"),
        (("search", "--n", "0"), "--n"),
        (("search", "--recall", "2"), "--recall"),
        (("search", "--arm", "abacus"), "no arm 'abacus'"),
        (("search", "--out", "{}/few.md"), "cannot be written"),
        (("ingest", "--texts", "{}/none.md"), "no such file or folder"),
        (("ingest", "--texts", "{}/empty"), "no texts in"),
        (("ingest", "--n", "0"), "--n"),
        (("ingest", "--queries", "{}/none.jsonl"), "none.jsonl"),
        (("ingest", "--queries", "{}/foreign.jsonl"), "none of the relevant sources"),
    ],
)
def test_bad_input_is_one_line(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "few.md").write_text("Only one line that is long enough.\n")
    (tmp_path / "foreign.jsonl").write_text('{"query": "Who?", "relevant": "none.md"}\n')
    ran = career_eval(*(part.format(tmp_path) for part in arguments))
    assert ran.code == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.text == ""


# Its parts.


def test_recall_counts_what_is_as_near_as_the_tenth(tmp_path: Path) -> None:
    rows, queries = random_units(500), random_units(7)
    rows[3] = rows[4]
    ground = Ground(tmp_path, 500, 7, "")
    np.save(ground.matrix, rows)
    np.save(ground.queries, queries)
    np.save(ground.allowed, np.arange(0, 500, 10))
    np.save(tmp_path / "least.npy", tenth_best(rows, queries))
    np.save(tmp_path / "least-filtered.npy", tenth_best(rows[::10], queries))
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :K]
    asked = range(7)
    assert ground.recall(best.tolist(), asked) == 1.0
    assert ground.recall([[*ids[:5], *[-1] * 5] for ids in best], asked) == 0.5
    assert ground.recall([[ids[0]] * K for ids in best], asked) == pytest.approx(0.1)
    assert ground.recall([[500, *ids[:9]] for ids in best], asked) == pytest.approx(0.9)
    some = np.argsort(-(queries @ rows[::10].T), axis=1)[:, :K] * 10
    assert ground.recall(some.tolist(), asked, filtered=True) == 1.0
    inside = statistics.fmean(np.isin(ids, np.arange(0, 500, 10)).mean() for ids in best)
    assert ground.recall(best.tolist(), asked, filtered=True) == pytest.approx(inside)


def test_mixed_rows_are_unit_and_the_same_every_time(tmp_path: Path) -> None:
    real = random_units(50)
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file in files:
        write_matrix(file, real, 200)
    one, other = (np.load(file) for file in files)
    assert np.array_equal(one, other)
    assert np.array_equal(one[:50], real)
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-6)
    assert len(np.unique(one, axis=0)) == 200
    write_matrix(files[0], real, 20)
    assert np.array_equal(np.load(files[0]), real[:20])


def test_lines_are_distinct_and_without_marks(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# A heading that is long\n- **Bold** words in an item\n* Bold words in an item\n- Short.\n"
    )
    assert read_lines(tmp_path) == ["A heading that is long", "Bold words in an item"]


def test_steps_of_a_ladder_double_up_to_its_end() -> None:
    assert doubling(1, 10) == [1, 2, 4, 8, 10]
    assert doubling(16, 16) == [16]
    assert [lists_for(n) for n in (1_000, 100_000, 1_000_000)] == [32, 256, 1024]
    assert filled([[7], list(range(12))]).tolist() == [[7, *[-1] * 9], list(range(10))]


def test_a_worker_that_fails_or_dies_says_so(tmp_path: Path) -> None:
    plan = Plan((), (1000,), 0.98, tmp_path)
    with Worker("numpy", plan) as worker:
        with pytest.raises(ArmFailed, match="failed: build: FileNotFoundError"):
            worker.ask("build", matrix="none.npy", folder=str(tmp_path))
        assert worker.hello().startswith("numpy ")
        worker._process.kill()
        with pytest.raises(ArmFailed, match="its process ended"):
            worker.ask("memory")


def test_the_large_size_has_fewer_arms(tmp_path: Path) -> None:
    plan = Plan((), (1000,), 0.98, tmp_path)
    assert plan.arms_at(100_000) == tuple(ARMS)
    assert set(plan.arms_at(1_000_000)) < set(ARMS)
    assert Plan(("lancedb",), (1000,), 0.98, tmp_path).arms_at(1_000_000) == ("lancedb",)


# Ingest.


def test_ingest_embeds_alike_and_builds_an_index(home: Path, texts: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    asked = [
        {"query": "How do I become an actuary?", "relevant": "actuary.md"},
        {"query": "accounting", "relevant": "accountant.md"},
        {"query": "Who flies?", "relevant": "pilot.md"},
    ]
    queries.write_text("".join(json.dumps(row) + "\n" for row in asked))
    ran = career_eval("ingest", "--texts", str(texts), "--queries", str(queries), "--json")
    assert ran.code == 0, ran.stderr
    theirs, ours, whole = ran.json["rows"]
    assert ran.json["queries_left_out"] == 1
    assert theirs["ratio"] == theirs["smallest_cosine"] == 1.0
    assert ours["smallest_cosine"] > 0.99
    assert theirs["recall_at_10"] == ours["recall_at_10"] == 1.0
    assert ours["ratio"] > 0
    assert ours["n"] == theirs["n"] == whole["n"] == ran.json["chunks"]
    assert whole["documents"] == 2
    assert whole["changed"] == 1
    assert 0 < whole["embedded_again"] < whole["n"]
    assert whole["reingest_share"] > 0
