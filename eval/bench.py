"""`career-eval bench answer`: how fast answers come and how good the same answers are.

Cold times are of new processes with the files in the operating system's cache. Warm times are of
one open assistant that is asked each question once, so nothing comes from a cache of answers.
"""

import hashlib
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant import Answer, Assistant, Settings
from assistant.answer import Done, SentenceReady
from assistant.llm import LLM, Message, open_llm
from corpus.errors import CareerError, ModelUnavailable
from index.models import ModelStore

from .cases import Case
from .quality import mark, summary

COLD_RUNS = 3
IMPORT_RUNS = 5
DECODE_RUNS = 3
DECODE_TOKENS = 128
_WARM_UP = "Which soft skills does a senior engineer need to lead a team?"
_STORY: tuple[Message, ...] = (("user", "Tell me a long story about a ship that sails north."),)

OnCase = Callable[[int, int], None]  # cases done, cases in all


@dataclass(frozen=True)
class Asked:
    """An answer and when it came, in ms after the question; `first` is None for an abstention."""

    case: Case
    answer: Answer
    first: float | None
    total: float


def bench_answer(
    cases: Sequence[Case],
    *,
    index: str,
    settings: Settings,
    backends: bool = True,
    on_case: OnCase | None = None,
) -> dict[str, Any]:
    """Speed and quality of the answers to `cases`, as one JSON object."""
    assistant = Assistant.open(index=index, settings=settings)  # fetches and builds what is missing
    try:
        cold = _cold_asks(cases[0].question, index)
        asked = ask_all(assistant, cases, on_case)
        marks = [mark(a.case, a.answer, lambda s: assistant.index.document(s).text) for a in asked]
    finally:
        assistant.close()
    return {
        "n": len(cases),
        "answered": sum(a.answer.answered for a in asked),
        "machine": machine(),
        "fingerprint": asked[0].answer.fingerprint,
        "speed": {
            "import_assistant_ms": _times(_import_times()),
            "cold_ask_ms": _times(cold),
            **answer_times(asked),
            "backends": compare_backends(settings) if backends else None,
        },
        "quality": summary(marks),
    }


def ask_all(
    assistant: Assistant, cases: Sequence[Case], on_case: OnCase | None = None
) -> list[Asked]:
    """Each case asked once, after a question that is none of them has woken the models."""
    assistant.ask(_WARM_UP)
    asked = []
    for number, case in enumerate(cases, 1):
        asked.append(_ask(assistant, case))
        if on_case:
            on_case(number, len(cases))
    return asked


def answer_times(asked: Sequence[Asked]) -> dict[str, Any]:
    """Milliseconds to the whole answer, to its first verified sentence, and to an abstention."""
    answered = [a for a in asked if a.answer.answered]
    return {
        "answer_ms": _times([a.total for a in answered]),
        "first_sentence_ms": _times([a.first for a in answered if a.first is not None]),
        "abstention_ms": _times([a.total for a in asked if not a.answer.answered]),
    }


def compare_backends(settings: Settings) -> dict[str, Any]:
    """llama.cpp and transformers with the same GGUF file, one after the other.

    Importing the libraries is no part of the load time.
    """
    import transformers  # noqa: F401
    import xllamacpp  # noqa: F401

    if settings.llm.startswith(("http://", "https://", "transformers:")):
        return {"skipped": f"{settings.llm} is no model that both can load"}
    models = ModelStore()
    try:
        llama = _measured(lambda: open_llm(settings.llm, settings, models))
        torch = _measured(lambda: open_llm(f"transformers:{settings.llm}", settings, models))
    except ModelUnavailable as error:
        return {"skipped": str(error)}
    return {
        "llama_cpp": llama,
        "transformers": torch,
        "load_ratio": _ratio(torch["load_s"], llama["load_s"]),
        "decode_ratio": _ratio(llama["tokens_per_s"], torch["tokens_per_s"]),
    }


def decode_rate(llm: LLM) -> float:
    """Tokens a second from the first piece of text to the last: the prompt's cost is left out."""
    pieces: list[str] = []
    started = ended = 0.0
    for piece in llm.stream(_STORY, max_tokens=DECODE_TOKENS):
        pieces.append(piece)
        ended = time.perf_counter()
        started = started or ended
    if ended == started:
        raise ModelUnavailable(f"{llm.fingerprint} wrote too little to time", "name another model")
    return llm.count_tokens("".join(pieces[1:])) / (ended - started)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def file_identity(file: Path) -> dict[str, str]:
    """Name and SHA-256 of an input, so that a result names what it was measured on."""
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest of `values` that at least the share `q` of them does not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def _ask(assistant: Assistant, case: Case) -> Asked:
    started = time.perf_counter()
    first = None
    for event in assistant.stream(case.question, history=case.history):
        since = (time.perf_counter() - started) * 1000
        if isinstance(event, SentenceReady) and first is None:
            first = since
        elif isinstance(event, Done):
            return Asked(case, event.answer, first, since)
    raise ValueError("the stream ended without an answer")


def _cold_asks(question: str, index: str) -> list[float]:
    command = ["-m", "assistant.cli", "ask", "--index", index, "--json", "--", question]
    return [_run(command)[0] for _ in range(COLD_RUNS)]


def _import_times() -> list[float]:
    code = "import time; t = time.perf_counter(); import assistant; print(time.perf_counter() - t)"
    return [float(_run(["-c", code])[1]) * 1000 for _ in range(IMPORT_RUNS)]


def _run(arguments: Sequence[str]) -> tuple[float, str]:
    """Milliseconds from the start of a Python to its end, and what it wrote to stdout."""
    started = time.perf_counter()
    command = [sys.executable, "-P", *arguments]  # -P: nothing of the current folder is imported
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = (time.perf_counter() - started) * 1000
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-300:]
        raise CareerError(f"a new process failed: {said}", "run: career doctor")
    return took, done.stdout


def _measured(load: Callable[[], LLM]) -> dict[str, float]:
    started = time.perf_counter()
    llm = load()
    loaded = time.perf_counter() - started
    try:
        decode_rate(llm)  # the first answer also warms the caches up
        rates = [decode_rate(llm) for _ in range(DECODE_RUNS)]
    finally:
        llm.close()
    return {"load_s": round(loaded, 2), "tokens_per_s": round(statistics.median(rates), 1)}


def _times(values: Sequence[float]) -> dict[str, Any]:
    """Median and 90th percentile of milliseconds, and of how many."""
    if not values:
        return {"n": 0, "median": None, "p90": None}
    median = round(statistics.median(values), 1)
    return {"n": len(values), "median": median, "p90": round(quantile(values, 0.9), 1)}


def _ratio(a: float, b: float) -> float | None:
    return round(a / b, 2) if b else None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
