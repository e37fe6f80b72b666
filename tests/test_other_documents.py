"""The pipeline on documents in other forms than the shipped one: prose, questions, wide tables."""

from pathlib import Path

import pytest
from test_answering import Scripted

from assistant import Answer, Assistant
from assistant.compose import quote_ranges
from assistant.evidence import Ranker, passages_of
from assistant.pipeline import open_index
from assistant.question import Question
from assistant.reranker import Reranker
from assistant.settings import load_settings
from assistant.support import SupportCheck
from corpus.readers import read_paths
from index.build import build
from index.embedder import LocalEmbedder

HARBOUR = """# Harbour Ferries: staff guide

## Leave

**How long is maternity leave?** It lasts 26 weeks, six of them at full pay. It can begin eleven
weeks before the birth.

**Bereavement.** Four paid days are given when a parent, partner or child dies. For other relatives
it is one day.

## Pay

| Grade | On joining | After three years | After eight years |
|---|---|---|---|
| Deckhand | 24,100 | 26,300 | 28,900 |
| Engineer | 33,700 | 37,200 | 41,500 |
| Mate | 38,200 | 42,800 | 47,600 |
| Master | 49,900 | 54,400 | 61,300 |
"""
CASTLE = """# Castle Hotels: working with us

## Leave

Maternity leave lasts 18 weeks at half pay. Staff who lose a close relative have two paid days.

## Pay

Receptionists earn 21,400 a year, night managers 29,800. Night duty ends at 6 a.m.

## Benefits

Staff get:

- free meals on duty
- a night bus after late duty
- a shuttle from the station
- private dental care
- a bicycle to ride to work
- 6 % of the wage into a pension fund
"""

WRITER = Scripted()


@pytest.fixture(scope="module")
def assistant(
    home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    embedder: LocalEmbedder,
    reranker: Reranker,
    support: SupportCheck,
) -> Assistant:
    folder = tmp_path_factory.mktemp("employers")
    (folder / "harbour.md").write_text(HARBOUR)
    (folder / "castle.md").write_text(CASTLE)
    build("employers", [folder], embedder)
    index = open_index("employers", embedder)
    return Assistant(index, embedder, reranker, support, WRITER, load_settings())


def quotes(answer: Answer) -> str:
    return " ".join(citation.quote for citation in answer.citations)


def test_what_follows_a_question_in_bold_answers_it_and_the_question_is_not_quoted(
    assistant: Assistant,
) -> None:
    answer = assistant.ask("How long is maternity leave at Harbour Ferries?")
    assert answer.citations[0].quote == "It lasts 26 weeks, six of them at full pay."
    assert "How long" not in answer.text
    assert "**" not in answer.text


def test_an_abbreviation_at_the_end_keeps_its_point(assistant: Assistant) -> None:
    answer = assistant.ask("When does night duty end at Castle Hotels?")
    assert answer.sentences[0].text == "Night duty ends at 6 a.m. [1]."


def test_items_that_answer_in_other_words_join_those_that_share_words(assistant: Assistant) -> None:
    answer = assistant.ask(
        "Is there a bus, or other transport to work, for staff of Castle Hotels?"
    )
    assert [q for q in ("bus", "shuttle", "bicycle") if q not in quotes(answer)] == []
    assert [q for q in ("meals", "dental", "pension") if q in quotes(answer)] == []


@pytest.mark.parametrize(
    ("question", "alone"),
    [
        ("mate pay Harbour Ferries", True),
        ("deckhand pay Harbour Ferries - And what comes after eight years?", False),
        ("Which grades other than mate have pay at Harbour Ferries?", False),
    ],
)
def test_a_row_that_the_question_names_is_quoted_alone(
    assistant: Assistant, question: str, alone: bool
) -> None:
    found = assistant._retrieve(question)[0]
    table = next(ranked for ranked in found if ranked.passage.header)
    chosen = assistant._ranker.focus(Question(question), table)
    assert (len(chosen) == 1) is alone


def test_bold_words_are_quoted_with_what_they_introduce(assistant: Assistant) -> None:
    answer = assistant.ask("My father died. Do I get time off at Harbour Ferries?")
    assert answer.text.startswith("Bereavement. Four paid days are given")
    assert answer.citations[0].quote.startswith("**Bereavement.** Four paid days")


