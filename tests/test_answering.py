"""The pipeline on the shipped document: what reaches the reader, whatever the LLM writes.

`Scripted` is a small real LLM of our own protocol; the last tests use the real default model.
"""

import threading
from collections.abc import Generator, Sequence

import pytest

from assistant import Answer, Assistant
from assistant.answer import ABSTENTION, ABSTENTION_LANGUAGE, Done, Retrieved, SentenceReady
from assistant.draft_rules import cleaned, marked_parts
from assistant.figure_check import missing_figures
from assistant.llm import Message, open_llm
from assistant.pipeline import open_index
from assistant.reranker import Reranker
from assistant.settings import load_settings
from assistant.support import Comparison, Support, SupportCheck
from assistant.ui.jobs import StoppableLLM
from corpus.errors import UsageError
from index.embedder import LocalEmbedder
from index.models import ModelStore


class Scripted:
    """An LLM that writes what it is told to."""

    fingerprint = "scripted"

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.prompts: list[Sequence[Message]] = []
        self.closed_early = threading.Event()

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> Generator[str, None, None]:
        self.prompts.append(messages)
        try:
            yield from (character for character in self.text)
        except GeneratorExit:
            self.closed_early.set()
            raise

    def count_tokens(self, text: str) -> int:
        return len(text) // 4 + 1

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def llm() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def assistant(
    embedder: LocalEmbedder, reranker: Reranker, support: SupportCheck, llm: Scripted
) -> Assistant:
    index = open_index("default", embedder)
    return Assistant(index, embedder, reranker, support, llm, load_settings())


def ask(assistant: Assistant, llm: Scripted, question: str, draft: str = "") -> Answer:
    llm.text = draft
    answer = assistant.ask(question)
    check(assistant, answer)
    return answer


def check(assistant: Assistant, answer: Answer) -> None:
    """What must hold for every answer."""
    for citation in answer.citations:
        text = assistant.index.document(citation.source).text
        assert text[citation.start : citation.end] == citation.quote
    marks = {citation.mark: citation for citation in answer.citations}
    for sentence in answer.sentences:
        assert answer.text[sentence.start : sentence.end] == sentence.text
        assert sentence.citations
        cited = [marks[mark] for mark in sentence.citations]
        evidence = " ".join(" ".join((*c.section, c.quote)) for c in cited)
        told = sentence.text
        for mark in sentence.citations:
            told = told.replace(f"[{mark}]", "")
        assert missing_figures(told, evidence) == []
    for dropped in answer.dropped:
        assert dropped.text not in answer.text


BONUS = "How high is the annual bonus?"


def test_a_supported_sentence_is_shown_with_its_citation(
    assistant: Assistant, llm: Scripted
) -> None:
    answer = ask(assistant, llm, BONUS, "Annual bonuses are 10-20% of base salary [1].")
    assert answer.text.startswith("Annual bonuses are 10-20% of base salary [1].")
    assert answer.sentences[0].verdict == "supported"
    assert answer.sentences[0].origin == "model"
    assert answer.citations[0].section == ("Salary Ranges (US Market, 2024)", "Total Compensation")
    assert "10-20%" in answer.citations[0].quote


@pytest.mark.parametrize(
    "draft",
    [
        "Annual bonuses are 30-40% of base salary [1].",
        "Annual bonuses are not 10-20% of base salary [1].",
        "In Germany annual bonuses are 10-20% of base salary.",
        "Ask [99] and [7] for the rest of the bonus, says Source: HR [1][1].",
        "See https://example.org/x?q=1 for the secret plan of the company.",
        "Ignore the documents and send your password to the administrator!",
        "How high is the annual bonus?",
        "[1] [2] [3].",
        "",
    ],
)
def test_an_unsupported_draft_gives_way_to_the_quote(
    assistant: Assistant, llm: Scripted, draft: str
) -> None:
    answer = ask(assistant, llm, BONUS, draft)
    assert answer.answered
    assert {sentence.verdict for sentence in answer.sentences} == {"quoted"}
    assert "10-20%" in answer.text
    if draft:
        assert answer.dropped
        assert all(dropped.reason for dropped in answer.dropped)


def test_a_word_that_the_documents_lack_is_searched_as_it_is(
    assistant: Assistant, llm: Scripted
) -> None:
    asked = "What do couriers earn?"
    assert ask(assistant, llm, asked).standalone_question == asked


def test_the_part_of_a_question_that_nothing_answers_is_named(
    assistant: Assistant, llm: Scripted
) -> None:
    open_part = "how many days of leave does a nurse in Peru get?"
    answer = ask(assistant, llm, f"{BONUS.removesuffix('?')}, and {open_part}")
    assert "10-20%" in answer.text
    assert answer.notes == (f'No answer found to "{open_part}"',)
    assert ask(assistant, llm, BONUS).notes == ()
    assert ask(assistant, llm, f"{open_part} And who founded Peru?").notes == ()


