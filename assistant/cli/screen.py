"""What the commands print: results on stdout, logs and progress on stderr, errors in one line."""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpus.errors import CareerError, MachineError

from .. import __version__

if TYPE_CHECKING:
    from index.embedder import Progress

IndexName = Annotated[str, typer.Option("--index", metavar="NAME", help="The index to use.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), " ") | {ord("\n"): "\n"}


def version_option(program: str) -> Any:
    """The option that prints the version of `program`."""

    def told(wanted: bool) -> None:
        if wanted:
            lines(f"{program} {__version__}")
            raise typer.Exit

    return typer.Option("--version", callback=told, is_eager=True, help="Print the version.")


class ReaderGone(Exception):
    """Whoever read our stdout has enough, like `head`."""


class OutputRefused(MachineError):
    """What stdout leads to takes no more, a full disk for example."""


def out(text: str) -> None:
    """Write `text` to stdout, exactly, as UTF-8.

    Raises:
        ReaderGone, OutputRefused: it could not be written; nothing is written to stdout any more.
    """
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from error
        raise OutputRefused(
            f"the output cannot be written ({error.strerror})",
            "free some space where it goes, then run the command again",
        ) from error


def lines(*given: str) -> None:
    """Write lines for people to stdout, free of what a document could steer a terminal with."""
    out("".join(f"{printable(line)}\n" for line in given))


def result(value: Mapping[str, Any]) -> None:
    """Write the result of a command to stdout as JSON."""
    out(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def log(text: str, program: str = "career") -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(f"{program}: {printable(text)}\n")
    sys.stderr.flush()


def failure(error: CareerError, *, as_json: bool, program: str = "career") -> int:
    """Tell the user of `error`; the exit code that belongs to it."""
    with suppress(OutputRefused):  # stderr has to do
        if as_json and not isinstance(error, OutputRefused):
            result({"error": error.to_dict()})
            return error.exit_code
    log(" ".join(str(error).split()), program)
    return error.exit_code


def printable(text: str) -> str:
    """`text` without what would steer a terminal."""
    return text.translate(_CONTROL)


def shortened(text: str, length: int) -> str:
    """`text` in one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def megabytes(size: int) -> str:
    """`size` bytes as people read them."""
    return f"{size / 1e6:,.1f} MB"


class Bars:
    """Progress on stderr, for the length of a `with`: bars in a terminal, else a line per job."""

    def __init__(self) -> None:
        self._bars: Any = None  # rich's, made when there is something to show
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def fetch(self, what: str, done: int, total: int) -> None:
        """Show a model fetch: `done` of `total` bytes of the job `what`."""
        started = self._started.setdefault(what, time.monotonic())
        rate = done / max(time.monotonic() - started, 1e-3)
        left = (total - done) / rate if rate else 0.0
        size = f"{megabytes(done)} of {megabytes(total)}, {megabytes(int(rate))}/s" if total else ""
        self._show(what, done, total, f"{size}, {left:.0f} s left" if left >= 1 else size)

    def embed(self, progress: "Progress") -> None:
        """Show how far the embedding of texts is."""
        detail = f"{progress.done:,} of {progress.total:,} texts"
        if progress.rate:
            detail += f", {progress.rate:,.0f}/s, {progress.seconds_left:.0f} s left"
        self._show("embed", progress.done, progress.total, detail)

    def _show(self, what: str, done: int, total: int, detail: str) -> None:
        if not sys.stderr.isatty():
            if what not in self._tasks:
                self._tasks[what] = None
                log(what)
            return
        if self._bars is None:
            self._bars = _rich_bars()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, detail="")
        self._bars.update(self._tasks[what], completed=done, total=total or None, detail=detail)


def _rich_bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    bars = Progress(*columns, console=Console(stderr=True), transient=True)
    bars.start()
    return bars
