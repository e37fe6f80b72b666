"""`career-eval bench search`: ours and other libraries find the nearest of the same vectors.

Every arm builds its index from the same file, is tuned to the same recall on one half of the
queries and measured on the other, in a process of its own. At one size all processes live at the
same time and take turns, so that a change of the machine's speed meets all of them; where they do
not fit into memory together, each is measured alone between two looks at a reference.
"""

import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from corpus.errors import UsageError
from corpus.paths import SHIPPED_DOCUMENTS, model_folder
from corpus.readable import readable
from corpus.readers import read_paths, supported
from index.embedder import Embedder, Floats

from .bench import machine, quantile
from .cases import SHIPPED_CASES, read_cases
from .records import as_json, write_file, writing
from .search_arms import ARMS, Ids, K, Setting

SIZES = (1_000, 100_000, 1_000_000)
LARGE = 200_000  # above, only the arms that are made for it
LARGE_ARMS = (
    "ours exact",
    "ours pq",
    "ours ivf",
    "faiss IVFPQfs+refine",
    "faiss PQfs+refine",
    "hnswlib",
    "usearch",
)
REFERENCE = "numpy"
BATCH = 64
QUERIES = 1_000  # real vectors that are held out
ROUNDS = 3
_ONES, _BATCHES = 500, 48  # calls of each kind, over all rounds
_SECONDS = 5.0  # that all calls of a kind may take
_WARM_UP = 0.1  # seconds at the start of a turn that are not counted: others were here before
_TUNING_S = 20.0  # that one step of a ladder may take
_REFERENCE_CALLS = 30
_SHORTEST = 20  # characters of a line that is left out
_FEWEST = 100  # lines
_BLOCK = 32_768  # rows that are compared or mixed at a time
_NOISE = 0.3  # length of what is added to a mixed vector
_ALIKE = 1e-6  # by which two float32 products of the same vectors may differ
_ALLOWED = 0.01  # share of the ids that the filter leaves
_HERE = Path(__file__)
_KEPT_S = 86_400  # seconds that what a run that was cut off had built is kept for its next one
_MARKS = re.compile(r"^(?:[\s>#*+•-]|\d{1,3}[.)]\s)+")

OnStep = Callable[[str], None]


class ArmFailed(Exception):
    """An arm's process said that something went wrong, or died; the text says what."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and how."""

    arms: tuple[str, ...]  # empty: those that suit the size
    sizes: tuple[int, ...]
    recall: float
    folder: Path  # finished rows, and what is being worked on
    packages: Path | None = None  # where rivals are installed, if not beside us
    fresh: bool = False

    def arms_at(self, n: int) -> tuple[str, ...]:
        """The arms to measure with `n` vectors."""
        if self.arms:
            return self.arms
        return LARGE_ARMS if n > LARGE else tuple(ARMS)


