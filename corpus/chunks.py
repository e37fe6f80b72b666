"""Chunks: runs of whole spans of one section, about 200 of the embedder's tokens long."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from .sections import Document, Section, Span

CHUNKER_VERSION = 3
TARGET_TOKENS = 200
_PREFIX_SHARE = 3  # headings and lead-in may take a third of the limit
_TOKEN_LENGTH = 20  # a run without spaces can be one token; longer ones count by their length

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class Chunk:
    """`text[start:end]` of document `source`: whole spans below one heading path."""

    source: str
    section: tuple[str, ...]
    start: int
    end: int
    spans: tuple[Span, ...]


def chunk_document(
    document: Document, count_tokens: CountTokens, *, limit: int, target: int = TARGET_TOKENS
) -> list[Chunk]:
    """The chunks of `document` in reading order; none is over `limit` tokens with its headings.

    `count_tokens` counts without the special tokens; `limit` is what may stand between them.
    """
    target = min(target, limit - limit // _PREFIX_SHARE)
    chunks: list[Chunk] = []
    for section in document.sections:
        spans = list(_fitting(document.text, section, count_tokens, target))
        sizes = _sizes(document.text, spans, count_tokens, target)
        chunks += [
            Chunk(document.source, section.path, run[0].start, run[-1].end, run)
            for run in _runs(spans, sizes, target)
        ]
    return chunks


def embedding_text(document: Document, chunk: Chunk, count_tokens: CountTokens, limit: int) -> str:
    """What is embedded for `chunk`: title, heading path and, mid-list, the lead-in; then its text.

    The words before the text are cut from the left to a third of `limit`, so that it always fits.
    """
    lead = chunk.spans[0].lead
    titles = dict.fromkeys((document.title, *chunk.section))
    if document.attached is not None:
        titles.pop(document.stem, None)  # the name of a file says something, an id does not
    before = [" > ".join(titles)]
    if lead is not None and lead[0] < chunk.start:
        before.append(document.text[lead[0] : lead[1]])
    prefix = "\n".join(filter(None, before))
    body = document.text[chunk.start : chunk.end]
    while prefix and count_tokens([f"{prefix}\n{body}"])[0] > limit:
        prefix = prefix[len(prefix) // 4 + 1 :]
    return f"{prefix}\n{body}" if prefix else body


def _runs(spans: Sequence[Span], sizes: Sequence[int], target: int) -> Iterator[tuple[Span, ...]]:
    """Spans in runs of at most `target` tokens, a list's lead-in kept with its first item."""
    run: list[Span] = []
    total = 0
    for at, (span, size) in enumerate(zip(spans, sizes, strict=True)):
        leads = at + 1 < len(spans) and spans[at + 1].lead == (span.start, span.end)
        needed = size + (sizes[at + 1] if leads else 0)
        if run and total + needed > target:
            yield tuple(run)
            run, total = [], 0
        run.append(span)
        total += size + 2  # the line break and bullet between spans
    if run:
        yield tuple(run)


def _fitting(text: str, section: Section, count_tokens: CountTokens, target: int) -> Iterator[Span]:
    """The section's spans; one over `target` tokens is cut at the last white space that fits."""
    sizes = _sizes(text, section.spans, count_tokens, target)
    for span, size in zip(section.spans, sizes, strict=True):
        if size <= target:
            yield span
        else:
            yield from _cut(text, span, count_tokens, target)


def _sizes(text: str, spans: Sequence[Span], count_tokens: CountTokens, target: int) -> list[int]:
    """The tokens of each span; one that is too long anyway is counted by its length."""
    longest = (target + 1) * _TOKEN_LENGTH
    counted = count_tokens([text[s.start : min(s.end, s.start + longest)] for s in spans])
    lengths = [(s.end - s.start) // _TOKEN_LENGTH for s in spans]
    return [max(sizes) for sizes in zip(counted, lengths, strict=True)]


def _cut(text: str, span: Span, count_tokens: CountTokens, target: int) -> Iterator[Span]:
    start = span.start
    while start < span.end:
        end = min(span.end, start + target * 4)
        while (size := count_tokens([text[start:end]])[0]) > target:
            shorter = start + max(1, (end - start) * target // size)
            end = min(end - 1, shorter)
        if end < span.end:
            space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = space if space > start else end
        yield replace(span, start=start, end=end)
        start = end
        while start < span.end and text[start].isspace():
            start += 1
