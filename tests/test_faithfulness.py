"""Faithfulness and citations, worked out by hand with a judge that compares words."""

import json
import math
from collections.abc import Sequence

import pytest

from assistant.words import words
from eval.faithfulness import SUPPORTED, UNJUDGED, UNSUPPORTED, Assessment, Given, assess
from eval.judges import Judgement, Pair

PAY = "In towns, nurses earn $5 a day."
COOKS = "In towns, cooks earn $6 a day."
SEA = "The sea is wide and blue."


class WordJudge:
    """Supported: every word of the claim stands in the evidence. Cannot tell what is `dark`."""

    name = "words"
    fingerprint = "words"

    def __init__(self, dark: str = "") -> None:
        self.asked: list[Pair] = []
        self._dark = dark

    def judge_all(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """The judgement of each pair of claim and evidence, in order."""
        self.asked += pairs
        return [self._judge(claim, evidence) for claim, evidence in pairs]

    def _judge(self, claim: str, evidence: str) -> Judgement:
        if self._dark and self._dark in claim:
            return Judgement(None, None, "the judge gave no verdict: ''")
        if set(words(claim)) <= set(words(evidence)):
            return Judgement(True, 1.0)
        return Judgement(False, 0.0, "a word is missing")


def assessed(
    answer: str,
    *contexts: str,
    cited: dict[int, str] | None = None,
    judge: WordJudge | None = None,
) -> Assessment:
    """The assessment of one answer by its words."""
    return assess([Given("1", "?", answer, contexts, cited)], judge or WordJudge())[0]


def verdicts(found: Assessment) -> list[str]:
    """The verdicts on the sentences, in order."""
    return [sentence.verdict for sentence in found.sentences]


def test_faithfulness_is_the_share_of_claims_that_the_contexts_bear_out() -> None:
    found = assessed("Nurses earn $5. Cooks earn $6. Pilots earn $7. Is it so?", PAY, COOKS)
    assert verdicts(found) == [SUPPORTED, SUPPORTED, UNSUPPORTED, UNJUDGED]
    assert found.faithfulness == 0.6667
    assert [s.context for s in found.sentences] == [0, 1, 0, None]
    assert found.sentences[3].reason == "a question"
    assert found.reason == ""


@pytest.mark.parametrize(
    ("contexts", "faithfulness", "reason"),
    [
        (None, None, "the contexts are not known"),
        ((), 0.0, ""),
        (("", " \n"), 0.0, ""),
        (("", PAY), 1.0, ""),
        ((PAY, PAY, PAY), 1.0, ""),
    ],
)
def test_without_contexts(
    contexts: tuple[str, ...] | None, faithfulness: float | None, reason: str
) -> None:
    found = assess([Given("1", "?", "Nurses earn $5.", contexts)], WordJudge())[0]
    assert (found.faithfulness, found.reason) == (faithfulness, reason)
    assert found.sentences[0].reason == (reason or ("" if faithfulness else "no context was given"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("The documents do not say. Sorry!", "the answer is a refusal"),
        ("Hello!", "the answer claims nothing"),
        ("[1]", "the answer claims nothing"),
        ("Why?", "the answer claims nothing"),
    ],
)
def test_an_answer_without_claims_has_no_number_but_a_reason(answer: str, reason: str) -> None:
    for contexts in (None, (), (PAY,)):
        judge = WordJudge()
        found = assess([Given("1", "?", answer, contexts)], judge)[0]
        assert (found.faithfulness, found.reason) == (None, reason)
        assert (found.citation_recall, found.citation_precision) == (None, None)
        assert not judge.asked


def test_what_the_judge_cannot_tell_is_no_number() -> None:
    none = assessed("Ghosts earn $5 [1].", PAY, judge=WordJudge("Ghosts"))
    assert (none.faithfulness, none.reason) == (None, "the judge gave no verdict")
    assert (none.citation_recall, none.citation_precision) == (None, None)
    some = assessed("Ghosts earn $5. Nurses earn $5.", PAY, judge=WordJudge("Ghosts"))
    assert (some.faithfulness, some.reason) == (1.0, "")
    assert verdicts(some) == [UNJUDGED, SUPPORTED]
    assert some.sentences[0].support is None


def test_a_claim_may_need_two_contexts() -> None:
    found = assessed("Nurses earn $5 as cooks earn $6.", PAY + " So they say, as ever.", COOKS)
    assert verdicts(found) == [SUPPORTED]
    found = assessed("Nurses earn $5 as cooks earn $6.", PAY, SEA)
    assert verdicts(found) == [UNSUPPORTED]


def test_what_stands_word_for_word_is_supported_unjudged() -> None:
    judge = WordJudge()
    found = assessed(f"{PAY} {COOKS}", f"{SEA} {PAY}", f"- {COOKS}", judge=judge)
    assert found.faithfulness == 1.0
    assert not judge.asked


def test_rows_of_a_table_stand_word_for_word_with_what_leads_in_and_without() -> None:
    rows = "- Grade: A; Pay: $5; Leave: 20 days\n- Grade: B; Pay: $6; Leave: 24 days"
    told = f"Staff > Pay.\nPay by grade:\n\n{rows.replace('- ', '')}"
    judge = WordJudge()
    for answer in (f"Pay by grade:\n\n{rows}", rows):
        assert assessed(answer, told, judge=judge).faithfulness == 1.0
    assert not judge.asked


def test_the_header_that_a_row_cites_too_counts_neither_way() -> None:
    row, header = (
        "Staff > Pay.\nGrade: A; Pay: $5; Leave: 20 days",
        "Staff > Pay.\nGrade: Pay, Leave",
    )
    answer = "Grade: A; Pay: $5; Leave: 20 days [1][2]. Nurses earn $5 [2]."
    given = Given("1", "?", answer, (row, PAY), {1: row, 2: header}, frozenset({2}))
    (found,) = assess([given], WordJudge())
    assert [sentence.marks for sentence in found.sentences] == [(1,), ()]
    assert (found.citation_recall, found.citation_precision) == (0.5, 1.0)


def test_each_pair_is_judged_once() -> None:
    judge = WordJudge()
    given = Given("1", "?", "Nurses earn $5 [1]. Nurses earn $5 [1]. Pilots fly [9].", (PAY, PAY))
    found = assess([given, given], judge)
    assert found[0] == found[1]
    assert len(judge.asked) == len(set(judge.asked))
    assert ("Nurses earn $5.", PAY) in judge.asked


@pytest.mark.parametrize(
    ("answer", "recall", "precision"),
    [
        ("Nurses earn $5 [1].", 1.0, 1.0),
        ("Nurses earn $5 [2].", 0.0, 0.0),
        ("Nurses earn $5 [1][3].", 1.0, 0.5),  # one is needed, one beside the point
        ("Nurses and pilots earn $5 [1][2].", 0.0, 0.0),
        ("Nurses earn $5 in towns cooks earn $6 [1][2].", 1.0, 1.0),  # both are needed
        ("Nurses earn $5 in towns cooks earn $6 [1][2][3].", 1.0, 0.6667),
        ("In towns [1][2].", 1.0, 1.0),  # either would do, and each does so alone
        ("Nurses earn $5.", 0.0, 0.0),
        ("Nurses earn $5 [1]. Cooks earn $6.", 0.5, 1.0),
        ("Nurses earn $5 [1]. Cooks earn $6 [1].", 0.5, 0.5),
        ("Nurses earn $5 [9].", 0.0, 0.0),  # a mark that leads nowhere
        ("Nurses earn $5 [1][9].", 1.0, 0.5),
        ("Nurses earn $5 [0].", 0.0, 0.0),
        ("Nurses earn $5 [1]. Is it so [2]?", 1.0, 1.0),  # what is no claim cites nothing
        ("Nurses earn $5 [1][1].", 1.0, 1.0),
    ],
)
def test_citation_recall_and_precision_are_those_of_alce(
    answer: str, recall: float, precision: float
) -> None:
    found = assessed(answer, PAY, COOKS.replace("a day", "as well a day and"), SEA)
    assert (found.citation_recall, found.citation_precision) == (recall, precision)


def test_marks_may_name_their_own_texts() -> None:
    found = assessed("Nurses earn $5 [7]. Cooks earn $6 [1].", PAY, cited={7: PAY, 1: " "})
    assert [s.cited for s in found.sentences] == [SUPPORTED, None]
    assert (found.citation_recall, found.citation_precision) == (0.5, 0.5)
    unknown = assess([Given("1", "?", "Nurses earn $5 [1].", None)], WordJudge())[0]
    assert (unknown.citation_recall, unknown.citation_precision) == (None, None)
    known = assess([Given("1", "?", "Nurses earn $5 [1].", None, {1: PAY})], WordJudge())[0]
    assert (known.faithfulness, known.citation_recall) == (None, 1.0)


def test_fifty_sentences_keep_their_order_and_nothing_is_nan() -> None:
    answer = " ".join(f"Nurses earn ${n} [{n % 3}]." for n in range(50))
    givens = [Given(str(n), "?", answer[: n * 40], (PAY, COOKS, SEA)) for n in range(40)]
    found = assess(givens, WordJudge())
    assert found == assess(givens, WordJudge())
    assert [one.id for one in found] == [given.id for given in givens]
    for one, given in zip(found, givens, strict=True):
        numbers = (one.faithfulness, one.citation_recall, one.citation_precision)
        assert all(n is None or (0 <= n <= 1 and math.isfinite(n)) for n in numbers)
        assert (one.faithfulness is None) == bool(one.reason)
        assert [given.answer[s.start : s.end] for s in one.sentences] == [
            s.text for s in one.sentences
        ]
        json.dumps(one.to_dict(), allow_nan=False)
    whole = assessed(answer, PAY, COOKS, SEA)
    assert len(whole.sentences) == 50
    assert whole.faithfulness == 0.04  # $5 and $6 stand in the contexts together
