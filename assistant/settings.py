"""Settings: `career.toml` in the configuration folder, then CAREER_* environment variables."""

import tomllib
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from corpus.errors import UsageError
from corpus.paths import config_file


class Settings(BaseSettings):
    """Every switch of the product, with its default."""

    model_config = SettingsConfigDict(env_prefix="CAREER_", extra="forbid", frozen=True)

    llm: str = "smollm2-135m-instruct"
    """A catalogue name, a GGUF file, a folder or hub id for transformers, or an http(s) URL."""
    llm_name: str = ""
    """The model to ask for at an http(s) URL; empty: the first that the server lists."""
    api_key: str = ""
    """The key for an http(s) URL that wants one."""
    embedder: str = "all-minilm-l6-v2"
    """A catalogue name, a local folder or a hub id of a sentence-transformers model."""
    support: str = "shipped"
    """Who checks sentences: `shipped`, or a folder or hub id of a cross-encoder."""
    device: str = Field("auto", pattern="^(auto|cpu|cuda|mps)$")
    """Where many texts are embedded and transformers models run."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """In which many texts are embedded; `auto` tries bfloat16, and takes it where it is as good."""
    index_kind: Literal["auto", "exact", "pq", "ivf"] = "auto"
    """How `career index build` and `update` let vectors be searched; `auto` decides by size."""
    index_recall: float = Field(0.98, ge=0.5, le=1.0)
    """The recall@10 that approximate search is tuned to when an index is built."""
    k: int = Field(24, ge=1, le=50)
    """How many chunks a question finds."""
    dense: bool = True
    """Search by meaning (FAISS)."""
    lexical: bool = True
    """Search by words (BM25)."""
    evidence_tokens: int = Field(600, ge=100, le=32_000)
    """How many of the LLM's tokens the evidence in a prompt may take."""
    answer_tokens: int = Field(96, ge=16, le=4096)
    """How many tokens the LLM may write."""
    context_tokens: int = Field(2048, ge=512, le=131_072)
    """The context that the embedded llama.cpp allots to one answer."""
    abstain_below: float = Field(0.5, ge=0.0, le=1.0)
    """Abstain when the confidence that the documents answer is lower; higher abstains more."""

    draft_certainty: float | None = Field(None, ge=0.0, le=1.0)
    """How sure reading must be of a sentence of the LLM, else a quote stands in its place. Unset:
    0.98 for the default model, which errs often, 0.7 for others."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, file


# Read by other modules from the environment; not settings of an answer.
_OTHER_VARIABLES = frozenset({"CAREER_HOME", "CAREER_OFFLINE"})


def load_settings(**given: Any) -> Settings:
    """The settings of this process, `given` ones first.

    Raises:
        UsageError: a key is unknown or a value out of its range.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"setting {key!r} = {first['input']!r}: {first['msg']}",
            f"settings are: {', '.join(Settings.model_fields)}",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{config_file()} is not TOML ({error})", "correct that line") from error


def _refuse_unknown_variables() -> None:
    import os

    known = {f"CAREER_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    for name in os.environ:
        if name.upper().startswith("CAREER_") and name.upper() not in known:
            raise UsageError(
                f"unknown setting {name} in the environment",
                f"settings are: {', '.join(sorted(known))}",
            )
