"""The reports of a run: what they show, in which order, and that foreign text stays text."""

import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from assistant.answer import Citation, Dropped, Nearest
from eval.faithfulness import JudgedSentence
from eval.metrics import RiskPoint, Value
from eval.records import Context, Gate, Item, Run
from eval.report import COMMENT, LONGEST, html_report, junit_xml, markdown_report, worst_first

HOSTILE = (
    '<script>document.title="taken"</script><img src=http://203.0.113.9/x onerror=alert(1)> '
    "| a | b |\n\n# heading\n```\n[link](http://203.0.113.9) ![i](//203.0.113.9/i) www.example.org "
    "@octocat &lt; {{ 7 * 7 }} </details></style> \x00\x1b\x85\u202etxt.exe\u2066 \ud83d \uffff"
)
CARD = {
    "judge": "support-1",
    "sets": {
        "pairs.jsonl": {
            "n": 600,
            "whole_check": {"balanced_accuracy": {"value": 0.8, "low": 0.77, "high": 0.84}},
            "model": {"auroc": {"value": 0.86, "low": 0.83, "high": 0.89}},
            "word_overlap": {
                "balanced_accuracy": {"value": 0.51, "low": None, "high": None},
                "auroc": {"value": None, "low": None, "high": None},
            },
            "calibration": [{"from": 0.9, "to": 1.0, "n": 6, "score": 0.95, "supported": 0.92}],
        }
    },
}
TIMINGS = {
    "machine": {},
    "latency": {
        "answer_ms": {"n": 2, "p50": 1200.0, "p90": 1300.0, "p99": 1300.0, "max": 1300.0},
        "abstention_ms": {"n": 0, "p50": None, "p90": None, "p99": None, "max": None},
    },
    "items": {"a": {"total_ms": 1200.0}, "b": {"total_ms": 1300.0}},
}


def item(name: str, answer: str = "Pay is 10 %. It rose.", **other: Any) -> Item:
    """An answer of two sentences, one of them supported, with what `other` says."""
    end = answer.find(". ") + 1 or len(answer)
    sentences = (
        JudgedSentence(answer[:end], 0, end, "supported", 0.97, 0, "", (1,), "supported"),
        JudgedSentence(answer[end:], end, len(answer), "unjudged", None, None, "a courtesy"),
    )
    usual: dict[str, Any] = {"sentences": sentences, "scores": {"faithfulness": 1.0}}
    usual |= {"status": "answered", "contexts": (Context("Pay is 10 %.", "pay.md", ("Pay",)),)}
    usual |= {"question": f"What of {name}?"}
    return Item(id=name, answer=answer, **usual | other)


def unsupported(name: str, faithfulness: float) -> Item:
    whole = item(name)
    second = replace(whole.sentences[1], verdict="unsupported", support=0.04, context=0)
    second = replace(second, reason="the cited text does not say: rose")
    return replace(
        whole,
        sentences=(whole.sentences[0], second),
        scores={"faithfulness": faithfulness},
    )


def run_of(*items: Item, **other: Any) -> Run:
    usual: dict[str, Any] = {
        "kind": "run",
        "manifest": {
            "cases": {"file": "career.jsonl", "split": "dev"},
            "version": "0.1.0",
            "index": "default",
            "judge": {"name": "shipped", "fingerprint": "support-1"},
            "fingerprint": {"llm": "tiny.gguf"},
        },
        "judge_card": CARD,
        "metrics": {
            "mrr": Value(0.9341, 0.8721, 0.9845, 4, 5),
            "faithfulness": Value(0.974, 0.912, 1.0, 4, 5),
            "false_answers": Value(0.25, None, None, 1, 5),
        },
        "by_kind": {},
        "risk_coverage": (RiskPoint(0.9, 0.2, 0.0), RiskPoint(0.5, 0.6, 0.12)),
        "gates": (
            Gate("faithfulness >= 0.9", True, "0.974"),
            Gate("false_answers <= 0.01", False, "0.25 is more than 0.01"),
        ),
    }
    return Run(items=items, **usual | other)


