"""Drafted cases: marked as such, each question once, and true to the documents."""

import json
import re
import time
from pathlib import Path

import pytest

from assistant.question import places_in
from corpus.errors import UsageError
from corpus.paths import SHIPPED_DOCUMENTS
from corpus.readable import readable
from corpus.readers import read_paths
from corpus.sections import Document
from eval.cases import Case, read_cases
from eval.drafts import PLACES, ROLES, ROLES_NEAR, draft_cases, write_cases

ROOT = Path(__file__).parents[1]
GUIDE = """# Baker: Career Guide

## Entry

Bakers start early, and few of them mind the quiet streets.
An apprenticeship lasts three years.
The final exam has 40 questions on food safety.
About 62 percent of bakers work in small shops, and the rest in factories.
It takes 5 weeks.

## Skills

The essential skills of a baker are:

- **Timing**: loaves wait for nobody
- Steady hands
- A feel for dough, which comes with the years

## Tools

- Price of an oven: $4,000
- Price of a mixer: $900

## Pay

| Stage | Hourly wage | Town |
|---|---|---|
| Apprentice | $12 | Bath |
| Head baker | $31 | Bath |

The market was worth $41.5 billion in 2021, at its peak.

## Outlook

Shops close in many villages because supermarkets sell cheap bread. Sourdough brings young people
back into the craft.
"""
FERRY = "# Ferry Times\n\nThe crossing takes 40 minutes. The deck is open.\n"


def documents() -> list[Document]:
    return [
        Document("baker.md", GUIDE),
        Document("ferry.md", FERRY),
        *read_paths([SHIPPED_DOCUMENTS]).documents,
        *read_paths([ROOT / "eval" / "training" / "accountant.md"]).documents,
    ]


@pytest.fixture(scope="module")
def drafted() -> list[Case]:
    return draft_cases(documents(), limit=90)


def asked(cases: list[Case], kind: str) -> dict[str, Case]:
    return {case.question: case for case in cases if case.kind == kind}


# What is asked


@pytest.mark.parametrize(
    ("kind", "question", "facts", "section"),
    [
        (
            "numeric",
            "For bakers, how long does an apprenticeship last?",
            (("three years",),),
            "Entry",
        ),
        (
            "numeric",
            "For bakers, how many questions on food safety does the final exam have?",
            (("40",),),
            "Entry",
        ),
        (
            "numeric",
            "What percentage of bakers work in small shops?",
            (("62 percent", "62%", "62 per cent"),),
            "Entry",
        ),
        ("numeric", "What is the hourly wage for a head baker?", (("$31",),), "Pay"),
        ("numeric", "For bakers, what is the hourly wage for an apprentice?", (("$12",),), "Pay"),
        (
            "list",
            "What are the essential skills of a baker?",
            (("Timing",), ("Steady hands",), ("A feel for dough",)),
            "Skills",
        ),
        (
            "section",
            "What does “Baker: Career Guide” say about outlook?",
            (("supermarkets sell cheap bread", "brings young people back"),),
            "Outlook",
        ),
    ],
)
def test_a_document_suggests_questions(
    kind: str, question: str, facts: tuple[tuple[str, ...], ...], section: str
) -> None:
    case = asked(draft_cases([Document("baker.md", GUIDE)]), kind)[question]
    assert case.facts == facts
    assert case.sections == (section,)


def test_what_only_the_sentences_around_it_explain_is_not_asked():
    questions = [case.question for case in draft_cases([Document("baker.md", GUIDE)])]
    assert not [q for q in questions if re.search(r"\bit\b", q)]


def test_with_several_documents_a_question_says_which_one_it_is_about(drafted: list[Case]):
    assert "According to “Ferry Times”, how long does the crossing take?" in asked(
        drafted, "numeric"
    )


# What holds of every case


def test_every_case_is_marked_as_a_draft_and_asks_its_own_question(drafted: list[Case]):
    assert all(case.draft for case in drafted)
    assert [case.id for case in drafted] == [f"draft-{n:04d}" for n in range(1, len(drafted) + 1)]
    assert len({case.question.lower() for case in drafted}) == len(drafted)
    assert all(re.fullmatch(r"[A-Z][^\n]+\?", case.question) for case in drafted)


