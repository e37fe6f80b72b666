"""The assistant: one question's way from search to checked answer.

question -> standalone question -> search -> passages -> enough to answer? -> draft by the local LLM
-> each sentence attributed and checked -> quotes for what the draft did not say -> answer record.
"""

import re
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from corpus.errors import UsageError
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.sections import Span, sentence_ranges
from index import build as index_build
from index import generations, store
from index.embedder import CachedEmbedder, Embedder, OnProgress, open_embedder
from index.models import ModelStore, Progress
from index.store import Hit, Index

from . import answer as record
from . import cross_encoder
from .answer import ABSTENTION, ABSTENTION_LANGUAGE, Answer, Event, Nearest
from .compose import Composer, quote_ranges
from .confidence import confidence, is_foreign, signals
from .conversation import Turn, standalone
from .draft_rules import Fact, cleaned, empty_reason, marked_parts, marks_of, stricter
from .evidence import Passage, Ranked, Ranker
from .figure_check import missing_figures
from .llm import LLM, open_llm
from .prompts import draft_messages
from .question import MAX_CHARACTERS, Question, corrected
from .reranker import Reranker
from .settings import Settings, load_settings
from .support import Comparison, SupportCheck, Verdict
from .words import content_stems, in_dictionary

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

DEFAULT_INDEX = "default"
_QUOTED, _CLOSE = 4, 7.0  # so many passages, and how far behind the best one they may score
_FAILURES = 2  # sentences that fail one after the other: what follows them fails too
# How sure reading must be of a sentence of the LLM; the default one, 135M in its name, errs often.
_CERTAINTY, _TINY, _CERTAINTY_OF_TINY = 0.7, "135m", 0.98
_NOTED = 150  # characters of a part that nothing answers
_COVERED = 0.6  # of a passage's words: then quoting it would only repeat


@dataclass(frozen=True)
class _Unit:
    """A passage of the answer plan and those of its spans that answer."""

    passage: Passage
    spans: tuple[Span, ...]

    @property
    def points(self) -> bool:
        """Whether it only names other sections: single lines of a table of contents."""
        return self.passage.menu and len(self.spans) < len(self.passage.spans)

    @property
    def words(self) -> str:
        """What would be quoted, as people read it."""
        if len(self.spans) == len(self.passage.spans):
            return self.passage.words
        return "\n".join(self.passage.span_text(span) for span in self.spans)


