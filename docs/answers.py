"""Makes `answers.md`, 100 answers to read sentence against quote; run as python docs/answers.py.

Asks the answerable questions of the test half of `eval/cases/career.jsonl`, with the default
model, until so many are answered. That quotes are the document's own words is compared here.
Whether the model's sentences say what they cite, people must read: what they found is in
`answers-read.jsonl`, lines of {"text", "quote", "supported"}; what nobody has read is marked.
"""

import json
import re
import sys
from pathlib import Path

from assistant import Assistant
from assistant.answer import Citation, Sentence
from assistant.compose import as_displayed
from corpus.readable import readable
from eval.cases import read_cases

HERE = Path(__file__).parent
CASES = HERE.parent / "eval" / "cases" / "career.jsonl"
ANSWERS = 100
_MARKS = re.compile(r"\s*\[\d+\]")
_WORD = re.compile(r"[^\W_]+")
_HEAD = """# {answers} answers, read sentence against quote

Made by `python docs/answers.py`: the first {answers} answered questions of the test half of
`eval/cases/career.jsonl`, default model. {quotes} of the {sentences} sentences are quotes, compared
with the document by that command: {exact} are its exact words. {models} are the model's, each shown
here above the words that it cites. People read {read} of these: {supported} are borne out by what
they cite.
"""


def main() -> None:
    """Ask, compare and write; ends with 1 where a quote is not the document's words."""
    assistant = Assistant.open()
    found = map(json.loads, (HERE / "answers-read.jsonl").read_text("utf-8").splitlines())
    read = {(row["text"], row["quote"]): bool(row["supported"]) for row in found}
    told: list[str] = []
    shown: list[tuple[Sentence, str]] = []
    asked = exact = 0
    for case in read_cases(CASES, "test"):
        answer = assistant.ask(case.question, history=case.history) if case.answerable else None
        if answer is None or not answer.answered:
            continue
        asked += 1
        told.append(f"## {asked}. {case.question}\n")
        for sentence in answer.sentences:
            cited = [c for c in answer.citations if c.mark in sentence.citations]
            quote = " ".join(c.quote for c in cited)
            shown.append((sentence, quote))
            if sentence.origin == "quote":  # what a row of a table cites second is its header
                words = as_displayed(*(c.quote for c in cited))
                exact += _words(sentence.text) == _words(words) and all(
                    _exact(assistant, c) for c in cited
                )
            told.append(_entry(sentence, quote, read.get((sentence.text, quote))))
        if asked == ANSWERS:
            break
    models = [(s.text, quote) for s, quote in shown if s.origin == "model"]
    head = _HEAD.format(
        answers=asked,
        sentences=len(shown),
        quotes=len(shown) - len(models),
        exact=exact,
        models=len(models),
        read=sum(key in read for key in models),
        supported=sum(read.get(key, False) for key in models),
    )
    (HERE / "answers.md").write_text("\n".join([head, *told]), encoding="utf-8")
    sys.exit(exact < len(shown) - len(models))


def _exact(assistant: Assistant, citation: Citation) -> bool:
    text = assistant.index.document(citation.source).text
    return text[citation.start : citation.end] == citation.quote


def _words(text: str) -> str:
    """What is said, without marks, list signs and punctuation."""
    return " ".join(_WORD.findall(_MARKS.sub("", text).lower()))


def _entry(sentence: Sentence, quote: str, supported: bool | None) -> str:
    if sentence.origin == "quote":
        return f"{sentence.text}\n"
    verdict = {True: "supported", False: "NOT SUPPORTED", None: "not read yet"}[supported]
    lines = "\n".join(f"> {line}" for line in readable(quote).splitlines())
    return f"**The model:** {sentence.text}\n\n{lines}\n\n({verdict})\n"


if __name__ == "__main__":
    main()
