"""`career-eval cases` and `career-eval data`: cases drafted, and data of other tools in and out."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assistant.cli import screen
from assistant.cli.screen import AsJson, IndexName
from corpus.errors import UsageError

from ..cases import read_cases
from . import tables

cases = typer.Typer(help="Cases for an evaluation.", rich_markup_mode=None)
app = typer.Typer(help="Data of other evaluation tools.", rich_markup_mode=None)


class Format(StrEnum):
    """What a run is exported as."""

    RAGAS = "ragas"
    DEEPEVAL = "deepeval"
    TREC = "trec"


OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where it goes.")]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where it goes.")]


@cases.command()
def draft(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.")],
    out: OutFile,
    limit: Annotated[int, typer.Option(min=1, help="How many cases at most.")] = 60,
) -> None:
    """Propose cases from your own documents, for a person to accept.

    Each is marked `"draft": true`; `career-eval run` leaves drafts out.
    """
    from corpus.readers import read_paths

    from ..drafts import draft_cases, write_cases

    reading = read_paths(paths)
    for unread in reading.unread:
        screen.log(f"{unread.path}: {unread.reason}")
    drafted = draft_cases(reading.documents, limit)
    if not drafted:
        raise UsageError("the documents gave no case", "add documents with headings and lists")
    write_cases(drafted, out)
    answerable = sum(case.answerable for case in drafted)
    screen.lines(
        f"{len(drafted)} drafts in {out}, {answerable} of them answerable.",
        'Read each, correct it, and accept it by removing its "draft": true.',
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    out: OutFile,
    to: Annotated[Format, typer.Option("--to", help="Whose columns.")] = Format.RAGAS,
) -> None:
    """Write a run's answers for ragas or deepeval, or its retrieval as a TREC run."""
    from ..exchange import deepeval_rows, ragas_rows, section_id, trec_run
    from ..records import load_run, write_file, writing

    loaded = load_run(run)
    if to is Format.TREC:
        rankings = {
            item.id: list(
                dict.fromkeys(section_id(c.source, c.section) for c in item.contexts if c.source)
            )
            for item in loaded.items
        }
        if not any(rankings.values()):
            raise UsageError(f"{run} names the source of no context", "export a run of `run`")
        text = trec_run(rankings, "career-assistant")
    else:
        rows = ragas_rows(loaded) if to is Format.RAGAS else deepeval_rows(loaded)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with writing(_new(out)):
        write_file(out, text)


@app.command()
def import_beir(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="corpus, queries and qrels.")],
    out: OutFolder,
    split: Annotated[str, typer.Option(help="Which qrels.")] = "test",
) -> None:
    """Turn a BEIR folder into documents to index and queries to measure retrieval with."""
    from ..beir import read_beir, write_beir_documents

    queries = write_beir_documents(read_beir(folder, split), out)
    screen.lines(
        f"career index build {out / 'documents'} --index NAME",
        f"career-eval bench retrieval --queries {queries} --index NAME",
    )


@app.command()
def export_beir(
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="Cases, as JSON lines.")],
    out: OutFolder,
    index: IndexName = "default",
) -> None:
    """Write the sections of an index and the cases that name them as a BEIR folder."""
    from assistant.pipeline import open_index
    from assistant.settings import load_settings
    from index.embedder import open_embedder
    from index.models import ModelStore

    from ..beir import export_beir as export

    settings = load_settings()
    embedder = open_embedder(settings.embedder, ModelStore(), settings.device)
    written = export(read_cases(cases), open_index(index, embedder), out)
    screen.lines(f"{written} queries in {out}")


@app.command()
def rank(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A TREC run.")],
    qrels: Annotated[Path, typer.Argument(metavar="QRELS", help="TREC's or BEIR's.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Measure anybody's ranking: recall@10, nDCG@10 and MRR, with intervals."""
    from ..exchange import ranking_metrics, read_qrels, read_trec_run

    found = ranking_metrics(read_qrels(qrels), read_trec_run(run))
    report = {
        "metrics": {name: vars(value) for name, value in found.values.items()},
        "queries_not_in_run": found.missing,
    }
    if as_json:
        screen.result(report)
    else:
        tables.tell(tables.of_ranking(report))


def _new(file: Path) -> Path:
    if file.exists():
        raise UsageError(f"{file} is there already", "name a new file")
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}", "make it first")
    return file
