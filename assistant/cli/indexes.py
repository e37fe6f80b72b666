"""`career index`: build, update, look at, check, list and delete indexes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpus.errors import CareerError, IndexCorrupt
from index import generations

from . import screen
from .screen import AsJson, IndexName

if TYPE_CHECKING:
    from index.build import BuildReport
    from index.embedder import Embedder
    from index.vectors import Plan

app = typer.Typer(help="The indexes: build, update, look at, check, delete.", rich_markup_mode=None)

_LISTED = 20  # documents that a report names; --json names all
_KINDS = {
    "exact": "compares all vectors and finds the best ones; chosen up to 200,000",
    "pq": "scans short codes of all vectors, then compares the nearest; chosen up to 500,000",
    "ivf": "scans short codes of the nearest lists, then compares the nearest; chosen beyond that",
}


@app.command()
def build(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.")],
    index: IndexName = "default",
    *,
    as_json: AsJson = False,
) -> None:
    """Index files and folders, and nothing else; what has not changed is not embedded again."""
    from index import build as building

    with screen.Bars() as bars:
        report = building.build(index, paths, _embedder(bars), bars.embed, plan=_plan())
    _tell(report, as_json=as_json)


@app.command()
def update(index: IndexName = "default", *, as_json: AsJson = False) -> None:
    """Look again at what an index was built from: add what is new, drop what is gone."""
    generations.current(index)  # before any model is fetched
    from index import build as building

    with screen.Bars() as bars:
        report = building.update(index, _embedder(bars), bars.embed, plan=_plan())
    _tell(report, as_json=as_json)


@app.command()
def info(index: IndexName = "default", *, as_json: AsJson = False) -> None:
    """Show what an index holds, how it was made and what it takes on disk."""
    record = _record(generations.current(index))
    if as_json:
        screen.result(record)
        return
    embedder = record["embedder"]
    screen.lines(
        f"index {record['index']} {record['generation']}, fingerprint {record['fingerprint']}",
        f"{len(record['documents'])} documents, {record['chunks']} chunks",
        f"embedder {embedder['name']} ({embedder['weights'][:12]})",
        f"{record['dimension']} dimensions",
        f"kind {record['kind']}: {record['kind_reason']}",
        *(_segment(segment) for segment in record["segments"]),
        f"embedded in {(record['precision'] or {'name': 'float32'})['name']}",
        f"{screen.megabytes(record['bytes'])} in {record['folder']}",
        *(f"  {size:>12,}  {file}" for file, size in record["files"].items()),
        "built from",
        *(f"  {path}" for path in record["paths"]),
        "documents",
        *(f"  {source}" for source in record["documents"]),
    )


@app.command()
def verify(index: IndexName = "default", *, as_json: AsJson = False) -> None:
    """Hash every file of an index; exit 5 when one is damaged."""
    from index import build as building

    files = building.verify(index)
    bad = [result for result in files.values() if result != "ok"]
    error = IndexCorrupt(bad[0], generations.REBUILD.format(name=index)) if bad else None
    if as_json:
        record: dict[str, Any] = {"index": index, "ok": not bad, "files": files}
        screen.result(record | ({"error": error.to_dict()} if error else {}))
    else:
        screen.lines(*(f"{file}  {result}" for file, result in files.items()))
        if error:
            screen.log(str(error))
    raise typer.Exit(error.exit_code if error else 0)


@app.command("list")
def list_indexes(*, as_json: AsJson = False) -> None:
    """List the indexes."""
    records = [_summary(name) for name in generations.index_names()]
    if as_json:
        screen.result({"indexes": records})
        return
    for record in records:
        screen.lines(
            f"{record['index']}  {record['error']['message']}"
            if "error" in record
            else f"{record['index']}  {record['documents']} documents, {record['chunks']} chunks, "
            f"{screen.megabytes(record['bytes'])}"
        )


@app.command()
def remove(index: IndexName = "default", *, as_json: AsJson = False) -> None:
    """Delete an index from the disk; the documents that it was built from stay."""
    generations.remove(index)
    if as_json:
        screen.result({"index": index, "removed": True})
    else:
        screen.lines(f"removed index {index}")


def _embedder(bars: screen.Bars) -> "Embedder":
    from index.embedder import open_embedder
    from index.models import ModelStore

    from ..settings import load_settings

    settings, store = load_settings(), ModelStore()
    store.resolve(settings.embedder, progress=bars.fetch)
    return open_embedder(settings.embedder, store, settings.device, settings.precision)


def _plan() -> "Plan":
    from index.vectors import Plan

    from ..settings import load_settings

    settings = load_settings()
    return Plan(settings.index_kind, settings.index_recall)


def _tell(report: "BuildReport", *, as_json: bool) -> None:
    if as_json:
        screen.result(report.to_dict())
        return
    screen.lines(
        f"index {report.index} {report.generation}: {report.documents} documents, "
        f"{report.chunks} chunks, {report.embedded} embedded"
    )
    for what in ("added", "changed", "removed"):
        sources = getattr(report, what)
        screen.lines(*(f"  {what}: {source}" for source in sources[:_LISTED]))
        if len(sources) > _LISTED:
            screen.lines(f"  {what}: {len(sources) - _LISTED} more")
    screen.lines(*(f"  not read: {unread.path} {unread.reason}" for unread in report.unread))


def _segment(segment: dict[str, Any]) -> str:
    """One line on a part of the vectors, with what its search was measured to find."""
    line = f"  segment {segment['number']}: {segment['rows']:,} vectors, {segment['kind']}"
    if "operating_point" not in segment:
        return line
    point = segment["operating_point"]
    return (
        f"{line} {segment['factory']}, recall@10 {point['recall']:.3f} of vectors like its own and "
        f"{point['recall_apart']:.3f} of others (wanted {segment['target']}), "
        f"{point['ms']:.2f} ms a query"
    )


def _record(generation: generations.Generation) -> dict[str, Any]:
    manifest = generation.manifest
    files = {file: described["bytes"] for file, described in manifest["files"].items()}
    return {
        "index": generation.name,
        "generation": generation.folder.name,
        "fingerprint": manifest["fingerprint"],
        "documents": list(manifest["documents"]),
        "chunks": manifest["chunks"],
        "embedder": manifest["embedder"],
        "chunker": manifest["chunker"],
        "dimension": manifest["dimension"],
        "kind": manifest["kind"],
        "kind_reason": _KINDS.get(manifest["kind"], ""),
        "plan": manifest["plan"],
        "segments": manifest["vectors"]["segments"],
        "deleted": manifest["vectors"]["deleted"],
        "precision": manifest["precision"],
        "paths": manifest["paths"],
        "folder": str(generation.folder),
        "bytes": sum(files.values()),
        "files": files,
    }


def _summary(name: str) -> dict[str, Any]:
    """One line of the list; a damaged index does not hide the others."""
    try:
        record = _record(generations.current(name))
    except CareerError as error:
        return {"index": name, "error": error.to_dict()}
    kept = ("index", "generation", "chunks", "kind", "embedder", "bytes", "folder")
    return {**{key: record[key] for key in kept}, "documents": len(record["documents"])}