def good_run() -> Run:
    wrong = item(
        "wrong",
        kind="numeric",
        answerable=True,
        facts=(("10 %", "ten per cent"), ("12 %", "twelve")),
        forbidden=("11 %", "rose"),
        scores={"faithfulness": 1.0, "facts_held": 0.0, "forbidden_said": 1.0},
        history=({"question": "Before?", "answer": "So."},),
        standalone_question="What of wrong pay?",
        citations=(Citation(1, "pay.md", "Pay", ("Pay", "Base"), 1200, 1212, "Pay is 10 %."),),
        dropped=(Dropped("It doubled.", "the number two is not in the cited text"),),
        confidence=0.97,
    )
    refused = item(
        "refused",
        "No.",
        kind="near-miss",
        status="abstained",
        scores={"faithfulness": None},
        reason="the answer is a refusal",
        nearest=(Nearest("pay.md", "Pay", ("Pay", "Bonus")),),
    )
    kinds = {
        "numeric": {"faithfulness": Value(1.0, None, None, 1, 1)},
        "near-miss": {"false_answers": Value(0.0, None, None, 1, 1)},
    }
    items = (refused, item("b"), unsupported("half", 0.5), unsupported("none", 0.0), wrong)
    return run_of(*items, by_kind=kinds)


def hostile_run() -> Run:
    at = HOSTILE.index("|")
    sentence = JudgedSentence(HOSTILE[:at], 0, at, "unsupported", 0.1, 0, HOSTILE, (1,), None)
    foreign = Item(
        id=HOSTILE,
        question=HOSTILE,
        answer=HOSTILE,
        status=HOSTILE,
        sentences=(sentence,),
        contexts=(Context(HOSTILE + "long " * 9_999, HOSTILE, (HOSTILE,)),),
        scores={"faithfulness": 0.0, "facts_held": 0.0, "forbidden_said": 1.0},
        reason=HOSTILE,
        kind=HOSTILE,
        history=({"question": HOSTILE, "answer": HOSTILE},),
        standalone_question=HOSTILE + "?",
        answerable=True,
        sections=(HOSTILE,),
        facts=((HOSTILE + "!",), ("",)),
        forbidden=(HOSTILE, ""),
        reference=HOSTILE,
        citations=(Citation(1, HOSTILE, HOSTILE, (HOSTILE,), 0, 9, HOSTILE),),
        dropped=(Dropped(HOSTILE, HOSTILE),),
        nearest=(Nearest(HOSTILE, HOSTILE, (HOSTILE,)),),
        notes=(HOSTILE,),
    )
    return run_of(
        *[replace(foreign, id=f"{number}{HOSTILE}") for number in range(9)],
        manifest={"cases": {"file": HOSTILE, "split": HOSTILE}, "version": HOSTILE},
        judge_card={"sets": {HOSTILE: CARD["sets"]["pairs.jsonl"]}},  # type: ignore[index]
        by_kind={HOSTILE: {"faithfulness": Value(0.0, None, None, 9, 9)}},
        gates=tuple(Gate(HOSTILE, False, HOSTILE) for _ in range(3)),
    )


def score_run() -> Run:
    """Answers made elsewhere, of which little is known."""
    unknown = item("1", scores={"faithfulness": None}, contexts=(), sentences=(), reason="no text")
    return run_of(
        unknown,
        item("2", ""),
        kind="score",
        manifest={"answers": {"file": "rows.jsonl"}},
        judge_card=None,
        metrics={"faithfulness": Value(None, None, None, 0, 2)},
        risk_coverage=(),
        gates=(),
    )


def empty_run() -> Run:
    return run_of(manifest={}, judge_card=None, metrics={}, risk_coverage=(), gates=())


RUNS = {"good": good_run, "hostile": hostile_run, "score": score_run, "empty": empty_run}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag
        self.words += " "

    def handle_data(self, data: str) -> None:
        self.words += data if self._inside not in ("style", "script", "title") else ""


@pytest.mark.parametrize("name", RUNS)
def test_the_page_loads_nothing_and_runs_only_its_own_script(name: str) -> None:
    page = html_report(RUNS[name](), TIMINGS)
    page.encode("utf-8")
    elements = Elements(page).found
    assert [tag for tag, _ in elements].count("script") == 1
    assert not {"img", "link", "iframe", "object", "base"} & {tag for tag, _ in elements}
    for tag, attributes in elements:
        outside = [v for k, v in attributes.items() if k in ("src", "href") and v and v[0] != "#"]
        assert not outside, tag
        assert not [k for k in attributes if k.startswith("on")], tag
    policy = next(a["content"] for _, a in elements if "http-equiv" in a)
    assert policy
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src")


def test_foreign_text_is_shown_as_it_is_but_for_what_cannot_be_seen() -> None:
    page = html_report(hostile_run(), None)
    assert "<script>document" not in page
    assert "&lt;script&gt;document.title" in page
    assert "{{ 7 * 7 }}" in page
    assert not re.search("[\x00\x1b\x85\u202e\u2066\ud800-\udfff\uffff]", page)
    assert "more characters are not shown)" in page
    assert "long " * (LONGEST // 5) not in page


def test_wrong_answers_come_first_then_the_unfaithful_then_the_unjudged() -> None:
    run = good_run()
    order = ["wrong", "none", "half", "b", "refused"]
    assert [i.id for i in worst_first(run.items)] == order
    assert [i.id for i in worst_first(run.items[::-1])] == order
    page = html_report(run, None)
    at = [page.index(f'<summary><span class="soft">{name}<') for name in order]
    assert at == sorted(at)
    opened = [a for tag, a in Elements(page).found if tag == "details" and "open" in a]
    assert len(opened) == 3


def test_the_page_says_what_was_found() -> None:
    words = " ".join(Elements(html_report(good_run(), TIMINGS)).words.split())
    for said in (
        "Evaluation of career.jsonl 5 questions failed",
        "✓ passed faithfulness >= 0.9 — 0.974",
        "✗ failed false_answers <= 0.01 — 0.25 is more than 0.01",
        "80.0 % 77.0 to 84.0 %",
        "Faithfulness ↑ more is better",
        "97.4 % 91.2 to 100.0 %",
        "0.93 0.87 to 0.98",
        "25.0 % none",
        "1 of 5",
        "Not judged: Citation recall (no answers with claims whose cited texts are known);",
        "numeric",
        "coverage",
        "Whole answer 2 1,200 1,300",
        "✓ supported 0.97",
        "✗ unsupported 0.04: the cited text does not say: rose",
        "○ unjudged: a courtesy",
        "This answer says what is forbidden: “rose”.",
        "This answer leaves 1 of 2 claims unsupported.",
        "This answer lacks “12 %” in any wording.",
        "Searched as: What of wrong pay?",
        "[1] pay.md, characters 1,200 to 1,212",
        "✓ held 10 % / ten per cent",
        "✗ missing 12 % / twelve",
        "✗ said rose",
        "✓ not said 11 %",
        "It doubled. — the number two is not in the cited text",
        "faithfulness not judged: the answer is a refusal",
        "Bonus pay.md",
        '"version": "0.1.0"',
    ):
        assert said in words
    assert words.index("Risk and coverage") < words.index("Latency") < words.index("worst first")


def test_every_character_of_an_answer_is_on_the_page() -> None:
    answer = "So: pay is 10 %. It rose.\n\n- Tail"
    odd = (
        JudgedSentence("It rose.", 17, 25, "supported", 1.0, None),
        JudgedSentence("pay is 10 %. It", 4, 19, "unsupported", 0.0, None),
    )
    page = html_report(run_of(item("a", answer, sentences=odd)), None)
    shown = page.partition('<p class="text answer">')[2].partition("</p>")[0]
    pieces = re.sub(r'<span class="verdict.*?</span></span>', "", shown, flags=re.DOTALL)
    assert re.sub("<.*?>", "", pieces) == answer


def test_a_run_of_which_little_is_known_says_so() -> None:
    words = " ".join(Elements(html_report(score_run(), None)).words.split())
    assert "Evaluation of rows.jsonl" in words
    assert "Nobody has measured how far this judge agrees with people" in words
    assert "career-eval judge FILE" in words
    assert "faithfulness not judged: no text" in words
    assert "The answer is empty." in words
    for absent in ("Risk and coverage", "Latency", "By kind", "NaN", "None"):
        assert absent not in words
    assert "Nothing was judged" in html_report(empty_run(), None)


@pytest.mark.parametrize("name", RUNS)
def test_the_comment_is_short_and_its_table_whole(name: str) -> None:
    comment = markdown_report(RUNS[name](), TIMINGS)
    comment.encode("utf-8")
    assert len(comment) < COMMENT
    rows = [line for line in comment.splitlines() if line.startswith("|")]
    assert rows[0] == "| Metric | Value | 95 % interval | Judged |"
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_a_comment_that_would_be_too_long_ends_after_a_whole_line() -> None:
    gates = tuple(Gate(f"{number} {'&' * 80}", True, "&" * 120) for number in range(20))
    comment = markdown_report(run_of(gates=gates), None)
    assert COMMENT - 1200 < len(comment) < COMMENT
    assert comment.endswith(")\n")


def test_foreign_text_means_nothing_in_the_comment() -> None:
    comment = markdown_report(hostile_run(), None)
    assert "Worst answers" in comment
    assert "@octocat" not in comment
    assert set(re.findall(r"<[^>]*>", comment)) == {"<br>"}
    assert not re.search(r"http://|(?<!\\)\[|(?<!\\)`|www\.", comment.replace("`career-eval", ""))
    assert not re.search(r"^\s*# ", comment, re.MULTILINE)
    assert not re.search("[\x00-\x09\x0b-\x1f\x85\u202e\u2066\ud800-\udfff]", comment)


def test_the_comment_tells_gates_intervals_judge_and_worst_answers() -> None:
    comment = markdown_report(good_run(), TIMINGS)
    for said in (
        "### Evaluation of career.jsonl, 5 answers: failed",
        "- **failed**: false\\_answers &lt;= 0.01 (0.25 is more than 0.01)",
        "| Faithfulness | 97.4 % | 91.2 to 100.0 % | 4 of 5 |",
        "| False answers (less is better) | 25.0 % | none | 1 of 5 |",
        "balanced accuracy 80.0 % (77.0 to 84.0 %; word overlap 51.0 %) on 600 pairs",
        "**Worst answers** (3 of 3)",
        "Wrong: leaves 1 of 2 claims unsupported",
    ):
        assert said in comment
    many = run_of(*(unsupported(f"i{number}", 0.5) for number in range(9)))
    assert "**Worst answers** (5 of 9)" in markdown_report(many, None)
    assert markdown_report(many, None).count("<br>Wrong: ") == 5
    assert "not measured: `career-eval judge FILE`" in markdown_report(empty_run(), None)
    assert "No answer was found wrong" in markdown_report(run_of(item("a")), None)


@pytest.mark.parametrize(
    ("name", "tests", "failures"),
    [("good", 7, 2), ("hostile", 12, 12), ("score", 2, 0), ("empty", 0, 0)],
)
def test_junit_counts_gates_and_wrong_items(name: str, tests: int, failures: int) -> None:
    suite = ET.fromstring(junit_xml(RUNS[name]()).encode("utf-8"))[0]
    assert suite.attrib == {
        "name": "career-eval",
        "tests": str(tests),
        "failures": str(failures),
        "errors": "0",
        "skipped": "0",
    }
    assert len(suite.findall("testcase")) == tests
    assert len(suite.findall("testcase/failure")) == failures


def test_junit_tells_why() -> None:
    suite = ET.fromstring(junit_xml(good_run()).encode("utf-8"))[0]
    why = {case.get("name"): case[0].get("message") for case in suite if len(case)}
    assert why == {
        "false_answers <= 0.01": "0.25 is more than 0.01",
        "wrong": "says what is forbidden: “rose”; lacks “12 %” in any wording",
    }


def test_reports_repeat_to_the_byte() -> None:
    for report in (html_report, markdown_report):
        assert report(good_run(), TIMINGS) == report(good_run(), TIMINGS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("the tests of the page need Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        opened = playwright.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that asks for nothing but one file, and has no error."""
    opened = browser.new_page()
    requests: list[str] = []
    faults: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    yield opened
    assert {url.partition("#")[0] for url in requests} == {opened.url.partition("#")[0]}
    assert faults == []
    opened.close()


def open_report(page: Page, run: Run, folder: Path) -> None:
    file = folder / "report.html"
    file.write_text(html_report(run, TIMINGS), "utf-8")
    page.goto(file.as_uri())


def test_filters_hide_items_and_say_how_many_are_left(page: Page, tmp_path: Path) -> None:
    open_report(page, good_run(), tmp_path)
    items = page.locator("details.item:visible")
    count = page.locator("#count")
    expect(count).to_have_text("5 of 5 shown")
    for label, choice, left in (
        ("Kind", "numeric", 1),
        ("Status", "abstained", 1),
        ("Verdict", "wrong", 1),
        ("Verdict", "unsupported", 2),
    ):
        page.get_by_role("combobox", name=label).select_option(choice)
        expect(items).to_have_count(left)
        expect(count).to_have_text(f"{left} of 5 shown")
        page.get_by_role("combobox", name=label).select_option("")
    search = page.get_by_role("searchbox", name="Text")
    search.focus()
    page.keyboard.type("DOUBLED")  # in the sentence that was left out
    expect(items).to_have_count(1)
    page.keyboard.press("Enter")
    search.fill("nowhere at all")
    expect(count).to_have_text("0 of 5 shown")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_hostile_run_does_nothing_and_fits(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_report(page, hostile_run(), tmp_path)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.title().startswith("Evaluation of <script>")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.locator("details.item:visible")).to_have_count(9)
    page.get_by_role("combobox", name="Kind").select_option(index=1)
    expect(page.locator("#count")).to_have_text("9 of 9 shown")


def test_a_claim_leads_to_its_context(page: Page, tmp_path: Path) -> None:
    open_report(page, run_of(unsupported("a", 0.5)), tmp_path)
    page.get_by_role("link", name="context 1").last.click()
    expect(page.locator(".source:target")).to_contain_text("Pay is 10 %.")
