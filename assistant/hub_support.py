"""A cross-encoder of the hub as the support model: NLI models, MiniCheck and their like, by name.

The figures, places and denials that `support` compares exactly stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from corpus.errors import ModelUnavailable
from index.embedder import best_device
from index.models import ModelStore

from .support import Comparison, Support

_READ_WORDS = 300  # of the evidence; these models take 512 tokens
_SUPPORTED = ("entail", "support", "consistent", "faithful", "true", "yes")


class HubModel:
    """P(supported) by a sequence classifier that reads evidence and sentence in this order."""

    def __init__(self, model: Any, supported: int | None, fingerprint: str) -> None:
        """`supported` is the label that means so; None: the model has one, a logit for it."""
        self._model = model
        self._supported = supported
        self.fingerprint = fingerprint

    @classmethod
    def open(cls, name: str, models: ModelStore, device: str = "auto") -> "HubModel":
        """The model `name`, a folder or hub id, through sentence-transformers' `CrossEncoder`.

        Raises:
            ModelUnavailable: it cannot be loaded, or none of its labels means "supported".
        """
        from sentence_transformers import CrossEncoder

        folder = models.resolve(name)
        weights = models.weights_hash(folder)  # refuses what is no safetensors
        try:
            where = best_device() if device == "auto" else device
            model = CrossEncoder(
                str(folder),
                device=where,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:
            raise ModelUnavailable(
                f"{name} is no cross-encoder that can be loaded ({type(error).__name__}: {error})",
                "name a sequence classifier in sentence-transformers' form, or `shipped`",
            ) from error
        supported = supported_label(name, model.config.id2label)
        return cls(model, supported, f"support-{weights[:12]}")

    def support(self, compared: Sequence[Comparison]) -> list[Support]:
        """What it says of each, in order."""
        from torch.nn import Identity

        read = [(evidence, claim) for claim, evidence in (c.read(_READ_WORDS) for c in compared)]
        logits = np.asarray(
            self._model.predict(read, activation_fn=Identity(), show_progress_bar=False),
            dtype=np.float64,
        )
        if np.isnan(logits).any():
            raise ModelUnavailable(
                f"{self.fingerprint} computes no numbers", "name another model with CAREER_SUPPORT"
            )
        if self._supported is None:
            found = (1 + np.tanh(logits.reshape(len(read)) / 2)) / 2
        else:
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = odds[:, self._supported] / odds.sum(axis=1)
        return [Support(float(p), float(p)) for p in found]


def supported_label(name: str, labels: Mapping[int, str]) -> int | None:
    """Which of a classifier's `labels` means "supported"; None when it has but one.

    Raises:
        ModelUnavailable: none is called so.
    """
    if len(labels) == 1:
        return None
    if [labels[at] for at in sorted(labels)] == ["LABEL_0", "LABEL_1"]:
        return 1  # unnamed, as MiniCheck's are: 1 is yes
    for at, label in sorted(labels.items()):
        if label.lower().startswith(_SUPPORTED):
            return int(at)
    raise ModelUnavailable(
        f"{name} has the labels {', '.join(labels.values())}: none is known to mean supported",
        "name a model with a label such as entailment",
    )
