"""Real parts for the tests: models and default index, made once, and the real commands."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import main
from assistant.cross_encoder import BASE
from assistant.pipeline import open_index
from assistant.reranker import Reranker
from assistant.support import SupportCheck
from index.embedder import LocalEmbedder, open_embedder
from index.models import ModelStore

ROOT = Path(__file__).parents[1]
EMBEDDER = "all-minilm-l6-v2"
LLM = "smollm2-135m-instruct"
MODELS = (EMBEDDER, BASE, LLM)


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.stdout)

    @property
    def text(self) -> str:
        """What stands on stdout."""
        return self.stdout.decode()


def ran_here(command: Callable[[Sequence[str]], int], *arguments: str) -> Ran:
    """A command's `main` in this process, which is faster than a process of its own."""
    written = io.BytesIO()
    out, err = io.TextIOWrapper(written, "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(arguments)
    out.flush()
    return Ran(code, written.getvalue(), err.getvalue())


class Career:
    """The command `career`: as a process of its own, or `here` in this one, which is faster."""

    def __call__(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Ran:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            env=os.environ | dict(env or {}),
            cwd=ROOT,
            timeout=240,
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    def here(self, *arguments: str) -> Ran:
        """Run the same `main` in this process; its input is empty."""
        return ran_here(main, *arguments)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """The command line of a process."""
        return [sys.executable, "-m", "assistant.cli", *arguments]


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `command`, killed at the end if it still runs: a failed test never waits."""
    with subprocess.Popen(command, cwd=ROOT, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let processes of the tests be interrupted: a suite run in the background ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The CAREER_HOME of the tests: none sees the settings or the data of whoever runs them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("CAREER_"):
                patch.delenv(name)
        patch.setenv("CAREER_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def home(empty_home: Path) -> Path:
    """The CAREER_HOME with the models and the default index; tests leave them as they are."""
    store = ModelStore()
    for name in MODELS:
        store.pull(name)
    open_index("default", open_embedder(EMBEDDER, store))
    return empty_home


@pytest.fixture(scope="session")
def embedder(home: Path) -> LocalEmbedder:
    """The default embedder."""
    return open_embedder(EMBEDDER, ModelStore(home / "models"))


@pytest.fixture(scope="session")
def reranker(home: Path) -> Reranker:
    """The reranker that is shipped."""
    return Reranker.open(ModelStore(home / "models"))


@pytest.fixture(scope="session")
def support(home: Path) -> SupportCheck:
    """The support check that is shipped."""
    return SupportCheck.open(ModelStore(home / "models"))


@pytest.fixture
def fresh_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CAREER_HOME of the test's own, with the models and without an index."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "models").symlink_to(home / "models", target_is_directory=True)
    monkeypatch.setenv("CAREER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def career() -> Career:
    """The command `career`."""
    return Career()
