"""The claims of an answer: every split, mark, refusal and courtesy that an LLM may write."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.claims import Claim, claims_in, is_refusal

REFUSALS = """\
I'm sorry, but the provided context does not include information about salaries.
There is no mention of overtime in the document.
The text doesn't specify the salary.
As an AI language model, I cannot answer that.
As an AI, I don't have access to that information.
N/A
Unknown.
I don't know.
I don\u2019t know.
I'm not sure.
I am unable to answer this question based on the provided context.
I can't find that in the documents.
I was unable to find any relevant information.
I'm afraid the documents don't say.
I have no information about that.
We could not find an answer in the given sources.
The documents do not say.
The provided documents do not contain information on this topic.
The context does not provide enough information to answer the question.
The context is silent on this question.
The retrieved documents don't seem to address this.
The document lacks information about pay.
None of the documents mention a salary.
Neither passage mentions the salary.
Nothing in the documents answers this question.
Not mentioned in the text.
Not specified.
No information available.
No relevant information was found in the documents.
There isn't enough information in the sources to answer.
There is insufficient information to answer this question.
It is not stated in the document how much a nurse earns.
The salary is not mentioned in the provided documents.
The answer is not in the provided context.
Information about overtime is not provided.
This information is not available in the context.
It cannot be determined from the context.
Based on the provided context, it is not possible to determine the salary.
This question cannot be answered with the information provided.""".split("\n")

STATEMENTS = """\
The employer does not provide meals.
Nurses do not give information to the press.
No information may leave the ward.
No details may be shared with the press.
Patient data must not be given to third parties.
The data were not available to the public in 2020.
Some of the data do not include overtime pay.
The materials do not contain asbestos.
The materials are not covered by the warranty.
The texts of the exam are not available before May.
Text editors are not covered in the course.
We provide meals and do not charge for help.
I do not need a degree to help.
Data scientists do not need to answer phones.
Health insurance is not provided by the employer.
The pass mark is not known in advance by the candidates.
Training is not provided in the summer by the firm.
Sources of income are not available to trainees.
Unknown authors are paid less.
As an AI engineer, you earn $5.
The bonus is not paid in the first year.
Hi-tech firms pay more.
Welcome bonuses are paid.
Dear colleagues get less.
Sure-footed workers earn more.
Absolutely nothing is paid.
Thanks to the union, pay rose 5%.
I hope to become a nurse.
If you have any other licence, you may apply.""".split("\n")

COURTESIES = """\
Hello!
Thanks for asking!
Thank you for your question.
I'm sorry.
Great question!
You're welcome!
I hope this helps!
I'm happy to help.
Please feel free to ask more.
If you have any further questions, feel free to ask.
Here is a summary of the requirements.""".split("\n")


def checked(answer: str) -> list[Claim]:
    """The claims that there is something to check in."""
    return [claim for claim in claims_in(answer) if not claim.unchecked]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_claims_nothing(answer: str) -> None:
    assert is_refusal(answer), claims_in(answer)


@pytest.mark.parametrize("answer", STATEMENTS)
def test_a_statement_in_the_words_of_a_refusal_or_courtesy_is_a_claim(answer: str) -> None:
    assert [claim.text for claim in checked(answer)] == [answer]
    assert not is_refusal(answer)


@pytest.mark.parametrize("answer", COURTESIES)
def test_a_courtesy_claims_nothing_and_refuses_nothing(answer: str) -> None:
    assert [claim.unchecked for claim in claims_in(answer)] == ["a courtesy"]
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Sure, nurses earn $5.",
        "Absolutely! Nurses earn $5.",
        "Yes, nurses earn $5.",
        "I'm sorry, but nurses earn $5.",
        "Based on the provided context, nurses earn $5.",
        "According to [1], nurses earn $5.",
        "While the text doesn't specify the bonus, nurses earn $5.",
        "The document does not mention the bonus but nurses earn $5.",
        "The text does not say so; however, nurses earn $5.",
        "Nurses earn $5, although the text does not mention the bonus.",
    ],
)
def test_what_is_stated_beside_a_courtesy_or_refusal_is_judged_without_it(answer: str) -> None:
    stated = [claim.stated.lower().rstrip(".") for claim in checked(answer)]
    assert stated == ["nurses earn $5"], claims_in(answer)
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    ("answer", "marks"),
    [
        ("A nurse earns $5 [1]. A cook earns $6 [2].", [(1,), (2,)]),
        ("A nurse earns $5.[1] A cook earns $6.[2]", [(1,), (2,)]),
        ("A nurse earns $5. [1] A cook earns $6. [2]", [(1,), (2,)]),
        ("A nurse earns $5.[1]A cook earns $6.[2]", [(1,), (2,)]),
        ("[1] A nurse earns $5. [2] A cook earns $6.", [(1,), (2,)]),
        ("A nurse earns $5 [1][2]. A cook earns $6 [1] [3].", [(1, 2), (1, 3)]),
        ("A nurse earns $5 [1, 2]. A cook earns $6 [2;2].", [(1, 2), (2,)]),
        ("A nurse earns $5 [1-3]. A cook earns $6 [3-1].", [(1, 2, 3), ()]),
        ("A nurse earns $5【1】. A cook earns $6.【2†nurse.md】", [(1,), (2,)]),
        ("A nurse earns $5 [Source 1]. A cook earns $6 [^2].", [(1,), (2,)]),
        ("A nurse earns $5 [1](https://a.org/7). A cook earns $6.", [(1,), ()]),
        ("A nurse earns $5 (1). A cook earns $6 [2020].", [(), ()]),  # grades, years
        ("- A nurse earns $5\n- A cook earns $6 [2]", [(2,), (2,)]),
    ],
)
def test_marks_belong_to_their_sentence(answer: str, marks: list[tuple[int, ...]]) -> None:
    found = checked(answer)
    assert [claim.marks for claim in found] == marks
    for claim, word in zip(found, ("nurse", "cook"), strict=True):
        assert word in claim.stated
        assert any(claim.marks) == ("[" not in claim.stated and bool(claim.marks))


@pytest.mark.parametrize(
    ("answer", "stated"),
    [
        ("E.g. nurses in the U.S. earn $5.5. Dr. Smith says so.", 2),
        (
            "See https://a.b/c?d=1. The next one is dear.",
            ["See https://a.b/c?d=1.", "The next one is dear."],
        ),
        ("Nurses earn $5.Doctors earn $6.", ["Nurses earn $5.", "Doctors earn $6."]),
        ("Nurses write www.example.com daily.", 1),
        ("Nurses use Node.js and C++ daily.", 1),
        ("Nurses earn 🎉 $5! 🎉 Doctors 👩‍⚕️ earn $6.", 2),
        ("# Pay\n\nNurses earn $5.", ["Nurses earn $5."]),
        ("**Pay**\nNurses earn $5.", ["Nurses earn $5."]),
        ("Pay\n===\nNurses earn $5.", ["Nurses earn $5."]),
        ("**Nurses earn $5.**", ["Nurses earn $5."]),
        ("**$80,000**", ["$80,000"]),
        ("> Nurses earn $5.\n> Doctors earn $6.", ["Nurses earn $5.", "Doctors earn $6."]),
        ("```\nNurses earn $5.\n```", ["Nurses earn $5."]),
        ("| Job | Pay |\n|---|---|\n| Nurse | $5 |", ["Nurse: $5"]),
        ("Job | Pay\n---|---\nNurse | $5", ["Nurse: $5"]),
        ("Pay: $5\nDegree: BSc", ["Pay: $5", "Degree: BSc"]),
        ("Nurses earn\n$5.", ["Nurses earn $5."]),
        (
            "- Nurses earn\n  $5.\n- Cooks\n\nThe end comes.",
            ["Nurses earn $5.", "Cooks", "The end comes."],
        ),
        ("They need:\n- a degree\n1. a licence", ["They need: a degree", "They need: a licence"]),
        (
            "They get:\n- benefits:\n  - health\n- pay\n\nNurses earn $5.",
            ["They get: benefits: health", "They get: pay", "Nurses earn $5."],
        ),
        ("The text does not mention:\n- pay\n- hours", []),
        ("Nurses earn $5.\r\n\r\n- a bonus\r\n", ["Nurses earn $5.", "a bonus"]),
        ("The pay is good, and it rises every year; they work hard.", 3),
        ("If you owe money, however, you cannot work there.", 1),
        ("Is it $5? Yes. They do. …", []),
        ("", []),
        (" \n\t\n-\n* \n", []),
        (" ".join(f"Sentence {n} has a figure." for n in range(50)), 50),
    ],
)
def test_an_answer_is_split_into_what_it_states(answer: str, stated: int | list[str]) -> None:
    found = [claim.stated for claim in checked(answer)]
    assert (len(found) if isinstance(stated, int) else found) == stated, found


PIECES = st.sampled_from(
    "[1] [1-3] 【2】 ( ** __ # ## | --- ``` > - 1. • ; , . : ? ! … \n \t \r\n nurses earn $5 and "
    "it is but while Although the text does not say Sure, [a](b) 🎉 é 中 \u2028 \0 \ud800".split(
        " "
    )
)


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map(" ".join)))
def test_any_text_is_read_and_every_claim_is_where_it_says(answer: str) -> None:
    end = 0
    for claim in claims_in(answer):
        assert answer[claim.start : claim.end] == claim.text != ""
        assert claim.start >= end, "claims overlap"
        end = claim.end
    assert claims_in(answer) == claims_in(answer)


@pytest.mark.parametrize(
    "piece", ["[", "# [", "**a ", "*a ", " ", "the documents ", "- a\n", "a. [1] ", "x, and it is "]
)
def test_a_long_answer_is_read_in_linear_time(piece: str) -> None:
    answer = "a" + piece * (200_000 // len(piece)) + "b"
    began = time.process_time()
    claims_in(answer)
    assert time.process_time() - began < 20


def test_of_a_sentence_of_five_thousand_words_none_is_lost() -> None:
    answer = "Nurses " + "earn money " * 2_500 + "daily."
    assert " ".join(c.text for c in checked(answer)).split() == answer.split()


def test_emoji_say_nothing_and_degrees_do() -> None:
    (claim,) = claims_in("\U0001f3e2 The office is at 20 °C \U0001f389!")
    assert claim.stated == "The office is at 20 °C !"


def test_and_she_begins_a_claim_of_its_own() -> None:
    text = "The clinic was founded by Dr. Lopez in 1987 and she retired in 2018."
    assert [c.text for c in claims_in(text)] == [text[:43], text[48:]]
