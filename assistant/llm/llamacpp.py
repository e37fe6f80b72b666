"""llama.cpp inside this process: xllamacpp serves a GGUF file on a loopback port.

`ChatOpenAI` speaks to it like to any other endpoint; each answer has its own slot.
"""

import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus.errors import ModelUnavailable

from .endpoint import ChatEndpoint, connection

SLOTS = 2  # answers that decode side by side; more wait their turn


def start(gguf: Path, context_tokens: int) -> ChatEndpoint:
    """Load `gguf` and serve it until the process ends or `close` is called.

    Raises:
        ModelUnavailable: llama.cpp cannot load the file.
    """
    import xllamacpp

    key = secrets.token_urlsafe(16)  # other users of this machine do not share our decode
    try:
        server = xllamacpp.Server(_parameters(gguf, context_tokens, key))
    except Exception as error:  # the binding raises RuntimeError, or whatever llama.cpp threw
        raise ModelUnavailable(
            f"llama.cpp cannot load {gguf}: {str(error).splitlines()[0]}",
            "verify the file with career models verify, or name another model",
        ) from error
    address = server.listening_address
    held = [server]  # dropping the last reference stops the server
    del server

    def stop() -> None:
        with suppress(IndexError):  # stopped already
            # Told to stop before its task loop runs, llama.cpp waits for ever: let that answer.
            held.pop().handle_metrics()

    return ChatEndpoint(
        f"{address}/v1",
        gguf.stem,
        api_key=key,
        # The prompt cache would make a repeated question decode from other rounding than the first.
        extra_body={"cache_prompt": False},
        count_tokens=_counter(address, key),
        fingerprint=f"llama.cpp {xllamacpp.__version__} {gguf.name}",
        on_close=stop,
    )


def _parameters(gguf: Path, context_tokens: int, key: str) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.n_ctx = context_tokens * SLOTS
    parameters.n_parallel = SLOTS
    parameters.warmup = False
    parameters.verbosity = -1
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_metrics = True
    parameters.api_keys = [key]
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _threads()
    return parameters


def _threads() -> int:
    return max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4, 8))


def _counter(address: str, key: str) -> Any:
    """Counts tokens as the served model's own tokeniser does."""

    @lru_cache(maxsize=4096)
    def count(text: str) -> int:
        import httpx

        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(**connection(address, 10.0)) as http:
            reply = http.post(f"{address}/tokenize", json={"content": text}, headers=headers)
        return len(reply.raise_for_status().json()["tokens"])

    return count
