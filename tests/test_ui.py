"""The chat page in a real browser: `career ui` with the real models, asked, uploaded to, attacked.

A slow model behind a loopback URL stands in where a test must act while an answer is being written.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import MODELS, ROOT, Career
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from assistant import Assistant
from assistant.answer import Answer, Citation, Done, Dropped, Sentence
from assistant.pipeline import open_index
from assistant.reranker import Reranker
from assistant.settings import load_settings
from assistant.support import SupportCheck
from assistant.ui import app as ui
from assistant.ui import excerpt, page
from assistant.ui.conversation import Conversation
from assistant.ui.jobs import Places, StoppableLLM
from assistant.ui.service import Ready, Service
from assistant.ui.uploads import Result, safe_name
from corpus.errors import CareerError, IndexBusy
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.sections import Document
from index import generations
from index.embedder import LocalEmbedder

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
PATIENCE_S = 90  # on a machine that does other things too
SHIPPED = SHIPPED_DOCUMENTS / "senior-ai-ml-engineer.md"
SALARY = "What is the national average base salary?"
CANARY = "zanzibarquokka"
NOT_HERE = "203.0.113.9"  # an address for documentation: nothing is there


class Server:
    """A `career ui` process."""

    def __init__(self, home: Path, log: Path, **env: str) -> None:
        self.home = home
        self.model = env.get("CAREER_LLM", "")
        self.log = log
        variables = os.environ | {"CAREER_HOME": str(home), **env}
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                Career.command("ui", "--port", "0"), stderr=stderr, env=variables, cwd=ROOT
            )
        self.url = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text()):
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"career ui did not start: {self.log.read_text()}")

    def end(self) -> None:
        """End it as a service manager does."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()
        assert time.monotonic() - began < 10


class SlowModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that writes `says` at once, or a word now and then for ever."""

    says = ""
    writing = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        self._reply(b'{"data": [{"id": "slow"}]}', "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self._count(1)
        try:
            for text in [self.says] if self.says else ["word "] * 3000:
                delta = {"role": "assistant", "content": text}
                chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                event = json.dumps(chunk | {"choices": [choice]})
                self.wfile.write(f"data: {event}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass  # whoever asked has gone: what the tests wait for
        finally:
            self._count(-1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _reply(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def _count(self, change: int) -> None:
        with SlowModel.lock:
            SlowModel.writing += change


@dataclass
class Chat:
    """The page in a tab of its own."""

    page: Page
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    streams: int = 0

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("request", self._count)
        self.page.on("requestfinished", self._ended)
        self.page.on("requestfailed", self._ended)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))

    def _count(self, request: Request) -> None:
        self.requests.append(request.url)
        self.streams += "/queue/data" in request.url

    def _ended(self, request: Request) -> None:
        self.streams -= "/queue/data" in request.url

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def open(self, url: str) -> "Chat":
        """Wait until questions can be asked."""
        self.page.goto(url)
        self.page.wait_for_selector(".welcome, .notice.failed")
        return self

    def ask(self, question: str) -> Locator:
        """Ask, and wait for the end of the answer: its exchange."""
        exchange = self.send(question)
        expect(exchange).to_have_class(re.compile("answered|abstained|stopped|failed"))
        self._settle()
        return exchange

    def _settle(self) -> None:
        """Wait until Gradio's stream of results has closed.

        What is asked in the same moment, which takes a machine, gets no reply.
        """
        deadline = time.monotonic() + 5
        while self.streams > 0 and time.monotonic() < deadline:
            self.page.wait_for_timeout(10)

    def send(self, question: str) -> Locator:
        """Ask, and wait only until the question is shown."""
        before = self.exchanges.count()
        self.page.fill("#question textarea", question)
        self.page.keyboard.press("Enter")
        expect(self.exchanges).to_have_count(before + 1)
        return self.exchanges.nth(before)

    def upload(self, *files: Path) -> Locator:
        """Add files to the documents; the lines that say what became of them."""
        if not self.page.locator("#files").is_visible():
            self.page.click("#documents > button")
        self.page.set_input_files("#files input[type=file]", files)
        lines = self.page.locator("#uploaded .results li")
        expect(self.page.locator("#uploaded .progress")).to_have_count(0)
        expect(lines).to_have_count(len(files))
        return lines

    @property
    def exchanges(self) -> Locator:
        """All questions with their answers."""
        return self.page.locator(".exchange")

    @property
    def marked(self) -> str:
        """The highlighted words of the panel, character for character."""
        return "".join(self.page.locator("#source mark").all_text_contents())

    @property
    def place(self) -> tuple[int, int]:
        """Where the panel says that the quote stands."""
        said = self.page.locator("#source .file").inner_text()
        start, end = re.findall(r"[\d,]+(?= to)|(?<=to )[\d,]+", said)
        return int(start.replace(",", "")), int(end.replace(",", ""))


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own = tmp_path_factory.mktemp("ui")
    (own / "models").symlink_to(home / "models", target_is_directory=True)
    running = Server(own, tmp_path_factory.mktemp("ui-log") / "log")
    yield running
    running.end()
    assert CANARY not in running.log.read_text(), "what was asked or added is in the log"


@pytest.fixture(scope="module")
def slow_server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    model = ThreadingHTTPServer(("127.0.0.1", 0), SlowModel)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{model.server_port}"
    running = Server(home, tmp_path_factory.mktemp("slow-ui") / "log", CAREER_LLM=url)
    yield running
    running.end()
    model.shutdown()
    model.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("the tests of the page need Chromium; on Debian: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def profile(browser: Browser) -> BrowserContext:
    """Pages in one profile share what they have loaded, and nothing else."""
    return browser.new_context()


Tab = Callable[..., Chat]


@pytest.fixture
def tab(browser: Browser, profile: BrowserContext) -> Iterator[Tab]:
    """Opens the page in a session of its own; at the end nothing was loaded from elsewhere."""
    opened: list[Chat] = []

    def open_tab(
        server: Server, *, width: int = 1280, height: int = 800, alone: bool = False
    ) -> Chat:
        # A profile opens six connections to a server, and a page that waits holds two.
        opened.append(Chat(browser.new_page() if alone else profile.new_page()))
        opened[-1].page.set_viewport_size({"width": width, "height": height})
        return opened[-1].open(server.url)

    yield open_tab
    for chat in opened:
        foreign = [
            url for url in chat.requests if not url.startswith(("http://127.0.0.1:", "data:"))
        ]
        assert foreign == []
        assert chat.faults == []
        chat.page.close()


@pytest.fixture
def chat(server: Server, tab: Tab) -> Chat:
    return tab(server)


def test_an_example_is_answered_and_its_quote_opens_by_itself(chat: Chat) -> None:
    expect(chat.page.locator("#title")).to_contain_text(
        "Answers from: Senior AI/ML Engineer (US market"
    )
    chat.page.click(f"text={SALARY}")
    expect(chat.exchanges.first).to_have_class(re.compile("answered"))
    expect(chat.exchanges.first.locator(".answer")).to_contain_text("$126,557")
    expect(chat.page.locator("#source h2")).to_have_text("Senior AI/ML Engineer")
    expect(chat.page.locator("#source .path")).to_contain_text("Base Salary Ranges")
    start, end = chat.place
    assert chat.marked == SHIPPED.read_text("utf-8")[start:end]
    assert "$126,557 - $130,802" in chat.marked
    open_mark = chat.exchanges.first.locator("button.mark").first
    assert open_mark.get_attribute("aria-expanded") == "true"


def test_every_mark_of_the_conversation_opens_its_quote(chat: Chat) -> None:
    first = chat.ask("Which cities pay above the national average?")
    cities = chat.marked
    assert "San Francisco" in cities
    chat.ask("What are the common challenges of the role?")
    assert chat.marked != cities
    first.locator("button.mark").first.focus()
    chat.page.keyboard.press("Enter")
    expect(chat.page.locator("#source .path")).to_contain_text("Geographic Variations")
    start, end = chat.place
    assert chat.marked == cities == SHIPPED.read_text("utf-8")[start:end]
    quote = chat.page.locator("#source mark:visible").first.bounding_box()
    panel = chat.page.locator("#source .text").bounding_box()
    assert quote
    assert panel
    assert panel["y"] <= quote["y"] < panel["y"] + panel["height"]


def test_a_follow_up_leans_on_the_conversation(chat: Chat) -> None:
    chat.ask("How much more do they pay in Boston?")
    follow_up = chat.ask("And in Seattle?")
    expect(follow_up.locator(".aside").first).to_contain_text("Searched as: How much more")
    expect(follow_up.locator(".answer")).to_contain_text("15-20%")


def test_a_session_knows_nothing_of_another(server: Server, tab: Tab) -> None:
    first, second = tab(server), tab(server)
    first.ask("How much more do they pay in Boston?")
    assert second.exchanges.count() == 0
    alone = second.ask("And in Seattle?")
    expect(alone.locator(".question")).to_have_text("And in Seattle?")
    assert "Boston" not in alone.inner_text().partition("Searched as")[2].partition("\n")[0]


def test_a_question_off_the_documents_is_not_answered(chat: Chat) -> None:
    exchange = chat.ask("What is the capital of Mongolia?")
    expect(exchange).to_have_class(re.compile("abstained"))
    expect(exchange.locator(".abstention")).to_contain_text("do not answer")
    assert exchange.locator("button.mark").count() == 0
    near = exchange.locator("button.near").first
    name = near.inner_text()
    near.click()
    expect(chat.page.locator("#source .path")).to_have_text(name)
    assert len(chat.page.locator("#source .text").inner_text()) > 20
    assert chat.marked == ""


def test_what_was_not_shown_is_folded_with_its_reason(
    slow_server: Server, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlowModel, "says", "The national average base salary is $999,999.")
    chat = tab(slow_server)
    exchange = chat.ask(SALARY)
    folded, reason = exchange.locator("details.dropped"), exchange.locator(".reason")
    expect(folded).to_contain_text("1 drafted sentence was not shown")
    expect(reason).to_be_hidden()
    folded.locator("summary").click()
    expect(reason).to_have_text("the number $999,999 is not in the cited text")
    assert "999,999" not in exchange.locator(".quoted").inner_text()
    chat.ask("Which degree does the role ask for?")
    expect(reason).to_be_visible()  # still unfolded


def test_an_uploaded_document_answers_and_is_replaced(chat: Chat, tmp_path: Path) -> None:
    handbook = tmp_path / "handbook.md"
    handbook.write_text(
        f"# {CANARY} handbook\n\n## Parking\n\nThe garage has 417 parking spaces.\n"
    )
    expect(chat.upload(handbook)).to_have_text("handbook.md: indexed, 1 chunk")
    expect(chat.page.locator("#title")).to_contain_text(f"{CANARY} handbook")
    exchange = chat.ask("How many parking spaces does the garage have?")
    expect(exchange.locator(".answer")).to_contain_text("417")
    expect(chat.page.locator("#source .file")).to_contain_text("handbook.md")
    handbook.write_text(
        f"# {CANARY} handbook\n\n## Parking\n\nThe garage has 523 parking spaces.\n"
    )
    expect(chat.upload(handbook)).to_contain_text("updated")
    again = chat.ask("How many parking spaces does the garage have?")
    expect(again.locator(".answer")).to_contain_text("523")
    exchange.locator("button.mark").first.click()
    expect(chat.page.locator("#source mark").first).to_contain_text("417")  # as it was cited


def test_each_unfit_upload_is_refused_with_its_reason(chat: Chat, tmp_path: Path) -> None:
    files = {"photo.md": b"\x89PNG\0\0", "empty.txt": b" \n", "talk.pdf": b"%PDF-1.7"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    clash = tmp_path / SHIPPED.name
    clash.write_text("# Another one\n\nSomething else.\n")
    before = chat.page.locator("#title").inner_text()
    lines = chat.upload(*(tmp_path / name for name in files), clash)
    expect(lines.nth(0)).to_have_text(re.compile(r"photo\.md: refused: is binary"))
    expect(lines.nth(1)).to_have_text(re.compile(r"empty\.txt: refused: is empty"))
    expect(lines.nth(2)).to_have_text(
        re.compile(r"talk\.pdf: refused: (?:has )?no reader for \.pdf")
    )
    expect(lines.nth(3)).to_have_text(re.compile("refused: another document of the index"))
    assert chat.page.locator("#title").inner_text() == before


def test_while_another_process_writes_the_index_an_upload_changes_nothing(
    server: Server, chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAREER_HOME", str(server.home))
    note = tmp_path / "note.md"
    note.write_text("# Note\n\nThe lift is out of order.\n")
    chat.page.click("#documents > button")
    with generations.writing("default"):
        chat.page.set_input_files("#files input[type=file]", note)
        said = chat.page.locator("#uploaded .notice.failed")
        expect(said).to_contain_text("another process is writing index 'default'; wait until")
    kept = server.home / "data" / "uploads" / "default"
    assert not (kept / "note.md").exists()
    assert kept.stat().st_mode & 0o777 == 0o700


def test_text_that_poses_as_markup_stays_text(chat: Chat, tmp_path: Path) -> None:
    payload = (
        f'<img src="http://{NOT_HERE}/a.png" onerror="window.pwned=1">'
        f"<script>window.pwned=1</script> ![x](http://{NOT_HERE}/b.png) ${{window.pwned=1}} "
        "{{constructor}} [1]"
    )
    hostile = tmp_path / '<img src=x onerror="window.pwned=1">.md'
    hostile.write_text(
        f"---\ntitle: '<b onclick=alert(1)>Walrus</b>'\n---\n\n# <i>Walrus</i>\n\n"
        f"The walrus committee meets on Tuesdays {payload} in the harbour.\n"
    )
    lines = chat.upload(hostile)
    expect(lines).to_contain_text("img src=x onerror=")
    exchange = chat.ask(f"When does the walrus committee meet? {payload}")
    expect(exchange.locator(".question")).to_contain_text(payload)
    expect(exchange.locator(".answer")).to_contain_text("Tuesdays")
    expect(chat.page.locator("#source .text")).to_contain_text("<script>window.pwned=1</script>")
    expect(chat.page.locator("#title")).to_contain_text("<b onclick=alert(1)>Walrus</b>")
    assert chat.page.locator("#chat img, #side img, #title b, #chat script").count() == 0
    assert chat.page.evaluate("window.pwned") is None


def test_markup_that_got_in_would_not_run(server: Server, tab: Tab) -> None:
    chat = tab(server)
    chat.page.evaluate(
        """address => document.body.insertAdjacentHTML("beforeend",
             `<img src="x" onerror="window.pwned=1"><img src="http://${address}/c.png">`)""",
        NOT_HERE,
    )
    chat.page.wait_for_timeout(500)
    assert chat.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in fault for fault in chat.faults)
    chat.faults.clear()
    chat.requests.clear()


def test_clear_forgets_the_conversation(chat: Chat) -> None:
    chat.ask(SALARY)
    chat.page.click("#clear")
    expect(chat.exchanges).to_have_count(0)
    expect(chat.page.locator(".example")).to_have_count(5)
    expect(chat.page.locator("#source .source")).to_have_class("source empty")
    expect(chat.page.locator("#clear")).to_be_hidden()


def test_a_phone_shows_it_all_without_scrolling_sideways(server: Server, tab: Tab) -> None:
    chat = tab(server, width=390, height=844)
    exchange = chat.ask("Which cities pay above the national average?")
    mark = exchange.locator("button.mark").first
    mark.click()
    expect(chat.page.locator("#source mark:visible").first).to_be_in_viewport()
    chat.page.wait_for_timeout(600)  # the page scrolls smoothly
    chat.page.click("button.back")
    expect(mark).to_be_in_viewport()
    chat.page.click("#documents > button")
    expect(chat.page.locator("#files")).to_be_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_stop_ends_the_decode_and_the_next_question_can_be_asked(
    slow_server: Server, tab: Tab
) -> None:
    chat = tab(slow_server)
    exchange = chat.send(SALARY)
    until(lambda: SlowModel.writing == 1)
    chat.page.click("#stop")
    expect(exchange).to_have_class(re.compile("stopped"))
    expect(chat.page.locator("#ask")).to_be_visible()
    until(lambda: SlowModel.writing == 0)
    chat.send("Which degree does the role ask for?")
    until(lambda: SlowModel.writing == 1)
    chat.page.click("#clear")
    expect(chat.exchanges).to_have_count(0)
    until(lambda: SlowModel.writing == 0)


def test_a_closed_tab_ends_the_decode(slow_server: Server, tab: Tab) -> None:
    chat = tab(slow_server)
    chat.send(SALARY)
    until(lambda: SlowModel.writing == 1)
    chat.page.goto("about:blank")
    until(lambda: SlowModel.writing == 0)
    chat.faults.clear()  # the page was left in the middle of its requests


def test_the_server_ends_in_order_while_answers_are_written(
    home: Path, tmp_path: Path, slow_server: Server, tab: Tab
) -> None:
    server = Server(home, tmp_path / "log", CAREER_LLM=slow_server.model)
    chat = tab(server)
    chat.send(SALARY)
    until(lambda: SlowModel.writing == 1)
    server.end()
    until(lambda: SlowModel.writing == 0)
    assert server.log.read_text().count("\n") == 1, "the log holds more than the address"
    chat.faults.clear()  # the page has lost its server


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="wake-ups are not counted")
def test_a_server_that_nobody_asks_sleeps(slow_server: Server, tab: Tab) -> None:
    tab(slow_server)
    status = Path(f"/proc/{slow_server.process.pid}/status")

    def woken() -> int:
        return int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = woken()
    time.sleep(2)
    assert woken() - before < 200, "it woke more than 100 times a second"


def test_half_a_character_is_asked_as_a_question_mark(chat: Chat) -> None:
    chat.page.evaluate(
        """() => {
            const box = document.querySelector("#question textarea");
            box.value = "Which degree does the role ask for? \\ud83d";
            box.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    chat.page.focus("#question textarea")
    chat.page.keyboard.press("Enter")
    expect(chat.exchanges.first).to_have_class(re.compile("answered"))
    expect(chat.exchanges.first.locator(".question")).to_contain_text("ask for? ?")


def test_a_third_question_waits_for_its_turn(slow_server: Server, tab: Tab) -> None:
    chats = [tab(slow_server, alone=True) for _ in range(3)]
    for chat in chats:
        last = chat.send(SALARY)
    until(lambda: SlowModel.writing == 2)
    expect(last).to_contain_text("Waiting for other answers")
    chats[0].page.click("#stop")
    expect(last).not_to_contain_text("Waiting for other answers")
    for chat in chats[1:]:
        chat.page.click("#stop")
    until(lambda: SlowModel.writing == 0)


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 0.8, 1.5, 2.5])
def test_the_server_ends_in_order_while_it_loads(home: Path, tmp_path: Path, wait_s: float) -> None:
    server = Server(home, tmp_path / "log", CAREER_OFFLINE="1")
    time.sleep(wait_s)
    server.end()


