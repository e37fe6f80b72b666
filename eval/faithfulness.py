"""Faithfulness: how many of an answer's claims its contexts bear out, and its citations.

Each claim is judged against the context that shares most of its rarer words. When that does not
bear it out, and the others say more of it, all contexts together may
(docs/decisions/0009-harness.md has the alternatives).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from assistant.words import content_stems

from .claims import Claim, claims_in
from .judges import Judge, Judgement, OnPair, Pair, judge_pairs

SUPPORTED, UNSUPPORTED, UNJUDGED = "supported", "unsupported", "unjudged"


@dataclass(frozen=True)
class Given:
    """An answer to be judged, from anywhere.

    `contexts` is None when it is not known what was given to the answerer. `cited` has the text
    behind each mark; None: mark n is context n. `headers` are the marks of tables' headers: their
    names stand in the rows that are cited with them.
    """

    id: str
    question: str
    answer: str
    contexts: tuple[str, ...] | None
    cited: Mapping[int, str] | None = None
    headers: frozenset[int] = frozenset()

    @property
    def by_mark(self) -> Mapping[int, str]:
        """The cited text of each mark."""
        if self.cited is not None:
            return self.cited
        return dict(enumerate(self.contexts or (), 1))


@dataclass(frozen=True)
class JudgedSentence:
    """A claim of an answer, or what in it is none: `answer[start:end] == text`.

    `context` is the number, from 0, of the context it was judged against first; `cited` the verdict
    against the texts that it cites, all together (None: it cites nothing, or is no claim).
    """

    text: str
    start: int
    end: int
    verdict: str  # supported | unsupported | unjudged
    support: float | None
    context: int | None
    reason: str = ""
    marks: tuple[int, ...] = ()
    cited: str | None = None
    unchecked: bool = False  # it is no claim


@dataclass(frozen=True)
class Assessment:
    """What was found of one answer; a score is None with the reason, never NaN.

    `citation_recall` and `citation_precision` are those of ALCE (Gao et al. 2023): the share of
    claims that their cited texts together bear out, and the share of citations that do so alone or
    are needed for it. They are None for an answer that claims nothing.
    """

    id: str
    faithfulness: float | None
    reason: str
    sentences: tuple[JudgedSentence, ...]
    citation_recall: float | None = None
    citation_precision: float | None = None

    def to_dict(self) -> dict[str, object]:
        """The row of `career-eval score`."""
        return {
            "id": self.id,
            "faithfulness": self.faithfulness,
            "reason": self.reason,
            "sentences": [
                {
                    "text": s.text,
                    "verdict": s.verdict,
                    "support": s.support,
                    "context": s.context,
                    "reason": s.reason,
                }
                for s in self.sentences
            ],
        }


def assess(
    answers: Sequence[Given], judge: Judge, on_pair: OnPair | None = None
) -> list[Assessment]:
    """The assessment of each of `answers`, in order."""
    prepared = [_Prepared(given) for given in answers]
    known = _Known(judge, on_pair)
    known.add(pair for one in prepared for pair in one.first_pairs())
    known.add(pair for one in prepared for pair in one.second_pairs(known))
    return [one.assessment(known) for one in prepared]


class _Known:
    """Judgements made so far; what stands word for word in a text needs none."""

    def __init__(self, judge: Judge, on_pair: OnPair | None) -> None:
        self._judge = judge
        self._on_pair = on_pair
        self._judged: dict[Pair, Judgement] = {}
        self._held: dict[str, set[str]] = {}

    def add(self, pairs: Iterable[Pair]) -> None:
        """Judge those of `pairs` that are new."""
        new = [p for p in dict.fromkeys(pairs) if p not in self._judged and not self._quoted(p)]
        self._judged.update(zip(new, judge_pairs(new, self._judge, self._on_pair), strict=True))

    def __getitem__(self, pair: Pair) -> Judgement:
        return Judgement(True, 1.0) if self._quoted(pair) else self._judged[pair]

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._judged or self._quoted(pair)

    def _quoted(self, pair: Pair) -> bool:
        """Whether the claim is a whole sentence, item or row of the text."""
        claim, text = pair
        if text not in self._held:
            pieces = [*(piece.stated for piece in claims_in(text)), *_lines(text)]
            self._held[text] = set(map(_same, pieces))
        return _same(claim) in self._held[text]


class _Prepared:
    """An answer with its claims, and the context that each is judged against first."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.claims = [
            replace(claim, marks=tuple(m for m in claim.marks if m not in given.headers))
            for claim in claims_in(given.answer)
        ]
        self.contexts = [c for c in given.contexts or () if c.strip()]
        self._choice = _Choice(self.contexts)
        self.best = [self._choice.best(c.stated) if self.contexts else -1 for c in self.claims]

    def first_pairs(self) -> Iterator[Pair]:
        """Each claim with its best context, and with all that it cites."""
        for claim, best in self._checkable():
            if best >= 0:
                yield claim.stated, self.contexts[best]
            if cited := self._cited(claim):
                yield claim.stated, _together(cited)

    def second_pairs(self, known: _Known) -> Iterator[Pair]:
        """Claims that one context did not bear out with all, and single citations."""
        for claim, best in self._checkable():
            alone = best < 0 or known[claim.stated, self.contexts[best]].supported
            if not alone and self._choice.others_add(claim.stated, best):
                yield claim.stated, _together(self.contexts)
            cited = self._cited(claim)
            if len(cited) > 1 and known[claim.stated, _together(cited)].supported:
                for at, one in enumerate(cited):
                    yield claim.stated, one
                    yield claim.stated, _together(cited[:at] + cited[at + 1 :])

    def assessment(self, known: _Known) -> Assessment:
        """What the judgements in `known` come to."""
        sentences = tuple(
            self._judged(claim, best, known)
            for claim, best in zip(self.claims, self.best, strict=True)
        )
        verdicts = Counter(s.verdict for s in sentences)
        judged = verdicts[SUPPORTED] + verdicts[UNSUPPORTED]
        faithfulness = round(verdicts[SUPPORTED] / judged, 4) if judged else None
        recall, precision = self._citations(sentences, known)
        return Assessment(
            self.given.id, faithfulness, self._reason(judged), sentences, recall, precision
        )

    def _judged(self, claim: Claim, best: int, known: _Known) -> JudgedSentence:
        found, context = self._judgement(claim, best, known)
        cited = self._cited(claim)
        against_cited = known[claim.stated, _together(cited)] if cited else None
        return JudgedSentence(
            claim.text,
            claim.start,
            claim.end,
            _verdict(found),
            found.support,
            context,
            found.reason,
            claim.marks,
            _verdict(against_cited) if against_cited else None,
            bool(claim.unchecked),
        )

    def _judgement(self, claim: Claim, best: int, known: _Known) -> tuple[Judgement, int | None]:
        """The judgement of a claim, and the number of its context among those given."""
        if claim.unchecked:
            return Judgement(None, None, claim.unchecked), None
        if self.given.contexts is None:
            return Judgement(None, None, "the contexts are not known"), None
        if best < 0:
            return Judgement(False, 0.0, "no context was given"), None
        at = self.given.contexts.index(self.contexts[best])
        if (cited := self._cited(claim)) and known[claim.stated, _together(cited)].supported:
            return known[claim.stated, _together(cited)], at  # what it cites was given too
        alone = known[claim.stated, self.contexts[best]]
        every = (claim.stated, _together(self.contexts))
        if not alone.supported and every in known and known[every].supported:
            return known[every], at
        return alone, at

    def _reason(self, judged: int) -> str:
        """Why there is no faithfulness; empty when there is one."""
        if judged:
            return ""
        if not self.given.answer.strip():
            return "the answer is empty"
        why = [c.unchecked for c in self.claims if c.unchecked]
        if len(why) < len(self.claims) and self.given.contexts is None:
            return "the contexts are not known"
        if len(why) < len(self.claims):
            return "the judge gave no verdict"
        if "a refusal" in why:
            return "the answer is a refusal"
        return "the answer claims nothing"

    def _citations(
        self, sentences: Sequence[JudgedSentence], known: _Known
    ) -> tuple[float | None, float | None]:
        """Citation recall and precision by ALCE's definitions."""
        claims = [(c, s) for c, s in zip(self.claims, sentences, strict=True) if not c.unchecked]
        unknown = self.given.contexts is None and self.given.cited is None
        if unknown or not claims or any(s.cited == UNJUDGED for _, s in claims):
            return None, None
        recalled = [c for c, s in claims if s.cited == SUPPORTED]
        cited = sum(len(c.marks) for c, _ in claims)
        precise = sum(self._precise(c, known) for c in recalled)
        recall = round(len(recalled) / len(claims), 4)
        return recall, round(precise / cited, 4) if cited else 0.0

    def _precise(self, claim: Claim, known: _Known) -> int:
        """How many citations of a claim that they bear out are not beside the point."""
        cited = self._cited(claim)
        if len(cited) == 1:
            return 1
        return sum(
            bool(known[claim.stated, one].supported)
            or not known[claim.stated, _together(cited[:at] + cited[at + 1 :])].supported
            for at, one in enumerate(cited)
        )

    def _checkable(self) -> Iterator[tuple[Claim, int]]:
        for claim, best in zip(self.claims, self.best, strict=True):
            if not claim.unchecked:
                yield claim, best

    def _cited(self, claim: Claim) -> list[str]:
        """The texts that a claim cites; a mark that leads nowhere cites none."""
        if claim.unchecked:
            return []
        texts = (self.given.by_mark.get(mark, "") for mark in claim.marks)
        return [text for text in texts if text.strip()]


