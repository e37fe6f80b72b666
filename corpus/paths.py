"""Where the product keeps what it stores: platform folders, or all of it below CAREER_HOME."""

import os
from pathlib import Path

SHIPPED_DOCUMENTS = Path(__file__).parent / "documents"


def data_folder() -> Path:
    """The folder of indexes and uploaded documents."""
    home = os.environ.get("CAREER_HOME")
    if home:
        return Path(home).expanduser() / "data"
    from platformdirs import user_data_path

    return user_data_path("career-assistant", appauthor=False)


def model_folder() -> Path:
    """The folder of fetched models: a cache that can be fetched again."""
    home = os.environ.get("CAREER_HOME")
    if home:
        return Path(home).expanduser() / "models"
    from platformdirs import user_cache_path

    return user_cache_path("career-assistant", appauthor=False) / "models"


def config_file() -> Path:
    """The user's `career.toml`; it need not exist."""
    home = os.environ.get("CAREER_HOME")
    if home:
        return Path(home).expanduser() / "career.toml"
    from platformdirs import user_config_path

    return user_config_path("career-assistant", appauthor=False) / "career.toml"
