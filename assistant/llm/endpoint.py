"""Any OpenAI-compatible chat endpoint, spoken to with LangChain's `ChatOpenAI`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from corpus.errors import CareerError, ModelUnavailable

from . import Message

if TYPE_CHECKING:
    import ssl

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
        """The answer in pieces. Closing the generator closes the request, which ends the decode.

        Each answer has connections of its own: Ctrl-C can strike where the libraries between us and
        the socket let a request go without closing it, and closing all of them ends it even then.
        """
        import openai

        with openai.DefaultHttpxClient(**connection(self._base_url, _TIMEOUT_S)) as http:
            answer = self._model_over(http).stream(list(messages), max_tokens=max_tokens)
            try:
                with closing(answer) as chunks:
                    yield from (text for chunk in chunks if (text := str(chunk.text)))
            except openai.OpenAIError as error:
                raise _unreachable(self._base_url, error) from error

    def count_tokens(self, text: str) -> int:
        """The tokens of `text`, counted by the server or guessed from its length."""
        if self._count is not None:
            return self._count(text)
        return len(text) // _CHARACTERS_PER_TOKEN + 1

    def close(self) -> None:
        """Stop the server, where it is ours."""
        if self._on_close is not None:
            self._on_close()

    def _model_over(self, http: Any) -> Any:
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
            http_client=http,
        )


def connection(url: str, timeout_s: float) -> dict[str, Any]:
    """How a client connects to `url`; on this computer without the proxy of the environment."""
    return {"timeout": timeout_s, "verify": _certificates(), "trust_env": not _is_here(url)}


@cache
def _certificates() -> "ssl.SSLContext":
    """Reading them takes longer than everything else that a client needs."""
    import httpx

    return httpx.create_ssl_context()


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
        with httpx.Client(**connection(base_url, 10.0)) as http:
            listed = http.get(f"{base_url}/models", headers=headers).raise_for_status()
        return str(listed.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise _unreachable(base_url, error) from error


def _unreachable(base_url: str, error: Exception) -> CareerError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelUnavailable(
        f"the LLM at {base_url} does not answer ({reason[:200]})",
        "start it, correct CAREER_LLM, or leave the setting out to use the embedded model",
    )
