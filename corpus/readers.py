"""Readers: files and folders become documents, each file with its result."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import UsageError
from .sections import Document, front_matter

MAX_FILE_BYTES = 50_000_000


@dataclass(frozen=True)
class Unread:
    """A file that was not read, and why, in words for the user."""

    path: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What was found below the given paths."""

    documents: tuple[Document, ...]
    unread: tuple[Unread, ...]


class _Refused(Exception):
    """This file is not read; the text says why."""


def read_paths(paths: Sequence[Path]) -> Reading:
    """The documents in `paths` (files or folders), ordered by source.

    Raises:
        UsageError: a path does not exist or cannot be looked at, or two files have the same source.
    """
    documents: dict[str, tuple[Path, Document]] = {}
    unread: list[Unread] = []
    for path in paths:
        for file, source in _files(path, unread):
            try:
                document = read_file(file, source)
            except _Refused as refusal:
                unread.append(_unread(source, str(refusal)))
                continue
            _refuse_clash(documents, source, file)
            documents[source] = (file, document)
    ordered = sorted(documents.items())
    return Reading(tuple(document for _, (_, document) in ordered), tuple(unread))


def read_file(path: Path, source: str) -> Document:
    """The document in `path`, read by the reader of the ending of its source."""
    if not _is_utf8(source):
        raise _Refused("has a name that is not UTF-8; rename it")
    ending = PurePosixPath(source).suffix
    reader = READERS.get(ending.lower())
    if reader is None:
        raise _Refused(f"has no reader for {ending or 'files without an ending'}; {supported()}")
    return reader(_bytes_of(path), source)


def supported() -> str:
    """One line that lists what can be read."""
    return f"readable are: {', '.join(sorted(READERS))}"


def _read_markdown(data: bytes, source: str) -> Document:
    text = _decode(data)
    return Document(source, text, "markdown", front_matter(text))


def _read_plain(data: bytes, source: str) -> Document:
    return Document(source, _decode(data), "plain")


Reader = Callable[[bytes, str], Document]
READERS: dict[str, Reader] = {
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".txt": _read_plain,
}


def _decode(data: bytes) -> str:
    """UTF-8 text with line feeds as line ends, refused where it is something else."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _Refused("is UTF-16, not UTF-8; save it as UTF-8")
    if b"\0" in data:
        raise _Refused("is binary, not text; give a Markdown or text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refused(f"is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise _Refused("is empty; write some text into it or leave it out")
    return text


def _bytes_of(path: Path) -> bytes:
    """The bytes of a regular file; anything else is not opened, and a link is not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        kind = os.lstat(path).st_mode  # before it is opened: for a device that is an act
        if stat.S_ISLNK(kind):
            raise _Refused("is a link, which could lead out of the folder; name its target")
        if not stat.S_ISREG(kind):
            raise _Refused("is not a regular file")
        descriptor = os.open(path, flags)
    except OSError as error:
        raise _Refused(f"cannot be opened ({error.strerror}); check its permissions") from error
    with open(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise _Refused("is not a regular file")
        if state.st_size > MAX_FILE_BYTES:
            raise _Refused(f"has {state.st_size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        try:
            return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _Refused(f"cannot be read ({error.strerror})") from error


def _files(path: Path, unread: list[Unread]) -> Iterator[tuple[Path, str]]:
    """The file itself, or the visible files below a folder that have a reader, with sources.

    Linked folders below it are left alone; folders that cannot be listed are added to `unread`.
    """
    if not stat.S_ISDIR(_mode(path)):
        yield path.resolve(), path.name
        return

    def refuse(error: OSError) -> None:
        place = Path(str(error.filename)).relative_to(path).as_posix()
        unread.append(_unread(place, f"cannot be listed ({error.strerror}); check its permissions"))

    for folder, folders, names in os.walk(path, onerror=refuse, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder) / name
            if not name.startswith(".") and file.suffix.lower() in READERS:
                yield file, file.relative_to(path).as_posix()


def _mode(path: Path) -> int:
    if not _is_utf8(str(path)):
        raise UsageError(f"{str(path)!r} is not UTF-8", "rename the file or folder")
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UsageError(f"no such file or folder: {path}", "check the path") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be looked at ({error.strerror})", "check the path and its permissions"
        ) from error


def _is_utf8(name: str) -> bool:
    """Whether a name from the file system is text: Python hands on other bytes as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _unread(source: str, reason: str) -> Unread:
    return Unread(source.encode("utf-8", "backslashreplace").decode("utf-8"), reason)


def _refuse_clash(known: dict[str, tuple[Path, Document]], source: str, file: Path) -> None:
    if source in known and known[source][0] != file:
        raise UsageError(
            f"two files have the source {source!r}: {known[source][0]} and {file}",
            "rename one of them or give the folder above both",
        )
