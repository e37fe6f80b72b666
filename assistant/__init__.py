"""How we answer: questions about careers from the indexed documents, each sentence checked.

from assistant import Assistant

assistant = Assistant.open()
answer = assistant.ask("Which degree does the role ask for?")
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .answer import Answer, Citation, Dropped, Sentence
    from .pipeline import Assistant
    from .settings import Settings

_WHERE = {
    "Answer": "answer",
    "Assistant": "pipeline",
    "Citation": "answer",
    "Dropped": "answer",
    "Sentence": "answer",
    "Settings": "settings",
}
__all__ = ["Answer", "Assistant", "Citation", "Dropped", "Sentence", "Settings", "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import assistant` stays light."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)


def _warn_of_shadows() -> None:
    """Say in one line when a user's own `index.py` or `corpus` folder hides ours."""
    import importlib.util
    import sys
    from pathlib import Path

    home = Path(__file__).resolve().parent.parent
    for package in ("corpus", "index"):
        found = importlib.util.find_spec(package)
        place = Path(found.origin).resolve() if found and found.origin else None
        if place != home / package / "__init__.py":
            sys.stderr.write(
                f"career-assistant: {place or 'another folder'} hides our package {package!r}; "
                "rename it or start from another folder\n"
            )


_warn_of_shadows()
