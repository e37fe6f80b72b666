"""`career ask`, `chat`, `search` and `show`: questions, ranked chunks and the stored text."""

import json
import re
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpus.errors import CareerError, UsageError

from . import screen
from .screen import AsJson, IndexName

if TYPE_CHECKING:
    from ..answer import Answer, Citation, Event
    from ..pipeline import Assistant

DEFAULT_INDEX = "default"
_MAX_HISTORY_BYTES = 10_000_000
_QUOTE_LENGTH = 200
_HALF = re.compile("[\ud800-\udfff]")  # half of a character: the input was not UTF-8

Count = Annotated[int | None, typer.Option("--k", min=1, max=50, help="How many chunks to find.")]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A catalogue name, GGUF file, folder or URL."),
]


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Earlier turns: JSON [{"question": …, "answer": …}].'),
    ] = None,
    k: Count = None,
    model: Model = None,
    index: IndexName = DEFAULT_INDEX,
    *,
    as_json: AsJson = False,
) -> None:
    """Answer one question from the indexed documents."""
    asked = _checked(_from_stdin() if question == "-" else question, "the question")
    turns = _history(history) if history else []
    with _assistant(index, k=k, model=model) as assistant:
        if as_json:
            screen.result(assistant.ask(asked, history=turns).to_dict())
        else:
            _tell(assistant.stream(asked, history=turns))


def chat(k: Count = None, model: Model = None, index: IndexName = DEFAULT_INDEX) -> None:
    """Ask and ask on; follow-ups are understood. Ctrl-C stops an answer, Ctrl-D leaves."""
    with _assistant(index, k=k, model=model) as assistant:
        if sys.stdin.isatty():
            screen.log("ask about the documents; /new starts over, Ctrl-D leaves")
        turns: list[Answer] = []
        for line in _typed_lines():
            if line == "/new":
                turns = []
                screen.log("a new conversation")
                continue
            try:
                turns.append(_tell(assistant.stream(_checked(line, "the question"), history=turns)))
            except KeyboardInterrupt:
                screen.lines("")
                screen.log("stopped")
            except CareerError as error:
                screen.failure(error, as_json=False)


def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Count = None,
    index: IndexName = DEFAULT_INDEX,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only documents like it, as in: 'reports/*.md'."),
    ] = None,
    section: Annotated[
        str | None,
        typer.Option(metavar="HEADING", help="Only below it; a path is joined by ' > '."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare all vectors, whatever the kind of the index.")
    ] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """List the chunks that bear on a text, best first."""
    wanted = _checked(text, "the text to search")
    refuse_unknown(index)
    from index.embedder import open_embedder
    from index.filters import Filter
    from index.models import ModelStore

    from ..pipeline import open_index
    from ..settings import load_settings

    settings, store = load_settings(), ModelStore()
    with screen.Bars() as bars:
        store.resolve(settings.embedder, progress=bars.fetch)
        embedder = open_embedder(settings.embedder, store, settings.device, settings.precision)
        opened = open_index(index, embedder, bars.embed)
    hits = opened.search(
        wanted,
        embedder.embed([wanted])[0],
        k=k or settings.k,
        dense=settings.dense,
        lexical=settings.lexical,
        only=Filter(tuple(source or ()), tuple(section.split(" > ")) if section else ()),
        exact=exact,
    )
    if as_json:
        screen.result({"hits": [_hit_record(hit) for hit in hits]})
        return
    if not hits:
        screen.log("nothing is found there")
    for hit in hits:
        place = f"{hit.chunk.source} {hit.chunk.start}-{hit.chunk.end}"
        screen.lines(f"{hit.rank}. {' > '.join(hit.chunk.section)}  ({place}, {hit.score:.4f})")
        screen.lines(f"   {screen.shortened(hit.text, _QUOTE_LENGTH)}")


def show(
    source: Annotated[str, typer.Argument(help="The document, as `career index info` lists it.")],
    start: Annotated[int | None, typer.Option(help="The first character.")] = None,
    end: Annotated[int | None, typer.Option(help="One past the last character.")] = None,
    index: IndexName = DEFAULT_INDEX,
    *,
    as_json: AsJson = False,
) -> None:
    """Write the stored text of a document, or a range of it, exactly and nothing else."""
    from index import generations, store

    text = store.read_document(generations.current(index), source).text
    first, last = 0 if start is None else start, len(text) if end is None else end
    if not 0 <= first <= last <= len(text):
        raise UsageError(
            f"{first} to {last} is no range of {source}, which has {len(text):,} characters",
            "give 0 <= START <= END <= that length",
        )
    if as_json:
        screen.result({"source": source, "start": first, "end": last, "text": text[first:last]})
    else:
        screen.out(text[first:last])


def refuse_unknown(index: str) -> None:
    """Refuse an index that is not there before a model is fetched for it.

    Raises:
        IndexMissing: there is none of that name; the default one is built when it is needed.
    """
    from index import generations

    if not (generations.index_folder(index) / "CURRENT").exists() and index != DEFAULT_INDEX:
        raise generations.missing(index)


@contextmanager
def _assistant(index: str, *, k: int | None, model: str | None) -> "Iterator[Assistant]":
    refuse_unknown(index)
    # Half of the seconds before a first answer are imports: this one runs beside the others.
    threading.Thread(target=_import_chat_client, daemon=True).start()
    from ..pipeline import Assistant
    from ..settings import load_settings

    given = {"k": k, "llm": model}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    with screen.Bars() as bars:
        assistant = Assistant.open(
            index=index, settings=settings, on_models=bars.fetch, on_index=bars.embed
        )
    try:
        yield assistant
    finally:
        assistant.close()


def _import_chat_client() -> None:
    import langchain_openai  # noqa: F401


def _tell(events: "Generator[Event, None, None]") -> "Answer":
    """Print sentences as they are verified, then what they cite; the answer."""
    from ..answer import Done, SentenceReady

    citations: list[Citation] = []
    written = 0
    with closing(events):
        for event in events:
            if isinstance(event, SentenceReady):
                gap = event.sentence.start - written
                screen.out(screen.printable("\n" * gap if gap > 1 else " " * gap))
                screen.out(screen.printable(event.sentence.text))
                written = event.sentence.end
                citations += event.citations
            elif isinstance(event, Done):
                answer = event.answer
    if answer.answered:
        screen.lines("", "", *(line for c in citations for line in _citation_lines(c)))
    else:
        screen.lines(answer.text)
        if answer.nearest:
            screen.lines("", "Nearest sections:")
            screen.lines(*(f"  {' > '.join(n.section)}  ({n.source})" for n in answer.nearest))
    screen.lines(*(f"Note: {note}" for note in answer.notes))
    return answer


def _citation_lines(citation: "Citation") -> list[str]:
    place = f"{citation.source} {citation.start}-{citation.end}"
    return [
        f"[{citation.mark}] {' > '.join(citation.section)}  ({place})",
        f'    "{screen.shortened(citation.quote, _QUOTE_LENGTH)}"',
    ]


def _hit_record(hit: Any) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": hit.score,
        "source": hit.chunk.source,
        "section": list(hit.chunk.section),
        "start": hit.chunk.start,
        "end": hit.chunk.end,
        "text": hit.text,
    }


