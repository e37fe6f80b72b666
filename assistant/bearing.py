"""The part of a long text that bears on a claim: what the support model reads of it."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from corpus.sections import sentence_ranges

from .words import content_stems

_LINE = re.compile(  # before an item of a list or a row of a table, which have no full stop
    r"\n(?=[ \t]{0,20}(?:[-*+•]|\d{1,3}[.)])\s|[^\n;]{1,200}; [^\n:;]{1,80}: )"
)
_LONGEST = 60  # words of one piece; pages without full stops are cut


def bearing(claim: str, evidence: str, words: int) -> str:
    """`evidence` when it has at most `words` words, else its sentences that bear on `claim`.

    Sentences are taken one by one, each time the one that adds most of the claim's words, those
    that are rare in the evidence before common ones; then the neighbours of the best.
    """
    if len(evidence.split()) <= words:
        return evidence
    pieces = list(_pieces(evidence))
    held = [frozenset(content_stems(piece)) for piece in pieces]
    seen = Counter(stem for stems in held for stem in stems)
    weights = {s: math.log(1 + len(pieces) / seen[s]) for s in set(content_stems(claim)) if seen[s]}
    lengths = [len(piece.split()) for piece in pieces]
    chosen: set[int] = set()
    room = words
    for at in _order(held, weights):
        if lengths[at] <= room:
            chosen.add(at)
            room -= lengths[at]
    return " ".join(pieces[at] for at in sorted(chosen))


def _order(held: Sequence[frozenset[str]], weights: dict[str, float]) -> Iterator[int]:
    """The pieces by what each adds of the claim, then neighbours of the first, then the rest.

    Sums over sets are exact (fsum): a process must not choose by the order of its sets.
    """
    values = [math.fsum(weights.get(s, 0.0) for s in stems) for stems in held]
    left = dict(weights)
    open_ = set(range(len(held)))
    first: list[int] = []
    while left and open_:
        gains = {i: math.fsum(left.get(s, 0.0) for s in held[i]) for i in open_}
        best = max(open_, key=lambda i: (gains[i], values[i], -i))
        gain = [s for s in held[best] if s in left]
        if not gain:
            break
        for stem in gain:
            del left[stem]
        open_.discard(best)
        first.append(best)
        yield best
    for at in first[:2]:
        for near in (at - 1, at + 1):
            if near in open_:
                open_.discard(near)
                yield near
    yield from sorted(open_, key=lambda i: (-values[i], i))


def _pieces(text: str) -> Iterator[str]:
    for block in _LINE.split(text):
        for start, end in sentence_ranges(block):
            words = block[start:end].split()
            for at in range(0, len(words), _LONGEST):
                yield " ".join(words[at : at + _LONGEST])
