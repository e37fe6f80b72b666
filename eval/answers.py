"""Answers made elsewhere, as other programs write them: ours, ragas and deepeval."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError

from .faithfulness import Given

_WRAPPERS = ("data", "test_cases", "testCases", "goldens", "samples")
_ASSISTANT = frozenset("assistant ai aimessage aimessagechunk model bot".split())
_USER = frozenset("user human humanmessage".split())
_TEXT = ("text", "content", "page_content", "context")  # the last: deepeval's retrieved context
_SURROGATE = re.compile("[\ud800-\udfff]")
_COLUMNS_SHOWN = 12
_REMEDY = "write one JSON object per answer"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class AnswerRow:
    """An answer with the row's own id, as it was written, and what a good answer would be."""

    given: Given
    id: Any
    reference: str


@dataclass(frozen=True)
class Schema:
    """The columns of one program, each in the names that it goes by; the first one set counts."""

    name: str
    question: tuple[str, ...]
    answer: tuple[str, ...]
    contexts: tuple[str, ...]
    reference: tuple[str, ...]


SCHEMAS = (  # in the order in which they are looked up; ours are also those of ragas before 0.2
    Schema(
        "career-eval",
        ("question",),
        ("answer",),
        ("contexts",),
        ("reference", "ground_truth", "ground_truths"),
    ),
    Schema("ragas", ("user_input",), ("response",), ("retrieved_contexts",), ("reference",)),
    Schema(
        "deepeval",
        ("input",),
        ("actual_output", "actualOutput"),
        ("retrieval_context", "retrievalContext", "context"),
        ("expected_output", "expectedOutput"),
    ),
)


def read_answers(file: Path) -> list[AnswerRow]:
    """The answers in `file`, JSON lines or one JSON array, in order.

    Whatever the values are, each row comes out. A conversation gives its last answer, and the
    question before it.

    Raises:
        UsageError: the file cannot be read, holds no row or something else, or has no column that
            is known to hold answers.
    """
    rows = _rows(file)
    usual = _schema(rows, file)
    return [_answer(row, _schema_of(row, usual), number) for number, row in enumerate(rows, 1)]


def _rows(file: Path) -> list[Row]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise UsageError(f"{file}: {reason}", "name a file of JSON lines or JSON") from error
    if not text.strip():
        raise UsageError(f"{file} is empty", _REMEDY)
    rows = [_object(value, f"{file} {place}") for value, place in _values(text, file)]
    if not rows:
        raise UsageError(f"{file} holds no rows", _REMEDY)
    return rows


def _values(text: str, file: Path) -> Iterator[tuple[Any, str]]:
    """What stands in one JSON array, in an object around it, or on the lines; with its place."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("["):
            line = getattr(error, "lineno", 1)
            raise UsageError(f"{file} line {line}: is not JSON", _REMEDY) from error
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield _parsed(line, f"{file} line {number}"), f"line {number}"
        return
    if isinstance(whole, dict) and not any(_has(schema, [whole]) for schema in SCHEMAS):
        whole = next((whole[n] for n in _WRAPPERS if isinstance(whole.get(n), list)), whole)
    rows = whole if isinstance(whole, list) else [whole]
    yield from ((row, f"row {number}") for number, row in enumerate(rows, 1))


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: is not JSON", _REMEDY) from error


def _object(value: Any, place: str) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: is not an object", _REMEDY)
    return value


def _schema(rows: Sequence[Row], file: Path) -> Schema:
    """The first schema whose answers occur anywhere in the file: a row may lack its own."""
    for schema in SCHEMAS:
        if _has(schema, rows):
            return schema
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shown = ", ".join(map(repr, columns[:_COLUMNS_SHOWN])) or "none"
    more = f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else ""
    known = "; ".join(f"{schema.name}: {' or '.join(schema.answer)}" for schema in SCHEMAS)
    raise UsageError(
        f"{file} has no column of answers; its columns are {shown}{more}",
        f"name the answers as one of {known}",
    )


def _schema_of(row: Row, usual: Schema) -> Schema:
    """The file's schema, or where the row has no answer in that, another that it has one in."""
    return next((schema for schema in (usual, *SCHEMAS) if _has(schema, [row])), usual)


def _has(schema: Schema, rows: Sequence[Row]) -> bool:
    """Whether a row has the schema's answer, or a conversation that ends in one."""
    return any(
        any(name in row for name in schema.answer)
        or any(_is_conversation(row.get(name)) for name in schema.question)
        for row in rows
    )


def _answer(row: Row, schema: Schema, number: int) -> AnswerRow:
    own = row.get("id")
    if isinstance(own, str) or (isinstance(own, int) and not isinstance(own, bool)):
        id_: Any = _clean(own) if isinstance(own, str) else own
    else:
        id_ = _text(own) or str(number)
    asked, said = _first(row, schema.question), _first(row, schema.answer)
    dialogue = asked if _missing(said) and _is_conversation(asked) else said
    if _is_conversation(dialogue):
        question, answer = _last_turn(dialogue)
        question = question if dialogue is asked or _missing(asked) else _question(asked)
    else:
        question, answer = _question(asked), _text(said)
    contexts = _contexts(_first(row, schema.contexts))
    reference = _text(_first(row, schema.reference))
    return AnswerRow(Given(str(id_), question, answer, contexts), id_, reference)


def _first(row: Row, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if not _missing(row.get(name))), None)


def _missing(value: Any) -> bool:
    """Whether there is no value; a table's empty cell is written as NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(message, dict) and _speaker(message) in _ASSISTANT | _USER for message in value
    )


def _speaker(message: Row) -> str:
    return str(message.get("role") or message.get("type") or "").lower()


def _question(asked: Any) -> str:
    """A question, or the last one of a conversation."""
    if not _is_conversation(asked):
        return _text(asked)
    said = [message for message in asked if isinstance(message, dict)]
    return next((_content(m) for m in reversed(said) if _speaker(m) in _USER), "")


def _last_turn(messages: Sequence[Any]) -> tuple[str, str]:
    """The last question and its answer; a call of a tool says nothing and is none."""
    said = [message for message in messages if isinstance(message, dict)]
    spoken = [at for at, m in enumerate(said) if _speaker(m) in _ASSISTANT and _content(m)]
    if not spoken:
        return _question(said), ""
    return _question(said[: spoken[-1]]) if spoken[-1] else "", _content(said[spoken[-1]])


def _content(message: Row) -> str:
    inner = message.get("data")  # as LangChain stores a message
    return _text(inner.get("content") if isinstance(inner, dict) else message.get("content"))


def _contexts(value: Any) -> tuple[str, ...] | None:
    """The texts that the answerer was given; None when that is not known."""
    if _missing(value):
        return None
    items = value if isinstance(value, list) else [value]
    return tuple(_text(item) for item in _flat(items) if not _missing(item))


def _flat(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        yield from item if isinstance(item, list) else [item]


def _text(value: Any) -> str:
    """`value` as text that can be encoded."""
    if _missing(value):
        return ""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    if isinstance(value, dict):
        held = next((value[name] for name in _TEXT if not _missing(value.get(name))), None)
        return _clean(json.dumps(value)) if held is None else _text(held)
    return json.dumps(value)


def _clean(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