def _typed_lines() -> Iterator[str]:
    """The lines that are typed (or piped in), without empty ones, until the input ends."""
    terminal = sys.stdin.isatty()
    if terminal:
        import readline  # noqa: F401  arrow keys and history in input()
    while True:
        try:
            line = input("> " if terminal else "").strip()
        except EOFError:
            return
        except KeyboardInterrupt:  # at the prompt it drops what was typed
            screen.lines("")
            continue
        if line:
            yield line


def _from_stdin() -> str:
    """The question on stdin, read no further than a question may be long."""
    from ..question import MAX_CHARACTERS

    data = sys.stdin.buffer.read(4 * MAX_CHARACTERS + 2)  # a character has at most four bytes
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        if error.end >= len(data) - 1 and len(data) > 4 * MAX_CHARACTERS:
            return data[: error.start].decode("utf-8-sig")  # cut by us, and too long anyway
        raise UsageError(
            f"the question is not UTF-8 (byte {error.start})", "send it as UTF-8"
        ) from error


def _checked(text: str, what: str) -> str:
    """`text`, fit to be asked; refused before any model is loaded.

    Raises:
        UsageError: it is empty, too long or holds half characters.
    """
    from ..question import MAX_CHARACTERS

    if not text.strip():
        raise UsageError(f"{what} is empty", "ask something, for example: which degree?")
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"{what} is too long", f"use at most {MAX_CHARACTERS:,} characters")
    if _HALF.search(text):
        raise UsageError(f"{what} is not UTF-8", "send it as UTF-8")
    return text


def _history(file: Path) -> list[dict[str, str]]:
    """The earlier turns in `file`.

    Raises:
        UsageError: it cannot be read or is not a list of questions with answers.
    """
    expected = 'give a JSON list of {"question": …, "answer": …}'
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_HISTORY_BYTES + 1)
        turns = json.loads(data) if len(data) <= _MAX_HISTORY_BYTES else None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror})", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON", expected) from error
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        raise UsageError(f"{file} is no conversation", expected)
    return [{key: str(value) for key, value in turn.items()} for turn in turns]


def _is_turn(turn: Any) -> bool:
    """Whether `turn` is a question with what belongs to it, all of it text."""
    values: Iterable[Any] = turn.values() if isinstance(turn, dict) else ()
    texts = all(isinstance(value, str) and not _HALF.search(value) for value in values)
    return isinstance(turn, dict) and "question" in turn and texts