class _Choice:
    """Chooses the context that shares most of a claim's words, rare ones before common ones."""

    def __init__(self, contexts: Sequence[str]) -> None:
        self._held = [set(content_stems(context)) for context in contexts]
        self._seen = Counter(stem for held in self._held for stem in held)

    def best(self, claim: str) -> int:
        """The number of the best context; the first of equals."""
        wanted = {s for s in content_stems(claim) if self._seen[s]}
        weights = {s: math.log(1 + len(self._held) / self._seen[s]) for s in wanted}
        values = [sum(weights[s] for s in sorted(wanted & held)) for held in self._held]
        return values.index(max(values))

    def others_add(self, claim: str, best: int) -> bool:
        """Whether all contexts hold more words of the claim than `best`, and half of them."""
        wanted = set(content_stems(claim))
        held = {stem for stem in wanted if self._seen[stem]}
        return len(held) * 2 >= len(wanted) and not held <= self._held[best]


def _verdict(found: Judgement) -> str:
    if found.supported is None:
        return UNJUDGED
    return SUPPORTED if found.supported else UNSUPPORTED


def _together(texts: Sequence[str]) -> str:
    return "\n\n".join(texts)


def _lines(text: str) -> Iterator[str]:
    """The lines of `text`, and each with the last one that leads in: rows of a table have both."""
    lead = ""
    for line in text.split("\n"):
        yield line
        yield f"{lead} {line}"
        lead = line if line.rstrip().endswith(":") else lead


def _same(text: str) -> str:
    """`text` as it is compared word for word."""
    return " ".join(text.lower().split()).rstrip(".!;")