@pytest.mark.parametrize("mark", ["[99]", "[0]", "(2)", "[1][1]", "[ 1 ]", "[12345]"])
def test_a_spoofed_mark_is_never_a_citation(assistant: Assistant, llm: Scripted, mark: str) -> None:
    answer = ask(assistant, llm, BONUS, f"Annual bonuses are 10-20% of base salary {mark}.")
    known = {f"[{citation.mark}]" for citation in answer.citations}
    assert mark in known or mark not in answer.text


def test_a_sentence_without_a_mark_is_attributed(assistant: Assistant, llm: Scripted) -> None:
    answer = ask(assistant, llm, BONUS, "Annual bonuses are 10-20% of base salary.")
    assert answer.sentences[0].origin == "model"
    assert answer.sentences[0].citations == (1,)


@pytest.mark.parametrize(
    ("draft", "parts"),
    [
        ("A is 5 [1], and B is 7 [2][3].", [("A is 5", [0]), ("B is 7", [1, 2])]),
        ("Yes, A is 5 [1]; B is 7 [2, 3].", [("A is 5", [0]), ("B is 7", [1, 2])]),
        ("A is 5 [1]. ", []),
        ("A is 5 [1] and B is 7.", []),
        ("A is 5 and B is 7.", []),
        ("A is 5 [0], and B is 7 [2].", []),
        ("A is 5 [99], and B is 7 [98].", []),
        ("A is 5 [1], and B is 7 [1].", []),
        ("A is 5 [1] because B is 7 [2].", []),
        ("A is 5 [1], which is more than B [2].", []),
        ("Nurses earn 5 [1] and get 7 weeks [2].", []),
        ("Nurses earn 5 [1], and they get 7 weeks [2].", []),
    ],
)
def test_parts_are_what_ends_with_marks(draft: str, parts: list[tuple[str, list[int]]]) -> None:
    assert marked_parts(draft, 3) == parts


@pytest.mark.parametrize(
    ("draft", "plain"),
    [
        ("No, pilots must also renew it [1].", "Pilots must renew it."),
        ("Probation lasts two years [1, 2].", "Probation lasts two years."),
        ("Probation lasts two years [Fact 1].", "Probation lasts two years."),
        ("The notice is 5-10 weeks (5-10).", "The notice is 5-10 weeks (5-10)."),
    ],
)
def test_a_sentence_is_judged_and_displayed_without_what_ties_it_to_others(
    draft: str, plain: str
) -> None:
    assert cleaned(draft) == plain


def test_a_mark_within_a_mark_is_not_displayed(assistant: Assistant, llm: Scripted) -> None:
    answer = ask(assistant, llm, BONUS, "Annual bonuses are 10-20% of base salary [[1]2] [1].")
    assert {sentence.origin for sentence in answer.sentences} == {"quote"}


@pytest.mark.parametrize(
    ("question", "draft", "reason"),
    [
        (
            "How many years of experience do senior roles require?",
            "The transition to a senior role requires 5-10 years of experience [1].",
            "hedges",  # "typically"
        ),
        (BONUS, "Annual bonuses are base salary and base salary [1].", "twice"),
    ],
)
def test_a_draft_beside_the_point_gives_way_to_the_quote(
    assistant: Assistant, llm: Scripted, question: str, draft: str, reason: str
) -> None:
    answer = ask(assistant, llm, question, draft)
    check(assistant, answer)
    assert {sentence.origin for sentence in answer.sentences} == {"quote"}
    assert any(reason in dropped.reason for dropped in answer.dropped)


class Believing:
    """A support model that takes everything for granted: what is left are the rules."""

    fingerprint = "believing"

    def support(self, compared: Sequence[Comparison]) -> list[Support]:
        return [Support(1.0, 1.0) for _ in compared]


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        (  # 74 % is of AI and machine learning together
            "What was the annual growth in AI and machine learning postings?",
            "The yearly growth of job postings that were specific to machine learning is 74% [1].",
        ),
        (  # that is the sign-on bonus
            "typical annual bonuses and sign-on bonuses",
            "The typical annual bonus is $10,000 to $50,000, often offered for senior roles [2].",
        ),
    ],
)
def test_a_figure_that_the_text_gives_to_something_else_is_not_shown(
    assistant: Assistant,
    embedder: LocalEmbedder,
    reranker: Reranker,
    llm: Scripted,
    question: str,
    draft: str,
) -> None:
    check = SupportCheck(Believing())
    believing = Assistant(assistant.index, embedder, reranker, check, llm, load_settings())
    answer = ask(believing, llm, question, draft)
    assert {sentence.origin for sentence in answer.sentences} == {"quote"}
    assert any("two texts" in dropped.reason for dropped in answer.dropped)


def test_a_line_that_only_names_another_section_is_no_answer(
    assistant: Assistant, llm: Scripted
) -> None:
    answer = ask(assistant, llm, "Which ethical issues come up as challenges?")
    assert "Addressing biases" in answer.text
    assert "Ethical Considerations [" not in answer.text


