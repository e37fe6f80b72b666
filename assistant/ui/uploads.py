"""Uploaded files: kept in a folder of their index, which is then built again with them.

Only what is new is embedded. When the index cannot be written, the folder is as it was.
"""

import os
import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.errors import UsageError, from_os_error
from corpus.paths import data_folder
from corpus.readers import read_paths
from index import build
from index.embedder import Embedder, OnProgress
from index.store import Index

MAX_FILES = 20
MAX_MEGABYTES = 10
MAX_BYTES = MAX_MEGABYTES * 1024 * 1024  # as Gradio's own message counts them
_LONGEST_NAME = 150  # UTF-8 bytes; file systems allow 255


@dataclass(frozen=True)
class Result:
    """What became of an uploaded file, in words for the user."""

    name: str
    added: bool
    note: str


@dataclass(frozen=True)
class _New:
    """A readable file and the name that it gets."""

    name: str
    data: bytes
    replaces: bool


def uploads_folder(index: str) -> Path:
    """Where the uploads of `index` are kept; it need not exist."""
    return data_folder() / "uploads" / index


def add(
    files: Sequence[Path], index: Index, embedder: Embedder, on_progress: OnProgress
) -> list[Result]:
    """Add the readable ones of `files` to `index` on disk; what became of each, in order.

    A file with the name of an earlier upload replaces it.

    Raises:
        UsageError: too many files at once, or a folder of the index is gone.
        MachineError: the index or its folder cannot be written; nothing has changed then.
    """
    if len(files) > MAX_FILES:
        raise UsageError(f"{len(files)} files at once", f"add at most {MAX_FILES}")
    folder = uploads_folder(index.name)
    new: dict[str, _New] = {}
    judged = [_judge(file, folder, index, new) for file in files]
    if not new:
        return [result for result in judged if isinstance(result, Result)]
    paths = dict.fromkeys([*build.recorded_paths(index.name), folder])
    with _stored(new.values(), folder):
        report = build.build(index.name, list(paths), embedder, on_progress, keep_added=True)
    refused = {unread.path: unread.reason for unread in report.unread}
    same = set(new) - {*report.added, *report.changed, *refused}
    return [_result(file, refused, same) for file in judged]


def counted(results: Sequence[Result], index: Index) -> list[Result]:
    """`results` with the chunks that each added file has in `index`."""
    chunks = Counter(chunk.source for chunk in index.chunks)
    return [
        replace(result, note=f"{result.note}, {_many(chunks[result.name], 'chunk')}")
        if result.added
        else result
        for result in results
    ]


def _judge(file: Path, folder: Path, index: Index, new: dict[str, _New]) -> _New | Result:
    """The file, put into `new`, if the index can take it; otherwise why not."""
    name = safe_name(file.name)
    replaces = (folder / name).is_file()
    known = not replaces and any(document.source == name for document in index.documents)
    reason = _unfit(file)
    if not reason and known:
        reason = "another document of the index has this name; rename the file"
    if not reason and name in new:
        reason = "another of these files has this name; rename one"
    if reason:
        return Result(name, added=False, note=f"refused: {reason}")
    new[name] = _New(name, file.read_bytes(), replaces)
    return new[name]


def _unfit(file: Path) -> str:
    """Why `file` cannot be indexed; empty when it can."""
    if (size := file.stat().st_size) > MAX_BYTES:
        return f"has {size:,} bytes; the limit is {MAX_BYTES:,}"
    unread = read_paths([file]).unread
    return unread[0].reason if unread else ""


def safe_name(name: str) -> str:
    """`name` as a visible file name without path, control or reserved characters."""
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "C")
    plain = re.sub(r'[<>:"|?*]', "_", plain).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    while len(f"{stem}{dot}{ending}".encode()) > _LONGEST_NAME and stem:
        stem = stem[:-1]
    return f"{stem or 'file'}{dot}{ending}"


def _result(file: _New | Result, refused: dict[str, str], same: set[str]) -> Result:
    if isinstance(file, Result):
        return file
    if file.name in refused:
        return Result(file.name, added=False, note=f"refused: {refused[file.name]}")
    if file.name in same:
        return Result(file.name, added=True, note="unchanged: it was indexed already")
    note = "updated: it replaces the earlier upload of this name" if file.replaces else "indexed"
    return Result(file.name, added=True, note=note)


@contextmanager
def _stored(files: Iterable[_New], folder: Path) -> Iterator[None]:
    """`files` in `folder`; what they replaced is put back when the body fails."""
    earlier: dict[Path, bytes | None] = {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        for file in files:
            target = folder / file.name
            earlier[target] = target.read_bytes() if target.exists() else None
            _write(target, file.data)
        yield
    except BaseException as error:
        for target, data in earlier.items():
            if data is None:
                target.unlink(missing_ok=True)
            else:
                _write(target, data)
        if isinstance(error, OSError):
            raise from_os_error(error, folder) from error
        raise


def _write(target: Path, data: bytes) -> None:
    """`data` in `target`, whole or not at all, for this user only."""
    fresh = target.with_name(f".{uuid.uuid4().hex}")  # readers leave hidden files alone
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
