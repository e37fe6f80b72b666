"""The checkup: what is installed and stored, and the command that fixes each fault.

Every check stands alone: one that fails says so and hides none of the others.
"""

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpus.errors import CareerError
from corpus.paths import config_file, data_folder, model_folder
from index import generations
from index.models import ModelStore, catalogue

from .settings import Settings, load_settings

State = Literal["ok", "warn", "fail"]
_PACKAGE = "career-assistant"
_LITTLE_SPACE = 1_000_000_000
_ENDPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and the command (or step) that mends it."""

    name: str
    state: State
    detail: str
    fix: str = ""


def checkup() -> list[Check]:
    """Everything that can be checked, in the order in which faults should be mended."""
    checks: list[Check] = []
    for look in (
        _python,
        _packages,
        _settings,
        _folders,
        _devices,
        _search,
        _models,
        _llm,
        _indexes,
    ):
        try:
            checks += look()
        except CareerError as error:
            checks.append(Check(_name(look), "fail", error.message, error.remedy))
        except Exception as error:  # a broken installation breaks in any way
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            checks.append(Check(_name(look), "fail", said, _reinstall()))
    return checks


def _name(look: Callable[[], Iterator[Check]]) -> str:
    return look.__name__.removeprefix("_")


def _command(error: CareerError) -> str:
    """The command that the remedy names, else the remedy."""
    return error.remedy.partition(": ")[2] or error.remedy


def _reinstall() -> str:
    return f"{sys.executable} -m pip install --force-reinstall {_PACKAGE}"


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = sys.version_info >= (3, 11)
    yield Check("python", "ok" if fits else "fail", found, "" if fits else "install Python 3.11+")


def _packages() -> Iterator[Check]:
    """Each declared package against what is installed."""
    from packaging.requirements import Requirement

    declared = [Requirement(line) for line in _declared()]
    needed = [one for one in declared if not one.marker or one.marker.evaluate({"extra": ""})]
    faults = 0
    for one in needed:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if version and one.specifier.contains(version, prereleases=True):
            continue
        faults += 1
        said = f"{one.name} {version or 'is missing'}, declared {one.specifier}"
        fix = f'{sys.executable} -m pip install "{one.name}{one.specifier}"'
        yield Check("packages", "fail", said, fix)
    if not faults:
        yield Check("packages", "ok", f"{len(needed)} declared packages are installed as declared")


def _declared() -> list[str]:
    """The requirements of this program: of the installed package, else of its checkout."""
    try:
        return importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        file = Path(__file__).parents[1] / "pyproject.toml"
        return list(tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"])


def _settings() -> Iterator[Check]:
    load_settings()
    file = config_file()
    yield Check("settings", "ok", f"{file}{'' if file.is_file() else ' (none: defaults)'}")


def _folders() -> Iterator[Check]:
    """Space, use and permission of the folders that we write to."""
    for name, folder in (("data folder", data_folder()), ("model folder", model_folder())):
        place = next(path for path in (folder, *folder.parents) if path.is_dir())
        free = shutil.disk_usage(place).free
        detail = f"{folder}, {_size(folder) / 1e6:,.1f} MB used, {free / 1e9:,.1f} GB free"
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            fix = f"make {place} writable, or point CAREER_HOME at a folder of yours"
            yield Check(name, "fail", f"{detail}; cannot be written ({error.strerror})", fix)
            continue
        if free < _LITTLE_SPACE:
            fix = "free some space, or point CAREER_HOME at another disk"
            yield Check(name, "warn", f"{detail}: little space", fix)
        else:
            yield Check(name, "ok", detail)


def _devices() -> Iterator[Check]:
    from index.embedder import best_device
    from index.threads import cores

    found, asked = best_device(), _settings_or_defaults().device
    detail = f"{cores()} CPU threads; torch would use {found}"
    if asked in ("auto", "cpu", found):
        yield Check("devices", "ok", detail)
    else:
        fix = "set device = 'auto' in career.toml, or install torch for that device"
        yield Check("devices", "fail", f"{detail}, but the setting device is {asked!r}", fix)


def _search() -> Iterator[Check]:
    """How fast vectors are compared here, and whether a BLAS took kernels that waste the CPU."""
    from index import kernels, threads

    threads.settle()
    times = {name: f"{seconds * 1000:.1f} ms" for name, seconds in kernels.trial().items()}
    told = ", ".join(f"{name} {time}" for name, time in sorted(times.items()))
    detail = f"{threads.cores()} threads; 64 queries over 8,192 vectors: {told}"
    yield Check("search", "ok", f"{detail}; batches go to {kernels.batch_kernel()}")
    for pool in threads.pools():
        if threads.slow(pool):
            said = f"{pool['of']} uses {pool['library']} with kernels for {pool['kernels']}"
            fix = "set OPENBLAS_CORETYPE=Haswell in the environment"
            yield Check("search", "warn", f"{said}, which are slow on this processor", fix)


def _models() -> Iterator[Check]:
    """The catalogue's files; one that the settings do not use may be absent."""
    from . import cross_encoder

    settings = _settings_or_defaults()
    used = {
        settings.embedder,
        cross_encoder.BASE,
        settings.llm.removeprefix("transformers:"),
    }
    for check in ModelStore().status():
        detail = f"{check.message}, {check.folder}" if check.state == "present" else check.message
        if check.state == "present" or (check.state == "absent" and check.model.name not in used):
            yield Check("models", "ok", detail)
        else:
            offline = os.environ.get("CAREER_OFFLINE", "") not in ("", "0")
            state: State = "fail" if check.state == "damaged" or offline else "warn"
            yield Check("models", state, detail, check.remedy.removeprefix("run: "))
    if settings.embedder not in catalogue():
        yield _own_model("models", settings.embedder)


