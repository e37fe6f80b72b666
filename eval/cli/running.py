"""`career-eval run` and `career-eval compare`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.cli import Interrupted, screen
from assistant.cli.screen import AsJson, IndexName
from corpus.errors import UsageError

from ..cases import Case, read_cases
from . import tables
from .bench import Split
from .judging import JudgeName, open_judge
from .progress import Counting

if TYPE_CHECKING:
    from ..records import Gate, Run


def run(
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="Cases, as JSON lines.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the run goes; an unfinished one there is gone on with. "
            "Default: a new folder in runs/.",
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which half of the cases.")] = Split.ALL,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask no more than the first N.")] = None,
    index: IndexName = "default",
    judge: JudgeName = None,
    min_faithfulness: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="X", help="Fail below this faithfulness.")
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=X", help="Fail below; can be given again."),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="METRIC=X", help="Fail above; can be given again."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Fail where worse than this earlier run.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask the assistant every case, judge and score the answers, and write a report.

    Exit code 1 when a gate fails.
    """
    from ..gates import judged, limits
    from ..records import load_run

    lower, upper = limits(least or ()), limits(most or ())
    if min_faithfulness is not None:
        lower["faithfulness"] = min_faithfulness
    chosen, drafts = _accepted(cases, read_cases(cases, split, limit))
    before = load_run(baseline) if baseline else None
    if before and not {c.id for c in chosen} & {item.id for item in before.items}:
        raise UsageError(f"{baseline} has none of these cases", "name a run of the same cases")
    folder = out or Path("runs") / f"{cases.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        finished = _run(
            cases,
            chosen,
            drafts,
            folder,
            split,
            index,
            judge,
            lambda run: judged(run, lower, upper, before),
        )
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted; the finished answers are kept",
            f"go on with the same command and --out {folder}",
        ) from error
    if as_json:
        screen.result({"out": str(folder), "passed": finished.passed, **finished.summary()})
    else:
        tables.tell(*tables.of_run(finished))
    sys.stderr.write(f"career-eval: the report is {folder / 'report.html'}\n")
    if not finished.passed:
        raise typer.Exit(1)


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of a run.")],
    b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The folder of another one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what run B does better and worse than run A, with intervals and a sign test."""
    from ..compare import compare as compared
    from ..records import load_run

    found = compared(load_run(a), load_run(b))
    if as_json:
        screen.result(found.to_dict())
    else:
        tables.tell(*tables.of_comparison(found))


def _accepted(file: Path, cases: Sequence[Case]) -> tuple[list[Case], int]:
    """The cases that a person accepted, and how many drafts are left out."""
    accepted = [case for case in cases if not case.draft]
    drafts = len(cases) - len(accepted)
    if not accepted:
        raise UsageError(
            f"all {drafts} cases of {file} are drafts", 'accept one by removing its "draft": true'
        )
    if drafts:
        sys.stderr.write(f"career-eval: {drafts} drafts are left out\n")
    return accepted, drafts


def _run(
    file: Path,
    cases: Sequence[Case],
    drafts: int,
    out: Path,
    split: Split,
    index: str,
    judge: str | None,
    gates: "Callable[[Run], tuple[Gate, ...]]",
) -> "Run":
    from assistant import Assistant
    from assistant.cli.asking import refuse_unknown
    from assistant.settings import load_settings

    from ..runs import cases_manifest, finish, only_writer, run_cases

    refuse_unknown(index)
    with only_writer(out, goes_on=True):
        opened = open_judge(judge)
        assistant = Assistant.open(index=index, settings=load_settings())
        try:
            with Counting("questions") as asking, Counting("judgements") as judging:
                found, timings = run_cases(
                    cases,
                    assistant,
                    opened,
                    out,
                    manifest=cases_manifest(file, cases, split.value, drafts),
                    on_case=asking,
                    on_pair=judging,
                )
        finally:
            assistant.close()
        found = replace(found, gates=gates(found))
        finish(found, out, timings)
    return found