def bench_search(
    lines: Sequence[str], embedder: Embedder, plan: Plan, on_step: OnStep
) -> dict[str, Any]:
    """Rows for each arm, size and batch, and what they were measured on.

    Raises:
        UsageError: there are too few lines, no such arm, or the folder cannot be written.
    """
    if unknown := set(plan.arms) - set(ARMS):
        raise UsageError(f"no arm {min(unknown)!r}", f"choose from: {', '.join(ARMS)}")
    if len(lines) < _FEWEST:
        raise UsageError(
            f"the texts have {len(lines)} lines longer than {_SHORTEST} characters",
            f"name texts with {_FEWEST} or more",
        )
    with writing(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
        for left in plan.folder.glob("work/*"):
            if time.time() - left.stat().st_mtime > _KEPT_S:
                shutil.rmtree(left)
    with Worker(REFERENCE, plan) as worker:
        about = worker.ask("about")
    made = Vectors(tuple(lines), embedder)
    rows = [row for n in plan.sizes for row in _rows_at(n, made, plan, on_step)]
    return {
        "machine": machine(),
        **about,
        "texts": {"lines": len(lines), "key": made.key},
        "embedder": {"name": embedder.name, "weights": embedder.weights[:12]},
        "recall_target": plan.recall,
        "rows": rows,
    }


def read_lines(texts: Path | None) -> list[str]:
    """The distinct longer lines of a file or folder, without marks, in order.

    Without one: those of the shipped documents and the questions of the shipped cases.

    Raises:
        UsageError: it is not there, or nothing in it can be read.
    """
    reading = read_paths([texts or SHIPPED_DOCUMENTS])
    if not reading.documents:
        raise UsageError(f"no texts in {texts}", supported())
    whole = [line for document in reading.documents for line in document.text.split("\n")]
    if texts is None:
        whole += [case.question for case in read_cases(SHIPPED_CASES)]
    plain = (_MARKS.sub("", readable(line)).strip() for line in whole)
    return list(dict.fromkeys(line for line in plain if len(line) > _SHORTEST))


class Vectors:
    """Unit vectors of lines, embedded once and kept in the cache, and more that are mixed."""

    def __init__(self, lines: tuple[str, ...], embedder: Embedder) -> None:
        self._lines = lines
        self._embedder = embedder
        named = json.dumps([embedder.weights, lines])
        self.key = hashlib.sha256(named.encode()).hexdigest()[:16]

    @property
    def held_out(self) -> int:
        """How many of the lines are queries."""
        return min(QUERIES, len(self._lines) // 5)

    def real(self, on_step: OnStep) -> Floats:
        """The vectors in an order that is drawn once; the last ones are the queries."""
        file = cache() / f"texts-{self.key}.npy"
        if not file.is_file():
            on_step(f"embedding {len(self._lines):,} lines")
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f".{file.name}")
            with unfinished.open("wb") as opened:
                np.save(opened, self._embedder.embed(self._lines), allow_pickle=False)
            os.replace(unfinished, file)
        vectors: Floats = np.load(file, allow_pickle=False)
        return vectors[np.random.default_rng(0).permutation(len(vectors))]

    def told(self, n: int) -> str:
        """How many of `n` vectors are of real lines."""
        real = min(n, len(self._lines) - self.held_out)
        return f"{real:,} real" + (f", {n - real:,} mixed" if n > real else "")


@dataclass(frozen=True)
class Ground:
    """What all arms of one size are given and judged by: files in `folder`."""

    folder: Path
    n: int
    held_out: int  # queries
    told: str

    @property
    def tuned_with(self) -> list[int]:
        """The numbers of the queries that settings are chosen with."""
        return list(range(self.held_out // 2))

    @property
    def measured_with(self) -> list[int]:
        """The numbers of the others."""
        return list(range(self.held_out // 2, self.held_out))

    @property
    def matrix(self) -> Path:
        """The rows, (n, dim)."""
        return self.folder / "vectors.npy"

    @property
    def queries(self) -> Path:
        """The queries, (held_out, dim)."""
        return self.folder / "queries.npy"

    @property
    def allowed(self) -> Path:
        """The sorted ids that the filter leaves."""
        return self.folder / "allowed.npy"

    def lay(self, made: Vectors, on_step: OnStep) -> None:
        """Write the files, unless a run that was cut off has done so."""
        finished = self.folder / "laid"
        if finished.exists():
            return
        real = made.real(on_step)
        on_step(f"{self.n:,} vectors: {self.told}")
        self.folder.mkdir(parents=True, exist_ok=True)
        queries = real[-self.held_out :]
        write_matrix(self.matrix, real[: -self.held_out], self.n)
        drawn = np.random.default_rng(1).choice(self.n, round(self.n * _ALLOWED), replace=False)
        allowed = np.sort(drawn).astype(np.int64)
        rows = np.load(self.matrix, mmap_mode="r", allow_pickle=False)
        for file, content in (
            (self.queries, queries),
            (self.allowed, allowed),
            (self._least(filtered=False), tenth_best(rows, queries)),
            (self._least(filtered=True), tenth_best(rows[allowed], queries)),
        ):
            np.save(file, content, allow_pickle=False)
        finished.touch()

    def _least(self, *, filtered: bool) -> Path:
        return self.folder / ("least-filtered.npy" if filtered else "least.npy")

    def recall(
        self, found: Sequence[Sequence[int]], asked: Sequence[int], *, filtered: bool = False
    ) -> float:
        """The mean share of the ten nearest that was found, by exact products.

        An id counts when its product is that of the tenth nearest or more: which of equal
        vectors are found does not matter.
        """
        rows = np.load(self.matrix, mmap_mode="r", allow_pickle=False)
        queries: Floats = np.load(self.queries, allow_pickle=False)
        least: Floats = np.load(self._least(filtered=filtered), allow_pickle=False)
        among: Ids = np.load(self.allowed, allow_pickle=False)
        shares = []
        for ids, query in zip(found, asked, strict=True):
            distinct = np.unique([at for at in ids if 0 <= at < self.n]).astype(np.int64)
            if filtered:
                distinct = distinct[np.isin(distinct, among)]
            near = rows[distinct] @ queries[query] >= least[query] - _ALIKE
            shares.append(min(int(near.sum()), K) / K)
        return statistics.fmean(shares)


def write_matrix(file: Path, real: Floats, n: int) -> None:
    """Write `n` unit rows: the real ones, then mixtures of two of them with some noise."""
    rows = np.lib.format.open_memmap(file, "w+", np.float32, (n, real.shape[1]))
    rng = np.random.default_rng(2)
    rows[: len(real)] = real[:n]
    for start in range(len(real), n, _BLOCK):
        size = min(_BLOCK, n - start)
        one, other = (real[rng.integers(len(real), size=size)] for _ in range(2))
        weight = rng.uniform(0.5, 1, size=(size, 1)).astype(np.float32)
        noise = rng.standard_normal((size, real.shape[1]), dtype=np.float32)
        noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        mixed = weight * one + (1 - weight) * other + noise
        rows[start : start + size] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    rows.flush()


def tenth_best(rows: Floats, queries: Floats) -> Floats:
    """The exact product of each query with its tenth nearest row: (len(queries),)."""
    best = np.full((len(queries), K), -np.inf, dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        scores = queries @ rows[start : start + _BLOCK].T  # (queries, block)
        best = np.partition(np.concatenate([best, scores], axis=1), -K, axis=1)[:, -K:]
    least: Floats = best.min(axis=1)
    return least


class Worker:
    """The process of one arm, for the length of a `with`."""

    def __init__(self, arm: str, plan: Plan) -> None:
        self._command = [sys.executable, "-P", "-m", "eval.search_arms", arm, str(plan.recall)]
        self._command += [str(plan.packages)] if plan.packages else []

    def __enter__(self) -> "Worker":
        self._log = tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # nothing is left to save
        self._process.communicate()
        self._log.close()

    def hello(self) -> str:
        """Let it import what it needs; the versions of that.

        Raises:
            ArmFailed: it is not installed.
        """
        reply = self.ask("hello")
        if missing := reply.get("missing"):
            raise ArmFailed(missing)
        return str(reply["version"])

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The reply to a command.

        Raises:
            ArmFailed: it failed, or the process died.
        """
        pipes = self._process.stdin, self._process.stdout
        if not pipes[0] or not pipes[1]:
            raise ValueError("the worker was not started")
        try:
            pipes[0].write(json.dumps({"do": do, **arguments}) + "\n")
            pipes[0].flush()
            reply: dict[str, Any] = json.loads(pipes[1].readline())
        except (BrokenPipeError, ValueError) as error:
            raise ArmFailed(f"failed: {do}: its process ended: {self._last_words()}") from error
        if said := reply.get("failed"):
            raise ArmFailed(f"failed: {do}: {said}")
        return reply

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return f"{said[-1][:200] if said else 'it said nothing'} (exit code {code})"


@dataclass(frozen=True)
class Prepared:
    """An arm with its index built and its setting chosen."""

    arm: str
    folder: str
    version: str
    build_s: float
    disk_mb: float
    setting: Setting
    tune_s: float | None  # None: there was nothing to tune
    note: str


class Turns:
    """An arm that is measured in turns with others: its process, and what it has answered."""

    def __init__(self, prepared: Prepared, worker: Worker, ground: Ground, target: float) -> None:
        self.prepared = prepared
        self.failed = ""
        self._worker = worker
        self._ground = ground
        self._target = target
        self._open: dict[str, float] = {}
        self._rest: dict[str, Any] = {}
        self._calls: dict[int, list[float]] = {1: [], BATCH: []}  # ms, by batch
        self._found: dict[int, list[list[int]]] = {1: [], BATCH: []}
        self._asked: dict[int, list[int]] = {1: [], BATCH: []}

    def attempt(self, step: "Callable[[Turns], None]") -> None:
        """Take a step unless an earlier one failed."""
        if not self.failed:
            try:
                step(self)
            except ArmFailed as error:
                self.failed = str(error)

    def open(self) -> None:
        """Open the saved index and have the first answer."""
        self._worker.hello()
        reply = self._worker.ask(
            "open",
            folder=self.prepared.folder,
            queries=str(self._ground.queries),
            setting=self.prepared.setting,
            first=self._ground.measured_with[0],
        )
        since = (time.perf_counter() - self._worker.started) * 1000
        self._open = {"open_ms": round(reply["open_ms"], 1), "first_result_ms": round(since, 1)}

    def take(self, number: int) -> None:
        """Answer the queries of a round, one at a time and in batches."""
        for batch, calls in ((1, _ONES), (BATCH, _BATCHES)):
            groups = grouped(self._ground.measured_with, batch, calls)[number::ROUNDS]
            self._worker.ask("search", groups=groups[:5], seconds=_WARM_UP)
            reply = self._worker.ask("search", groups=groups, seconds=_SECONDS / ROUNDS)
            self._calls[batch] += reply["ms"]
            self._found[batch] += reply["ids"]
            self._asked[batch] += [at for group in groups[: len(reply["ms"])] for at in group]

    def finish(self) -> None:
        """What memory it took; then searches with a filter, and changes."""
        ground, notes = self._ground, []
        self._rest = {name: _rounded(v, 1) for name, v in self._worker.ask("memory").items()}
        groups = grouped(ground.measured_with, 1, _ONES)
        reply = self._worker.ask(
            "search", groups=groups, seconds=_SECONDS, allowed=str(ground.allowed)
        )
        some = [group[0] for group in groups[: len(reply.get("ms", ()))]]
        self._rest |= {
            "filter_ms": _rounded(statistics.median(reply["ms"]), 3) if some else None,
            "filter_recall_at_10": _rounded(ground.recall(reply["ids"], some, filtered=True), 4)
            if some
            else None,
        }
        for change, arguments in (("add", {"at": ground.n}), ("remove", {})):
            reply = self._worker.ask(change, **arguments)
            self._rest[f"{change}_ms"] = _rounded(reply.get("ms"), 3)
            if not reply.get("works", True):
                notes.append(f"after {change} the search did not show it")
        self._rest["notes"] = notes

    def rows(self, reference: Sequence[float]) -> list[dict[str, Any]]:
        """A row for each batch, or one that says what failed."""
        if self.failed:
            return [unmeasured(self.prepared.arm, self._ground.n, self.failed)]
        return [self._row(batch, reference) for batch in (1, BATCH)]

    def _row(self, batch: int, reference: Sequence[float]) -> dict[str, Any]:
        made, took = self.prepared, self._calls[batch]
        recall = self._ground.recall(self._found[batch], self._asked[batch])
        notes = [made.note, *self._rest["notes"]]
        if round(recall, 4) < self._target:
            notes.append(f"below the target on the queries that were not tuned with: {recall:.4f}")
        if reference:
            before, after = reference
            notes.append(f"{REFERENCE} took {before:.1f} ms before and {after:.1f} ms after")
        rest = {name: value for name, value in self._rest.items() if name != "notes"}
        return {
            "arm": made.arm,
            "n": self._ground.n,
            "batch": batch,
            "p50_ms": round(statistics.median(took), 3),
            "p99_ms": round(quantile(took, 0.99), 3),
            "queries_per_s": round(1000 * batch * len(took) / sum(took), 1),
            "recall_at_10": round(recall, 4),
            "build_s": round(made.build_s, 2),
            "tune_s": _rounded(made.tune_s, 2),
            "disk_mb": round(made.disk_mb, 1),
            **self._open,
            **rest,
            "calls": len(took),
            "setting": made.setting,
            "version": made.version,
            "vectors": self._ground.told,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "note": "; ".join(filter(None, notes)),
        }


def unmeasured(arm: str, n: int, why: str) -> dict[str, Any]:
    """The row of an arm that could not be measured."""
    return {"arm": arm, "n": n, "note": why}


def grouped(numbers: Sequence[int], size: int, calls: int) -> list[list[int]]:
    """`calls` groups of `size` of the numbers, which begin again when they are through."""
    return [
        [numbers[(start + at) % len(numbers)] for at in range(size)]
        for start in range(0, calls * size, size)
    ]


def _rows_at(n: int, made: Vectors, plan: Plan, on_step: OnStep) -> list[dict[str, Any]]:
    """The rows of one size, those of earlier runs among them."""
    files = {arm: _row_file(arm, n, made, plan) for arm in plan.arms_at(n)}
    done: dict[str, list[dict[str, Any]]] = {}
    for arm, file in files.items():
        if file.is_file() and not plan.fresh:
            done[arm] = json.loads(file.read_text("utf-8"))["rows"]
            on_step(f"{arm}, {n:,} vectors: measured before")
    missing = [arm for arm in files if arm not in done]
    if missing:
        place = plan.folder / "work" / f"{made.key}-{n}-{_hashed(_HERE)[:8]}"
        ground = Ground(place, n, made.held_out, made.told(n))
        ground.lay(made, on_step)
        places = {arm: place / files[arm].stem for arm in missing}
        for rows in _measured(places, ground, plan, on_step):
            arm = rows[0]["arm"]
            done[arm] = rows
            if "p50_ms" in rows[0]:
                files[arm].parent.mkdir(exist_ok=True)
                write_file(files[arm], as_json({"rows": rows}))
        shutil.rmtree(ground.folder)
    return [row for arm in files for row in done[arm]]


def _row_file(arm: str, n: int, made: Vectors, plan: Plan) -> Path:
    """Where an arm's finished rows are kept: another version of anything has another name."""
    paths = [*sys.path, *([str(plan.packages)] if plan.packages else [])]
    versions = [
        found.version
        for pip in ARMS[arm](plan.recall).pips
        for found in list(metadata.distributions(name=pip, path=paths))[:1]
    ]
    sources = [_HERE, _HERE.with_name("search_arms.py")]
    if arm.startswith("ours"):
        sources += sorted((_HERE.parents[1] / "index").glob("*.py"))
    code = _hashed(*sources)
    named = json.dumps([arm, n, made.key, plan.recall, versions, code, machine()])
    slug = re.sub(r"[^a-z0-9]+", "-", arm.lower())
    key = hashlib.sha256(named.encode()).hexdigest()[:16]
    return plan.folder / "rows" / f"{slug}-{n}-{key}.json"


def _measured(
    places: Mapping[str, Path], ground: Ground, plan: Plan, on_step: OnStep
) -> Iterator[list[dict[str, Any]]]:
    """The rows of each arm: of all together where their processes fit into half of the memory."""
    needed = len(places) * ground.matrix.stat().st_size * 2
    groups = [list(places)] if needed < _memory_left() / 2 else [[arm] for arm in places]
    for group in groups:
        prepared = []
        for arm in group:
            on_step(f"{arm}, {ground.n:,} vectors: building")
            try:
                prepared.append(_prepared(arm, places[arm], ground, plan))
            except ArmFailed as error:
                on_step(f"{arm}: {error}")
                yield [unmeasured(arm, ground.n, str(error))]
        if prepared:
            names = ", ".join(p.arm for p in prepared)
            on_step(f"{names}, {ground.n:,} vectors: searching")
        alone = len(groups) > 1 and group != [REFERENCE]
        yield from _in_turns(prepared, ground, plan, alone=alone)
        for arm in group:
            shutil.rmtree(places[arm], ignore_errors=True)


def _in_turns(
    group: Sequence[Prepared], ground: Ground, plan: Plan, *, alone: bool
) -> list[list[dict[str, Any]]]:
    """The rows of the arms; one that is alone stands between two looks at the reference."""
    with ExitStack() as stack:
        before = [_reference(ground, plan)] if alone else []
        turns = []
        for prepared in group:  # each is open before the next process starts
            worker = stack.enter_context(Worker(prepared.arm, plan))
            turns.append(Turns(prepared, worker, ground, plan.recall))
            turns[-1].attempt(Turns.open)
        for number in range(ROUNDS):
            for turn in turns:
                turn.attempt(partial(Turns.take, number=number))
        for turn in turns:
            turn.attempt(Turns.finish)
    after = [_reference(ground, plan)] if alone else []
    return [turn.rows([*before, *after]) for turn in turns]


def _reference(ground: Ground, plan: Plan) -> float:
    """The milliseconds that the reference takes for one query now."""
    with Worker(REFERENCE, plan) as worker:
        worker.hello()
        worker.ask("open", folder=str(ground.folder), queries=str(ground.queries), setting={})
        groups = grouped(ground.measured_with, 1, _REFERENCE_CALLS)
        took: list[float] = worker.ask("search", groups=groups, seconds=_SECONDS)["ms"]
    return statistics.median(took)


def _prepared(arm: str, folder: Path, ground: Ground, plan: Plan) -> Prepared:
    """The arm, built and tuned now or before this run was cut off."""
    record = folder / "prepared.json"
    if record.is_file() and not plan.fresh:
        return Prepared(**json.loads(record.read_text("utf-8")))
    shutil.rmtree(folder, ignore_errors=True)
    index = folder / "index"
    index.mkdir(parents=True)
    with Worker(arm, plan) as worker:
        version = worker.hello()
        built = worker.ask("build", matrix=str(ground.matrix), folder=str(index))
        ladders = worker.ask("ladders", n=ground.n)["ladders"]
    size = sum(file.stat().st_size for file in index.rglob("*") if file.is_file())
    started = time.perf_counter()
    setting, note = _tuned(arm, ladders, index, ground, plan) if ladders else ({}, "")
    done = Prepared(
        arm=arm,
        folder=str(index),
        version=version,
        build_s=built["build_s"],
        disk_mb=size / 1e6,
        setting=setting,
        tune_s=time.perf_counter() - started if ladders else None,
        note="; ".join(filter(None, (built["note"], note))),
    )
    write_file(record, as_json(vars(done)))
    return done


def _tuned(
    arm: str, ladders: Sequence[Sequence[Setting]], index: Path, ground: Ground, plan: Plan
) -> tuple[Setting, str]:
    """The fastest of each ladder's first setting that reaches the target; what there is to say.

    Where none does, it is the setting with the highest recall.
    """
    reached: list[tuple[float, Setting]] = []
    best: tuple[float, Setting] = (-1.0, {})
    with Worker(arm, plan) as worker:
        worker.hello()
        for ladder in ladders:
            for setting in ladder:
                recall, slow = _recall_with(worker, setting, index, ground)
                best = max(best, (recall, setting), key=lambda tried: tried[0])
                if recall >= plan.recall:
                    groups = grouped(ground.tuned_with, 1, _ONES)
                    took = worker.ask("search", groups=groups, seconds=1)["ms"]
                    reached.append((statistics.median(took), setting))
                if slow or recall >= plan.recall:
                    break
        chosen = min(reached, key=lambda tried: tried[0])[1] if reached else best[1]
        _recall_with(worker, chosen, index, ground)  # a database keeps the setting
    short = f"tuned to no more than recall {best[0]:.4f}, the target is {plan.recall:g}"
    return chosen, "" if reached else short


def _recall_with(
    worker: Worker, setting: Setting, index: Path, ground: Ground
) -> tuple[float, bool]:
    """The recall on the half that is tuned with, and whether that took too long to go on."""
    worker.ask("open", folder=str(index), queries=str(ground.queries), setting=setting)
    half = ground.tuned_with
    groups = [half[start : start + BATCH] for start in range(0, len(half), BATCH)]
    reply = worker.ask("search", groups=groups, seconds=_TUNING_S)
    asked = [at for group in groups[: len(reply["ms"])] for at in group]
    return ground.recall(reply["ids"], asked), sum(reply["ms"]) > 1000 * _TUNING_S


def _hashed(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _memory_left() -> float:
    """The bytes that programs may still take; half of the memory where no system tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) * 1e3 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def cache() -> Path:
    """The folder of vectors and finished rows, all of which can be made again."""
    return model_folder().parent / "bench"