def _llm() -> Iterator[Check]:
    """An LLM that is not of the catalogue: whether it is there."""
    settings = _settings_or_defaults()
    name = settings.llm.removeprefix("transformers:")
    if name.startswith(("http://", "https://")):
        import httpx

        url = f"{name.rstrip('/').removesuffix('/v1')}/v1/models"
        key = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        try:
            httpx.get(url, headers=key, timeout=_ENDPOINT_SECONDS).raise_for_status()
            yield Check("llm", "ok", f"{name} answers")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fix = "start it, or correct the setting llm (CAREER_LLM)"
            yield Check("llm", "fail", f"{name} does not answer ({error})", fix)
    elif name not in catalogue():
        yield _own_model("llm", name)


def _own_model(what: str, name: str) -> Check:
    """A model that the user named; the network is not asked for it."""
    if Path(name).expanduser().exists():
        return Check(what, "ok", f"{name} is on this machine")
    detail = f"{name} is no file or folder here; it is taken for a hub id and fetched on first use"
    return Check(what, "warn", detail, "correct the setting if it should be a path")


def _indexes() -> Iterator[Check]:
    names = generations.index_names()
    if not names:
        yield Check("indexes", "ok", "none yet; the first question builds the default one")
    for name in names:
        try:
            yield _index(name)
        except CareerError as error:
            yield Check("indexes", "fail", error.message, _command(error))
    for stray in sorted((data_folder() / "index").glob("*/.building-*")):
        name = stray.parent.name
        detail = f"{stray} is a build under way, or one that died"
        yield Check("indexes", "warn", detail, f"career index update --index {name}")


def _index(name: str) -> Check:
    from index.build import recorded_paths, verify

    bad = [result for result in verify(name).values() if result != "ok"]
    roots = " ".join(f"'{path}'" for path in recorded_paths(name))
    rebuild = f"career index build {roots} --index {name}"
    if bad:
        return Check("indexes", "fail", bad[0], rebuild)
    manifest = generations.current(name).manifest
    made_with, wanted = manifest["embedder"], _embedder_weights()
    if wanted and made_with["weights"] != wanted:
        embedder = _settings_or_defaults().embedder
        said = f"index {name!r} was made with embedder {made_with['name']!r}, not {embedder!r}"
        return Check("indexes", "fail", said, rebuild)
    held = f"{len(manifest['documents'])} documents, {manifest['chunks']} chunks"
    return Check("indexes", "ok", f"index {name!r} is whole: {held}")


def _embedder_weights() -> str:
    """The identity of the configured embedder; empty while it is not on this machine."""
    store, name = ModelStore(), _settings_or_defaults().embedder
    folder = store.folder / name if name in catalogue() else Path(name).expanduser()
    try:
        return store.weights_hash(folder) if folder.is_dir() else ""
    except CareerError:
        return ""


def _settings_or_defaults() -> Settings:
    """The settings; the defaults where they are faulty, which has a check of its own."""
    try:
        return load_settings()
    except CareerError:
        return Settings.model_construct()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
