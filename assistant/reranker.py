"""The reranker: how far a passage answers a question, read together by two small cross-encoders.

The first reads many passages, the second the few that the first likes best; they were taught in
different ways, and the mean of both tells better than either whether one answers.
`eval/train_reranker.py` makes the weights from the questions in `eval/training/`;
docs/decisions/0014-eight-bits.md says how good they are.
"""

from collections.abc import Sequence
from pathlib import Path

from index.embedder import Floats
from index.models import ModelStore

from .cross_encoder import CrossEncoder

FIRST = Path(__file__).with_name("first_reader.safetensors")
SECOND = Path(__file__).with_name("second_reader.safetensors")


class Reranker:
    """Scores passages for a question; deterministic, safe to use from several threads."""

    def __init__(self, first: CrossEncoder, second: CrossEncoder) -> None:
        self._first = first
        self._second = second

    @classmethod
    def open(cls, models: ModelStore) -> "Reranker":
        """The reranker that is shipped."""
        return cls(CrossEncoder.open(models, FIRST), CrossEncoder.open(models, SECOND))

    def score(self, question: str, passages: Sequence[str]) -> Floats:
        """The log-odds, by the first reader, that each answers `question`: (len(passages),)."""
        return self._first.score(question, passages)

    def read_again(self, question: str, passages: Sequence[str]) -> Floats:
        """The same by the second reader."""
        return self._second.score(question, passages)
