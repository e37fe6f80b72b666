"""Markdown as people read it: what is quoted keeps its words and loses its marks."""

import re

_RUN = "{1,400}"  # characters between two marks; without a bound a line of marks takes minutes
_PIPE = re.compile(r"(?<!\\)\|")


def readable(quote: str) -> str:
    """Markdown as plain words: rows as `first: second`; emphasis, code and links undone."""
    lines = [_readable_line(line) for line in quote.split("\n")]
    return "\n".join(line for line in lines if line is not None)


def with_columns(quote: str, header: str = "") -> str:
    """As `readable`, but in a table of several columns each cell says what it holds.

    "Grade: B2; Base pay: 30,000; Bonus: 10 %": a row is understood without the header, which goes.
    `header` is that of rows which are quoted without it.
    """
    told: list[str | None] = []
    columns = columns_of(header)
    lines = quote.split("\n")
    rule = -1  # where the one below a header stands
    for at, line in enumerate(lines):
        if not columns and at + 1 < len(lines) and _is_rule(lines[at + 1]):
            columns, rule = columns_of(line), at + 1
            if not columns:
                told.append(_readable_line(line))
        elif at == rule:
            continue
        elif columns and "|" in line:
            told.append("; ".join(filter(None, map(_named, columns, cells_of(line)))))
        else:
            columns = []
            told.append(_readable_line(line))
    return "\n".join(line for line in told if line is not None)


def columns_of(header: str) -> list[str]:
    """The names of a table's columns; none when its rows say `first: second` by themselves."""
    cells = cells_of(header)
    return cells if len(cells) > 2 else []


def _named(column: str, cell: str) -> str:
    return _unmarked(f"{column}: {cell}" if column and cell else cell)


def cells_of(row: str) -> list[str]:
    """The cells of a table's row, their Markdown kept but for escaped pipes."""
    cells = _PIPE.split(_bare(row).removeprefix("|").removesuffix("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _bare(line: str) -> str:
    """The line without the marks of a block quote."""
    return line.strip().lstrip("> \t")


def _is_rule(line: str) -> bool:
    """Whether it is the rule below a table's header."""
    return "|" in line and all(re.fullmatch(r":?-+:?", cell) for cell in cells_of(line))


def _readable_line(line: str) -> str | None:
    if _is_rule(line):
        return None
    if _bare(line).startswith("|") or re.search(r"\S\s\|\s\S", line.strip()):
        cells = cells_of(line)
        line = f"{cells[0]}: {', '.join(c for c in cells[1:] if c)}" if len(cells) > 1 else cells[0]
    return _unmarked(line)


def _unmarked(line: str) -> str:
    line = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", line)
    line = re.sub(rf"(\*\*|__)(?=\S)(.{_RUN}?)(?<=\S)\1", r"\2", line)
    line = re.sub(rf"(?<![\w*])\*(?=[^\s*])(.{_RUN}?)(?<=[^\s*])\*(?![\w*])", r"\1", line)
    return re.sub(r"`([^`]+)`", r"\1", line)
