"""Run by test_faults in a process of its own: builds that are killed, and writers that race.

Everything is imported and the model is read once; each trial is a fork of this process, so the
libraries must not start threads (OMP_NUM_THREADS=1). Prints one JSON object.

With a kind of index, segments of a hundred rows are what large ones are else: they are approximate,
mapped, linked by the next generation and carry deleted rows.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from corpus.errors import IndexBusy, IndexMissing
from corpus.paths import data_folder
from index import generations, store, vectors
from index.build import build, verify
from index.embedder import LocalEmbedder, open_embedder
from index.models import ModelStore
from index.vectors import Plan

REMOVALS = ("os.remove", "os.rmdir")
TOLD = ("open", "os.mkdir", "os.rename", "os.link", "os.truncate", *REMOVALS)


def sweep(
    scenario: str, embedder: LocalEmbedder, documents: Path, every: int = 1
) -> dict[str, Any]:
    """Kill `scenario` at `every` so many of its acts on the index folder, then at random times."""
    act, first, allowed = scenarios(embedder, documents)[scenario]
    place, saved = generations.index_folder("own"), data_folder() / "saved"
    shutil.copytree(place, saved)

    def set_up() -> None:
        shutil.rmtree(place, ignore_errors=True)
        if first == "old":
            shutil.copytree(saved, place)

    set_up()
    events = int(forked(lambda: hooked(act)))
    set_up()
    started = time.monotonic()
    forked(act)
    took = time.monotonic() - started
    chance = random.Random(17)
    trials: list[int | float] = [*range(1, events + 1, every)]
    trials += [chance.uniform(0, took) for _ in range(5)]
    faults, killed = [], 0
    for trial in trials:
        set_up()
        killed += was_killed(act, trial)
        try:
            forked(lambda: check(embedder, documents, allowed))
        except RuntimeError as error:
            faults.append(f"killed at {trial}: {error}")
    return {"events": events, "trials": len(trials) - 5, "killed": killed, "faults": faults}


def scenarios(
    embedder: LocalEmbedder, documents: Path
) -> dict[str, tuple[Callable[[], object], str, set[str]]]:
    """Each name with what is killed, the state before it, and which states may be left."""

    def build_new() -> None:
        build("own", [documents / "new"], embedder)

    return {
        "first build": (build_new, "none", {"none", "new"}),
        "rebuild": (build_new, "old", {"old", "new"}),
        "remove": (lambda: generations.remove("own"), "old", {"old", "none"}),
    }


def check(embedder: LocalEmbedder, documents: Path, allowed: set[str]) -> None:
    """What must hold after a kill: a whole state, and a next build that clears up."""
    state = state_of(embedder)
    assert state in allowed, f"the index is {state}"
    report = build("own", [documents / "new"], embedder)
    assert state_of(embedder) == "new", "the next build did not succeed"
    left = {path.name for path in generations.index_folder("own").iterdir()} - {"VERIFIED"}
    assert left == {"CURRENT", "WRITER", report.generation}, f"left over: {left}"


def state_of(embedder: LocalEmbedder) -> str:
    """`old`, `new` or `none`: which state is published, whole and searched."""
    try:
        index = store.open_generation(generations.current("own"), embedder)
    except IndexMissing:
        return "none"
    assert set(verify("own").values()) == {"ok"}
    vector = embedder.embed(["salary"])[0]
    (hit, *_) = index.search("salary", vector, k=1)
    state = hit.text.split()[1]
    assert len(index.nearest(vector, k=1000)) == len(index.chunks)
    texts = [document.text for document in index.documents if document.source != "many.md"]
    assert len(texts) == 2, texts
    assert all(f"The {state} " in text for text in texts), f"a mixture: {texts}"
    return state


def hooked(act: Callable[[], object], kill_at: int = 0) -> int:
    """Run `act` and count what it does to the index folder; before act `kill_at` it is killed."""
    place, seen = str(generations.index_folder("own")), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        inside = event in REMOVALS and arguments[1] != -1  # named from an open folder: rmtree
        if event in TOLD and (inside or str(arguments[0]).startswith(place)):
            seen += 1
            if seen == kill_at:
                if event == "open" and arguments[2] & os.O_TRUNC and Path(arguments[0]).exists():
                    os.truncate(arguments[0], 0)  # as it is just after the opening
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    act()
    return seen


def was_killed(act: Callable[[], object], trial: int | float) -> bool:
    """Whether `act` was killed at event number (int) or second (float) `trial`."""
    child = os.fork()
    if not child:
        try:
            hooked(act, trial if isinstance(trial, int) else 0)
        finally:
            os._exit(0)
    if isinstance(trial, float):
        time.sleep(trial)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def forked(act: Callable[[], object]) -> str:
    """What `act` returns, as text, in a process of its own: no thread of a library outlives it.

    Raises:
        RuntimeError: `act` failed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        failed = True
        try:
            told, failed = str(act()), False
        except BaseException as error:  # told to the parent, which raises it
            told = f"{type(error).__name__}: {error}"
        os.write(writer, told.encode()[:4000])
        os._exit(failed)
    os.close(writer)
    with open(reader, "rb") as pipe:
        told = pipe.read().decode()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(told)
    return told


def race(embedder: LocalEmbedder, documents: Path, writers: int) -> dict[str, Any]:
    """Let `writers` processes build one index at the same moment."""
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(writers), context.Queue()

    def write(number: int) -> None:
        barrier.wait()
        started = time.monotonic()
        try:
            build("own", [documents / ("old" if number % 2 else "new")], embedder)
            results.put(["published", 0.0])
        except IndexBusy:
            results.put(["busy", time.monotonic() - started])

    processes = [context.Process(target=write, args=(number,)) for number in range(writers)]
    for process in processes:
        process.start()
    told = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    return {"told": told, "state": forked(lambda: state_of(embedder))}


def main() -> None:
    """Run the trial that the arguments name: what, the documents, the kind and how many acts."""
    what, documents, kind, every = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if kind != "auto":
        vectors._REWRITTEN, generations.MAPPED_FROM = 100, 50_000
    # Its own lock is shared between forks: a fork that is killed with it would stop all others.
    tqdm.set_lock(threading.RLock())
    tqdm.monitor_interval = 0
    os.fsync = lambda descriptor: None  # slow, and only a dying machine loses what is not synced
    embedder = open_embedder("all-minilm-l6-v2", ModelStore())
    # It reads and imports once what the forks share.
    build("own", [documents / "old"], embedder, plan=Plan(kind))
    assert state_of(embedder) == "old"
    if what == "race":
        told = race(embedder, documents, 4)
    else:
        told = sweep(what, embedder, documents, every)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
