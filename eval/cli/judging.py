"""`career-eval score` and `career-eval judge`: answers made elsewhere, and the judge itself."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.cli import screen
from assistant.cli.screen import AsJson
from corpus.errors import UsageError

from ..cases import read_rows
from . import tables
from .progress import Counting

if TYPE_CHECKING:
    from ..answers import AnswerRow
    from ..faithfulness import Assessment
    from ..judge import LabelledPair
    from ..judges import Judge, Judgement

JudgeName = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="NAME",
        help="`shipped`, a cross-encoder (folder or hub id), or `llm:` and the name of an LLM. "
        "Default: what checks the chat's sentences.",
    ),
]


def score(
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help='JSON lines of {"id", "question", "answer", "contexts"}; '
            "the columns of ragas and deepeval are known too.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a report with all metrics there.")
    ] = None,
    judge: JudgeName = None,
    *,
    as_json: Annotated[  # noqa: ARG001 read where errors are told
        bool, typer.Option("--json", help="Tell an error as JSON too; answers always are.")
    ] = False,
) -> None:
    """Score the faithfulness of answers made elsewhere; JSON lines on stdout, in their order."""
    from ..answers import read_answers

    rows = read_answers(answers)
    from ..faithfulness import assess
    from ..runs import only_writer

    with only_writer(out) if out else nullcontext():
        opened = open_judge(judge)
        with Counting("judgements") as counting:
            found = assess([row.given for row in rows], opened, counting)
        if out:
            _write_report(out, answers, rows, found, opened)
    for row, assessment in zip(rows, found, strict=True):
        told = {**assessment.to_dict(), "id": row.id}
        screen.out(json.dumps(told, ensure_ascii=False) + "\n")
    _log(*_summary(found, opened))


def judge(
    pairs: Annotated[
        Path,
        typer.Argument(metavar="FILE", help='JSON lines of {"id", "evidence", "claim", "label"}.'),
    ],
    scores: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write each pair's score and verdict there.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="CARD", help="Add the figures to this report card.")
    ] = None,
    name: JudgeName = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Measure how far the judge agrees with people's labels."""
    from ..judge import LabelledPair, judge_labelled, reliability

    labelled = read_rows(pairs, LabelledPair)
    from ..bench import file_identity

    for place in filter(None, (scores, card)):
        if place.is_dir() or not place.absolute().parent.is_dir():
            raise UsageError(f"{place} cannot be written", "name a file in a folder that is there")
    opened = open_judge(name)
    with Counting("pairs") as counting:
        judged = judge_labelled(labelled, opened, counting)
    if scores:
        _write_scores(scores, labelled, judged)
    report = {
        "pairs": file_identity(pairs),
        "judge": opened.fingerprint,
        **reliability(labelled, judged),
    }
    if card:
        from ..card import add_to_card

        add_to_card(card, report)
    if as_json:
        screen.result(report)
    else:
        tables.tell(tables.of_judge(report), tables.of_calibration(report))


def open_judge(name: str | None) -> "Judge":
    """The judge of that name, with this process's settings."""
    from assistant.settings import load_settings
    from index.models import ModelStore

    from ..judges import open_judge as opened

    return opened(name, load_settings(), ModelStore())


def _write_report(
    out: Path,
    file: Path,
    rows: "Sequence[AnswerRow]",
    found: "Sequence[Assessment]",
    judge: "Judge",
) -> None:
    from assistant.settings import load_settings
    from index.embedder import open_embedder
    from index.models import ModelStore

    from ..bench import file_identity
    from ..runs import finish
    from ..score import foreign_run

    settings = load_settings()
    embedder = open_embedder(settings.embedder, ModelStore(), settings.device)
    manifest = {"answers": {**file_identity(file), "n": len(rows)}}
    finish(foreign_run(rows, found, embedder, judge, manifest), out, None)
    _log(f"the report is {out / 'report.html'}")


def _summary(found: "Sequence[Assessment]", judge: "Judge") -> list[str]:
    """Faithfulness over all answers, and how far its judge can be trusted."""
    from ..card import card_of
    from ..metrics import mean_of

    value = mean_of([assessment.faithfulness for assessment in found])
    judged = f"{value.judged} of {value.n} answers judged"
    if value.value is None:
        return [judged]
    between = f" ({value.low:.3f} to {value.high:.3f})" if value.low is not None else ""
    lines = [f"faithfulness {value.value:.3f}{between}, {judged}"]
    card = card_of(judge.fingerprint)
    if card is None:
        return [*lines, f"nobody measured the judge {judge.name}: career-eval judge FILE"]
    told = [
        f"{row['whole_check']['balanced_accuracy']['value']:.2f} on {name}"
        for name, row in card["sets"].items()
    ]
    return [*lines, f"the judge's balanced accuracy: {', '.join(told)}"]


def _log(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"career-eval: {screen.printable(line)}\n")


def _write_scores(
    file: Path, pairs: "Sequence[LabelledPair]", judged: "Sequence[Judgement]"
) -> None:
    rows = [
        {
            "id": pair.id,
            "score": None if j.score is None else round(j.score, 6),
            "supported": j.supported,
        }
        for pair, j in zip(pairs, judged, strict=True)
    ]
    try:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a file that can be written") from error
