"""Whether the documents answer a question, judged before anything is written.

Signals of the question against the best passage, not the retrieval score alone: words that no
document holds, words that the passage does not hold, things it names that the passage is not about,
a quantity asked for where the passage has none. Weights: docs/decisions/0004-abstention.md.
"""

import math
import re
from collections.abc import Container, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

from corpus.sections import Span
from index.store import Index

from .evidence import Ranked, Ranker, has_figure
from .question import Question, forms_of, speaks_of
from .words import FUNCTION_WORDS

LANGUAGE_SURE = 0.95
_LANGUAGES = (
    "cs da de en es fi fr hu id it nl no pl pt ro sk sl sq sv tr vi".split()  # Latin letters
)


@dataclass(frozen=True)
class Signals:
    """What speaks for and against an answer; all in [0, 1] but the score and its lead."""

    score: float
    lead: float  # over the fourth passage
    nearest: float
    dense: float
    coverage: float
    unknown: float  # share of the question's words that no document holds
    missing: float  # share that the best passage does not hold
    no_quantity: float
    not_named: float  # a place, year, level, occupation or name that the passage is not about


_BIAS = 0.0
_WEIGHTS = Signals(0, 0, 0, 0, 0, 0, 0, 0, 0)
_CENTRE = Signals(0, 0, 0, 0, 0, 0, 0, 0, 0)
_SPREAD = Signals(1, 1, 1, 1, 1, 1, 1, 1, 1)


def signals(
    question: Question, ranked: Sequence[Ranked], spans: Sequence[Span], index: Index, ranker: Ranker
) -> Signals:
    """The signals for the best passage and the spans of it that would be quoted."""
    best = ranked[0]
    passage = best.passage
    stems = question.stems or ("",)
    unknown = [s for s in stems if not any(index.chunks_with(form) for form in forms_of(s))]
    missing = [s for s in stems if s not in passage.stems]
    quoted = " ".join(passage.span_text(span) for span in spans)
    return Signals(
        best.score,
        best.score - ranked[min(3, len(ranked) - 1)].score,
        best.nearest,
        best.dense,
        best.coverage,
        len(unknown) / len(stems),
        len(missing) / len(stems),
        float(question.wants_quantity and not has_figure(quoted)),
        float(any(not speaks_of(name, passage.context) for name in question.named)),
    )


def confidence(found: Signals) -> float:
    """The probability that the documents answer, in [0, 1]."""
    rows = zip(astuple(_WEIGHTS), astuple(found), astuple(_CENTRE), astuple(_SPREAD), strict=True)
    total = _BIAS + sum(w * (value - centre) / spread for w, value, centre, spread in rows)
    return 1.0 / (1.0 + math.exp(-total))


def is_foreign(text: str, known_words: Container[str]) -> bool:
    """Whether `text` is surely not English: by its letters, else by a language identifier."""
    found = re.findall(r"[^\W\d_]+", text.lower())
    letters = "".join(found)
    if sum(char > "\u024f" for char in letters) * 2 > len(letters):
        return True  # mostly letters beyond the Latin ones
    known = sum(word in known_words or word in FUNCTION_WORDS for word in found)
    if len(found) < 3 or known * 2 > len(found):
        return False
    language, sure = _identifier().classify(text.lower())
    return bool(language != "en" and sure >= LANGUAGE_SURE)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES)
    return identifier
