"""The support check: whether a sentence is borne out by the very text that it cites.

Everything displayed passes here first, and the evaluation judges with the same check. Figures and
places are compared exactly: one that the evidence does not give, or gives to something else, is a
fault whatever the rest says. The rest is a probability: a small cross-encoder reads sentence and
evidence together, and what can be counted (missing words and names) corrects it.
docs/decisions/0008-support.md, 0014-eight-bits.md, 0016-figures-and-comparisons.md,
0017-relations.md, 0018-a-larger-models-sentences.md, 0019-tables.md and 0020-orders-and-sums.md
say how good it is.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from corpus.readable import with_columns
from index.models import ModelStore

from .bearing import bearing
from .binding import misplaced_figure, table_row
from .comparing import compared_alone, other_period, plainly_denied, turned_round
from .cross_encoder import CrossEncoder
from .figure_check import missing_figures
from .figures import figures
from .question import places_in
from .words import content_stems, names, negated, stem, stems, words
from .worked_out import is_worked_out

WEIGHTS = Path(__file__).with_name("support.safetensors")
READ_WORDS = 140  # of a longer evidence, the part that bears on the sentence
THRESHOLD = 0.5
_PLAIN = 0.9  # so sure by reading: "outpaces the market" compares too
SHIPPED = "shipped"  # the name of the model that comes with the package
_RULES = 9  # counted up when the rules judge otherwise: the report card is then to be made anew
_LONG, _STEEP = 100, 3  # words of an evidence that is half long, and how fast it becomes so
_NEAR_WORDS = 40  # where a denial or a direction would stand
# Words that join a sentence to what was asked or said before; no evidence holds them.
_OPENING = re.compile(
    r"^(?:(?:yes|no|however|in addition|additionally|moreover|furthermore|also|besides|in fact|"
    r"overall|finally),\s+)+",
    re.IGNORECASE,
)
_TOO = re.compile(r",?\s+(?:as well|too)(?=[.,;!]|$)|(?<=\w)\s+also(?=\s)", re.IGNORECASE)
# Words that oblige or take all: a claim may not be stronger than its evidence.
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


@dataclass(frozen=True)
class Verdict:
    """`reason` says what failed and is empty when supported.

    `support` is P(supported) in [0, 1], `score` the same before figures and places were compared,
    `read` by reading alone, before words were counted.
    """

    support: float
    score: float
    read: float
    reason: str = ""

    @property
    def supported(self) -> bool:
        """Whether the sentence may be displayed."""
        return not self.reason


@dataclass(frozen=True)
class Signals:
    """What the probability is made of.

    Of a long evidence the cross-encoder sees a part, and is to be trusted less: what it says counts
    as said of a short one or of a long one, in shares that depend on the words of the evidence.
    """

    read_short: float  # log-odds by the cross-encoder, so far as the evidence is short
    read_long: float  # the same, so far as it is long
    missing: float  # content words that the evidence does not hold
    unnamed: float  # 1: a name that the evidence does not hold, so far as it is long
    length: float  # log of its content words
    evidence: float  # log of the words of the evidence
    held: float  # the share of its content words that the evidence holds, so far as it is long


# Made by `python -m eval.fit_support`; decisions 8, 14, 17 and 18.
_BIAS = 0.170
_WEIGHTS = Signals(
    read_short=0.853,
    read_long=0.149,
    missing=-0.163,
    unnamed=-0.930,
    length=1.062,
    evidence=-0.424,
    held=1.019,
)


class Support(NamedTuple):
    """P(supported) in [0, 1], and the same by reading alone."""

    probability: float
    read: float


class SupportModel(Protocol):
    """What reads a sentence and its evidence together."""

    fingerprint: str

    def support(self, compared: Sequence["Comparison"]) -> list[Support]:
        """What it says of each, in order."""
        ...


class SupportCheck:
    """Judges sentences against evidence; deterministic, safe to use from several threads."""

    def __init__(self, model: SupportModel) -> None:
        self._model = model
        self.fingerprint = model.fingerprint

    @classmethod
    def open(cls, models: ModelStore, name: str = SHIPPED, device: str = "auto") -> "SupportCheck":
        """The check with the model `name`: the shipped one, or a cross-encoder of the hub.

        Raises:
            ModelUnavailable: there is no such cross-encoder, or it does not tell what supports.
        """
        if name == SHIPPED:
            return cls(ShippedModel.open(models))
        from .hub_support import HubModel

        return cls(HubModel.open(name, models, device))

    def judge(self, sentence: str, evidence: str) -> Verdict:
        """Whether `evidence` (a quote below its title and headings) bears out all of `sentence`."""
        return self.judge_all([(sentence, evidence)])[0]

    def judge_all(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """The verdict for each pair of sentence and evidence, in order."""
        compared = [Comparison(sentence, evidence) for sentence, evidence in pairs]
        found = self._model.support(compared) if compared else []
        return [_verdict(c, said) for c, said in zip(compared, found, strict=True)]


class ShippedModel:
    """A small cross-encoder, corrected by what can be counted."""

    def __init__(self, encoder: CrossEncoder, fingerprint: str) -> None:
        self._encoder = encoder
        self.fingerprint = fingerprint

    @classmethod
    def open(cls, models: ModelStore, weights: Path = WEIGHTS) -> "ShippedModel":
        """The model with the weights in that file."""
        identity = hashlib.sha256(weights.read_bytes()).hexdigest()
        return cls(CrossEncoder.open(models, weights), f"support-{identity[:12]}-rules{_RULES}")

    def support(self, compared: Sequence["Comparison"]) -> list[Support]:
        """What it says of each, in order."""
        read = self._encoder.score_pairs([c.read(READ_WORDS) for c in compared]).tolist()
        return [
            Support(probability(c.signals(r)), _sigmoid(r))
            for c, r in zip(compared, read, strict=True)
        ]


def _verdict(compared: "Comparison", said: Support) -> Verdict:
    """The verdict from what the model `said` and what can be compared exactly."""
    score, read = said
    if not compared.claimed:
        return Verdict(0.0, score, read, "it states nothing that could be checked")
    if fault := compared.fault or (read < _PLAIN and compared.alone):
        return Verdict(0.0, score, read, fault)
    return Verdict(score, score, read, "" if score >= THRESHOLD else compared.doubt)


def probability(signals: Signals) -> float:
    """P(supported) by the signals alone, in [0, 1]."""
    return _sigmoid(
        _BIAS + sum(w * s for w, s in zip(astuple(_WEIGHTS), astuple(signals), strict=True))
    )


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


class Comparison:
    """A sentence beside its evidence: what can be counted."""

    def __init__(self, sentence: str, evidence: str) -> None:
        self._sentence = by_itself(sentence)
        self._evidence = with_columns(evidence) if "|" in evidence else evidence
        self.claimed = content_stems(self._sentence)

    def read(self, most: int) -> tuple[str, str]:
        """The sentence and what a model reads of the evidence, `most` words of it."""
        return self._sentence, bearing(self._sentence, self._listed, most)

    @cached_property
    def fault(self) -> str:
        """What figures or places have against the sentence; empty when nothing."""
        for absent in missing_figures(self._sentence, self._evidence):
            if not is_worked_out(absent, self._sentence, self._evidence):
                return f"the number {absent.text} is not in the cited text"
        if figure := misplaced_figure(self._sentence, self._evidence):
            return f"the cited text gives {figure} to something else"
        if plainly_denied(self._sentence, self._evidence):
            return "it denies what the cited text says"
        if word := turned_round(self._sentence, self._evidence):
            return f"the cited text says the opposite of {word!r}"
        if period := other_period(self._sentence, self._evidence):
            return f"the cited text says it of another unit of time than the {period}"
        lower = self._evidence.lower()
        for place in places_in(self._sentence):
            if place.lower() not in lower:
                return f"{place} is not in the cited text"
        return ""

    @cached_property
    def alone(self) -> str:
        """What the sentence compares and the evidence does not; empty when nothing."""
        compared = compared_alone(self._sentence, self._evidence)
        return f"the cited text does not compare: {compared!r}" if compared else ""

    @cached_property
    def doubt(self) -> str:
        """The likeliest reason why the evidence does not bear the sentence out."""
        if self._absent_names:
            return f"{self._absent_names[0]} is not in the cited text"
        if self._denies:
            return "one of sentence and cited text denies what the other says"
        if self._overstated:
            return f"the cited text does not say {self._overstated!r}"
        if self._as_written:
            return f"the cited text does not say: {', '.join(self._as_written[:4])}"
        return "the cited text does not bear it out"

    def signals(self, read: float) -> Signals:
        """The signals, with the cross-encoder's log-odds `read`."""
        count = len(words(self._listed))
        long = _sigmoid(_STEEP * math.log((count + 1) / _LONG))
        return Signals(
            read_short=read * (1 - long),
            read_long=read * long,
            missing=float(len(self._missing)),
            unnamed=bool(self._absent_names) * long,
            length=math.log(len(self.claimed) + 1),
            evidence=math.log(count + 1),
            held=(1 - len(self._missing) / max(1, len(self.claimed))) * long,
        )

    @cached_property
    def _listed(self) -> str:
        return listed(self._evidence)

    @cached_property
    def _given(self) -> set[str]:
        return stems(self._evidence)

    @cached_property
    def _near(self) -> str:
        return bearing(self._sentence, self._evidence, _NEAR_WORDS)

    @cached_property
    def _missing(self) -> list[str]:
        return [word for word in dict.fromkeys(self.claimed) if word not in self._given]

    @cached_property
    def _absent_names(self) -> list[str]:
        lower = self._evidence.lower()
        return [
            name
            for name in _names(self._sentence)
            if name.lower() not in lower and stem(name) not in self._given
        ]

    @cached_property
    def _denies(self) -> bool:
        return negated(self._sentence) != negated(self._near)

    @cached_property
    def _overstated(self) -> str:
        said = set(words(self._evidence))
        strong = (w for w in words(self._sentence) if w in _STRONGER)
        return next((word for word in strong if not said & set(_STRONGER[word])), "")

    @property
    def _as_written(self) -> list[str]:
        missing = set(self._missing) - _written(self._sentence)
        return [w for w in dict.fromkeys(words(self._sentence)) if stem(w) in missing]


def listed(evidence: str) -> str:
    """Tables as the reader was taught them: "label: cell, cell" below a header; one row stays."""
    lines = evidence.split("\n")
    rows = [table_row(line) for line in lines]
    if sum(map(bool, rows)) < 2:
        return evidence
    written: list[str] = []
    columns: list[str] = []
    for line, row in zip(lines, rows, strict=True):
        names, cells = [name for name, _ in row], [cell for _, cell in row]
        told = [cells] if names == columns else [names, cells]
        written += [f"{first}: {', '.join(rest)}" for first, *rest in told] if row else [line]
        columns = names
    return "\n".join(written)


def by_itself(sentence: str) -> str:
    """The sentence without what joins it to others: "Yes, she must also pass a test"."""
    bare = _TOO.sub("", _OPENING.sub("", sentence))
    return bare[:1].upper() + bare[1:]


def _written(text: str) -> set[str]:
    """The stems that write the figures of `text`: those were compared by value."""
    return {s for figure in figures(text) for s in content_stems(figure.text)}


def _names(text: str) -> list[str]:
    return [name for name in names(text) if not re.match(r"\d", name)]
