"""How far a long command is, on stderr: a bar in a terminal, else a line for each tenth."""

import sys
from types import TracebackType
from typing import Any


class Counting:
    """Called with how many of how many things are done; rate and time left in a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = 0
        self._bar: Any = None  # rich's, made when there is something to show

    def __enter__(self) -> "Counting":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if sys.stderr.isatty():
            self._draw(done, total)
            return
        tenth = done * 10 // max(1, total)
        if tenth != self._told:  # a second round begins again
            self._told = tenth
            sys.stderr.write(f"career-eval: {done} of {total} {self._what}\n")
            sys.stderr.flush()

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = _rich_bar()
            self._task = self._bar.add_task(self._what, total=total)
        self._bar.update(self._task, completed=done, total=total)
        if done == total:
            self._bar.stop()
            self._bar = None


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar
