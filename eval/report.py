"""What a run says, to be read: a page, a comment for a pull request, and JUnit XML.

Questions, answers and documents are other people's text: it is shown, and never takes effect.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from .faithfulness import UNJUDGED, UNSUPPORTED, JudgedSentence
from .metrics import BY_NAME, HIGHER, METRICS
from .quality import holds
from .records import Item, Run

LONGEST = 1_200  # characters of one text on the page
COMMENT = 6_000  # characters of the comment, fewer than any forge allows
_NUMBERS = {"auroc", "mrr", "ndcg@10", "reference_similarity", "answer_relevance"}  # no shares
_KIND_METRICS = ("faithfulness", "facts_held", "section_cited", "false_refusals", "false_answers")
_WORST = 5
# Control characters but tab and line breaks, what turns the order of letters around, halves of
# surrogate pairs, and what XML forbids besides.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_MARKDOWN = re.compile(r"[\\`*_\[\]|~$#]")
_LINKS = re.compile(r"(?<=@)|(?<=#)|(?<=:)(?=//)|(?<=www)(?=\.)|(?<=GH)(?=-\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """A part of an answer: a sentence, or (None) what stands between two."""

    text: str
    sentence: JudgedSentence | None


def html_report(run: Run, timings: Mapping[str, Any] | None) -> str:
    """The run as one HTML page that loads nothing and runs no script but its own."""
    page = _template().render(
        run=run,
        subject=_subject(run),
        card=_card(run),
        kinds=Counter(item.kind for item in run.items if item.kind),
        timings=timings or {},
        items=worst_first(run.items),
        manifest=json.dumps(run.manifest, ensure_ascii=False, indent=2),
    )
    return _UNSEEN.sub("\ufffd", page)


def markdown_report(run: Run, timings: Mapping[str, Any] | None) -> str:
    """The run as a comment in Markdown of less than `COMMENT` characters."""
    verdict = f": {'passed' if run.passed else 'failed'}" if run.gates else ""
    answers = ((timings or {}).get("latency") or {}).get("answer_ms") or {}
    lines = [
        f"### Evaluation of {_inline(_subject(run), 80)}, {len(run.items)} answers{verdict}",
        "",
    ]
    for gate in run.gates:
        result = "passed" if gate.passed else "**failed**"
        lines.append(f"- {result}: {_inline(gate.name, 80)} ({_inline(gate.said, 120)})")
    lines += ["", "| Metric | Value | 95 % interval | Judged |", "|---|--:|--:|--:|"]
    lines += _metric_rows(run) or ["| none | not judged | | 0 |"]
    lines += ["", _judge_line(run)]
    if answers.get("n"):
        lines += ["", f"Answers took {answers['p50']:g} ms (median), {answers['p90']:g} ms (p90)."]
    lines += ["", *_worst_lines(run)]
    ends = accumulate(len(line) + 1 for line in lines)
    return "".join(f"{line}\n" for line, end in zip(lines, ends, strict=True) if end < COMMENT)


def junit_xml(run: Run) -> str:
    """The run as JUnit XML: a test case for each gate and each item; a wrong item is a failure."""
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name="career-eval")
    for gate in run.gates:
        _testcase(suite, "gates", gate.name, "" if gate.passed else gate.said or "failed")
    for item in run.items:
        why = "; ".join(_faults(item)) if item.wrong else ""
        _testcase(suite, item.kind or "items", item.id, why)
    counts = {"tests": len(suite), "failures": len(suite.findall("*/failure")), "errors": 0}
    suite.attrib.update({key: str(count) for key, count in counts.items()} | {"skipped": "0"})
    ET.indent(suites)
    xml = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}\n'


def worst_first(items: Iterable[Item]) -> list[Item]:
    """Wrong items, then the others, each from the least faithful to those without a judged claim.

    Equals stand by their ids.
    """
    return sorted(
        items,
        key=lambda i: (not i.wrong, (f := i.scores.get("faithfulness")) is None, f or 0, i.id),
    )


def number(name: str, value: float | None) -> str:
    """A value of the metric `name` in words: a share in per cent, anything else as 0.00."""
    if value is None:
        return "not judged"
    return f"{value:.2f}" if name in _NUMBERS else f"{100 * value:.1f} %"


def interval(name: str, low: float | None, high: float | None) -> str:
    """A 95 % interval in words; of fewer than two scores there is none."""
    if low is None or high is None:
        return "none"
    return f"{number(name, low).removesuffix(' %')} to {number(name, high)}"


def cut(text: str, longest: int = LONGEST) -> str:
    """`text`, or its beginning and how much was left out."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters are not shown)"


@cache
def _template() -> Template:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"cut": cut}
    env.globals.update(METRICS=METRICS, BY_NAME=BY_NAME, KIND_METRICS=_KIND_METRICS)
    env.globals.update(number=number, interval=interval, says=_says)
    env.globals.update(pieces=_pieces, faults=_faults, contexts=_contexts)
    return env.get_template("report.html.j2")


def _subject(run: Run) -> str:
    """The name of the file that was evaluated."""
    file = run.manifest.get("cases") or run.manifest.get("answers") or {}
    return str(file.get("file", "answers"))


def _card(run: Run) -> Mapping[str, Any]:
    """What was measured of the judge, by the labelled set."""
    sets: Mapping[str, Any] = (run.judge_card or {}).get("sets", {})
    return sets


def _pieces(item: Item) -> Iterator[Piece]:
    """The whole answer: its sentences and what stands between them."""
    at = 0
    for sentence in sorted(item.sentences, key=lambda s: (s.start, s.end)):
        if sentence.start > at:
            yield Piece(item.answer[at : sentence.start], None)
        yield Piece(item.answer[max(at, sentence.start) : sentence.end], sentence)
        at = max(at, sentence.end)
    if at < len(item.answer):
        yield Piece(item.answer[at:], None)


def _contexts(item: Item) -> tuple[int, ...]:
    """The contexts of the claims that no citation stands beside, and of those not borne out."""
    quoted = {citation.mark for citation in item.citations}
    needed = {
        s.context for s in item.sentences if s.verdict == UNSUPPORTED or not quoted & set(s.marks)
    }
    return tuple(at for at in range(len(item.contexts)) if at in needed)


def _fact(wordings: Sequence[str]) -> str:
    """A key fact by its first wording."""
    return f"“{wordings[0]}”{' in any wording' if len(wordings) > 1 else ''}"


def _says(item: Item, wordings: Sequence[str]) -> bool:
    """Whether the answer holds one of `wordings`."""
    return holds(item.answer, [[wording for wording in wordings if wording]])


def _faults(item: Item) -> Iterator[str]:
    """What is wrong with an answer, in words."""
    scores = item.scores
    if scores.get("false_answers") == 1:
        yield "answers a question that the documents do not answer"
    if scores.get("forbidden_said") == 1:
        said = ", ".join(f"“{word}”" for word in item.forbidden if _says(item, [word]))
        yield f"says what is forbidden: {said}"
    if scores.get("false_refusals") == 1:
        yield "refuses a question that the documents answer"
    elif item.answerable and item.facts and scores.get("facts_held") == 0:
        missing = [_fact(fact) for fact in item.facts if fact and not _says(item, fact)]
        yield f"lacks {'; '.join(missing) or 'a key fact'}"
    claims = [s for s in item.sentences if s.verdict != UNJUDGED]
    if unsupported := sum(s.verdict == UNSUPPORTED for s in claims):
        yield f"leaves {unsupported} of {len(claims)} claims unsupported"


def _inline(text: str, longest: int) -> str:
    """Foreign text on one line of Markdown, where it means nothing but itself."""
    plain = " ".join(_UNSEEN.sub("", text).split())
    plain = plain if len(plain) <= longest else f"{plain[:longest]}…"
    harmless = _LINKS.sub("\u200b", plain)  # mentions and bare addresses are found after escapes
    return escape(_MARKDOWN.sub(r"\\\g<0>", harmless), quote=False)


def _metric_rows(run: Run) -> list[str]:
    """A row of the table for each metric that was judged."""
    return [
        f"| {m.title}{'' if m.better == HIGHER else ' (less is better)'} "
        f"| {number(m.name, v.value)} | {interval(m.name, v.low, v.high)} | {v.judged} of {v.n} |"
        for m in METRICS
        if (v := run.metrics.get(m.name)) and v.value is not None
    ]


def _judge_line(run: Run) -> str:
    """How far the judge can be trusted."""
    if not _card(run):
        return "How far this judge agrees with people was not measured: `career-eval judge FILE`."
    sets = []
    for name, row in _card(run).items():
        whole, floor = (row[arm]["balanced_accuracy"] for arm in ("whole_check", "word_overlap"))
        sets.append(
            f"balanced accuracy {number('', whole['value'])} "
            f"({interval('', whole['low'], whole['high'])}; word overlap "
            f"{number('', floor['value'])}) on {row['n']} pairs of {_inline(name, 60)}"
        )
    return f"The judge against people's labels: {', '.join(sets)}."


def _worst_lines(run: Run) -> list[str]:
    """The worst answers and what is wrong with them."""
    bad = [item for item in worst_first(run.items) if any(_faults(item))]
    if not bad:
        return ["No answer was found wrong or unsupported."]
    lines = [f"**Worst answers** ({min(_WORST, len(bad))} of {len(bad)})", ""]
    for item in bad[:_WORST]:
        wrong = _inline("; ".join(_faults(item)), 200)
        lines.append(
            f"- **{_inline(item.id, 40)}** {_inline(item.question, 150)}<br>"
            f"Answer: {_inline(item.answer, 200)}<br>Wrong: {wrong}"
        )
    return lines


def _testcase(suite: ET.Element, group: str, name: str, failure: str) -> None:
    named = {"classname": f"career-eval.{group}", "name": name}
    case = ET.SubElement(suite, "testcase", {k: _UNSEEN.sub("", v) for k, v in named.items()})
    if failure:
        ET.SubElement(case, "failure", message=_UNSEEN.sub("", failure))
