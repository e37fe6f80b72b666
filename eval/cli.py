"""The command `career-eval`: how fast and how good answers and retrieval are.

Errors and exit codes are those of `career`.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant import __version__
from assistant.cli import Interrupted, _as_career_error, screen
from assistant.cli.screen import AsJson, IndexName
from corpus.errors import UsageError

from .cases import SHIPPED_CASES, read_cases, read_rows

if TYPE_CHECKING:
    from rich.table import Table

    from assistant.support import Verdict

    from .judge import LabelledPair

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="How well the assistant does.")
bench = typer.Typer(help="Measure speed and quality.", rich_markup_mode=None)
app.add_typer(bench, name="bench")


class Split(StrEnum):
    """Which half of the cases: dev is for choosing, test for reporting."""

    DEV = "dev"
    TEST = "test"
    ALL = "all"


def _print_version(wanted: bool) -> None:
    if wanted:
        screen.lines(f"career-eval {__version__}")
        raise typer.Exit


@app.callback()
def _career_eval(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,
) -> None:
    """Measure the assistant: speed, answers, retrieval."""


@bench.command()
def answer(
    cases: Annotated[
        Path, typer.Option(metavar="FILE", help="Cases, as JSON lines.", show_default=False)
    ] = SHIPPED_CASES,
    split: Annotated[Split, typer.Option(help="Which half of the cases.")] = Split.DEV,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask no more than the first N.")] = None,
    index: IndexName = "default",
    backends: Annotated[
        bool, typer.Option(help="Time llama.cpp against transformers too; takes a minute.")
    ] = True,
    *,
    as_json: AsJson = False,
) -> None:
    """Time answers, cold and warm, and score the same answers by their cases."""
    chosen = read_cases(cases, split, limit)
    from assistant.settings import load_settings

    from .bench import bench_answer, file_identity

    progress = _Progress("questions")
    measured = bench_answer(
        chosen, index=index, settings=load_settings(), backends=backends, on_case=progress
    )
    report = {"cases": file_identity(cases) | {"split": split.value}, **measured}
    if as_json:
        screen.result(report)
    else:
        _tell(*_answer_tables(report))


@bench.command()
def retrieval(
    queries: Annotated[
        Path, typer.Option(metavar="FILE", help='JSON lines of {"query", "relevant"}.')
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Ask no more than the first N.")] = None,
    index: IndexName = "default",
    *,
    as_json: AsJson = False,
) -> None:
    """Measure how well queries find the documents that they belong to."""
    from .retrieval import Query, bench_retrieval

    asked = read_rows(queries, Query)[:limit]
    from assistant.pipeline import open_index
    from assistant.settings import load_settings
    from index.embedder import open_embedder
    from index.models import ModelStore

    from .bench import file_identity, machine

    settings = load_settings()
    embedder = open_embedder(settings.embedder, ModelStore(), settings.device)
    opened = open_index(index, embedder)
    measured = bench_retrieval(asked, opened, embedder, _Progress("queries"))
    report = {"queries": file_identity(queries), "machine": machine(), **measured}
    if as_json:
        screen.result(report)
    else:
        _tell(_retrieval_table(report))


@app.command()
def judge(
    pairs: Annotated[
        Path,
        typer.Argument(metavar="FILE", help='JSON lines of {"id", "evidence", "claim", "label"}.'),
    ],
    scores: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write each pair's score and verdict there.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Measure how far the support check agrees with people's labels."""
    from .judge import LabelledPair, judge_pairs, reliability

    labelled = read_rows(pairs, LabelledPair)
    from assistant.support import SupportCheck
    from index.models import ModelStore

    from .bench import file_identity

    check = SupportCheck.open(ModelStore())
    verdicts = judge_pairs(labelled, check, _Progress("pairs"))
    if scores:
        _write_scores(scores, labelled, verdicts)
    report = {
        "pairs": file_identity(pairs),
        "support": check.fingerprint,
        **reliability(labelled, verdicts),
    }
    if as_json:
        screen.result(report)
    else:
        _tell(_judge_table(report))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (that of this process by default) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
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
        return screen.failure(_as_career_error(error), as_json="--json" in given)
    return 0


class _Progress:
    """A line on stderr for each tenth of a long run."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        tenth = done * 10 // total
        if tenth > self._told:
            self._told = tenth
            sys.stderr.write(f"career-eval: {done} of {total} {self._what}\n")
            sys.stderr.flush()


def _answer_tables(report: Mapping[str, Any]) -> list["Table"]:
    speed = report["speed"]
    times = _table(
        f"Speed, {report['n']} questions, {report['machine']['cpu']}", "", "median", "p90", "n"
    )
    for name, row in speed.items():
        if name != "backends":
            times.add_row(name, _shown(row["median"]), _shown(row["p90"]), str(row["n"]))
    quality = _table(f"Quality, {report['cases']['split']} cases", "", "rate", "count", "of")
    for name, row in report["quality"].items():
        quality.add_row(name, _shown(row["rate"]), str(row["count"]), str(row["n"]))
    return [times, *_backend_tables(speed["backends"]), quality]


def _backend_tables(backends: Mapping[str, Any] | None) -> list["Table"]:
    if backends is None:
        return []
    if "skipped" in backends:
        screen.log(str(backends["skipped"]))
        return []
    table = _table("The same GGUF file", "", "load s", "tokens/s")
    for name in ("llama_cpp", "transformers"):
        table.add_row(name, *(_shown(backends[name][key]) for key in ("load_s", "tokens_per_s")))
    table.add_row("ratio", _shown(backends["load_ratio"]), _shown(backends["decode_ratio"]))
    return [table]


def _retrieval_table(report: Mapping[str, Any]) -> "Table":
    metrics = ("recall@10", "ndcg@10", "mrr")
    table = _table(f"Retrieval, {report['n']} queries", "", *metrics, "queries/s")
    for name, arm in report["arms"].items():
        cells = [
            f"{_shown(arm[m]['mean'])} ({_shown(arm[m]['low'])}-{_shown(arm[m]['high'])})"
            for m in metrics
        ]
        table.add_row(name, *cells, _shown(arm["queries_per_s"]))
    return table


def _write_scores(
    file: Path, pairs: "Sequence[LabelledPair]", verdicts: "Sequence[Verdict]"
) -> None:
    rows = [
        {"id": pair.id, "score": round(verdict.score, 6), "supported": verdict.supported}
        for pair, verdict in zip(pairs, verdicts, strict=True)
    ]
    try:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a file that can be written") from error


def _judge_table(report: Mapping[str, Any]) -> "Table":
    name = report["pairs"]["file"]
    table = _table(f"{report['n']} labelled pairs, {name}", "", "value", "95 % from", "to")
    for arm in ("whole_check", "model", "word_overlap"):
        for metric, row in report[arm].items():
            cells = [_shown(row[key]) for key in ("value", "low", "high")]
            table.add_row(f"{arm}: {metric}", *cells)
    return table


def _table(title: str, *columns: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _tell(*tables: "Table") -> None:
    from io import StringIO

    from rich.console import Console

    drawn = StringIO()
    console = Console(file=drawn, width=110)
    for table in tables:
        console.print(table)
    screen.out(drawn.getvalue())
