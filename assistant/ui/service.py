"""The assistant that every session shares: loading, ready, or why it is not; and its uploads."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import CareerError, IndexBusy, MachineError
from corpus.sections import Document
from index.embedder import Progress
from index.models import ModelStore

from ..answer import Event
from ..conversation import Turn
from ..llm import open_llm
from ..pipeline import Assistant, open_index
from . import uploads
from .jobs import Emit, StoppableLLM

if TYPE_CHECKING:
    from ..settings import Settings


_LAST_LOAD_S = 5.0


@dataclass(frozen=True)
class Loading:
    """What is going on before the first question can be asked."""

    doing: str = "Loading the models…"


@dataclass(frozen=True)
class Ready:
    """The assistant and the LLM in it, which a session can stop."""

    assistant: Assistant
    llm: StoppableLLM

    def answer(
        self,
        question: str,
        history: Sequence[Turn],
        emit: Emit[Event],
        stopped: threading.Event,
    ) -> None:
        """Emit what happens to `question`, until `stopped` is set: that ends the decode too."""
        self.llm.heed(stopped)
        with closing(self.assistant.stream(question, history=history)) as events:
            for event in events:
                if stopped.is_set():
                    return
                emit(event)


State = Loading | Ready | CareerError


class Service:
    """One assistant for all sessions; `start` loads it in the background."""

    def __init__(self, index: str, settings: "Settings") -> None:
        self.index_name = index
        self.state: State = Loading()
        self._settings = settings
        self._starting = threading.Lock()
        self._loader: threading.Thread | None = None
        self._writing = threading.Lock()

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents of the open index, once there is one."""
        return self.state.assistant.index.documents if isinstance(self.state, Ready) else ()

    def start(self) -> None:
        """Load in the background, unless that is under way."""
        if self._starting.acquire(blocking=False):
            self.state = Loading()
            self._loader = threading.Thread(target=self._load, daemon=True)
            self._loader.start()

    def add(self, files: Sequence[Path], emit: Emit[Progress | list[uploads.Result]]) -> None:
        """Add the uploaded `files` to the index, for all sessions.

        Emits the progress, then what became of each file; `files` are deleted.

        Raises:
            CareerError: the index cannot be written; then nothing has changed.
        """
        try:
            with self._only_writer():
                emit(self._index(files, emit))
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Give back what the models hold.

        A load that is under way may finish: Python's end would abort the process where it catches a
        thread in a model's C++ code.
        """
        if self._loader:
            self._loader.join(_LAST_LOAD_S)
        if isinstance(self.state, Ready):
            self.state.assistant.close()

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        if not self._writing.acquire(blocking=False):
            raise IndexBusy(
                f"another upload is being written to index {self.index_name!r}",
                "wait until it has finished, then add the files again",
            )
        try:
            yield
        finally:
            self._writing.release()

    def _index(
        self, files: Sequence[Path], emit: Emit[Progress | list[uploads.Result]]
    ) -> list[uploads.Result]:
        if not isinstance(self.state, Ready):
            raise MachineError("the models are still loading", "add the files again in a moment")
        assistant, llm = self.state.assistant, self.state.llm
        results = uploads.add(files, assistant.index, assistant.embedder, emit)
        if not any(result.added for result in results):
            return results
        opened = open_index(self.index_name, assistant.embedder)
        self.state = Ready(assistant.with_index(opened), llm)
        return uploads.counted(results, opened)

    def _load(self) -> None:
        try:
            ready = self._open()
            self.state = ready
            _warm_up(ready)
        except CareerError as error:
            self.state = error
        except Exception as error:  # shown in the page; its text may hold what a document says
            self.state = CareerError(
                f"the models did not load ({type(error).__name__})", "see: career doctor"
            )
        finally:
            self._starting.release()

    def _open(self) -> Ready:
        llm = StoppableLLM(
            open_llm(self._settings.llm, self._settings, ModelStore(), self._fetching)
        )
        try:
            assistant = Assistant.open(
                index=self.index_name,
                llm=llm,
                settings=self._settings,
                on_models=self._fetching,
                on_index=self._indexing,
            )
        except BaseException:
            llm.close()
            raise
        return Ready(assistant, llm)

    def _fetching(self, what: str, done: int, total: int) -> None:
        size = f" ({done / 1e6:,.0f} of {total / 1e6:,.0f} MB)" if total else ""
        self.state = Loading(f"Loading the models… {what}{size}")

    def _indexing(self, progress: Progress) -> None:
        self.state = Loading(f"Indexing the documents… {progress.done:,} of {progress.total:,}")


def _warm_up(ready: Ready) -> None:
    """Load what is loaded on first use while the user still reads and types."""
    with suppress(Exception):  # the first answer will tell what is wrong
        ready.assistant.search("salary")
        if not ready.assistant.settings.llm.startswith(("http://", "https://")):
            for _ in ready.llm.stream([("user", "Hello")], max_tokens=1):
                pass
