"""The reranker: how far a passage answers a question, read together by a small cross-encoder.

`eval/train_reranker.py` makes the weights from the questions in `eval/training/`;
docs/decisions/0014-eight-bits.md and 0015-one-reader.md say how good they are.
"""

from collections.abc import Sequence
from pathlib import Path

from index.embedder import Floats
from index.models import ModelStore

from .cross_encoder import CrossEncoder

WEIGHTS = Path(__file__).with_name("reranker.safetensors")


class Reranker:
    """Scores passages for a question; deterministic, safe to use from several threads."""

    def __init__(self, encoder: CrossEncoder) -> None:
        self._encoder = encoder

    @classmethod
    def open(cls, models: ModelStore) -> "Reranker":
        """The reranker that is shipped."""
        return cls(CrossEncoder.open(models, WEIGHTS))

    def score(self, question: str, passages: Sequence[str]) -> Floats:
        """The log-odds that each of `passages` answers `question`: (len(passages),)."""
        return self._encoder.score(question, passages)
