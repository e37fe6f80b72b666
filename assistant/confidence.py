"""Whether the documents answer a question, judged before anything is written.

The reranker's word for it, the cheap signals', and what both are blind to: things the question
names that the passage is not about, a quantity asked for where none stands.
Why: docs/decisions/0004-abstention.md; weights: 0015-one-reader.md.
"""

import math
import re
from collections.abc import Container, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

import numpy as np

from corpus.sections import Span

from .evidence import Ranked, Ranker
from .lexicon import FUNCTION_WORDS
from .question import Question, speaks_of

LANGUAGE_SURE = 0.95
_LANGUAGES = (
    "cs da de en es fi fr hu id it nl no pl pt ro sk sl sq sv tr vi".split()  # Latin letters
)


@dataclass(frozen=True)
class Signals:
    """What speaks for and against an answer."""

    answers: float  # log-odds, by the reranker, that any of the passages found answers
    alike: float  # the cheap signals' score of the best passage
    unmet: float  # 1: a quantity or comparison is asked for and not there
    not_named: float  # 1: a place, year, level, occupation or name that the passage is not about


# Logistic regression on three sets of eval/cases that were chosen with, one of them about documents
# of others, both classes weighted alike; the bias is 0.75 higher than fitted, which refuses fewer:
# docs/decisions/0015.
_BIAS = -1.349
_WEIGHTS = Signals(answers=0.781, alike=0.143, unmet=-1.347, not_named=-0.933)


def signals(
    question: Question, ranked: Sequence[Ranked], spans: Sequence[Span], ranker: Ranker
) -> Signals:
    """The signals for the passages found and the spans of the best that would be quoted.

    A place, year or ordinal must stand in what is quoted or above it: elsewhere in the section it
    may belong to something else. A level, occupation or name may stand anywhere in the section.
    """
    passage = ranked[0].passage
    context = ranker.section_context(passage)
    quoted = " ".join(passage.span_text(span) for span in spans)
    leads = f"{passage.intro_text} {passage.header_text}"
    above = f"{passage.title}. {passage.scope}. {passage.heading}. {leads}"
    unspoken = [
        name
        for name in question.named
        if not speaks_of(
            name, f"{above} {quoted}" if name in question.pinned else context, passage.title
        )
    ]
    return Signals(
        float(np.logaddexp.reduce([r.answers for r in ranked])),
        ranked[0].score - ranked[0].answers,
        float(question.unmet(quoted, passage.context)),
        float(bool(unspoken)),
    )


def confidence(found: Signals) -> float:
    """The probability that the documents answer, in [0, 1]."""
    total = _BIAS + sum(w * s for w, s in zip(astuple(_WEIGHTS), astuple(found), strict=True))
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
    likely = dict(_identifier().rank(text.lower()))
    return bool(likely["en"] < 1 - LANGUAGE_SURE)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES)
    return identifier
