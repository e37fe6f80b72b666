"""The local LLM behind one method: messages in, a stream of text out.

Backends: llama.cpp in this process (default), transformers, any OpenAI-compatible URL.
"""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from corpus.errors import ModelUnavailable

if TYPE_CHECKING:
    from index.models import ModelStore, Progress

    from ..settings import Settings

Message = tuple[str, str]  # role (system | user | assistant), text


class LLM(Protocol):
    """A chat model."""

    fingerprint: str

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        """The answer in pieces, greedily decoded. Closing the generator stops the decode."""

    def count_tokens(self, text: str) -> int:
        """How many of the model's tokens `text` takes (a safe guess where it does not tell)."""

    def close(self) -> None:
        """Give back what the model holds."""


def open_llm(
    name: str, settings: "Settings", store: "ModelStore", progress: "Progress | None" = None
) -> LLM:
    """The LLM called `name`: a catalogue name, GGUF file, transformers folder or hub id, or URL.

    `transformers:NAME` runs NAME, a GGUF file or catalogue model too, through transformers.

    Raises:
        ModelUnavailable: it is not here and cannot be fetched, or does not load.
    """
    if name.startswith(("http://", "https://")):
        from .endpoint import connect

        return connect(name, settings.llm_name, settings.api_key)
    asked = name.removeprefix("transformers:")
    path = store.resolve(asked, progress=progress)
    gguf = _gguf_in(path)
    if name.startswith("transformers:") or gguf is None:
        from .torch_backend import load

        return load(gguf or path, settings.device)
    from .llamacpp import start

    return start(gguf, settings.context_tokens)


def _gguf_in(path: Path) -> Path | None:
    """The GGUF file that `path` is or, alone, holds."""
    if path.suffix == ".gguf":
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        raise ModelUnavailable(f"{path} holds {len(found)} GGUF files", "name one of the files")
    return found[0] if found else None
