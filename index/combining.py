"""Searches that come at the same moment, answered as one batch.

Many queries at once cost little more than one: all of them read the same rows. Whoever comes while
nobody searches searches at once and alone, without a hop to another thread. Whoever comes meanwhile
waits, and the first of those then searches for all of them (flat combining, Hendler et al. 2010).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .kernels import Floats
from .vectors import Ids

Search = Callable[[Floats, int], tuple[Floats, Ids]]
MOST = 64  # queries of one batch


@dataclass
class _Waiting:
    query: Floats
    k: int
    found: tuple[Floats, Ids] | None = None
    problem: Exception | None = None

    @property
    def done(self) -> bool:
        return self.found is not None or self.problem is not None


@dataclass
class Combined:
    """`search` for one query at a time, from any number of threads."""

    search: Search
    batches: int = 0
    queries: int = 0
    _waiting: list[_Waiting] = field(default_factory=list)
    _list: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def one(self, query: Floats, k: int) -> tuple[Floats, Ids]:
        """The products and ids of the best `k` for `query`: (dim,); both (k,), best first."""
        mine = _Waiting(query, k)
        with self._list:
            self._waiting.append(mine)
        while not mine.done:
            with self._turn:
                if not mine.done:
                    self._answer()
        if mine.found is None:
            raise mine.problem or RuntimeError("a search ended without a result")
        return mine.found

    def _answer(self) -> None:
        """Search for those who wait and want as many as the first, up to a full batch.

        What one finds must not depend on how deep others look.
        """
        with self._list:  # they wait until they are answered: an interruption loses nobody
            batch = [one for one in self._waiting if one.k == self._waiting[0].k][:MOST]
        try:
            self._search(batch)
        except Exception:
            for one in batch:  # each alone, so that only who asked the impossible is told
                self._search_alone(one)
        finally:
            with self._list:
                self._waiting = [one for one in self._waiting if not one.done]

    def _search(self, batch: list[_Waiting]) -> None:
        scores, ids = self.search(np.stack([w.query for w in batch]), batch[0].k)
        for at, waiting in enumerate(batch):
            waiting.found = scores[at], ids[at]
        self.batches += 1
        self.queries += len(batch)

    def _search_alone(self, waiting: _Waiting) -> None:
        try:
            self._search([waiting])
        except Exception as problem:
            waiting.problem = problem
