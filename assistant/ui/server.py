"""The web server around the page: for this machine only, and nothing comes from elsewhere.

Gradio is mounted behind a guard that answers only to this machine's own names, serves only the
paths that the page uses, and sends a content security policy under which no script but ours runs
and nothing is loaded from elsewhere.
"""

import ipaddress
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn

from corpus.errors import PortInUse, UsageError

if TYPE_CHECKING:
    from ..settings import Settings
    from .service import Service

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_GRACE_S = 2  # for open answers when the server ends
_EVENTS = 64  # clicks of all sessions that wait; questions have a shorter line of their own
_LOOK_S = 0.05  # how often the queue looks for clicks; Gradio's own 0.001 costs 3 % of a core
_SESSIONS = 200  # conversations that are remembered; the one unused for longest goes first
_HOSTS = ("127.0.0.1", "localhost", "::1")
_PATHS = re.compile(
    r"/|/(?:assets|static)/.*|/theme\.css|/favicon\.ico|/config"
    r"|/gradio_api/(?:queue/join|queue/data|run/predict|heartbeat/\w+|upload|upload_progress"
    r"|startup-events)/?"
)
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Gradio's own cards for social networks and its install manifest: they name remote pictures.
_FOREIGN = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>|<link rel="manifest"[^>]*>')


def run(host: str, port: int, index: str, settings: "Settings") -> None:
    """Serve the chat until the process is interrupted or terminated."""
    listener = listen(host, port)
    with listener, _private_temporary_folder():
        from .service import Service

        service = Service(index, settings)
        service.start()
        try:
            _serve(service, listener)
        finally:
            service.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a loopback address.

    Raises:
        UsageError: `host` is not one.
        PortInUse: another program listens there.
    """
    address = _loopback(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"port {port} on {host} cannot be opened ({error.strerror})",
            f"choose another one: career ui --port {port + 1 if 0 < port < 65535 else 7861}",
        ) from error
    return listener


@dataclass(frozen=True)
class Site:
    """The guarded ASGI application, and what ends the answers and heartbeats that are open."""

    app: App
    end: Callable[[], None]


def build_app(service: "Service") -> Site:
    """The page over `service`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    import fastapi
    import gradio as gr

    from .app import Chat
    from .uploads import MAX_BYTES

    system = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
    chat = Chat(service)
    blocks = chat.blocks.queue(max_size=_EVENTS, api_open=False)
    blocks.state_session_capacity = _SESSIONS
    queue = blocks._queue
    queue.sleep_when_free = queue.progress_update_sleep_when_free = _LOOK_S
    mounted = gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=MAX_BYTES,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Base(font=system, font_mono=("ui-monospace", "Consolas", "monospace")),
        css=(Path(__file__).parent / "page.css").read_text(encoding="utf-8"),
    )
    mount: Any = mounted.routes[-1]

    def end() -> None:
        chat.end()
        mount.app.stop_event.set()  # the tabs' heartbeats

    return Site(Guard(mounted), end)


class Guard:
    """Lets this machine's own page through to `app`, and nothing else."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif not _is_ours(scope):
            await _refuse(send, 403, "This page answers only to its own address on this machine.")
        elif not _PATHS.fullmatch(scope["path"]):
            await _refuse(send, 404, "There is nothing here.")
        else:
            nonce = secrets.token_urlsafe(16)
            if scope["path"] == "/":
                scope["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"]
                send = _Rewritten(send, nonce)
            await self._app(scope, receive, _with_headers(send, nonce))


class _Rewritten:
    """Sends the start page with its scripts allowed by `nonce`, without foreign references."""

    def __init__(self, send: Send, nonce: str) -> None:
        self._send = send
        self._nonce = nonce
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        page = _FOREIGN.sub("", self._body.decode())
        body = page.replace("<script", f'<script nonce="{self._nonce}"').encode()
        headers = [h for h in self._start["headers"] if h[0] != b"content-length"]
        self._start["headers"] = [*headers, (b"content-length", b"%d" % len(body))]
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, nonce: str) -> Send:
    """`send` with the security headers added to every response."""
    headers = {**_HEADERS, "content-security-policy": _POLICY.format(nonce=nonce)}
    added = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return sending


def _is_ours(scope: Message) -> bool:
    """Whether the request names this machine itself, and comes from our own page if from any."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    origin = headers.get(b"origin")
    return _hostname(host) in _HOSTS and origin in (None, f"http://{host}")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise UsageError(
            f"{host!r} is not a loopback address, and the chat has no accounts to protect it",
            "use 127.0.0.1; from another machine, tunnel: ssh -L 7860:127.0.0.1:7860 HOST",
        )
    return address


def _serve(service: "Service", listener: socket.socket) -> None:
    """Run the server in this thread; SIGTERM ends it in order, Ctrl-C raises KeyboardInterrupt."""
    site = build_app(service)
    config = uvicorn.Config(
        site.app,
        log_level="critical",  # its tracebacks could hold what was asked
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, site.end)
    before = signal.signal(signal.SIGTERM, server.leave)
    try:
        _announce(listener)
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """Calls `end` on a signal, so that it need not wait for answers and heartbeats."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end

    def leave(self, *_: object) -> None:
        """End as soon as it runs: a signal may come before, and uvicorn raises it again after."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self._end()
        super().handle_exit(sig, frame)


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    sys.stderr.write(f"career: the chat is at {address} (Ctrl-C ends it)\n")
    sys.stderr.flush()
    screen = sys.platform in ("win32", "darwin") or os.environ.keys() & {
        "DISPLAY",
        "WAYLAND_DISPLAY",
    }
    if sys.stderr.isatty() and screen:
        webbrowser.open(address)


@contextmanager
def _private_temporary_folder() -> Iterator[None]:
    """Uploads pass through a folder that only this user can read and that ends with the server."""
    folder = tempfile.mkdtemp(prefix="career-ui-")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
