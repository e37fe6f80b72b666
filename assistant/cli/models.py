"""`career models`: the catalogue, and what of it is on this machine."""

from typing import Annotated, Any

import typer

from corpus.errors import ModelUnavailable, UsageError
from index.models import ModelCheck, ModelStore, catalogue

from . import screen
from .screen import AsJson

app = typer.Typer(help="The models: list, fetch, check, delete.", rich_markup_mode=None)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]…", help="Models; all of the catalogue if none."),
]


@app.command("list")
def list_models(*, as_json: AsJson = False) -> None:
    """List the catalogue with sizes and places on disk."""
    store = ModelStore()
    found = store.status()
    if as_json:
        screen.result({"folder": str(store.folder), "models": [_record(check) for check in found]})
        return
    for check in found:
        model = check.model
        screen.lines(
            f"{model.name}  {model.kind}, {model.licence}, {screen.megabytes(model.size)}, "
            f"{check.state}{f' in {check.folder}' if check.state != 'absent' else ''}"
        )


@app.command()
def pull(names: Names = None, *, as_json: AsJson = False) -> None:
    """Fetch models and check their hashes; those that are intact stay."""
    store = ModelStore()
    pulled = []
    with screen.Bars() as bars:
        for name in names or catalogue():
            known = name in catalogue()
            fetch = store.pull if known else store.resolve
            pulled.append({"name": name, "folder": str(fetch(name, progress=bars.fetch))})
    if as_json:
        screen.result({"models": pulled})
    else:
        screen.lines(*(f"{model['name']}  in {model['folder']}" for model in pulled))


@app.command()
def verify(names: Names = None, *, as_json: AsJson = False) -> None:
    """Hash every file of the models; exit 4 when one is damaged, or is named and absent."""
    store = ModelStore()
    checks = [store.verify(name) for name in names or catalogue()]
    bad = [c for c in checks if c.state == "damaged" or (names and c.state == "absent")]
    error = ModelUnavailable(bad[0].message, bad[0].remedy) if bad else None
    if as_json:
        record: dict[str, Any] = {"ok": not bad, "models": [_record(check) for check in checks]}
        screen.result(record | ({"error": error.to_dict()} if error else {}))
    else:
        screen.lines(*(check.message for check in checks))
        if error:
            screen.log(str(error))
    raise typer.Exit(error.exit_code if error else 0)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME…")], *, as_json: AsJson = False
) -> None:
    """Delete models from the disk."""
    unknown = [name for name in names if name not in catalogue()]
    if unknown:
        raise UsageError(f"no model named {unknown[0]!r}", f"name one of {', '.join(catalogue())}")
    store = ModelStore()
    removed = [{"name": name, "removed": store.remove(name)} for name in names]
    if as_json:
        screen.result({"models": removed})
    else:
        said = {True: "removed", False: "was not here"}
        screen.lines(*(f"{model['name']}  {said[bool(model['removed'])]}" for model in removed))


def _record(check: ModelCheck) -> dict[str, Any]:
    return {
        "name": check.model.name,
        "kind": check.model.kind,
        "licence": check.model.licence,
        "bytes": check.model.size,
        "state": check.state,
        "folder": str(check.folder),
        "files": {file.path: file.state for file in check.files},
    }
