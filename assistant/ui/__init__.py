"""The chat page: `serve` opens it on a loopback address and returns when it is closed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..settings import Settings


def serve(host: str, port: int, index: str, settings: "Settings") -> None:
    """Serve the chat over index `index` until the process is interrupted or terminated.

    Port 0 takes any free one.

    Raises:
        UsageError: `host` is not a loopback address; the chat has no accounts.
        PortInUse: another program listens on the port.
    """
    from .server import run

    run(host, port, index, settings)
