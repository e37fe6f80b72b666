"""Filters: which documents, sections and metadata a search may find."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from corpus.sections import Document


@dataclass(frozen=True)
class Filter:
    """All that is given must fit; nothing given lets everything through.

    A source fits one of the patterns `sources` (`*` and `?` as in a shell). `section` is one
    heading of the path, or several that follow each other in it, in any case. `metadata` are,
    value for value, what a program added a document with; of a file, its source and front matter.
    """

    sources: tuple[str, ...] = ()
    section: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sources or self.section or self.metadata)

    def takes_document(self, document: Document) -> bool:
        """Whether something of `document` can be found."""
        named = not self.sources or any(_fits(document.source, p) for p in self.sources)
        known: Mapping[str, Any] = {**document.meta, "source": document.source}
        if document.attached is not None:
            known = document.attached
        return named and all(k in known and known[k] == v for k, v in self.metadata.items())

    def takes_section(self, section: Sequence[str]) -> bool:
        """Whether a heading path is let through."""
        wanted = [heading.casefold() for heading in self.section]
        path = [heading.casefold() for heading in section]
        ends = range(len(path) - len(wanted) + 1)
        return any(path[at : at + len(wanted)] == wanted for at in ends)


def _fits(source: str, pattern: str) -> bool:
    return fnmatchcase(source, pattern.replace("[", "[[]"))  # a bracket is one
