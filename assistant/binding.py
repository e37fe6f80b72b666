"""Whether a figure of a sentence belongs to the thing that the sentence gives it to.

The evidence is cut into cells: list items, table cells with their row and column headers, clauses.
A figure of the sentence is looked up in the cells that hold it; where the words around it in the
sentence name another cell instead, the sentence has mixed two facts.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .figure_check import gives
from .figures import Figure, figures
from .words import content_stems, stem

_CLAUSE = re.compile(
    r"(?<=[a-z%)\d]),\s+(?!\d{3}\b)|;\s+|"
    r"\s+(?:while|whereas|but|and|against|versus|compared (?:with|to))\s+"
)
_GROUP = re.compile(  # "5 per cent among translators", "12 places for nurses"
    r"(?:\s+(?!(?:and|or|but|while|whereas|against|versus)\b)[a-z-]+){0,2}?"
    r"\s+(?P<of>among|at|by|for|in|of|on|under|with)\s+(?P<words>[^,;.:()|\n]+?)"
    r"(?=[,;.:()|\n]|\s+(?:and|but|while|whereas|against|versus|compared)\s|$)"
)
_OF_GROUPS = frozenset(("among", "at", "for", "in"))
_PERCENTILE = stem("percentile")
_SHORT = 4  # content words of a clause that leaves out what the one before it says
_MARGIN = 0.4  # how much better, in words by rarity, another cell must fit


@dataclass(frozen=True)
class _Cell:
    """The figures that stand together, and the words that say what they are of."""

    figures: tuple[Figure, ...]
    words: frozenset[str]
    label: frozenset[str]  # the words of the row's or item's label; empty in running text
    of: tuple[Figure, ...] = ()  # the figures of its row's label and of its column's


def misplaced_figure(claim: str, evidence: str) -> str:
    """The figure that `claim` gives to another thing than `evidence` does; empty for none."""
    if elsewhere := _of_another_column(claim, evidence):
        return elsewhere
    cells = list(_cells(evidence))
    if len(cells) < 2:
        return ""
    seen = Counter(word for cell in cells for word in cell.words)
    rarity = {word: math.log(1 + len(cells) / n) for word, n in seen.items() if n < len(cells)}
    said = _words(claim, figures(claim))
    for figure, near in _placed(claim):
        holding = [c for c in cells if any(gives(f, figure, claim) for f in c.figures)]
        rivals = [
            c for c in cells if c not in holding and any(_alike(figure, f) for f in c.figures)
        ]
        if not holding or not rivals:
            continue
        known = max(_fit(near, c, rarity) for c in holding)
        told = frozenset(w for c in holding for w in c.words)
        for rival in rivals:
            only = [w for w in near if w in rarity and _in(w, rival.words) and not _in(w, told)]
            if only and _fit(near, rival, rarity) > known + _MARGIN:
                return figure.text
        if _labelled(said, rivals) and all(map(_thing, holding)) and not _labelled(said, holding):
            return figure.text
        if all(_of([figure], [c], claim) for c in holding):
            continue  # it names the rows: "more in 2023 than in 2022"
        others = [f for f in figures(claim) if f.start != figure.start]
        if _of(others, rivals, claim) and all(
            (c.of or (c.label and not c.label & said)) and not _of(others, [c], claim)
            for c in holding
        ):
            return figure.text
    return ""


def _of_another_column(claim: str, evidence: str) -> str:
    """The one figure of `claim` that stands in cells of a table, when it names another column.

    Empty for none, and when it names the columns of those cells in any way.
    """
    rows = [row for line in evidence.split("\n") if (row := table_row(line))]
    if not rows:
        return ""
    claimed = figures(claim)
    named = frozenset(content_stems(claim))
    columns = {column: frozenset(content_stems(column)) for row in rows for column, _ in row}
    seen = Counter(stem for stems in columns.values() for stem in stems)
    titles = [figure for column in columns for figure in figures(column)]
    valued = [f for f in claimed if not any(gives(known, f, claim) for known in titles)]
    if len(valued) != 1:
        return ""
    (figure,) = valued
    cells = [(column, figures(cell)) for row in rows for column, cell in row]
    holding = {c for c, found in cells if any(gives(f, figure, claim) for f in found)}
    rivals = {c for c, found in cells if any(_alike(figure, f) for f in found)} - holding
    own = {c: {stem for stem in columns[c] if seen[stem] == 1} for c in holding | rivals}
    if not holding or any(own[column] & named for column in holding):
        return ""
    return figure.text if any(own[c] and own[c] <= named for c in rivals) else ""


def unnamed_group(claim: str, evidence: str, asked: str) -> str:
    """The group whose figure `claim` gives, and neither it nor the question `asked` names.

    "The gap is 5 %" where the evidence says "5 % among translators and 9 % among writers". Empty
    for none, and when no other figure stands beside it in the sentence.
    """
    named = frozenset(content_stems(f"{asked} {claim}"))
    claimed = figures(claim)
    for sentence in re.split(r"(?<=[.!?])\s+|\n", evidence if claimed else ""):
        groups = [
            (figure, match["of"], match["words"])
            for figure in figures(sentence)
            if (match := _GROUP.match(sentence, figure.start + len(figure.text)))
            and match["of"] in _OF_GROUPS
        ]
        for known, of, group in groups:
            beside = any(
                word == of
                and other != group
                and _alike(replace(f, unit=f.unit or known.unit), known)
                for f, word, other in groups
            )
            words = content_stems(group)
            if not words or not beside or any(_in(word, named) for word in words):
                continue
            if any(gives(known, figure, claim) for figure in claimed):
                return group
    return ""


def _labelled(said: frozenset[str], cells: Sequence[_Cell]) -> bool:
    """Whether `said` names the thing of one of `cells`, all of it."""
    return any(thing and thing <= said for thing in map(_thing, cells))


def _thing(cell: _Cell) -> frozenset[str]:
    """The words of its label that name a thing: "75th percentile" is a rank and names none."""
    return frozenset(w for w in cell.label if not w[0].isdigit() and w != _PERCENTILE)


def _of(claimed: Sequence[Figure], cells: Sequence[_Cell], claim: str) -> bool:
    """Whether one of `claimed` is what one of `cells` is labelled with: "3 to 5 years: $90,000"."""
    return any(gives(known, f, claim) for f in claimed for c in cells for known in c.of)


def _fit(near: frozenset[str], cell: _Cell, rarity: dict[str, float]) -> float:
    return math.fsum(rarity[word] for word in near if word in rarity and _in(word, cell.words))


def _in(word: str, words: frozenset[str]) -> bool:
    """Whether `word` or a longer or shorter form of it is among `words`."""
    if word in words:
        return True
    return len(word) > 4 and any(
        len(w) > 4 and (w.startswith(word) or word.startswith(w)) for w in words
    )


def _alike(claimed: Figure, other: Figure) -> bool:
    """Whether the two are of one kind, so that one could be taken for the other."""
    if claimed.unit != other.unit and {claimed.unit, other.unit} & {"%", "th"}:
        return False
    years = [not f.unit and 1900 <= f.low <= 2100 for f in (claimed, other)]
    if years[0] != years[1] or bool(claimed.seconds) != bool(other.seconds):
        return False
    small, large = sorted((abs(claimed.high), abs(other.high)))
    return claimed.unit == other.unit == "%" or large <= 20 * max(small, 1)


def _placed(claim: str) -> Iterator[tuple[Figure, frozenset[str]]]:
    """Each figure of the claim with the words of its clause, or of all when that says nothing."""
    starts = [0, *(m.end() for m in _CLAUSE.finditer(claim)), len(claim) + 1]
    clauses = list(pairwise(starts))
    found = figures(claim)
    everything = _words(claim, found)
    for figure in found:
        start, end = next((a, b) for a, b in clauses if a <= figure.start < b)
        shared = sum(start <= other.start < end for other in found) > 1
        own = _words(claim[start:end], found)
        yield figure, everything if len(found) == 1 or shared or not own else own


def _words(text: str, found: Sequence[Figure]) -> frozenset[str]:
    """The content words of `text`, without those that write figures."""
    written = {stem for figure in found for stem in content_stems(figure.text)}
    return frozenset(s for s in content_stems(text) if s not in written and not s.isdigit())


def _cells(evidence: str) -> Iterator[_Cell]:
    header: list[str] = []
    for line in evidence.split("\n"):
        row = table_row(line)
        if row:
            told = [figure for part in row for figure in figures(" ".join(part))]
            of = figures(row[0][1])
            yield _Cell(tuple(told), _words(line, told), _words(row[0][1], of), tuple(of))
            continue
        label, _, rest = line.partition(": ")
        label = label.partition(",")[0]
        parts = re.split(r",\s+", rest)
        if rest and header and len(parts) == len(header):
            for column, part in zip(header, parts, strict=True):
                yield _cell(part, column, label)
            continue
        if rest and len(parts) > 1 and all(f.unit == "th" for f in figures(rest[:60])):
            header = parts
        ranked = "percentile" in label.lower()
        if rest and len(label.split()) <= 8 and (ranked or not figures(label)):
            yield _cell(rest, "", label)
        else:
            yield from _clauses(line)


def table_row(line: str) -> list[tuple[str, str]]:
    """The columns and cells of a table's row, "Grade: B2; Base pay: 30,000; Bonus: 10 %"."""
    pairs = [part.partition(": ") for part in line.split("; ")]
    if len(pairs) < 3 or not all(colon for _, colon, _ in pairs[1:]):
        return []
    return [(column, cell) if colon else ("", column) for column, colon, cell in pairs]