@dataclass(frozen=True)
class _Plan:
    """What answers a question.

    `units`: best first; `sure`: the probability that anything does; `unanswered`: the parts of the
    question that nothing does.
    """

    units: tuple[_Unit, ...]
    sure: float
    unanswered: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell of the parts left open: the question of each, not what was told with it."""
        return tuple(f'No answer found to "{_asked(part)}"' for part in self.unanswered)


class Assistant:
    """Answers questions from one open index with one LLM. Safe to use from several threads."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        reranker: Reranker,
        check: SupportCheck,
        llm: LLM,
        settings: Settings,
    ) -> None:
        self.index = index
        self.settings = settings
        self._embedder = embedder
        self._reranker = reranker
        self._check = check
        self._llm = llm
        usual = _CERTAINTY_OF_TINY if _TINY in llm.fingerprint.lower() else _CERTAINTY
        given = settings.draft_certainty
        self.draft_certainty = usual if given is None else given
        self._cache = CachedEmbedder(embedder)
        self._ranker = Ranker(index, self._cache.embed, reranker)

    @classmethod
    def open(
        cls,
        *,
        index: str = "default",
        llm: str | LLM | None = None,
        settings: Settings | None = None,
        on_models: Progress | None = None,
        on_index: OnProgress | None = None,
    ) -> "Assistant":
        """The assistant on index `index`, ready to answer.

        Missing models are fetched; a missing default index is built from the shipped documents.
        """
        settings = settings or load_settings()
        models = ModelStore()
        for name in dict.fromkeys((settings.embedder, cross_encoder.BASE)):
            models.resolve(name, progress=on_models)
        embedder = open_embedder(settings.embedder, models, settings.device, settings.precision)
        opened = open_index(index, embedder, on_index)
        reader = Reranker.open(models)
        check = SupportCheck.open(models, settings.support, settings.device)
        wanted = llm if llm is not None else settings.llm
        model = open_llm(wanted, settings, models, on_models) if isinstance(wanted, str) else wanted
        return cls(opened, embedder, reader, check, model, settings)

    def with_index(self, index: Index) -> "Assistant":
        """The same models over another open index."""
        return Assistant(
            index, self._embedder, self._reranker, self._check, self._llm, self.settings
        )

    @property
    def embedder(self) -> Embedder:
        """The embedder that questions and documents share."""
        return self._embedder

    def close(self) -> None:
        """Give back what the LLM holds."""
        self._llm.close()

    def ask(self, question: str, *, history: Sequence[Turn] = ()) -> Answer:
        """The answer to `question` from the indexed documents, or that they do not answer it.

        Raises:
            UsageError: the question is empty, longer than 4,000 characters or no valid text.
        """
        return record.final_answer(self.stream(question, history=history))

    def stream(
        self, question: str, *, history: Sequence[Turn] = ()
    ) -> Generator[Event, None, None]:
        """What happens to `question`: retrieved, each sentence kept or dropped, done.

        Closing the generator stops the decode.
        """
        clock = _Clock()
        alone = standalone(_valid(question), history)
        searched = corrected(alone, self.index.vocabulary, self._is_word)
        found = self._retrieve(searched)
        clock.mark("search")
        near = _sections_of(found)
        yield record.Retrieved(searched, near[:3])
        base = Answer(
            question,
            searched,
            "abstained",
            ABSTENTION,
            nearest=near[:3],
            fingerprint=self.fingerprint,
        )
        if is_foreign(question, self.index.vocabulary):
            yield record.Done(clock.stop(replace(base, text=ABSTENTION_LANGUAGE)))
            return
        plan = self._plan(Question(searched), found)
        base = replace(base, confidence=round(plan.sure, 4))
        if not plan.units:
            yield record.Done(clock.stop(base))
            return
        yield from self._answer(replace(base, notes=plan.notes), plan.units, clock)

    def search(self, text: str, *, k: int | None = None) -> list[Hit]:
        """The `k` best chunks for `text`."""
        return self.index.search(
            text,
            self._cache.embed([text])[0],
            k=k or self.settings.k,
            dense=self.settings.dense,
            lexical=self.settings.lexical,
        )

    def as_runnable(self) -> "Runnable[Any, Answer]":
        """The assistant as a LangChain Runnable: a question, or {"question", "history"}, in."""
        from langchain_core.runnables import RunnableLambda

        def ask(given: Any) -> Answer:
            if isinstance(given, str):
                return self.ask(given)
            return self.ask(given["question"], history=given.get("history", ()))

        return RunnableLambda(ask, name="career-assistant")

    def _retrieve(self, question: str) -> list[list[Ranked]]:
        """The ranked passages for each of the questions that `question` joins.

        What asks nothing is searched as it is: then there are sections to name.
        """
        whole = Question(question)
        return [
            self._ranker.rank(Question(p), self._cache.embed([p])[0], self.search(p), whole)
            for p in whole.parts or (question,)
        ]

    def _plan(self, question: Question, found: list[list[Ranked]]) -> _Plan:
        """What answers `question`."""
        units: list[_Unit] = []
        surest = 0.0
        unanswered: list[str] = []
        if not question.parts:
            return _Plan((), surest)
        for text, ranked in zip(question.parts, found, strict=True):
            if not ranked:
                unanswered.append(text)
                continue
            part = Question(text)
            best = ranked[0]
            spans = self._ranker.focus(part, best)
            sure = confidence(signals(part, ranked, spans, self._ranker))
            surest = max(surest, sure)
            if sure < self.settings.abstain_below:
                unanswered.append(text)
                continue
            chosen = [
                _Unit(near.passage, spans if near is best else self._ranker.focus(part, near))
                for near in ranked[:_QUOTED]
                if near.score >= best.score - _CLOSE
            ]
            answering = [unit for unit in chosen if not unit.points] or chosen
            units += [unit for unit in answering if unit not in units]
        # beside questions, what is only told needs no answer; keywords do
        asking = [text for text in question.parts if Question(text).asks] or question.parts
        return _Plan(tuple(units), surest, tuple(text for text in unanswered if text in asking))

    def _answer(self, base: Answer, units: Sequence[_Unit], clock: "_Clock") -> Iterator[Event]:
        composer, dropped = Composer(), []
        facts, notes = self._facts(units)
        if len(units[0].spans) > 1:  # a list is shown as it stands: no draft says it better
            yield from self._quotes(units[:1], composer, clock)
        failed = 0  # in a row
        with closing(self._draft(base.standalone_question, facts)) as drafted:
            for text in drafted:
                outcome = self._place(text, facts, composer, base.standalone_question)
                if not isinstance(outcome, record.Dropped):
                    clock.mark("first_sentence")
                    yield self._ready(outcome, composer)
                    failed = 0
                    continue
                dropped.append(outcome)
                yield record.SentenceDropped(outcome)
                if not composer.sentences:  # nobody waits for what the draft may still bring
                    yield from self._quotes(units[:1], composer, clock)
                failed += 1
                if failed == _FAILURES:
                    break
        yield from self._quotes(units, composer, clock)
        shown = composer.text
        yield record.Done(
            clock.stop(
                replace(
                    base,
                    status="answered",
                    text=shown,
                    sentences=tuple(composer.sentences),
                    citations=tuple(composer.citations),
                    dropped=tuple(d for d in dropped if d.text not in shown),
                    nearest=(),
                    notes=(*base.notes, *notes),
                )
            )
        )

    def _quotes(
        self, units: Sequence[_Unit], composer: Composer, clock: "_Clock"
    ) -> Iterator[record.SentenceReady]:
        """The quotes of those `units` that the answer does not cover yet."""
        for unit in units:
            if self._covers(composer.text, unit):
                continue
            for quoted in quote_ranges(unit.passage, unit.spans):
                sentence = composer.add_quote(unit.passage, quoted)
                clock.mark("first_sentence")
                yield self._ready(sentence, composer)

    def _facts(self, units: Sequence[_Unit]) -> tuple[list[Fact], list[str]]:
        """The quotes that the prompt numbers, as many as the budget of the LLM's tokens allows."""
        offered = [Fact(u.passage, q) for u in units for q in quote_ranges(u.passage, u.spans)]
        left = self.settings.evidence_tokens
        if self._cost("\n".join(fact.prompt for fact in offered), len(offered)) <= left:
            return offered, []  # asked once: each count takes a request
        facts: list[Fact] = []
        omitted = 0
        for fact in offered:
            cost = self._cost(fact.prompt)
            if cost > left:
                omitted += 1
                continue
            left -= cost
            facts.append(fact)
        notes = [f"{omitted} passages did not fit into the prompt"] if omitted else []
        return facts, notes

    def _cost(self, text: str, facts: int = 1) -> int:
        """The tokens that `text`, so many facts, takes in the prompt with their numbers."""
        return self._llm.count_tokens(text) + 6 * facts

    def _draft(self, question: str, facts: Sequence[Fact]) -> Generator[str, None, None]:
        """The sentences of the LLM's draft, each as soon as it is finished."""
        if not facts:
            return
        messages = draft_messages(question, [fact.prompt for fact in facts])
        pieces = self._llm.stream(messages, max_tokens=self.settings.answer_tokens)
        try:
            yield from _sentences(pieces)
        finally:
            pieces.close()

    def _place(
        self, text: str, facts: Sequence[Fact], composer: Composer, question: str
    ) -> record.Sentence | record.Dropped:
        """The sentence with the fact that supports it best, or why none does.

        When none bears out all of it, each of its parts may be by the fact that it marks.
        """
        marked = marks_of(text)
        plain = cleaned(text)
        if reason := empty_reason(plain, question, composer.text):
            return record.Dropped(text, reason)
        order = sorted(range(len(facts)), key=lambda n: (n not in marked, n))
        best, verdict = self._best(plain, question, facts, order)
        found = [(best, verdict)]
        if not verdict.supported:
            parts = marked_parts(text, len(facts))
            found = [self._best(part, question, facts, own) for part, own in parts]
        cited = [facts[n] for n in dict.fromkeys(n for n, _ in found)]
        joined = "\n".join(fact.evidence for fact in cited)
        if not cited or not all(v.supported for _, v in found) or Comparison(plain, joined).fault:
            return record.Dropped(text, verdict.reason)
        support = min(v.support for _, v in found)
        return composer.add_supported(plain, [(f.passage, f.quoted) for f in cited], support)

    def _best(
        self, plain: str, question: str, facts: Sequence[Fact], tried: Sequence[int]
    ) -> tuple[int, Verdict]:
        """Which of the facts `tried` bears the sentence out best, and the verdict on it."""
        judged = self._check.judge_all([(plain, facts[n].evidence) for n in tried])
        verdicts = [
            stricter(plain, question, facts, facts[n], verdict, self.draft_certainty)
            for n, verdict in zip(tried, judged, strict=True)
        ]
        best = max(range(len(tried)), key=lambda i: (verdicts[i].supported, verdicts[i].support))
        return tried[best], verdicts[best]

    def _covers(self, shown: str, unit: _Unit) -> bool:
        """Whether the text shown already says what `unit` would add."""
        if not shown:
            return False
        wanted = set(content_stems(unit.words))
        said = set(content_stems(shown))
        if missing_figures(unit.words, shown):
            return False
        return len(wanted & said) >= _COVERED * len(wanted)

    def _ready(self, sentence: record.Sentence, composer: Composer) -> record.SentenceReady:
        earlier = {mark for s in composer.sentences[:-1] for mark in s.citations}
        fresh = tuple(
            c for c in composer.citations if c.mark in sentence.citations and c.mark not in earlier
        )
        return record.SentenceReady(sentence, fresh)

    @property
    def fingerprint(self) -> dict[str, str]:
        """What an answer is made with: the index and the models."""
        return {
            "index": f"{self.index.generation.folder.name}-{self.index.fingerprint}",
            "embedder": f"{self._embedder.name}-{self._embedder.weights[:12]}",
            "llm": self._llm.fingerprint,
            "support": self._check.fingerprint,
        }

    def _is_word(self, word: str) -> bool:
        """Whether the embedder's tokeniser or a dictionary knows the word: it is no misspelling."""
        return self._embedder.count_tokens([word]) == [1] or in_dictionary(word)