def test_about_a_third_cannot_be_answered(drafted: list[Case]):
    near = [case for case in drafted if not case.answerable]
    assert len(drafted) == 90
    assert len(near) == 30
    assert all(c.kind == "near-miss" and not c.facts and not c.sections for c in near)


def test_the_facts_stand_in_the_section_of_the_case(drafted: list[Case]):
    said: dict[str, str] = {}
    for document in documents():
        for section in document.sections:
            text = document.text[section.spans[0].start : section.spans[-1].end]
            said[section.path[-1]] = f"{said.get(section.path[-1], '')} {readable(text)}"
    for case in drafted:
        for fact in case.facts:
            held = [w for w in fact if w in " ".join(said[case.sections[0]].split())]
            assert held, (case.question, fact)
            # other forms of a percentage, and nothing else, are not in the text
            assert all(w in held or re.search("percent|%|per cent", w) for w in fact)


def test_a_near_miss_names_something_that_no_document_names(drafted: list[Case]):
    text = "\n".join(f"{d.title}\n{d.text}" for d in documents()).lower()
    for case in drafted:
        if not case.answerable:
            names = [*PLACES, *ROLES, *ROLES_NEAR, *re.findall(r"\d{4}", case.question)]
            swapped = [n for n in names if n.lower() in case.question.lower()]
            assert [n for n in swapped if n.lower() not in text], case.question


def test_a_year_is_swapped_for_another():
    cases = draft_cases(
        [Document("a.md", "# Market\n\nThe market was $4.5 billion in 2021.\n")] * 1
    )
    assert [case.question for case in cases] == ["What was the market in 2021?"]  # one: no third
    pair = "# Market\n\n## Here\n\nThe market was $4.5 billion in 2021.\n\n## There\n\nThe sum "
    swapped = draft_cases([Document("a.md", f"{pair}of all fees was $700 in 2019.\n")], limit=3)
    (near,) = [case.question for case in swapped if not case.answerable]
    assert re.search(r"2015|2017|2023|2025|in [A-Z]", near)


def test_cases_are_spread_over_documents_and_sections():
    cases = [case for case in draft_cases(documents(), limit=24) if case.answerable]
    sections = [case.sections for case in cases]
    assert len(cases) == 16
    assert len(set(sections)) == 16
    assert any("Ferry" in case.question for case in cases)
    assert any("baker" in case.question.lower() for case in cases)
    shipped = next(d.sections for d in documents() if d.source.startswith("senior"))
    late = {section.path[-1] for section in shipped[len(shipped) // 2 :]}
    assert any(case.sections[0] in late for case in cases)


def test_the_same_documents_give_the_same_cases(drafted: list[Case]):
    assert draft_cases(documents(), limit=90) == drafted


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 7])
def test_no_more_than_the_limit(limit: int):
    assert len(draft_cases(documents(), limit)) <= max(limit, 0)


@pytest.mark.parametrize(
    "text", ["# Only a heading\n", "", "☃ 🎉\n", "- a\n- b\n", "| a |\n|---|\n"]
)
def test_a_text_that_suggests_nothing_gives_no_case(text: str):
    assert draft_cases([Document("a.md", text)]) == []
    assert draft_cases([]) == []


@pytest.mark.parametrize("word", ["a-", "Aing ", "Senior and ", "is are "])
def test_a_strange_text_takes_no_long_time(word: str):
    text = word * 4000
    started = time.perf_counter()
    draft_cases([Document("a.md", f"# {text}\n\n## {text}\n\n{text}. {text}:\n\n- {text}\n- b\n")])
    assert time.perf_counter() - started < 20


def test_the_places_are_known_to_the_assistant():
    assert [places_in(place) for place in PLACES] == [[place] for place in PLACES]


# The file


def test_cases_are_written_as_they_are_read_and_never_over_others(
    tmp_path: Path, drafted: list[Case]
):
    file = tmp_path / "cases.jsonl"
    write_cases(drafted, file)
    assert read_cases(file) == drafted
    assert json.loads(file.read_text("utf-8").splitlines()[0])["draft"] is True
    with pytest.raises(UsageError, match="is there already"):
        write_cases([], file)
    for missing in (tmp_path / "gone", file):
        with pytest.raises(UsageError, match=r"new\.jsonl cannot be written") as refused:
            write_cases([], missing / "new.jsonl")
        assert "\n" not in str(refused.value)
