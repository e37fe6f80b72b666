"""An index on disk: write-once generations, published by one atomic replace of a pointer file.

    <data>/index/<name>/CURRENT            {"generation": "gen-000017", "manifest": SHA-256}
    <data>/index/<name>/gen-000017/        manifest.json and the files that it lists with SHA-256
    <data>/index/<name>/VERIFIED           size, time and inode of large files that were hashed
    <data>/index/<name>/EMBEDDED           vectors of a build that was interrupted (journal.py)
    <data>/index/<name>/.building-…        a write under way, or one that died; swept by the next

A file is hashed whenever it is opened; bytes whose hash is not the published one are not parsed.
Large files are mapped instead of read, and hashed only when their size, time or inode is not that
of the last time. Only the current generation is kept: the text that was deleted is gone from the
disk. Generations share the files of vectors that did not change, as links.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.errors import (
    CareerError,
    IndexBusy,
    IndexCorrupt,
    IndexForeign,
    IndexMissing,
    UsageError,
    from_os_error,
)
from corpus.paths import data_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION = 2
MAPPED_FROM = 32_000_000  # bytes: smaller files are hashed in the blink of an eye
_STAMPS = 1_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_GENERATION = re.compile(r"gen-[0-9]{6,12}")
REBUILD = "rebuild it with: career index build PATH… --index {name}"


@dataclass(frozen=True)
class Generation:
    """One published state of an index."""

    name: str
    folder: Path
    manifest: dict[str, Any]

    def read(self, file: str) -> bytes:
        """The bytes of `file`, exactly as published.

        Raises:
            IndexCorrupt: it is missing or changed.
        """
        expected = self.manifest["files"][file]
        try:
            data = (self.folder / file).read_bytes()
        except OSError as error:
            raise _corrupt(self.name, f"{file} is missing or unreadable") from error
        if hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise self._changed(file)
        return data

    def bytes_of(self, file: str) -> "NDArray[np.uint8]":
        """The bytes of `file`, exactly as published: (bytes,), read-only; large ones are mapped.

        Raises:
            IndexCorrupt: it is missing or changed.
        """
        import numpy as np

        if not self.maps(file):
            return np.frombuffer(self.read(file), dtype=np.uint8)
        path, expected = self.folder / file, self.manifest["files"][file]["sha256"]
        stamps = _Stamps(self.folder.parent)
        try:
            stamp = _stamp(path)  # before it is hashed: what changes meanwhile has another one
            if not stamps.knows(expected, stamp):
                self.check(file)
                stamps.add({expected: stamp})
            return np.memmap(path, dtype=np.uint8, mode="r")
        except OSError as error:
            raise _corrupt(self.name, f"{file} is missing or unreadable") from error

    def maps(self, file: str) -> bool:
        """Whether `file` is so large that it is mapped, and hashed by its stamp."""
        return bool(self.manifest["files"][file]["bytes"] >= MAPPED_FROM)

    def check(self, file: str) -> None:
        """Nothing, when `file` is what was published; it is read anew, piece by piece.

        One that is not is no longer known as verified.

        Raises:
            IndexCorrupt: it is missing or changed.
        """
        try:
            found = _sha256(self.folder / file)
        except OSError as error:
            raise _corrupt(self.name, f"{file} is missing or unreadable") from error
        expected = self.manifest["files"][file]["sha256"]
        if found != expected:
            _Stamps(self.folder.parent).forget(expected)
            raise self._changed(file)

    def _changed(self, file: str) -> IndexCorrupt:
        return _corrupt(self.name, f"{file} is not the file that was published")


class _Stamps:
    """Which large files were hashed, and what they were then: size, time of change, inode.

    Whoever opens or publishes an index writes it, and nobody waits for it: a lost entry costs the
    time of one more hashing.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "VERIFIED"

    def knows(self, sha256: str, stamp: list[int]) -> bool:
        return self._known().get(sha256) == stamp

    def add(self, stamps: dict[str, list[int]]) -> None:
        """Note files, by hash, that were hashed when they had these stamps; the oldest go."""
        if stamps:
            self._write(self._known() | stamps)

    def forget(self, sha256: str) -> None:
        """Have the file of this hash hashed again when it is opened next."""
        known = self._known()
        if known.pop(sha256, None) is not None:
            self._write(known)

    def _write(self, known: Mapping[str, list[int]]) -> None:
        fresh = self._file.with_name(f"{self._file.name}.{uuid.uuid4().hex}")
        try:
            fresh.write_text(json.dumps(dict(list(known.items())[-_STAMPS:])))
            fresh.replace(self._file)
        except OSError:  # a disk that cannot be written: hashed anew next time
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _known(self) -> dict[str, list[int]]:
        try:
            known = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def _stamp(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ino]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def index_folder(name: str) -> Path:
    """The folder of index `name`; it need not exist.

    Raises:
        UsageError: the name could not be a folder's name everywhere.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no index name",
            "use up to 64 lower-case letters, digits, dots, dashes and underscores",
        )
    return data_folder() / "index" / name


def index_names() -> list[str]:
    """The published indexes, by name."""
    return sorted(file.parent.name for file in (data_folder() / "index").glob("*/CURRENT"))


def state(name: str) -> bytes:
    """What is another whenever index `name` was published again; empty while there is none."""
    try:
        return (index_folder(name) / "CURRENT").read_bytes()
    except FileNotFoundError:
        return b""


def current(name: str) -> Generation:
    """The published generation of index `name`.

    Raises:
        IndexMissing: there is none.
        IndexCorrupt: the pointer or the manifest is not what was published.
        IndexForeign: another version of this program wrote it.
    """
    folder = index_folder(name)
    for _ in range(3):  # a publish between the two reads sends us to the new generation
        pointer = _read_pointer(name, folder)
        try:
            data = (folder / pointer["generation"] / "manifest.json").read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _corrupt(name, "manifest.json is unreadable") from error
        if hashlib.sha256(data).hexdigest() != pointer["manifest"]:
            raise _corrupt(name, "manifest.json is not the file that was published")
        manifest = json.loads(data)
        if manifest["format"] != FORMAT_VERSION:
            raise IndexForeign(
                f"index {name!r} has format {manifest['format']}, this program {FORMAT_VERSION}",
                REBUILD.format(name=name).replace("PATH…", _paths_of(manifest)),
            )
        return Generation(name, folder / pointer["generation"], manifest)
    raise _corrupt(name, f"generation {pointer['generation']} is missing")


def _paths_of(manifest: Mapping[str, Any]) -> str:
    """What an index was built from, as a shell takes it; `PATH…` when that is not known."""
    return shlex.join(manifest.get("paths") or []) or "PATH…"


@contextlib.contextmanager
def writing(name: str) -> Iterator[Path]:
    """Hold the only writer's place of index `name`; gives its folder, swept of dead writes.

    Raises:
        IndexBusy: another process holds it. The lock is the operating system's: it dies with its
            holder.
    """
    from filelock import FileLock, Timeout

    folder = index_folder(name)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(folder / "WRITER", timeout=0)
        with lock:
            for stray in (".building-*", "CURRENT.*", "VERIFIED.*"):
                for one in folder.glob(stray):
                    _remove(one)
            yield folder
    except Timeout as error:
        raise IndexBusy(
            f"another process is writing index {name!r}", "wait until it has finished, then retry"
        ) from error
    except OSError as error:
        raise from_os_error(error, folder) from error


def publish(
    name: str, folder: Path, manifest: dict[str, Any], write: Callable[[Path], None]
) -> Generation:
    """Make what `write` puts into a new folder the current generation; call it inside `writing`.

    Order on disk: every file is synced, the folder renamed, the pointer replaced, the index folder
    synced. Killed or failed at any point, the old generation stays current.
    """
    earlier = [one for one in folder.glob("gen-*") if _GENERATION.fullmatch(one.name)]
    number = 1 + max((int(one.name[4:]) for one in earlier), default=0)
    known, final = _published_hashes(name), folder / f"gen-{number:06d}"
    building = folder / f".building-{uuid.uuid4().hex}"
    try:
        building.mkdir(mode=0o700)
        write(building)
        manifest = {"format": FORMAT_VERSION, **manifest, "files": _describe(building, known)}
        data = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode()
        (building / "manifest.json").write_bytes(data)
        _sync_tree(building)
        building.rename(final)
        _Stamps(folder).add(_hashed_now(final, manifest["files"], known))
        _sync(folder)
        _replace_pointer(folder, final.name, hashlib.sha256(data).hexdigest())
    except BaseException:
        _remove(building)
        if _current_folder(name, folder) != final:
            _remove(final)  # a full disk needs the room
        raise
    for old in folder.glob("gen-*"):
        if old != final:
            _remove(old)
    return Generation(name, final, manifest)


def _current_folder(name: str, folder: Path) -> Path | None:
    try:
        return folder / _read_pointer(name, folder)["generation"]
    except CareerError:
        return None


def remove(name: str) -> None:
    """Delete index `name` from the disk.

    Raises:
        IndexMissing: there is none.
    """
    folder = index_folder(name)
    if not folder.is_dir():
        raise missing(name)
    with writing(name):
        (folder / "CURRENT").unlink(missing_ok=True)  # first: no reader finds half an index
        for child in folder.iterdir():
            if child.name != "WRITER":
                _remove(child)
        with contextlib.suppress(OSError):  # Windows keeps the file that holds the lock
            (folder / "WRITER").unlink()
            folder.rmdir()


def missing(name: str) -> IndexMissing:
    """The error for an index that does not exist."""
    return IndexMissing(
        f"no index named {name!r}", f"build one with: career index build PATH… --index {name}"
    )


def _read_pointer(name: str, folder: Path) -> dict[str, str]:
    try:
        pointer = json.loads((folder / "CURRENT").read_bytes())
        generation, manifest = pointer["generation"], pointer["manifest"]
    except FileNotFoundError as error:
        raise missing(name) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(name, "CURRENT is unreadable") from error
    if not _GENERATION.fullmatch(str(generation)):
        raise _corrupt(name, "CURRENT is unreadable")
    return {"generation": generation, "manifest": manifest}


def _replace_pointer(folder: Path, generation: str, manifest: str) -> None:
    fresh = folder / f"CURRENT.{uuid.uuid4().hex}"
    try:
        fresh.write_text(json.dumps({"generation": generation, "manifest": manifest}))
        _sync(fresh)
        fresh.replace(folder / "CURRENT")
    except BaseException:
        _remove(fresh)
        raise
    _sync(folder)


def _published_hashes(name: str) -> dict[int, str]:
    """The hashes of the current generation's files by inode: a link to one needs no new hash."""
    try:
        generation = current(name)
        files = generation.manifest["files"].items()
        return {(generation.folder / file).stat().st_ino: it["sha256"] for file, it in files}
    except (CareerError, OSError):
        return {}


def _describe(folder: Path, known: Mapping[int, str]) -> dict[str, dict[str, Any]]:
    described = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        state = path.stat()
        shared = known.get(state.st_ino) if state.st_nlink > 1 else None
        described[path.relative_to(folder).as_posix()] = {
            "sha256": shared or _sha256(path),
            "bytes": state.st_size,
        }
    return described


def _hashed_now(
    folder: Path, described: Mapping[str, Mapping[str, Any]], known: Mapping[int, str]
) -> dict[str, list[int]]:
    """The stamps of large files, by hash; a link that was not hashed keeps the stamp it has."""
    large = ((folder / file, it) for file, it in described.items() if it["bytes"] >= MAPPED_FROM)
    stamped = ((it["sha256"], _stamp(path)) for path, it in large)
    return {sha256: stamp for sha256, stamp in stamped if stamp[2] not in known}


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _corrupt(name: str, what: str) -> IndexCorrupt:
    return IndexCorrupt(f"index {name!r} is damaged: {what}", REBUILD.format(name=name))
