"""Any OpenAI-compatible chat endpoint, spoken to with LangChain's `ChatOpenAI`."""

from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from typing import Any

from corpus.errors import CareerError, ModelUnavailable

from . import Message

_CHARACTERS_PER_TOKEN = 3  # a careful guess for endpoints that do not count for us
_TIMEOUT_S = 120.0


class ChatEndpoint:
    """A chat model at `base_url`."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        extra_body: dict[str, Any] | None = None,
        count_tokens: Callable[[str], int] | None = None,
        fingerprint: str = "",
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.fingerprint = fingerprint or f"{model}@{base_url}"
        self._base_url = base_url
        self._model = model
        self._api_key = api_key
        self._extra_body = extra_body
        self._count = count_tokens
        self._on_close = on_close

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        """The answer in pieces. Closing the generator closes the request, which ends the decode."""
        import openai

        chunks = self._client.stream(list(messages), max_tokens=max_tokens)
        try:
            for chunk in chunks:
                if text := str(chunk.text):
                    yield text
        except openai.OpenAIError as error:
            raise _unreachable(self._base_url, error) from error
        finally:
            chunks.close()

    def count_tokens(self, text: str) -> int:
        """The tokens of `text`, counted by the server or guessed from its length."""
        if self._count is not None:
            return self._count(text)
        return len(text) // _CHARACTERS_PER_TOKEN + 1

    def close(self) -> None:
        """Stop the server, where it is ours."""
        if self._on_close is not None:
            self._on_close()

    @cached_property
    def _client(self) -> Any:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        return ChatOpenAI(
            base_url=self._base_url,
            model=self._model,
            api_key=SecretStr(self._api_key or "none"),
            temperature=0.0,
            seed=0,
            timeout=_TIMEOUT_S,
            max_retries=1,
            extra_body=self._extra_body,
        )


def connect(url: str, model: str, api_key: str) -> ChatEndpoint:
    """The endpoint at `url` (with or without /v1), asked for `model` or the first that it lists.

    Raises:
        ModelUnavailable: nothing answers there, or it lists no model.
    """
    base = url.rstrip("/")
    base = base if base.endswith("/v1") else f"{base}/v1"
    return ChatEndpoint(base, model or _first_model(base, api_key), api_key=api_key)


def _first_model(base_url: str, api_key: str) -> str:
    import httpx

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        listed = httpx.get(f"{base_url}/models", headers=headers, timeout=10.0).raise_for_status()
        return str(listed.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise _unreachable(base_url, error) from error


def _unreachable(base_url: str, error: Exception) -> CareerError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelUnavailable(
        f"the LLM at {base_url} does not answer ({reason[:200]})",
        "start it, correct CAREER_LLM, or leave the setting out to use the embedded model",
    )
