"""The Gradio page: what stands on it and what each action does."""

import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from corpus.errors import CareerError
from corpus.readers import READERS
from index.embedder import Progress

from ..answer import Event
from ..conversation import Turn
from ..question import MAX_CHARACTERS
from . import page
from .conversation import Conversation, Exchange
from .jobs import Job, Places
from .service import Loading, Ready, Service
from .uploads import MAX_FILES, MAX_MEGABYTES, Result

RUNNING = 2  # answers at a time
WAITING = 16  # more questions than this are refused
SHIPPED = "senior-ai-ml-engineer.md"
EXAMPLES = (
    "What is the national average base salary?",
    "Which cities pay above the national average?",
    "What separates a mid-level from a senior engineer?",
    "What are the common challenges of the role?",
    "Which degree does the role ask for?",
)
_LEGEND = (
    '<p><span class="sample">Quoted</span>: a document\'s own words. '
    "The rest: the model's, checked against what it cites.</p>"
)
_LIMITS = (
    f'<p class="hint">Readable are {", ".join(sorted(READERS))}; up to {MAX_FILES} files of '
    f"{MAX_MEGABYTES} MB at once. They stay on this machine. A file with the name of an "
    "earlier upload replaces it.</p>"
)
_PLAIN = {"apply_default_css": False, "js_on_load": None}
_POLL_S = 0.7
_HERE = Path(__file__).parent
_LOG = logging.getLogger(__name__)
Update = dict[Any, Any]  # component to its new value: what Gradio's handlers return


