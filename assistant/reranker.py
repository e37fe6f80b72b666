"""The reranker: how far a passage answers a question, read together by a small cross-encoder.

`eval/train_reranker.py` makes the weights from the questions in `eval/training/`;
docs/decisions/0006-reranker.md says how good it is.
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
    def open(cls, models: ModelStore, weights: Path = WEIGHTS) -> "Reranker":
        """The reranker with `weights`."""
        return cls(CrossEncoder.open(models, weights))

    def score(self, question: str, passages: Sequence[str]) -> Floats:
        """The log-odds that each of `passages` answers `question`: (len(passages),) float32."""
        return self._encoder.score(question, passages)
