"""An index on disk: write-once generations, published by one atomic replace of a pointer file.

    <data>/index/<name>/CURRENT            {"generation": "gen-000017", "manifest": SHA-256}
    <data>/index/<name>/gen-000017/        manifest.json and the files that it lists with SHA-256
    <data>/index/<name>/.building-…        a write under way, or one that died; swept by the next

A file is hashed whenever it is opened; bytes whose hash is not the published one are not parsed.
Only the current generation is kept: what was deleted is gone from the disk.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import (
    IndexBusy,
    IndexCorrupt,
    IndexForeign,
    IndexMissing,
    UsageError,
    from_os_error,
)
from corpus.paths import data_folder

FORMAT_VERSION = 1
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
            raise _corrupt(self.name, f"{file} is not the file that was published")
        return data


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
                REBUILD.format(name=name),
            )
        return Generation(name, folder / pointer["generation"], manifest)
    raise _corrupt(name, f"generation {pointer['generation']} is missing")


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
            for stray in [*folder.glob(".building-*"), *folder.glob("CURRENT.*")]:
                _remove(stray)
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
    building = folder / f".building-{uuid.uuid4().hex}"
    try:
        building.mkdir(mode=0o700)
        write(building)
        manifest = {"format": FORMAT_VERSION, **manifest, "files": _describe(building)}
        data = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode()
        (building / "manifest.json").write_bytes(data)
        _sync_tree(building)
        final = folder / f"gen-{number:06d}"
        building.rename(final)
        _sync(folder)
        _replace_pointer(folder, final.name, hashlib.sha256(data).hexdigest())
    except BaseException:
        _remove(building)
        raise
    for old in folder.glob("gen-*"):
        if old != final:
            _remove(old)
    return Generation(name, final, manifest)


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
    fresh.write_text(json.dumps({"generation": generation, "manifest": manifest}))
    _sync(fresh)
    fresh.replace(folder / "CURRENT")
    _sync(folder)


def _describe(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in files
    }


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
