"""Run by test_faults: builds on a disk that is too small, then on one that is read-only.

With `tmpfs` this process is alone in a mount namespace and mounts the disk itself; with `limit` no
file may grow beyond a size instead. Prints one JSON object.

The index is of one kind first and of another then; if that is the same, files are linked.
Approximate ones are what large ones are else: mapped, and with deleted rows.
"""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.errors import CareerError
from corpus.paths import data_folder
from index import generations, store, vectors
from index.build import build, verify
from index.embedder import LocalEmbedder, open_embedder
from index.models import ModelStore
from index.vectors import Plan


def attempt(act: Callable[[], object]) -> str:
    """`ok`, the code of a typed error, or the name of any other."""
    try:
        act()
    except CareerError as error:
        return error.code
    except BaseException as error:  # told to the test
        return f"untyped {type(error).__name__}: {error}"
    return "ok"


def state(embedder: LocalEmbedder) -> list[str]:
    """The sources of the published index, opened and verified."""
    index = store.open_generation(generations.current("own"), embedder)
    assert set(verify("own").values()) == {"ok"}
    index.search("salary", embedder.embed(["salary"])[0], k=3)
    return [document.source for document in index.documents]


def strays() -> list[str]:
    """What a failed build left over."""
    folder = generations.index_folder("own")
    fleeting = (".building", "CURRENT.", "VERIFIED.")
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(fleeting))


def resize(mode: str, size: int | None) -> None:
    """Let the disk (or a file) hold `size` bytes; None: as much as there is."""
    if mode == "tmpfs":
        option = f"remount,size={100_000_000 if size is None else size}"
        subprocess.run(["mount", "-o", option, data_folder()], check=True)
    else:
        limit = resource.RLIM_INFINITY if size is None else size
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def main() -> None:
    """Try growing sizes until one is enough; tell what happened at each.

    The arguments: how, the documents before and after, the kinds before and after, and the step.
    """
    mode, old, new = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    plan_before, plan, step = Plan(sys.argv[4]), Plan(sys.argv[5]), int(sys.argv[6])
    if plan.kind != "auto":
        vectors._REWRITTEN, generations.MAPPED_FROM = 100, 50_000
    embedder = open_embedder("all-minilm-l6-v2", ModelStore())
    data_folder().mkdir(parents=True)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if mode == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", data_folder()], check=True)
    build("own", [old], embedder, plan=plan_before)
    before = state(embedder)
    files = [path for path in data_folder().rglob("*") if path.is_file()]
    pages = sum(-(-path.stat().st_size // 4096) for path in files)
    trials: list[dict[str, Any]] = []
    while not trials or trials[-1]["told"] != "ok":
        room = step * len(trials)
        resize(mode, room + 4096 * pages if mode == "tmpfs" else room)
        told = attempt(lambda: build("own", [new], embedder, plan=plan))
        trials.append({"told": told, "state": state(embedder), "strays": strays()})
        resize(mode, None)
        assert len(trials) < 100, trials[-1]
    readonly = ""
    if mode == "tmpfs":
        subprocess.run(["mount", "-o", "remount,ro", data_folder()], check=True)
        readonly = attempt(lambda: build("own", [new], embedder))
        assert state(embedder) == trials[-1]["state"]
        subprocess.run(["mount", "-o", "remount,rw", data_folder()], check=True)
    build("own", [new], embedder)
    told_last = {"before": before, "trials": trials, "readonly": readonly}
    told_last["kind"] = generations.current("own").manifest["kind"]
    sys.stdout.write(json.dumps(told_last | {"after": state(embedder), "strays": strays()}))


if __name__ == "__main__":
    main()
