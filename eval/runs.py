"""`career-eval run`: the assistant asked every case, its answers judged and scored.

Each finished answer is on disk before the next is asked, so a run that ends early goes on where it
ended. What depends on the clock is kept apart from what does not.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from assistant import Answer, Assistant, __version__
from assistant.answer import Done, SentenceReady
from corpus.errors import IndexBusy, UsageError

from .bench import file_identity, machine
from .card import card_of
from .cases import Case
from .faithfulness import Assessment, Given, assess
from .judges import Judge, OnPair
from .metrics import SEED, Value, over, percentiles, risk_coverage
from .records import (
    RUN_FILE,
    TIMINGS_FILE,
    Context,
    Item,
    Run,
    as_json,
    save_run,
    write_file,
    writing,
)
from .report import html_report, junit_xml, markdown_report
from .scoring import (
    case_scores,
    context_scores,
    joined,
    judged_scores,
    reference_claims,
    retrieval_scores,
    similarities,
)

PROGRESS_FILE = "progress.jsonl"
_WARM_UP = "Which soft skills does a senior engineer need to lead a team?"
_PACKAGES = ("corpus", "index", "assistant", "eval")
_CODE = {".py", ".safetensors", ".toml", ".txt"}

OnCase = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """An answer with the chunks that its question found, and when it came (ms)."""

    answer: Answer
    contexts: tuple[Context, ...]
    first_ms: float | None
    total_ms: float


def run_cases(
    cases: Sequence[Case],
    assistant: Assistant,
    judge: Judge,
    out: Path,
    *,
    manifest: Mapping[str, Any],
    on_case: OnCase | None = None,
    on_pair: OnPair | None = None,
) -> tuple[Run, dict[str, Any]]:
    """The run over `cases`, and what the clock said of it; `out` keeps each answer as it comes.

    Raises:
        UsageError: `out` holds an unfinished run of other cases, settings or models.
    """
    whole = {**manifest, **_made_with(assistant, judge)}
    asked = _ask_all(cases, assistant, out / PROGRESS_FILE, whole, on_case)
    return scored_run(cases, asked, assistant, judge, whole, on_pair), _timings(cases, asked)


def finish(run: Run, out: Path, timings: Mapping[str, Any] | None) -> None:
    """Store the run and its reports in `out`; `run.json`, which says that it is whole, last."""
    if timings is not None:
        write_file(out / TIMINGS_FILE, as_json(timings))
    write_file(out / "report.html", html_report(run, timings))
    write_file(out / "report.md", markdown_report(run, timings))
    write_file(out / "junit.xml", junit_xml(run))
    save_run(run, out)
    (out / PROGRESS_FILE).unlink(missing_ok=True)


def cases_manifest(file: Path, cases: Sequence[Case], split: str, drafts: int) -> dict[str, Any]:
    """What was asked."""
    asked = {"split": split, "n": len(cases), "drafts_left_out": drafts}
    return {"cases": {**file_identity(file), **asked}}


def scored_run(
    cases: Sequence[Case],
    asked: Sequence[Asked],
    assistant: Assistant,
    judge: Judge,
    manifest: Mapping[str, Any],
    on_pair: OnPair | None = None,
) -> Run:
    """The answers to `cases`, judged and scored."""
    given = [_given(case, one, assistant) for case, one in zip(cases, asked, strict=True)]
    assessments = assess(given, judge, on_pair)
    rest = _other_scores(cases, asked, assistant, judge)
    items = tuple(
        _item(case, one, found, scores)
        for case, one, found, scores in zip(cases, asked, assessments, rest, strict=True)
    )
    return summed_up("run", items, manifest, judge)


def summed_up(kind: str, items: tuple[Item, ...], manifest: Mapping[str, Any], judge: Judge) -> Run:
    """The run of `items`: every metric, overall and by kind of case."""
    by_kind: dict[str, list[Item]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    kinds = {name: held for name, held in sorted(by_kind.items()) if name}
    answered = [i for i in items if i.status == "answered" and i.confidence is not None]
    return Run(
        kind=kind,
        manifest=dict(manifest),
        judge_card=card_of(judge.fingerprint),
        metrics=_values(items),
        by_kind={name: _values(held) for name, held in kinds.items()},
        risk_coverage=tuple(
            risk_coverage(
                [i.confidence or 0.0 for i in answered], [i.wrong for i in answered], len(items)
            )
        ),
        items=items,
    )


def code_identity() -> str:
    """A hash over our code and weights, so that a run names what made it."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = find_spec(package)
        folder = Path(str(spec.origin)).parent if spec else Path(package)
        for file in sorted(f for f in folder.rglob("*") if f.suffix in _CODE):
            digest.update(f"{package}/{file.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


@contextmanager
def only_writer(out: Path, *, goes_on: bool = False) -> Iterator[None]:
    """Hold the folder of a run, made when it is missing; `goes_on` with an unfinished one there.

    Raises:
        UsageError: it holds a finished run, or an unfinished one.
        IndexBusy: another process writes there.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            if (out / RUN_FILE).exists():
                raise UsageError(f"{out} holds a finished run", "name another folder with --out")
            if (out / PROGRESS_FILE).exists() and not goes_on:
                raise UsageError(f"{out} holds an unfinished run", "name another folder with --out")
            yield
    except Timeout as error:
        raise IndexBusy(
            f"another evaluation writes into {out}", "wait for it, or name another with --out"
        ) from error


def _made_with(assistant: Assistant, judge: Judge) -> dict[str, Any]:
    settings = assistant.settings.model_dump(exclude={"api_key"})
    return {
        "version": __version__,
        "code": code_identity(),
        "index": assistant.index.name,
        "settings": settings,
        "judge": {"name": judge.name, "fingerprint": judge.fingerprint},
        "fingerprint": assistant.fingerprint,
        "seed": SEED,
    }


def _ask_all(
    cases: Sequence[Case],
    assistant: Assistant,
    progress: Path,
    manifest: Mapping[str, Any],
    on_case: OnCase | None,
) -> list[Asked]:
    """The answer to each case: those on disk already, and the others, each stored as it comes."""
    done = _finished(progress, manifest)
    with progress.open("a", encoding="utf-8", newline="\n") as file:
        if not file.tell():
            _append(file, {"manifest": manifest})
        if any(case.id not in done for case in cases):
            assistant.ask(_WARM_UP)  # the first answer would be timed with what it loads
        for number, case in enumerate(cases, 1):
            if case.id not in done:
                done[case.id] = _ask(assistant, case)
                _append(file, {"id": case.id, "asked": asdict(done[case.id])})
            if on_case:
                on_case(number, len(cases))
    return [done[case.id] for case in cases]


def _finished(progress: Path, manifest: Mapping[str, Any]) -> dict[str, Asked]:
    """The answers that an earlier run of the same stored; what a crash cut off is removed."""
    if not progress.exists():
        return {}
    lines = progress.read_bytes().split(b"\n")[:-1]  # what ends without one was cut off
    made_with, answers = _line(lines[0]) if lines else None, []
    for line in lines[1:]:
        if (row := _line(line)) is None:
            break
        answers.append(row)
    if made_with is None:
        progress.unlink()
        return {}
    if made_with.get("manifest") != json.loads(json.dumps(manifest)):
        raise UsageError(
            f"{progress.parent} holds an unfinished run of other cases, settings or models",
            "name another folder with --out, or remove that one",
        )
    write_file(progress, "".join(f"{line.decode()}\n" for line in lines[: len(answers) + 1]))
    return {row["id"]: row["asked"] for row in answers}


def _line(line: bytes) -> dict[str, Any] | None:
    """A line of an unfinished run, its answer read; None when it is not whole."""
    try:
        row: dict[str, Any] = json.loads(line)
        if "manifest" in row:
            return row
        return {"id": row["id"], "asked": TypeAdapter(Asked).validate_python(row["asked"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _append(file: Any, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _ask(assistant: Assistant, case: Case) -> Asked:
    started = time.perf_counter()
    first = None
    for event in assistant.stream(case.question, history=case.history):
        since = round((time.perf_counter() - started) * 1000, 1)
        if isinstance(event, SentenceReady) and first is None:
            first = since
        elif isinstance(event, Done):
            return Asked(event.answer, _contexts(assistant, event.answer), first, since)
    raise ValueError("the stream ended without an answer")


def _contexts(assistant: Assistant, answer: Answer) -> tuple[Context, ...]:
    """The chunks that the question finds, best first."""
    chunks = [hit.chunk for hit in assistant.search(answer.standalone_question)]
    found = [(c.source, c.section, c.start, c.end) for c in chunks]
    found += [  # a question in two parts is searched part by part
        (c.source, c.section, c.start, c.end)
        for c in answer.citations
        if not any(h.source == c.source and h.start <= c.start and c.end <= h.end for h in chunks)
    ]
    documents = {source: assistant.index.document(source) for source, *_ in found}
    return tuple(
        Context(known.told(start, end), source, section, known.title)
        for source, section, start, end in found
        for known in [documents[source]]
    )


def _given(case: Case, asked: Asked, assistant: Assistant) -> Given:
    answer = asked.answer
    documents = {c.source: assistant.index.document(c.source) for c in answer.citations}
    cited = {
        c.mark: Context(documents[c.source].told(c.start, c.end), c.source, c.section, c.title)
        for c in answer.citations
    }
    headers = {(source, at) for source, known in documents.items() for at in known.headers}
    return Given(
        case.id,
        case.question,
        answer.text,
        tuple(context.read for context in asked.contexts),
        {mark: context.read for mark, context in cited.items()},
        frozenset(c.mark for c in answer.citations if (c.source, (c.start, c.end)) in headers),
    )


def _other_scores(
    cases: Sequence[Case], asked: Sequence[Asked], assistant: Assistant, judge: Judge
) -> list[dict[str, float | None]]:
    """The scores that need no judgement of the answer, for each case."""
    answers = [one.answer for one in asked]
    spoken = [case if a.answered else None for case, a in zip(cases, answers, strict=True)]
    relevance = similarities(
        [(c.question, a.text) if c else None for c, a in zip(spoken, answers, strict=True)],
        assistant.embedder,
    )
    alike = similarities(
        [
            (c.reference, a.text) if c and c.reference else None
            for c, a in zip(spoken, answers, strict=True)
        ],
        assistant.embedder,
    )
    contexts = [one.contexts for one in asked]
    retrieval = retrieval_scores(cases, contexts, assistant.index)
    borne_out = reference_claims(
        [("" if c.facts else c.reference, held) for c, held in zip(cases, contexts, strict=True)],
        judge,
    )
    return [
        joined(
            [
                case_scores(case, answer, lambda s: assistant.index.document(s).text),
                {"answer_relevance": relevance[at], "reference_similarity": alike[at]},
                context_scores(case, contexts[at], borne_out[at]),
                retrieval[at],
            ]
        )
        for at, (case, answer) in enumerate(zip(cases, answers, strict=True))
    ]


def _item(case: Case, asked: Asked, found: Assessment, scores: Mapping[str, float | None]) -> Item:
    answer = asked.answer
    return Item(
        id=case.id,
        kind=case.kind,
        question=case.question,
        history=case.history,
        standalone_question=answer.standalone_question,
        answerable=case.answerable,
        sections=case.sections,
        facts=case.facts,
        forbidden=case.forbidden,
        reference=case.reference,
        answer=answer.text,
        status=answer.status,
        confidence=answer.confidence,
        sentences=found.sentences,
        citations=answer.citations,
        contexts=asked.contexts,
        dropped=answer.dropped,
        nearest=answer.nearest,
        notes=answer.notes,
        scores=joined([judged_scores(found), scores]),
        reason=found.reason,
    )


def _values(items: Sequence[Item]) -> dict[str, Value]:
    return over([item.scores for item in items])


def _timings(cases: Sequence[Case], asked: Sequence[Asked]) -> dict[str, Any]:
    """What the clock said; no part of the run itself, which repeats to the byte."""
    answered = [a for a in asked if a.answer.answered]
    return {
        "machine": machine(),
        "latency": {
            "answer_ms": percentiles([a.total_ms for a in answered]),
            "first_sentence_ms": percentiles(
                [a.first_ms for a in answered if a.first_ms is not None]
            ),
            "abstention_ms": percentiles([a.total_ms for a in asked if not a.answer.answered]),
        },
        "items": {
            case.id: {"first_ms": one.first_ms, "total_ms": one.total_ms, **one.answer.timings_ms}
            for case, one in zip(cases, asked, strict=True)
        },
    }
