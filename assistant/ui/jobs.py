"""Work in a thread of its own, which the page watches and can stop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Generic, TypeVar

from corpus.errors import MachineError

from ..llm import LLM, Message

T = TypeVar("T")
Emit = Callable[[T], None]
_LOOK_S = 0.05  # how often those in line look whether it is their turn


class Job(Generic[T]):
    """What `work` emits, in the event loop; `work` gets a flag that asks it to end.

    Whoever leaves the loop over a job sets the flag: nobody waits for more.
    """

    def __init__(self, work: Callable[[Emit[T], threading.Event], None]) -> None:
        self.stopped = threading.Event()
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()

    def stop(self) -> None:
        """End the watching at once, the work at its next step; safe from every thread."""
        self.stopped.set()
        self._put(None)

    async def results(self) -> AsyncIterator[T]:
        """What the work emits, until it ends or is stopped; what it raises is raised here."""
        threading.Thread(target=self._run, daemon=True).start()
        try:
            while not self.stopped.is_set():
                item = await self._queue.get()
                if item is None or self.stopped.is_set():
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item[0]
        finally:
            self.stopped.set()

    def _run(self) -> None:
        try:
            self._work(lambda item: self._put((item,)), self.stopped)
            self._put(None)
        except Exception as error:  # raised again where the results are read
            self._put(error)

    def _put(self, item: tuple[T] | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


class Places:
    """So many jobs at a time; more stand in line, and beyond that they are refused."""

    def __init__(self, *, running: int, waiting: int) -> None:
        self._running = running
        self._waiting = waiting
        self._taken = 0
        self._line: list[object] = []

    @asynccontextmanager
    async def taken(self, given_up: threading.Event) -> AsyncIterator[None]:
        """Hold a place for the length of a `with`; whoever gives up gets in at once.

        Raises:
            MachineError: the line is full.
        """
        if len(self._line) >= self._waiting:
            raise MachineError(
                f"{self._waiting} questions are waiting for an answer already",
                "ask again in a moment",
            )
        ticket = object()
        self._line.append(ticket)
        try:
            while not given_up.is_set() and (
                self._line[0] is not ticket or self._taken >= self._running
            ):
                await asyncio.sleep(_LOOK_S)
        finally:
            self._line.remove(ticket)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class StoppableLLM:
    """An LLM whose draft ends between two pieces when the flag of the drafting thread is set."""

    def __init__(self, llm: LLM) -> None:
        self.fingerprint = llm.fingerprint
        self._llm = llm
        self._flags = threading.local()

    def heed(self, flag: threading.Event) -> None:
        """Let `flag` end the drafts of this thread."""
        self._flags.current = flag

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        """The answer in pieces, as many as the flag allows."""
        flag: threading.Event | None = getattr(self._flags, "current", None)
        with closing(self._llm.stream(messages, max_tokens=max_tokens)) as pieces:
            for piece in pieces:
                if flag and flag.is_set():
                    return
                yield piece

    def count_tokens(self, text: str) -> int:
        """How many of the model's tokens `text` takes."""
        return self._llm.count_tokens(text)

    def close(self) -> None:
        """Give back what the model holds."""
        self._llm.close()