def open_index(name: str, embedder: Embedder, on_progress: OnProgress | None = None) -> Index:
    """Index `name`, opened; the default one is built from the shipped documents when missing.

    Raises:
        IndexMissing, IndexCorrupt, IndexForeign: there is none, or it cannot be used.
    """
    if name == DEFAULT_INDEX and name not in generations.index_names():
        index_build.build(name, [SHIPPED_DOCUMENTS], embedder, on_progress)
    return store.open_generation(generations.current(name), embedder)


class _Clock:
    """Milliseconds since the question came, by name; the first mark of a name counts."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._marks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        self._marks.setdefault(name, round((time.perf_counter() - self._start) * 1000, 1))

    def stop(self, answer: Answer) -> Answer:
        """`answer` with the times taken."""
        self.mark("total")
        return replace(answer, timings_ms=dict(self._marks))


def _valid(question: str) -> str:
    if not question.strip():
        raise UsageError("the question is empty", "ask something, for example: which degree?")
    if len(question) > MAX_CHARACTERS:
        raise UsageError(
            f"the question has {len(question):,} characters",
            f"ask in at most {MAX_CHARACTERS:,}",
        )
    if not question.isascii() and any("\ud800" <= char <= "\udfff" for char in question):
        raise UsageError("the question holds half a character", "send it as UTF-8")
    return " ".join(question.split())


def _sections_of(found: Sequence[Sequence[Ranked]]) -> tuple[Nearest, ...]:
    """The sections of the best passages, each once."""
    passages = [r.passage for rank in zip(*found, strict=False) for r in rank]
    return tuple(dict.fromkeys(Nearest(p.source, p.title, p.section) for p in passages))


def _sentences(pieces: Iterator[str]) -> Iterator[str]:
    """The finished sentences of a stream; what the token limit cut off is left out."""
    text = ""
    for piece in pieces:
        text += piece
        finished = sentence_ranges(text)
        if len(finished) > 1:
            yield from (text[a:b] for a, b in finished[:-1])
            text = text[finished[-1][0] :]
    if text.strip() and re.search(r"[.!?][\])\s\d\[]*$", text):
        yield text.strip()


def _asked(part: str) -> str:
    """The last sentence of a part, cut to what a note has room for."""
    first, last = sentence_ranges(part)[-1]
    asked = part[first:last]
    return asked if len(asked) <= _NOTED else f"{asked[:_NOTED].rstrip()}…"
