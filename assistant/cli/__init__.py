"""The command `career`: its commands, and how every error becomes one line and an exit code.

Exit codes: 0 ok, 1 a check failed, 2 wrong usage, 3 no index or source, 4 no model, 5 the machine
or stored data is at fault, 130 interrupted. What is heavy is imported by the command that needs it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from corpus.errors import CareerError, MachineError, UsageError, from_os_error
from corpus.paths import data_folder

from . import asking, indexes, models, screen
from .screen import AsJson, IndexName

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="A career assistant.")
app.add_typer(indexes.app, name="index")
app.add_typer(models.app, name="models")
app.command()(asking.ask)
app.command()(asking.chat)
app.command()(asking.search)
app.command()(asking.show)


class Interrupted(CareerError):
    """The user pressed Ctrl-C."""

    exit_code = 130
    code = "interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (that of this process by default) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = given[: given.index("--")] if "--" in given else given
    try:
        return _run(given)
    except screen.ReaderGone:
        return 0
    except Exception as error:
        if "--debug" in options:
            raise
        return screen.failure(_as_career_error(error), as_json="--json" in options)


@app.callback()
def _career(
    version: Annotated[bool, screen.version_option("career")] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,
) -> None:
    """Answer questions about careers; every sentence is checked against what it cites."""


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.", min=0, max=65535)] = 7860,
    index: IndexName = "default",
) -> None:
    """Open the chat in the browser; the shipped documents are indexed first if needed."""
    asking.refuse_unknown(index)
    from ..settings import load_settings

    settings = load_settings()
    from ..ui import serve

    serve(host, port, index, settings)


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check what is installed and stored, and name the command that fixes each fault."""
    from ..doctor import checkup

    checks = checkup()
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        screen.result({"ok": not failed, "checks": [vars(check) for check in checks]})
    else:
        for check in checks:
            screen.lines(f"{check.state:<4}  {check.name}: {check.detail}")
            if check.fix:
                screen.lines(f"      fix: {check.fix}")
    raise typer.Exit(1 if failed else 0)


def _run(given: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    returned = command.main(args=given or ["--help"], prog_name="career", standalone_mode=False)
    if returned == Interrupted.exit_code:  # typer's form of KeyboardInterrupt
        raise Interrupted("interrupted", "run the command again")
    return returned if isinstance(returned, int) else 0


def _as_career_error(error: Exception) -> CareerError:
    """`error` as one that a user can act on."""
    if isinstance(error, CareerError):
        return error
    if isinstance(error, typer.TyperException):  # typer's usage errors
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "career"
        return UsageError(error.format_message().strip().rstrip("."), f"see: {command} --help")
    if isinstance(error, OSError):
        return from_os_error(error, Path(str(error.filename or data_folder())))
    if isinstance(error, MemoryError):
        return MachineError("the memory is full", "close other programs or index fewer documents")
    said = str(error).strip().splitlines()
    return CareerError(
        f"unexpected {type(error).__name__}{f': {said[0][:200]}' if said else ''}",
        "please report it with what the same command prints with --debug before it",
    )
