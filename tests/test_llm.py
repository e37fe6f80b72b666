"""The LLM endpoint: stopping really stops, failures are told in one line, local means no proxy."""

import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assistant.llm.endpoint import ChatEndpoint, connect
from corpus.errors import ModelUnavailable

ASKED = [("user", "Which degree?")]


class Writer(BaseHTTPRequestHandler):
    """An OpenAI-compatible LLM: `endless` writes until nobody listens, `broken` dies half-way."""

    writing: set[int] = set()  # noqa: RUF012  the answers that are being written
    asked = 0

    def do_GET(self) -> None:
        data = json.dumps({"data": [{"id": "endless"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not body:  # interrupted before it was sent
            return
        model = json.loads(body)["model"]
        Writer.asked += 1
        me = Writer.asked
        self.writing.add(me)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", "1000000")  # a promise that `broken` breaks
        self.end_headers()
        delta = {"index": 0, "delta": {"role": "assistant", "content": "well, "}}
        piece = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": model}
        line = f"data: {json.dumps(piece | {'choices': [delta]})}\n\n".encode()
        try:
            while True:
                self.wfile.write(line)
                if model == "broken":
                    break
                time.sleep(0.002)
        except OSError:
            pass
        finally:
            self.close_connection = True
            self.writing.discard(me)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the LLM is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Writer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def all_stopped(seconds: float = 5.0) -> bool:
    """Whether no answer is being written any more, within `seconds`."""
    deadline = time.monotonic() + seconds
    while Writer.writing and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Writer.writing


def listen(pieces: Generator[str, None, None], bell: threading.Timer) -> None:
    """Set the `bell`, take all of `pieces`, and close them whatever happens."""
    with closing(pieces):
        bell.start()
        for _ in pieces:
            pass


def test_an_answer_that_is_closed_is_not_written_on(address: str) -> None:
    llm = connect(address, "", "")
    pieces = llm.stream(ASKED, max_tokens=8)
    assert next(pieces) == "well, "
    assert Writer.writing, "the answer should be under way"
    pieces.close()
    assert all_stopped()


# A guard, not a proof: the window in which a request was once let go of unclosed is narrow.
# A socket that is interrupted while it connects is let go of, which closes it with this warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_any_moment_ends_the_request(address: str) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    llm = connect(address, "endless", "")
    with closing(llm.stream(ASKED, max_tokens=8)) as pieces:  # imports are over
        next(pieces)
    before = signal.signal(signal.SIGUSR1, interrupt)
    dice = random.Random(7)
    reached = Writer.asked
    # Python drops what is raised while the collector finalizes the generators of rounds before.
    gc.disable()
    try:
        for _ in range(60):
            pieces = llm.stream(ASKED, max_tokens=8)
            bell = threading.Timer(dice.uniform(0, 0.03), os.kill, (os.getpid(), signal.SIGUSR1))
            with pytest.raises(KeyboardInterrupt):
                listen(pieces, bell)
            bell.join()
            assert all_stopped(), "the model goes on writing for nobody"
    finally:
        gc.enable()
        signal.signal(signal.SIGUSR1, before)
    assert Writer.asked - reached > 20, "most interruptions came before the request: nothing shown"


def test_an_llm_that_dies_while_it_writes_is_told_in_one_line(address: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"does not answer") as told:
        list(ChatEndpoint(f"{address}/v1", "broken").stream(ASKED, max_tokens=8))
    assert "\n" not in str(told.value)


def test_this_computer_is_reached_without_the_proxy_of_the_environment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with closing(connect(address, "", "").stream(ASKED, max_tokens=8)) as pieces:
        assert next(pieces) == "well, "


def test_a_model_that_is_closed_as_soon_as_it_is_open_lets_go(home: Path) -> None:
    code = """if True:
        from assistant.llm import open_llm
        from assistant.settings import load_settings
        from index.models import ModelStore

        settings = load_settings()
        for _ in range(12):
            llm = open_llm(settings.llm, settings, ModelStore())
            llm.close()
            llm.close()
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