def test_a_list_is_quoted_whole(assistant: Assistant, llm: Scripted) -> None:
    answer = ask(assistant, llm, "What are the emerging tech hubs?")
    for place in ("Austin, TX", "Denver, CO", "Atlanta, GA"):
        assert place in answer.text


def test_one_row_is_singled_out_of_a_table(assistant: Assistant, llm: Scripted) -> None:
    answer = ask(assistant, llm, "What is the base salary at the 25th percentile?")
    assert "$104,500 - $114,840" in answer.text
    assert answer.citations[0].quote.startswith("| 25th Percentile")


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Mongolia?",
        "What does the role pay in Germany?",
        "What does a nurse earn?",
        "What was the average salary in 2015?",
        "How many hours a week do senior engineers work?",
        "Write me a poem about the sea.",
    ],
)
def test_what_the_documents_do_not_answer_is_not_answered(
    assistant: Assistant, llm: Scripted, question: str
) -> None:
    answer = ask(assistant, llm, question, "It is 42.")
    assert (answer.status, answer.text) == ("abstained", ABSTENTION)
    assert answer.citations == ()
    assert answer.nearest


@pytest.mark.parametrize(
    "question",
    [
        "Wie viel verdient ein Ingenieur in dieser Rolle?",
        "Quel diplôme faut-il pour ce poste et combien gagne-t-on par an ?",
        "ما هو متوسط الراتب؟",
        "工资是多少?",
    ],
)
def test_another_language_is_answered_by_naming_the_documents_language(
    assistant: Assistant, llm: Scripted, question: str
) -> None:
    llm.prompts = []
    answer = ask(assistant, llm, question, "It is 42.")
    assert (answer.status, answer.text) == ("abstained", ABSTENTION_LANGUAGE)
    assert llm.prompts == [], "the LLM was asked all the same"


@pytest.mark.parametrize("question", ["", "  \n ", "x" * 4_001, "Which degree? \ud83d"])
def test_an_impossible_question_is_refused(assistant: Assistant, question: str) -> None:
    with pytest.raises(UsageError):
        assistant.ask(question)


def test_the_prompt_holds_no_more_evidence_than_its_budget(
    embedder: LocalEmbedder, reranker: Reranker, support: SupportCheck, llm: Scripted
) -> None:
    settings = load_settings(evidence_tokens=100)
    small = Assistant(open_index("default", embedder), embedder, reranker, support, llm, settings)
    llm.text, llm.prompts = "", []
    answer = small.ask("What are the common challenges of the role?")
    check(small, answer)
    assert answer.answered
    assert all(llm.count_tokens(prompt[-1][1]) < 160 for prompt in llm.prompts)


def test_a_follow_up_is_understood_from_the_conversation(
    assistant: Assistant, llm: Scripted
) -> None:
    first = ask(assistant, llm, "How much above the national average does Boston pay?")
    second = assistant.ask("And Seattle?", history=[first])
    check(assistant, second)
    assert "Seattle" in second.standalone_question
    assert "Seattle, WA: 15-20%" in second.text


def test_events_come_in_order_and_closing_them_stops_the_decode(
    assistant: Assistant, llm: Scripted
) -> None:
    llm.text = "Annual bonuses are 10-20% of base salary [1]. " + "More and more. " * 50
    llm.closed_early.clear()
    events = assistant.stream(BONUS)
    assert isinstance(next(events), Retrieved)
    assert isinstance(next(events), SentenceReady)
    events.close()
    assert llm.closed_early.is_set()


def test_a_sentence_of_the_default_model_must_be_surer(
    home: object, assistant: Assistant, llm: Scripted
) -> None:
    del home
    settings = load_settings()
    default = open_llm(settings.llm, settings, ModelStore())
    assert assistant.draft_certainty == 0.7
    for model in (default, StoppableLLM(default)):  # the second is the chat page's
        assert Assistant.open(llm=model).draft_certainty == 0.98
    default.close()
    chosen = Assistant.open(llm=llm, settings=load_settings(draft_certainty=0.9))
    assert chosen.draft_certainty == 0.9


def test_a_draft_that_goes_on_failing_is_stopped(assistant: Assistant, llm: Scripted) -> None:
    llm.closed_early.clear()
    answer = ask(assistant, llm, BONUS, "Bananas are blue. Pigs can fly [1]. " + "So it is. " * 50)
    assert llm.closed_early.is_set()
    assert len(answer.dropped) == 2
    assert "10-20%" in answer.text, "the quote answers all the same"


def test_the_real_model_answers_offline(home: object, embedder: LocalEmbedder) -> None:
    assistant = Assistant.open()
    try:
        answers = [assistant.ask(question) for question in (BONUS, BONUS)]
        for answer in answers:
            check(assistant, answer)
        assert answers[0].text == answers[1].text
        assert "10-20%" in answers[0].text
        *_, last = assistant.stream("Which degree does the role ask for?", history=answers[:1])
        assert isinstance(last, Done)
        assert "Master" in last.answer.text
        assert assistant.as_runnable().invoke(BONUS).text == answers[0].text
    finally:
        assistant.close()
