"""Markdown as people read it: what is quoted keeps its words and loses its marks."""

import re

_RUN = "{1,400}"  # characters between two marks; without a bound a line of marks takes minutes


def readable(quote: str) -> str:
    """Markdown as plain words: rows as `first: second`; emphasis, code and links undone."""
    lines = [_readable_line(line) for line in quote.split("\n")]
    return "\n".join(line for line in lines if line is not None)


def _readable_line(line: str) -> str | None:
    stripped = line.strip()
    if re.fullmatch(r"\|?[\s:|-]*-[\s:|-]*\|[\s:|-]*", stripped):
        return None  # the rule below a table's header
    if stripped.startswith("|") or re.search(r"\S\s\|\s\S", stripped):
        cells = [cell.strip() for cell in stripped.strip("|").split("|")]
        line = f"{cells[0]}: {', '.join(c for c in cells[1:] if c)}" if len(cells) > 1 else cells[0]
    line = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", line)
    line = re.sub(rf"(\*\*|__)(?=\S)(.{_RUN}?)(?<=\S)\1", r"\2", line)
    line = re.sub(rf"(?<![\w*])\*(?=[^\s*])(.{_RUN}?)(?<=[^\s*])\*(?![\w*])", r"\1", line)
    return re.sub(r"`([^`]+)`", r"\1", line)