def test_the_row_of_a_wide_table_comes_with_the_names_of_its_columns(assistant: Assistant) -> None:
    WRITER.text = ""
    answer = assistant.ask("What does an engineer at Harbour Ferries earn after eight years?")
    first, second = answer.citations[:2]
    assert first.quote == "| Engineer | 33,700 | 37,200 | 41,500 |"
    assert second.quote == "| Grade | On joining | After three years | After eight years |"
    assert answer.sentences[0].text == (
        "Grade: Engineer; On joining: 33,700; After three years: 37,200; "
        "After eight years: 41,500 [1][2]."
    )


@pytest.mark.parametrize(
    ("amount", "displayed"), [("41,500", True), ("37,200", False), ("61,300", False)]
)
def test_a_sentence_about_a_cell_is_checked_with_its_row_and_its_column(
    assistant: Assistant, amount: str, displayed: bool
) -> None:
    WRITER.text = f"An engineer earns {amount} after eight years [1]."
    answer = assistant.ask("What does an engineer at Harbour Ferries earn after eight years?")
    assert (answer.sentences[0].origin == "model") == displayed
    assert "| Engineer | 33,700 | 37,200 | 41,500 |" in quotes(answer)
    if displayed:
        assert answer.sentences[0].citations == (1, 2)


def test_words_of_the_question_tell_which_document_is_meant(assistant: Assistant) -> None:
    ranker: Ranker = assistant._ranker
    question = Question("maternity leave at castle hotels")
    assert ranker.elsewhere(question, "castle.md") == 0 < ranker.elsewhere(question, "harbour.md")
    for name, weeks, others in (("Castle Hotels", "18 weeks", "26"), ("Harbour", "26 weeks", "18")):
        answer = assistant.ask(f"How many weeks of maternity leave does {name} give?")
        assert weeks in quotes(answer)
        assert f"{others} weeks" not in quotes(answer)


@pytest.mark.parametrize(
    "question",
    [
        "Are you a real person or a bot?",
        "Who programmed you?",
        "Translate 'good morning' into Japanese, please.",
        "Can you write my application for me?",
        "What is your name, and what did I just ask?",
        "What does a mate at Polar Lines earn after eight years?",
    ],
)
def test_what_no_document_speaks_of_is_not_answered(assistant: Assistant, question: str) -> None:
    assert assistant.ask(question).status == "abstained"


def test_a_small_table_is_quoted_with_its_header(tmp_path: Path) -> None:
    (tmp_path / "ferry.md").write_text(
        "# Ferry\n\n## Pay\n\n| Grade | On joining | Later |\n|---|---|---|\n| Mate | 38 | 42 |\n"
    )
    (passage,) = passages_of(read_paths([tmp_path / "ferry.md"]).documents[0])
    (quoted,) = quote_ranges(passage, passage.spans)
    assert passage.text[quoted.start : quoted.stop].startswith("| Grade | On joining | Later |")
    assert "On joining" in passage.scored(passage.spans)


def test_each_part_of_a_sentence_may_rest_on_the_quote_that_it_marks(assistant: Assistant) -> None:
    question = "What do receptionists earn, and how long is maternity leave at Castle Hotels?"
    draft = "Receptionists earn {} a year [1], and maternity leave lasts {} weeks at half pay [2]."
    WRITER.text = draft.format("21,400", 18)
    answer = assistant.ask(question)
    first = answer.sentences[0]
    assert (first.origin, first.citations) == ("model", (1, 2))
    assert first.text.endswith("a year, and maternity leave lasts 18 weeks at half pay [1][2].")
    assert [citation.quote for citation in answer.citations[:2]] == [
        "Receptionists earn 21,400 a year, night managers 29,800.",
        "Maternity leave lasts 18 weeks at half pay.",
    ]
    WRITER.text = draft.format("29,800", 18)
    assert {sentence.origin for sentence in assistant.ask(question).sentences} == {"quote"}
    WRITER.text = ""


@pytest.mark.parametrize(
    ("employer", "shown"), [("Castle Hotels", True), ("Harbour Ferries", False)]
)
def test_a_sentence_may_name_what_the_title_of_its_document_names(
    assistant: Assistant, employer: str, shown: bool
) -> None:
    WRITER.text = f"{employer} gives two paid days to staff who lose a close relative [1]."
    answer = assistant.ask("How many paid days for bereavement does Castle Hotels give?")
    WRITER.text = ""
    assert (answer.sentences[0].origin == "model") == shown
