"""The support check: whether a sentence is borne out by the very text that it cites.

Everything displayed passes here first. The evidence is the quoted characters and the headings above
them. Figures, names, denials and directions are compared exactly; the rest by words and embedding.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.embedder import Floats

from .figures import missing_figures
from .words import content_stems, names, negated, reversed_directions, stem, stems, words

FINGERPRINT = "words+embedding 1"
_COVERED = 0.75  # share of the sentence's content words that the evidence must hold
_ALIKE = 0.55  # cosine of sentence and evidence
# Words that hedge or oblige: a claim may not be stronger than its evidence.
_STRONGER = {
    "all": ("all", "every", "each", "entire", "whole", "always"),
    "always": ("always", "all", "every"),
    "every": ("every", "all", "each"),
    "only": ("only", "just", "solely", "exclusively"),
    "must": ("must", "required", "mandatory", "need", "needs", "require", "requires"),
    "required": ("required", "must", "mandatory", "need", "needs", "require", "requires"),
    "guaranteed": ("guaranteed", "guarantee"),
    "most": ("most", "majority"),
    "best": ("best", "top"),
    "highest": ("highest", "top", "most"),
    "lowest": ("lowest", "least"),
}

_LISTED = re.compile(r",\s+(?:and\s+|or\s+)?|;\s+|:\s+")
_JOINED = re.compile(r"\s+(?:and|or|while|but|as well as)\s+")
_LABEL = re.compile(r"[:,(]")

Embed = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class Verdict:
    """`support` in [0, 1]; `reason` says what failed and is empty for a supported sentence."""

    support: float
    reason: str = ""

    @property
    def supported(self) -> bool:
        """Whether the sentence may be displayed."""
        return not self.reason


class SupportCheck:
    """Judges sentences against evidence; deterministic."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def judge(self, sentence: str, evidence: str, items: Sequence[str] = ()) -> Verdict:
        """Whether `evidence` (quote with its headings) bears out every part of `sentence`.

        `items` are the list items or rows that `evidence` holds: the sentence may name several of
        them, but may not mix the words of two.
        """
        reason = _exact_fault(sentence, evidence) or _mixed_items(sentence, evidence, items)
        if reason:
            return Verdict(0.0, reason)
        claimed = content_stems(sentence)
        given = stems(evidence)
        missing = [word for word in dict.fromkeys(claimed) if word not in given]
        covered = 1.0 - len(missing) / max(1, len(set(claimed)))
        pair = self._embed([sentence, evidence])
        alike = float(pair[0] @ pair[1])
        support = max(0.0, min(1.0, (covered + alike) / 2))
        if not claimed:
            return Verdict(support, "it states nothing that could be checked")
        if covered < _COVERED:
            unfounded = ", ".join(_as_written(sentence, missing)[:4])
            return Verdict(support, f"the cited text does not say: {unfounded}")
        if alike < _ALIKE:
            return Verdict(support, "the cited text speaks of something else")
        return Verdict(support)


def _exact_fault(sentence: str, evidence: str) -> str:
    """What figures, names, denials, directions or strength have against the sentence."""
    if absent := missing_figures(sentence, evidence):
        return f"the number {absent[0]} is not in the cited text"
    given = stems(evidence)
    lower = evidence.lower()
    for name in names(sentence):
        if stem(name) not in given and name.lower() not in lower:
            return f"{name} is not in the cited text"
    if negated(sentence) != negated(evidence):
        return "one of sentence and cited text denies what the other says"
    if reversed_ := reversed_directions(stems(sentence), given):
        return f"the cited text says the opposite of {reversed_[0]!r}"
    said = set(words(evidence))
    for word in words(sentence):
        if word in _STRONGER and not said & set(_STRONGER[word]):
            return f"the cited text does not say {word!r}"
    return ""


def _mixed_items(sentence: str, evidence: str, items: Sequence[str]) -> str:
    """What the sentence joins that the list keeps apart; empty when nothing."""
    if len(items) < 2:
        return ""
    general = stems(evidence.split(items[0])[0])
    held = [stems(item) for item in items]
    labels = [set(content_stems(_LABEL.split(item)[0])) for item in items]
    for listed in _LISTED.split(sentence):
        own = set(content_stems(listed)) - general
        if not own or any(own <= item for item in held):
            continue
        pieces = [set(content_stems(p)) - general for p in _JOINED.split(listed)]
        whole = all(
            not piece
            or any(
                label and label - general <= piece <= item | label
                for item, label in zip(held, labels, strict=True)
            )
            for piece in pieces
        )
        if not whole:
            return "it mixes different items of the list that it cites"
    return ""


def _as_written(sentence: str, missing: Sequence[str]) -> list[str]:
    return [word for word in dict.fromkeys(words(sentence)) if stem(word) in missing]
