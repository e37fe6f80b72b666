"""The page's HTML. Every text of a person, a document, a file name or the model is escaped here."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from corpus.errors import CareerError
from corpus.sections import Document

from ..answer import Dropped, Nearest, Sentence
from . import excerpt
from .conversation import Conversation, Exchange
from .uploads import Result

NAMED = 2  # documents that the title line names before it only counts
_DOING = {
    "waiting": "Waiting for other answers to finish…",
    "searching": "Searching the documents…",
    "drafting": "Drafting; each sentence is checked before you see it…",
}


def title_line(documents: Sequence[Document]) -> str:
    """The product's name and, plainly, what it answers from."""
    names = [escape(_with_scope(document)) for document in documents[:NAMED]]
    more = len(documents) - len(names)
    named = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
    said = f"Answers from: <strong>{named}</strong>" if names else "&nbsp;"
    return f'<h1>Career Assistant</h1><p class="answers-from">{said}</p>'


def document_list(documents: Sequence[Document]) -> str:
    """Every document with its scope and source."""
    items = "".join(
        f"<li><span>{escape(_with_scope(d))}</span>"
        f'<span class="file">{escape(d.source)}</span></li>'
        for d in documents
    )
    return f'<ul class="documents">{items}</ul>'


def loading(doing: str) -> str:
    """What happens before questions can be asked."""
    return f'<div class="notice" role="status"><p class="doing">{escape(doing)}</p></div>'


def failure(error: CareerError) -> str:
    """What went wrong and what to do, in one line."""
    return f'<div class="notice failed" role="alert"><p>{escape(one_line(error))}</p></div>'


def welcome(examples: Sequence[str]) -> str:
    """What an empty chat shows."""
    buttons = "".join(
        f'<li><button type="button" class="example" data-example="{at}">{escape(text)}</button>'
        "</li>"
        for at, text in enumerate(examples)
    )
    tried = f'<p class="try">For example</p><ul class="examples">{buttons}</ul>' if buttons else ""
    return (
        '<div class="welcome"><h2>Ask about the documents</h2>'
        "<p>Every sentence is checked against what it cites before you see it. "
        "A number in brackets opens the exact words.</p>"
        f"{tried}</div>"
    )


def transcript(conversation: Conversation) -> str:
    """All exchanges."""
    shown = "".join(_exchange(exchange) for exchange in conversation.exchanges)
    return f'<div class="log" role="log" aria-label="Conversation">{shown}</div>'


def no_source() -> str:
    """The panel before anything is cited."""
    return (
        '<div class="source empty"><p class="kicker">Source</p>'
        "<p>The words that an answer cites appear here.</p></div>"
    )


def source(exchange: Exchange, mark: int) -> str:
    """The section that mark `mark` of the exchange cites, the quoted words marked."""
    cited = exchange.citations[mark]
    document = exchange.documents[cited.source]
    body = excerpt.to_html(excerpt.around_quote(document, cited.start, cited.end))
    place = f"{escape(cited.source)}, characters {cited.start:,} to {cited.end:,}"
    names = f'data-exchange="{exchange.number}" data-mark="{mark}"'
    return _source(f"Source {mark}", cited.title, cited.section, place, body, names)


def section(exchange: Exchange, at: int) -> str:
    """The section `at` of those that stand nearest to the exchange's question."""
    near = exchange.sections[at]
    document = exchange.documents[near.source]
    found = excerpt.of_section(document, near.section)
    body = excerpt.to_html(found) if found else ""
    names = f'data-exchange="{exchange.number}" data-section="{at}"'
    return _source("Nearest section", near.title, near.section, escape(near.source), body, names)


def upload_results(results: Iterable[Result]) -> str:
    """One line for each file."""
    items = "".join(
        f'<li class="{"added" if result.added else "refused"}">'
        f"<strong>{escape(result.name)}</strong>: {escape(result.note)}</li>"
        for result in results
    )
    return f'<ul class="results" role="status">{items}</ul>'


def progress(text: str, share: float | None = None) -> str:
    """What an upload is doing, with a bar where the end is known."""
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="progress" role="status"><p>{escape(text)}</p>'
        f'<progress max="1"{value} aria-label="Indexing"></progress></div>'
    )


def _source(kind: str, title: str, path: tuple[str, ...], place: str, body: str, names: str) -> str:
    way = escape(_way(path))
    return (
        f'<article class="source" {names}><p class="kicker">{kind}</p><h2>{escape(title)}</h2>'
        f'<p class="path">{way}</p><p class="file">{place}</p>'
        '<div class="text" tabindex="0" role="region" aria-label="Text of the section">'
        f"{body}</div>"
        '<button type="button" class="back">Back to the answer</button></article>'
    )


def _exchange(exchange: Exchange) -> str:
    asked = f'<div class="question"><p>{escape(exchange.question)}</p></div>'
    parts = [_searched_as(exchange), _shown(exchange), _status(exchange), _notes(exchange)]
    said = "".join([*parts, _dropped(exchange.dropped)])
    return (
        f'<section class="exchange {exchange.state}" id="exchange-{exchange.number}">'
        f'{asked}<div class="answer">{said}</div></section>'
    )