class Chat:
    """The page over one service. Sessions share nothing but the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._places = Places(running=RUNNING, waiting=WAITING)
        self._answering: dict[str, Job[Event]] = {}  # by browser session
        self.blocks = gr.Blocks(title="Career Assistant", analytics_enabled=False)
        with self.blocks:
            self._lay_out()
            self._wire()

    def end(self) -> None:
        """Stop every answer that is under way."""
        for job in list(self._answering.values()):
            job.stop()

    def _lay_out(self) -> None:
        self._talk = gr.State(Conversation())  # each session gets a copy
        self._timer = gr.Timer(_POLL_S)
        self._title = gr.HTML(page.title_line(()), elem_id="title", **_PLAIN)
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="chat"):
                self._transcript = gr.HTML(
                    page.loading("Loading the models…"),
                    elem_id="transcript",
                    **{**_PLAIN, "js_on_load": _script("transcript.js")},
                )
                self._retry = gr.Button("Retry", visible=False, elem_id="retry")
                with gr.Row(elem_id="composer"):
                    self._box = gr.Textbox(
                        label="Your question",
                        show_label=False,
                        container=False,
                        placeholder="Loading…",
                        interactive=False,
                        max_lines=6,
                        max_length=MAX_CHARACTERS,
                        elem_id="question",
                    )
                    self._ask = gr.Button(
                        "Ask", variant="primary", interactive=False, elem_id="ask"
                    )
                    self._stop = gr.Button("Stop", visible=False, elem_id="stop")
                    self._clear = gr.Button("Clear", visible=False, elem_id="clear")
                gr.HTML(_LEGEND, elem_id="legend", **_PLAIN)
            with gr.Column(elem_id="side"):
                self._source = gr.HTML(
                    page.no_source(),
                    elem_id="source",
                    **{**_PLAIN, "js_on_load": _script("source.js")},
                )
                with gr.Accordion("Documents", open=False, elem_id="documents"):
                    self._documents = gr.HTML(page.document_list(()), **_PLAIN)
                    self._files = gr.File(
                        label="Add documents",
                        show_label=False,
                        file_count="multiple",
                        height=64,
                        elem_id="files",
                    )
                    self._uploaded = gr.HTML("", elem_id="uploaded", **_PLAIN)
                    gr.HTML(_LIMITS, **_PLAIN)

    def _wire(self) -> None:
        shown = [self._transcript, self._source, self._box, self._ask, self._stop, self._clear]
        answer = [self._talk, self._title, *shown]
        state = [self._title, self._documents, self._timer, self._retry, *shown]
        at_once = {"queue": False, "trigger_mode": "multiple"}
        slow = {"concurrency_limit": None}  # `ask` has its own places
        _event(self.blocks.load, self._refresh, [self._talk], state, queue=False)
        _event(self._timer.tick, self._refresh, [self._talk], state, queue=False)
        _event(self._retry.click, self._load_again, [self._talk], state, queue=False)
        _event(self._box.submit, self._submitted, [self._box, self._talk], answer, **slow)
        _event(self._ask.click, self._submitted, [self._box, self._talk], answer, **slow)
        _event(self._transcript.ask_example, self._example, [self._talk], answer, **slow)
        _event(self._transcript.open_source, self._open, [self._talk], [self._source], **at_once)
        _event(self._stop.click, self._halt, None, None, queue=False)
        cleared = _event(self._clear.click, self._forget, [self._talk], answer, queue=False)
        # An answer that ended by itself in that moment may still reach the browser: shown anew.
        _event(cleared.then, self._refresh, [self._talk], state, queue=False)
        added = [self._files, self._uploaded, self._documents, self._title]
        _event(self._files.upload, self._add, [self._files], added, **slow)
        self.blocks.unload(self._halt)

    # Loading

    def _refresh(self, talk: Conversation) -> Update:
        """The page as the service stands; the timer asks until it is ready."""
        state = self._service.state
        update: Update = {
            self._timer: gr.Timer(active=isinstance(state, Loading)),
            self._retry: gr.Button(visible=isinstance(state, CareerError)),
            **self._documents_update(),
        }
        if talk.busy:
            return update
        return {**update, **self._idle(talk), self._transcript: self._conversation(talk)}

    def _load_again(self, talk: Conversation) -> Update:
        self._service.start()
        return self._refresh(talk)

    def _conversation(self, talk: Conversation) -> str:
        state = self._service.state
        if talk.exchanges:
            return page.transcript(talk)
        if isinstance(state, CareerError):
            return page.failure(state)
        if isinstance(state, Loading):
            return page.loading(state.doing)
        shipped = any(d.source == SHIPPED for d in state.assistant.index.documents)
        return page.welcome(EXAMPLES if shipped else ())

    def _documents_update(self) -> Update:
        documents = self._service.documents
        return {
            self._title: page.title_line(documents),
            self._documents: page.document_list(documents),
        }

    def _idle(self, talk: Conversation) -> Update:
        """The composer while nothing is being answered."""
        ready = isinstance(self._service.state, Ready)
        return {
            self._box: gr.Textbox(
                interactive=ready, placeholder="Your question" if ready else "Loading…"
            ),
            self._ask: gr.Button(visible=True, interactive=ready),
            self._stop: gr.Button(visible=False),
            self._clear: gr.Button(visible=bool(talk.exchanges)),
        }

    def _busy(self) -> Update:
        """The composer while an answer is under way."""
        return {
            self._box: gr.Textbox(value="", placeholder="Answering…"),
            self._ask: gr.Button(visible=False),
            self._stop: gr.Button(visible=True),
        }

    # Answering

    async def _submitted(
        self, question: str, talk: Conversation, request: gr.Request
    ) -> AsyncIterator[Update]:
        whole = question.encode("utf-8", "replace").decode()  # half characters cannot be sent back
        async for update in self._answer(whole.strip(), talk, request):
            yield update

    async def _example(
        self, talk: Conversation, chosen: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Update]:
        at = _number(chosen, "example")
        question = EXAMPLES[at] if at in range(len(EXAMPLES)) else ""
        async for update in self._answer(question, talk, request):
            yield update

    async def _answer(
        self, question: str, talk: Conversation, request: gr.Request
    ) -> AsyncIterator[Update]:
        """The page while `question` is answered: at once, after each event, at the end."""
        ready = self._service.state
        if not question or talk.busy or not isinstance(ready, Ready):
            yield {self._talk: talk}
            return
        history = talk.history
        exchange = talk.ask(question)
        yield {**self._busy(), **self._shown(talk)}
        opened = False
        async for _ in self._fill(exchange, ready, history, request):
            if talk.find(exchange.number):  # else the chat was cleared
                yield {**self._shown(talk), **self._first_source(exchange, opened=opened)}
                opened = bool(exchange.citations)
        yield self._shown(talk) if talk.busy else {**self._idle(talk), **self._shown(talk)}

    async def _fill(
        self, exchange: Exchange, ready: Ready, history: Sequence[Turn], request: gr.Request
    ) -> AsyncIterator[None]:
        """Let `exchange` take what happens; yields after each event, and never raises."""
        job = Job[Event](partial(ready.answer, exchange.question, history))
        self._answering[request.session_hash] = job
        try:
            async with self._places.taken(job.stopped):
                exchange.state = "searching"
                yield
                async for event in job.results():
                    exchange.take(event, ready.assistant.index)
                    yield
        except CareerError as error:
            exchange.end("failed", page.one_line(error))
        except Exception as error:  # its text may hold what a document says: only its kind is told
            _LOG.error("an answer failed: %s", type(error).__name__)
            exchange.end("failed", f"The answer failed ({type(error).__name__}); ask again.")
        finally:
            if self._answering.get(request.session_hash) is job:  # else a later question's
                del self._answering[request.session_hash]
            if exchange.running:
                exchange.end("stopped")

    def _halt(self, request: gr.Request) -> None:
        """Stop the answer that this session waits for; also when its tab is closed."""
        if job := self._answering.get(request.session_hash):
            job.stop()

    def _forget(self, talk: Conversation, request: gr.Request) -> Update:
        talk.clear()  # before the answer ends: the last thing that it shows is then an empty page
        self._halt(request)
        return {**self._idle(talk), **self._shown(talk), self._source: page.no_source()}

    def _open(self, talk: Conversation, chosen: gr.EventData) -> Any:
        """What a mark or a nearest section names, in the panel."""
        exchange = talk.find(_number(chosen, "exchange"))
        mark, at = _number(chosen, "mark"), _number(chosen, "section")
        if exchange and mark in exchange.citations:
            return page.source(exchange, mark)
        if exchange and at in range(len(exchange.sections)):
            return page.section(exchange, at)
        return gr.skip()

    def _shown(self, talk: Conversation) -> Update:
        return {
            self._talk: talk,
            self._transcript: self._conversation(talk),
            self._title: page.title_line(self._service.documents),
        }

    def _first_source(self, exchange: Exchange, *, opened: bool) -> Update:
        """The first citation of a fresh answer opens by itself."""
        if opened or not exchange.citations:
            return {}
        return {self._source: page.source(exchange, min(exchange.citations))}

    # Adding documents

    async def _add(self, files: list[str]) -> AsyncIterator[Update]:
        """The upload box while files are indexed, then what became of each."""
        yield {self._files: None, self._uploaded: page.progress("Reading the files…")}
        paths = [Path(file) for file in files]
        job = Job[Progress | list[Result]](lambda emit, _: self._service.add(paths, emit))
        said = ""
        try:
            async for item in job.results():
                said = _progress(item) if isinstance(item, Progress) else page.upload_results(item)
                yield {self._uploaded: said}
        except CareerError as error:
            said = page.failure(error)
        except Exception as error:
            _LOG.error("an upload failed: %s", type(error).__name__)
            said = page.failure(
                CareerError(f"the files were not added ({type(error).__name__})", "try again")
            )
        yield {self._uploaded: said, **self._documents_update()}


def _script(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _event(trigger: Any, act: Any, inputs: Any, outputs: Any, **options: Any) -> Any:
    """`act` on `trigger`, for this page only; what it returns can be the next one's trigger."""
    hidden = {"show_progress": "hidden", "api_visibility": "private"}
    return trigger(act, inputs, outputs, **hidden, **options)


def _number(chosen: gr.EventData, name: str) -> int:
    """The whole number called `name` in what the browser sent, or -1."""
    sent = chosen._data
    value = sent.get(name) if isinstance(sent, dict) else None
    return value if type(value) is int else -1


def _progress(progress: Progress) -> str:
    left = f", about {progress.seconds_left:,.0f} s left" if progress.seconds_left >= 1 else ""
    text = f"Indexing: {progress.done:,} of {progress.total:,} chunks{left}"
    return page.progress(text, progress.done / max(1, progress.total))
