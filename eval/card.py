"""The report card of a judge: how far it agreed with people, for the reports to carry along.

`career-eval judge FILE --card CARD` writes one set's figures into a card; the shipped card is that
of the shipped judge.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.errors import UsageError

from .records import as_json, write_file

SHIPPED_CARD = Path(__file__).parent / "judged" / "card.json"


def card_of(fingerprint: str) -> dict[str, Any] | None:
    """The shipped card when it is of the judge `fingerprint`; None when nobody measured that."""
    card: dict[str, Any] = json.loads(SHIPPED_CARD.read_text("utf-8"))
    return card if card["judge"] == fingerprint else None


def add_to_card(file: Path, report: Mapping[str, Any]) -> None:
    """Put the figures of one `report` of `career-eval judge` into the card `file`.

    A card of another judge is begun anew.

    Raises:
        UsageError: `file` cannot be read or written, or is no card.
    """
    name = report["pairs"]["file"]
    kept = {key: value for key, value in report.items() if key not in ("judge", "pairs")}
    try:
        card = json.loads(file.read_text("utf-8")) if file.exists() else {}
        sets = card["sets"] if card.get("judge") == report["judge"] else {}
        sets[name] = {"sha256": report["pairs"]["sha256"], **kept}
        write_file(file, as_json({"judge": report["judge"], "sets": dict(sorted(sets.items()))}))
    except (OSError, ValueError, AttributeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "is no report card"
        raise UsageError(f"{file}: {reason}", "name a new file") from error
