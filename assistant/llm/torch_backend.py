"""transformers in this process: a folder or hub id, or a GGUF file that it dequantises."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from corpus.errors import ModelUnavailable
from index.embedder import best_device, quiet_transformers

from . import Message


class TransformersLLM:
    """A causal language model and its tokeniser; one answer at a time."""

    def __init__(self, model: Any, tokenizer: Any, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._model = model
        self._tokenizer = tokenizer
        self._turn = threading.Lock()  # generate() does not share its caches

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        """The answer in pieces, while it is decoded. Closing the generator stops the decode."""
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        chat = [{"role": role, "content": text} for role, text in messages]
        inputs = self._tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self._model.device)
        pieces = TextIteratorStreamer(
            self._tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=300.0
        )
        stopped = threading.Event()
        arguments = {
            **inputs,
            "streamer": pieces,
            "max_new_tokens": max_tokens,
            "do_sample": False,
            "stopping_criteria": StoppingCriteriaList([lambda *_, **__: stopped.is_set()]),
        }
        with self._turn:
            failures: list[BaseException] = []
            worker = threading.Thread(target=self._generate, args=(arguments, failures))
            worker.start()
            try:
                yield from (piece for piece in pieces if piece)
            finally:
                stopped.set()
                worker.join()
            if failures:
                raise failures[0]

    def count_tokens(self, text: str) -> int:
        """The tokens of `text`."""
        return len(self._tokenizer(text)["input_ids"])

    def close(self) -> None:
        """Let the weights go."""
        self._model = None

    def _generate(self, arguments: dict[str, Any], failures: list[BaseException]) -> None:
        try:
            self._model.generate(**arguments)
        except BaseException as error:  # handed to the caller's thread, which would wait for ever
            failures.append(error)
            arguments["streamer"].end()


def load(path: Path, device: str) -> TransformersLLM:
    """The model in `path` on `device` (auto: cuda, else mps, else cpu).

    Raises:
        ModelUnavailable: transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    where = {"gguf_file": path.name} if path.suffix == ".gguf" else {}
    folder = path.parent if where else path
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **where)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype="auto", use_safetensors=True, **where
        )
    except Exception as error:  # every architecture fails in its own way
        raise ModelUnavailable(
            f"transformers cannot load {path}: {str(error).splitlines()[0][:200]}",
            "name a folder with a causal language model in safetensors, or a GGUF file",
        ) from error
    model = model.eval().to(best_device() if device == "auto" else device)
    return TransformersLLM(model, tokenizer, f"transformers {path.name}")