def _clauses(line: str) -> Iterator[_Cell]:
    for sentence in re.split(r"(?<=[.!?])\s+", line):
        clauses = [clause for clause in _CLAUSE.split(sentence) if figures(clause)]
        cells = [_cell(clause) for clause in clauses]
        yield from cells[:1]
        for clause, cell in zip(clauses[1:], cells[1:], strict=True):
            yield replace(cell, words=cell.words | _shared(clauses[0], clause))


def _shared(first: str, clause: str) -> frozenset[str]:
    """The words of the `first` clause of a sentence that a short one after it leaves out.

    "It takes 24 days on average in Leipzig and 31 days in Porto": all but what stands where the
    short one has its own words, behind its figure or before it.
    """
    (lead, tail), (before, after) = _around(first), _around(clause)
    own = frozenset(content_stems(after)) - frozenset(content_stems(tail))
    ahead = content_stems(before)
    if len(ahead) + len(own) > _SHORT or (ahead and own):
        return frozenset()
    if ahead:
        # the word after its own is what both are: "junior nurses" and "doctors"
        return frozenset(content_stems(lead)[len(ahead) + 1 :] + content_stems(tail))
    group = _GROUP.match(after)
    end = tail.rfind(f" {group['of']} ") if group else -1
    return frozenset(content_stems(lead + tail[:end])) if end >= 0 else frozenset()


def _around(clause: str) -> tuple[str, str]:
    """What stands before and after the first figure of a clause."""
    figure = figures(clause)[0]
    return clause[: figure.start], clause[figure.start + len(figure.text) :]


def _cell(text: str, column: str = "", label: str = "") -> _Cell:
    found = figures(text)
    words, of = _words(f"{label} {column} {text}", found), (*figures(label), *figures(column))
    return _Cell(tuple(found), words, _words(label, []), of)
