"""The command `career-eval`: how fast and how good answers and retrieval are.

Errors and exit codes are those of `career`.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from assistant.cli import Interrupted, _as_career_error, screen

from . import bench, data, judging, running

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="How well the assistant does.")
app.add_typer(bench.app, name="bench")
app.add_typer(data.cases, name="cases")
app.add_typer(data.app, name="data")
app.command()(running.run)
app.command()(running.compare)
app.command()(judging.score)
app.command()(judging.judge)


@app.callback()
def _career_eval(
    version: Annotated[bool, screen.version_option("career-eval")] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,
) -> None:
    """Measure the assistant: speed, answers, retrieval."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (that of this process by default) and return its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 as long as the process
    given = list(sys.argv[1:] if arguments is None else arguments)
    ended = None
    command = typer.main.get_command(app)
    try:
        ended = command.main(
            args=given or ["--help"], prog_name="career-eval", standalone_mode=False
        )
        if ended == Interrupted.exit_code:  # typer's form of KeyboardInterrupt
            raise Interrupted("interrupted", "run the command again")
    except screen.ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
    except Exception as error:
        if "--debug" in given:
            raise
        return screen.failure(
            _as_career_error(error), as_json="--json" in given, program="career-eval"
        )
    return ended if isinstance(ended, int) else 0
