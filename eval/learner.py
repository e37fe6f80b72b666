"""`assistant/cross_encoder.py` in torch: the same states, features and head, to be trained.

The encoder stays as it is; low-rank changes of its linear layers (LoRA, Hu et al. 2021) and the
head learn. Runs on a CPU or a GPU.
"""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertModel

from assistant.cross_encoder import Pairs, encode, open_tokenizer

HIDDEN = 128
RATE, HEAD_RATE, WARM_UP = 3e-4, 1e-3, 50
_SCALE = 2.0  # of the changes


class Learner(nn.Module):
    """The cross-encoder with changes of rank `rank`."""

    def __init__(self, folder: Path, *, rank: int, max_tokens: int, first_tokens: int) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
        self.bert.requires_grad_(False)
        self.changes = dict(_low_rank(self.bert, rank))
        width = self.bert.config.hidden_size
        self.head = nn.Sequential(nn.Linear(4 * width + 2, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))
        self.null = nn.Parameter(torch.zeros(()))
        self.tokenizer = open_tokenizer(folder)
        self.max_tokens, self.first_tokens = max_tokens, first_tokens

    def encode(self, texts: Sequence[tuple[str, str]]) -> Pairs:
        """The tokens of pairs of texts."""
        return encode(self.tokenizer, texts, self.max_tokens, self.first_tokens)

    def forward(self, pairs: Pairs) -> Tensor:
        """The log-odds for each pair: (pairs,)."""
        device = self.null.device
        ids, parts = (_padded(rows).to(device) for rows in (pairs.ids, pairs.parts))
        mask = _padded([[1] * len(row) for row in pairs.ids]).to(device)
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        first, second = parts == 1, parts == 2
        a, b = _mean(states, first), _mean(states, second)
        unit = nn.functional.normalize(states, dim=-1)
        cosines = (unit @ unit.transpose(1, 2)).masked_fill(~second[:, None, :], -1.0)
        best = cosines.amax(dim=-1)
        mean = (best * first).sum(dim=1) / first.sum(dim=1).clamp(min=1)
        least = best.masked_fill(~first, 2.0).amin(dim=1)
        features = torch.cat([a, b, (a - b).abs(), a * b, torch.stack([mean, least], 1)], dim=1)
        scores: Tensor = self.head(features).squeeze(1) - self.null
        return scores

    def parameters_by_rate(self) -> list[dict[str, object]]:
        """What learns, for the optimizer: the changes slowly, the head faster."""
        head = [*self.head.parameters(), self.null]
        body = [p for change in self.changes.values() for p in (change.down, change.up)]
        return [{"params": body, "lr": RATE}, {"params": head, "lr": HEAD_RATE}]


class Schedule:
    """AdamW with a warm-up and a linear decay over `steps` steps."""

    def __init__(self, learner: Learner, steps: int) -> None:
        self._groups = learner.parameters_by_rate()
        self._optimizer = torch.optim.AdamW(self._groups, weight_decay=0.01)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / steps),
        )

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`."""
        self._optimizer.zero_grad()
        loss.backward()
        for group in self._groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self._optimizer.step()
        self._schedule.step()


class LowRank(nn.Module):
    """A frozen linear layer with a trained low-rank change."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output with its change."""
        out: Tensor = self.base(x) + x @ self.down.T @ self.up.T * _SCALE
        return out


def seed() -> None:
    """Make the next training the same on the same machine."""
    random.seed(0)
    torch.manual_seed(0)


def save(learner: Learner, file: Path, card: dict[str, str]) -> None:
    """Write the changes and the head as float16; `card` says where they come from."""
    tensors = {f"head.{name}": value for name, value in learner.head.state_dict().items()}
    tensors["head.null"] = learner.null.detach()
    for name, change in learner.changes.items():
        tensors[f"{name}.down"] = change.down.detach()
        tensors[f"{name}.up"] = change.up.detach() * _SCALE
    lengths = {"max_tokens": learner.max_tokens, "first_tokens": learner.first_tokens}
    metadata = card | {name: str(length) for name, length in lengths.items()}
    halves = {name: tensor.half().contiguous().cpu() for name, tensor in tensors.items()}
    save_file(halves, file, metadata=metadata)


def load(learner: Learner, file: Path) -> None:
    """Give `learner` the changes and the head that `save` wrote."""
    stored = {name: tensor.float() for name, tensor in load_file(file).items()}
    learner.null.data = stored.pop("head.null")
    head = {name.removeprefix("head."): t for name, t in stored.items() if name.startswith("head.")}
    learner.head.load_state_dict(head)
    for name, change in learner.changes.items():
        change.down.data = stored[f"{name}.down"]
        change.up.data = stored[f"{name}.up"] / _SCALE


def _low_rank(bert: nn.Module, rank: int) -> Iterator[tuple[str, LowRank]]:
    """Puts a change on every linear layer of the encoder; yields each with the layer's name."""
    linear = [name for name, part in bert.named_modules() if isinstance(part, nn.Linear)]
    for name in linear:
        holder, _, last = name.rpartition(".")
        changed = LowRank(bert.get_submodule(name), rank)
        setattr(bert.get_submodule(holder), last, changed)
        yield name, changed


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def _mean(states: Tensor, wanted: Tensor) -> Tensor:
    weights = wanted.unsqueeze(-1).float()
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
