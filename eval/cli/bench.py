"""`career-eval bench`: speed and quality, measured here and now."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assistant.cli import screen
from assistant.cli.screen import AsJson, IndexName

from ..cases import SHIPPED_CASES, read_cases, read_rows
from . import tables
from .judging import JudgeName, open_judge
from .progress import Counting

app = typer.Typer(help="Measure speed and quality.", rich_markup_mode=None)


class Split(StrEnum):
    """Which half of the cases: dev is for choosing, test for reporting."""

    DEV = "dev"
    TEST = "test"
    ALL = "all"


@app.command()
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

    from ..bench import bench_answer, file_identity

    progress = Counting("questions")
    measured = bench_answer(
        chosen, index=index, settings=load_settings(), backends=backends, on_case=progress
    )
    report = {"cases": file_identity(cases) | {"split": split.value}, **measured}
    if as_json:
        screen.result(report)
    else:
        tables.tell(*tables.of_answers(report))


@app.command()
def drafts(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Questions with drafts, as JSON lines.")
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Ask no more than the first N.")] = None,
    index: IndexName = "default",
    *,
    as_json: AsJson = False,
) -> None:
    """Give drafts instead of the LLM's: how many right and wrong sentences are displayed."""
    from ..given_drafts import GivenDraft, bench_drafts

    given = read_rows(file, GivenDraft)[:limit]
    from assistant.settings import load_settings

    from ..bench import file_identity

    progress = Counting("questions")
    measured = bench_drafts(given, index=index, settings=load_settings(), on_case=progress)
    report = {"drafts": file_identity(file), **measured}
    if as_json:
        screen.result(report)
    else:
        tables.tell(*tables.of_drafts(report))


@app.command()
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
    from ..retrieval import Query, bench_retrieval

    asked = read_rows(queries, Query)[:limit]
    from assistant.pipeline import open_index
    from assistant.settings import load_settings
    from index.embedder import open_embedder
    from index.models import ModelStore

    from ..bench import file_identity, machine

    settings = load_settings()
    embedder = open_embedder(settings.embedder, ModelStore(), settings.device)
    opened = open_index(index, embedder)
    measured = bench_retrieval(asked, opened, embedder, Counting("queries"))
    report = {"queries": file_identity(queries), "machine": machine(), **measured}
    if as_json:
        screen.result(report)
    else:
        tables.tell(tables.of_retrieval(report))


Texts = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Texts, a file or a folder. Default: those that are shipped."
    ),
]


@app.command()
def search(
    texts: Texts = None,
    n: Annotated[
        list[int] | None,
        typer.Option(
            min=1_000,
            metavar="N",
            help="How many vectors; can be given again. Default: 1000, 100000 and 1000000.",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure no other; can be given again."),
    ] = None,
    recall: Annotated[
        float,
        typer.Option(min=0.5, max=1, metavar="X", help="The recall@10 that all are tuned to."),
    ] = 0.98,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where finished rows are kept. Default: the cache."),
    ] = None,
    packages: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A site-packages folder with other libraries."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure anew what is kept.")] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Find the nearest of many vectors: our index and other libraries, in the same run.

    A library that is not installed is left out and named. What was measured before, with the
    same code, texts, versions and machine, is not measured again.
    """
    from ..search_bench import SIZES, Plan, bench_search, cache, read_lines

    lines = read_lines(texts)
    from assistant.settings import load_settings
    from index.embedder import open_embedder
    from index.models import ModelStore

    settings = load_settings()
    embedder = open_embedder(settings.embedder, ModelStore(), settings.device)
    plan = Plan(
        tuple(arm or ()), tuple(dict.fromkeys(n or SIZES)), recall, out or cache(), packages, fresh
    )
    report = bench_search(lines, embedder, plan, _told)
    if as_json:
        screen.result(report)
    else:
        tables.tell(*tables.of_search(report))


@app.command()
def ingest(
    texts: Texts = None,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='JSON lines of {"query", "relevant"}, for recall.'),
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="Embed no more than N chunks.")] = None,
    limit_documents: Annotated[
        int | None, typer.Option(min=1, help="Read no more than the first N documents.")
    ] = None,
    build: Annotated[
        bool, typer.Option(help="Build a whole index too, and again with 1 % of it changed.")
    ] = True,
    *,
    as_json: AsJson = False,
) -> None:
    """Embed the chunks of documents: our embedder and sentence-transformers', in the same run."""
    from ..ingest_bench import bench_ingest, read_documents
    from ..retrieval import Query

    asked = read_rows(queries, Query) if queries else []
    documents = read_documents(texts, limit_documents)
    from assistant.settings import load_settings

    report = bench_ingest(documents, asked, load_settings(), n, _told, build=build)
    if as_json:
        screen.result(report)
    else:
        tables.tell(*tables.of_ingest(report))


def _told(step: str) -> None:
    screen.log(step, "career-eval")


@app.command()
def systems(
    judge: JudgeName = None,
    limit: Annotated[int | None, typer.Option(min=1, help="N of the 300 questions only.")] = None,
    llm: Annotated[
        str | None, typer.Option(metavar="NAME", help="Let this LLM answer too, unchecked.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Let the judge rank answers of known quality: gold ones, spoilt ones, nonsense."""
    from assistant.llm import open_llm
    from assistant.settings import load_settings
    from index.models import ModelStore

    from ..systems import bench_systems

    model = open_llm(llm, load_settings(), ModelStore()) if llm else None
    try:
        with Counting("answers") as answering, Counting("judgements") as judging:
            report = bench_systems(
                open_judge(judge), limit, judging, llm=model, on_answer=answering
            )
    finally:
        if model:
            model.close()
    if as_json:
        screen.result(report)
    else:
        tables.tell(*tables.of_systems(report))