def _searched_as(exchange: Exchange) -> str:
    plain = " ".join(exchange.question.split())
    if not exchange.standalone or exchange.standalone == plain:
        return ""
    return f'<p class="aside">Searched as: {escape(exchange.standalone)}</p>'


def _status(exchange: Exchange) -> str:
    """What is going on, or why nothing more comes."""
    if exchange.running:
        doing = _DOING[exchange.state]
        return f'<p class="doing">{escape(doing)}</p>'
    if exchange.state == "stopped":
        more = "what stands above was checked" if exchange.sentences else "nothing was answered"
        return f'<p class="aside">Stopped; {more}.</p>'
    if exchange.state == "failed":
        return f'<p class="problem" role="alert">{escape(exchange.problem)}</p>'
    return ""


def _shown(exchange: Exchange) -> str:
    if exchange.state == "abstained" and exchange.answer:
        return _abstention(exchange.answer.text, exchange)
    groups = groupby(exchange.sentences, key=lambda sentence: sentence.verdict == "quoted")
    return "".join(
        _quoted(exchange, list(group)) if quoted else _written(exchange, list(group))
        for quoted, group in groups
    )


def _abstention(text: str, exchange: Exchange) -> str:
    items = "".join(
        f"<li>{_section_button(exchange, at, near)}</li>"
        for at, near in enumerate(exchange.sections)
    )
    nearest = f'<p class="label">Nearest sections</p><ul>{items}</ul>' if items else ""
    return f'<div class="abstention"><p>{escape(text)}</p>{nearest}</div>'


def _section_button(exchange: Exchange, at: int, near: Nearest) -> str:
    way = escape(_way(near.section))
    return (
        f'<button type="button" class="near" data-exchange="{exchange.number}" data-section="{at}" '
        f'aria-controls="source">{way}</button>'
    )


def _written(exchange: Exchange, sentences: Sequence[Sentence]) -> str:
    """Sentences of the model, as one paragraph."""
    return f"<p>{' '.join(_inline(exchange, sentence) for sentence in sentences)}</p>"


def _quoted(exchange: Exchange, sentences: Sequence[Sentence]) -> str:
    """Exact words of the documents, told from the model's by a rule and a label."""
    body = "".join(_blocks(exchange, sentence) for sentence in sentences)
    return f'<div class="quoted"><p class="label">Quoted</p>{body}</div>'


def _inline(exchange: Exchange, sentence: Sentence) -> str:
    words, ending = _words_and_ending(exchange, sentence)
    return f"{escape(words)}{ending}"


def _blocks(exchange: Exchange, sentence: Sentence) -> str:
    """A quote: paragraphs and lists, the mark at the end of the last."""
    words, ending = _words_and_ending(exchange, sentence)
    blocks = [block for block in words.split("\n\n") if block.strip()]
    return "".join(
        _paragraph(block, ending if at == len(blocks) else "") for at, block in enumerate(blocks, 1)
    )


def _paragraph(block: str, ending: str) -> str:
    lines = block.split("\n")
    if not all(line.startswith("- ") for line in lines):
        return f"<p>{escape(block)}{ending}</p>"
    items = [escape(line[2:]) for line in lines]
    items[-1] += ending
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _words_and_ending(exchange: Exchange, sentence: Sentence) -> tuple[str, str]:
    """The words, and their ending as HTML: the marks that code put there, and the full stop.

    A mark in brackets elsewhere is part of the words: it was copied, and opens nothing.
    """
    marks = "".join(rf"\[{mark}\]" for mark in sentence.citations)
    found = re.fullmatch(rf"(.*?) ?{marks}([.!?]*)\s*", sentence.text, re.DOTALL)
    known = [mark for mark in sentence.citations if mark in exchange.citations]
    if not found or not known:
        return sentence.text, ""
    buttons = "".join(_button(exchange, mark) for mark in known)
    return found[1], f' <span class="ending">{buttons}{escape(found[2])}</span>'


def _button(exchange: Exchange, mark: int) -> str:
    name = escape(f"Source {mark}: {_way(exchange.citations[mark].section)}")
    return (
        f'<button type="button" class="mark" data-mark="{mark}" '
        f'data-exchange="{exchange.number}" aria-label="{name}" title="{name}" '
        f'aria-controls="source">[{mark}]</button>'
    )


def _notes(exchange: Exchange) -> str:
    notes = exchange.answer.notes if exchange.answer else ()
    return "".join(f'<p class="aside">{escape(note)}.</p>' for note in notes)


def _dropped(dropped: Sequence[Dropped]) -> str:
    """What was drafted and not shown, folded."""
    if not dropped:
        return ""
    were = "sentence was" if len(dropped) == 1 else "sentences were"
    items = "".join(
        f'<li><q>{escape(d.text)}</q><span class="reason">{escape(d.reason)}</span></li>'
        for d in dropped
    )
    return (
        f'<details class="dropped"><summary>{len(dropped)} drafted {were} not shown</summary>'
        f"<ul>{items}</ul></details>"
    )


def _way(path: Sequence[str]) -> str:
    """A heading path, from the outermost heading inwards."""
    return " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ".join(path)


def _with_scope(document: Document) -> str:
    scope = document.meta.get("scope")
    return f"{document.title} ({scope})" if scope else document.title


def one_line(error: CareerError) -> str:
    """What happened and what to do about it."""
    return " ".join(str(error).split())