def test_a_request_to_end_that_comes_before_the_server_runs_is_heeded(home: Path) -> None:
    """SIGTERM in the very moment that the address is told."""
    code = """
import os, signal, sys
from assistant.settings import load_settings
from assistant.ui.server import run

class Reader:
    def write(self, text):
        if "http://" in text:
            os.kill(os.getpid(), signal.SIGTERM)
    def flush(self): pass
    def isatty(self): return False

sys.stderr = Reader()
run("127.0.0.1", 0, "default", load_settings())
sys.stdout.write("ended")
"""
    env = os.environ | {"CAREER_HOME": str(home), "CAREER_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"ended"), done.stderr


def test_what_is_missing_is_said_in_the_page_and_retry_tries_again(
    home: Path, tmp_path: Path, tab: Tab
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    server = Server(folder, tmp_path / "log", CAREER_OFFLINE="1")
    chat = tab(server)
    expect(chat.page.locator(".notice.failed")).to_contain_text("career models pull")
    for model in MODELS:
        (folder / "models" / model).symlink_to(home / "models" / model)
    chat.page.click("#retry")
    expect(chat.page.locator(".welcome")).to_be_visible()
    expect(chat.page.locator("#retry")).to_be_hidden()
    chat.page.close()
    server.end()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/", {"host": "localhost:1"}, 200),
        ("/", {"host": "[::1]:7860"}, 200),
        ("/", {"host": "career.example"}, 403),
        ("/", {"host": "127.0.0.1.career.example"}, 403),
        ("/", {"host": "0.0.0.0"}, 403),
        ("/", {"host": "127.0.0.1", "origin": "null"}, 403),
        ("/", {"origin": "http://career.example"}, 403),
        ("/gradio_api/queue/join", {"origin": "http://localhost:1"}, 403),
        ("/gradio_api/file=http://127.0.0.1/", {}, 404),
        ("/gradio_api/file=/etc/passwd", {}, 404),
        ("/gradio_api/info", {}, 404),
        ("/gradio_api/proxy=http://127.0.0.1/", {}, 404),
        ("/gradio_api/vibe-edit", {}, 404),
        ("/monitoring", {}, 404),
        ("/static/../../../etc/passwd", {}, 404),
        ("/docs", {}, 404),
    ],
)
def test_only_the_page_itself_is_served(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    answered = httpx.get(server.url + path, headers=headers)
    assert answered.status_code == status
    if status == 200:
        policy = answered.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


def test_nothing_that_the_page_is_made_of_names_another_address(server: Server) -> None:
    start = httpx.get(server.url)
    theme = httpx.get(f"{server.url}/theme.css")
    loads = (
        r"""(?:src|href|srcset|poster)=["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
    )
    assert re.findall(loads, start.text) == []
    assert re.findall(loads, theme.text) == []
    assert "fonts.googleapis" not in start.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "career.example"])
def test_only_this_machine_may_be_served(career: Career, host: str) -> None:
    ran = career.here("ui", "--host", host)
    assert ran.code == 2
    assert "is not a loopback address" in ran.stderr


class _Reader(HTMLParser):
    """The text of HTML: all of it, and what stands in <mark>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = self.marked = ""
        self._inside = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside += tag == "mark"

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "mark"

    def handle_data(self, data: str) -> None:
        self.text += data
        self.marked += data if self._inside else ""


ODD = """# Odd

Words before, with <tags>, a | pipe and **stars**.

| a | b \\| c |
| --- | --- |
| 1 | <2> |
|  | 3 |
| not closed

- one
  continued
  - two
* three
> - quoted

    indented code
1. first
2. second
"""


@pytest.mark.parametrize("text", [SHIPPED.read_text("utf-8"), ODD], ids=["shipped", "odd"])
def test_the_marked_words_are_the_quote_character_for_character(text: str) -> None:
    document = Document("some.md", text)
    spans = [span for section in document.sections for span in section.spans]
    assert spans
    ranges = [(span.start, span.end) for span in spans]
    ranges += [(a, d) for (a, _), (_, d) in zip(ranges, ranges[3:], strict=False)]
    for start, end in ranges:
        shown = excerpt.around_quote(document, start, end)
        read = _Reader(excerpt.to_html(shown))
        assert read.marked == text[start:end]
        assert read.text == text[shown.start : shown.end]


def test_a_long_section_is_shown_around_its_quote() -> None:
    words = "word " * 20_000
    document = Document("long.txt", f"{words}the needle stands here. {words}", "plain")
    start = document.text.index("the needle")
    html = excerpt.to_html(excerpt.around_quote(document, start, start + 10))
    assert _Reader(html).marked == "the needle"
    assert len(html) < 10_000
    assert "begins earlier" in html
    assert "goes on" in html


def shown(*sentences: Sentence, **other: Any) -> str:
    """The HTML of an answered exchange."""
    cited = tuple(
        Citation(mark, "a.md", "A", ("One", "Two"), 0, 1, "x")
        for mark in sorted({mark for s in sentences for mark in s.citations})
    )
    talk = Conversation()
    exchange = talk.ask("Why?")
    answer = Answer("Why?", "Why?", "answered", "", sentences, cited, **other)
    exchange.take(Done(answer), _Documents())  # type: ignore[arg-type]
    return page.transcript(talk)


class _Documents:
    """Stands in for an index where only the documents matter."""

    def document(self, source: str) -> Document:
        return Document(source, "x")


def sentence(text: str, *marks: int, verdict: str = "supported") -> Sentence:
    return Sentence(text, 0, len(text), marks, verdict, 1.0, "model")


def test_only_marks_that_the_check_gave_can_be_clicked() -> None:
    html = shown(sentence("As [2] and [1] say, see [3] [1].", 1), sentence("So [7].", 2))
    assert re.findall(r">\[(\d+)\]</button>", html) == ["1"]
    assert _Reader(html).text.count("[7]") == 1


def test_each_mark_of_a_sentence_that_rests_on_two_quotes_can_be_clicked() -> None:
    html = shown(sentence("A is 5, and B is 7 [1][2].", 1, 2), sentence("So [1] [2].", 1, 2))
    assert re.findall(r">\[(\d+)\]</button>", html) == ["1", "2"]
    read = _Reader(html).text
    assert "A is 5, and B is 7 [1][2]." in read
    assert "So [1] [2]." in read


def test_quoted_words_and_lists_are_told_from_the_models() -> None:
    listed = sentence("The levels are:\n\n- one\n- two [1]", 1, verdict="quoted")
    html = shown(sentence("It says so [2].", 2), listed)
    before, quoted = html.split('<div class="quoted">')
    assert "It says so" in before
    assert "<li>one</li><li>two" in quoted


def test_dropped_sentences_are_folded_and_escaped() -> None:
    html = shown(sentence("Yes [1].", 1), dropped=(Dropped("<b>No</b>", "the cited <i>text</i>"),))
    assert "<summary>1 drafted sentence was not shown</summary>" in html
    assert '<details class="dropped">' in html
    assert "<b>" not in html
    assert "<i>" not in html


def test_an_error_is_one_escaped_line() -> None:
    html = page.failure(CareerError("<b>\nbroken", "repair it"))
    assert "&lt;b&gt; broken; repair it" in html


def test_a_history_is_what_was_asked_and_shown() -> None:
    talk = Conversation()
    for state in ("stopped", "failed", "drafting"):
        talk.ask(state).end(state)
    assert talk.history == [{"question": "stopped", "answer": ""}]
    assert talk.busy
    for number in range(200):
        talk.ask(str(number)).end("stopped")
    assert len(talk.exchanges) == 100
    assert talk.find(1) is None
    assert talk.find(203) is talk.exchanges[-1]


class Held:
    """The embedder, kept from its work until it is let go."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self.reached, self.go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, *given: Any) -> Any:
        self.reached.set()
        assert self.go.wait(PATIENCE_S)
        return self._embedder.embed(*given)


def test_a_second_upload_is_told_that_the_index_is_being_written(
    fresh_home: Path,
    tmp_path: Path,
    embedder: LocalEmbedder,
    reranker: Reranker,
    support: SupportCheck,
) -> None:
    index = open_index("default", embedder)
    held = Held(embedder)
    llm = StoppableLLM(_Nothing())
    service = Service("default", load_settings())
    service.state = Ready(Assistant(index, held, reranker, support, llm, load_settings()), llm)
    files = [tmp_path / "one.md", tmp_path / "two.md"]
    for file in files:
        file.write_text(f"# {file.stem}\n\nSomething to index.\n")
    emitted: list[Any] = []
    first = threading.Thread(target=service.add, args=(files[:1], emitted.append))
    first.start()
    assert held.reached.wait(PATIENCE_S)
    with pytest.raises(IndexBusy, match="another upload is being written"):
        service.add(files[1:], emitted.append)
    held.go.set()
    first.join()
    assert emitted[-1] == [Result("one.md", True, "indexed, 1 chunk")]
    assert [d.source for d in service.documents] == ["one.md", SHIPPED.name]
    assert not any(file.exists() for file in files)


class _Nothing:
    """An LLM that nobody asks."""

    fingerprint = "nothing"


class SlowToClear(Conversation):
    """A conversation that is cleared while another thread is quicker."""

    def clear(self) -> None:
        time.sleep(0.5)
        super().clear()


def test_what_comes_late_of_a_cleared_conversation_is_not_shown(
    fresh_home: Path, embedder: LocalEmbedder, reranker: Reranker, support: SupportCheck
) -> None:
    llm = StoppableLLM(_Endless())
    service = Service("default", load_settings())
    index = open_index("default", embedder)
    service.state = Ready(Assistant(index, embedder, reranker, support, llm, load_settings()), llm)
    shown: list[str] = []
    in_a_loop(clear_while_it_answers(service, SlowToClear(), shown))
    assert 'class="exchange' in shown[0]
    assert 'class="exchange' not in shown[-1]


async def clear_while_it_answers(service: Service, talk: Conversation, shown: list[str]) -> None:
    """Append what the transcript is, update after update, while an answer is cleared away."""
    chat = ui.Chat(service)
    session: Any = SimpleNamespace(session_hash="one")
    clearing: asyncio.Future[Any] | None = None
    async for update in chat._answer("Which degree does the role ask for?", talk, session):
        shown.append(update[chat._transcript])
        if clearing is None and talk.exchanges[0].sentences:
            clearing = asyncio.ensure_future(asyncio.to_thread(chat._forget, talk, session))
    assert clearing
    await clearing


def in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in a thread of its own: playwright has an event loop in ours."""
    with ThreadPoolExecutor() as pool:
        pool.submit(asyncio.run, work).result()


class _Endless(_Nothing):
    """An LLM that never comes to an end."""

    def stream(self, messages: Any, *, max_tokens: int) -> Iterator[str]:
        while True:
            time.sleep(0.05)
            yield "word "

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("notes.md", "notes.md"),
        ("../../etc/passwd.md", "passwd.md"),
        ("C:\\Users\\me\\plan.txt", "plan.txt"),
        (".hidden.md", "hidden.md"),
        ("a<b>:c?.md", "a_b__c_.md"),
        ("new\nline\u202e.md", "newline.md"),
        ("r\u0065\u0301sum\u0065\u0301.md", "résumé.md"),
        (f"{'é' * 300}.md", f"{'é' * 73}.md"),
        ("..", "file"),
    ],
)
def test_a_file_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_places_are_taken_in_order_and_the_rest_is_refused() -> None:
    order: list[str] = []

    async def one(places: Places, name: str, given_up: threading.Event) -> None:
        try:
            async with places.taken(given_up):
                order.append(name)
                await asyncio.sleep(0.1)
        except CareerError as error:
            order.append(f"{name}: {error.message}")

    async def all_at_once() -> None:
        places, never = Places(running=1, waiting=2), threading.Event()
        tasks = []
        for name in "abcd":
            tasks.append(asyncio.create_task(one(places, name, never)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    in_a_loop(all_at_once())
    refused = "d: 2 questions are waiting for an answer already"
    assert order == ["a", refused, "b", "c"]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
