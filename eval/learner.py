"""`assistant/cross_encoder.py` in torch: the same states, features and head, to be trained.

The base stays as it is; low-rank changes of the linear layers of its encoder (LoRA, Hu et al. 2021)
and the head learn. Runs on a CPU or a GPU.
"""

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from assistant.cross_encoder import BASE, Pairs, encode, open_tokenizer
from index.bert import Floats
from index.models import ModelStore
from index.onnx_bert import OnnxModel

HIDDEN = 128
RATE, HEAD_RATE, WARM_UP = 3e-4, 1e-3, 50
_CHANGE = 2.0  # scale of the changes
_BASE = 0.3  # scale of the base's own score, before it learns
_TOLD = 50  # steps
_TOGETHER = {"cpu": 48, "cuda": 512}  # pairs of like length that are encoded together


class Learner(nn.Module):
    """The cross-encoder over the base, with changes of rank `rank`."""

    def __init__(
        self, models: ModelStore, *, rank: int, max_tokens: int, first_tokens: int
    ) -> None:
        super().__init__()
        folder = models.resolve(BASE)
        base = OnnxModel(folder / "model.onnx").weights()
        self.own = _own_score(base)
        self.bert = _encoder(base)
        self.requires_grad_(False)
        self.changes = dict(_low_rank(self.bert, rank))
        features = 5 * self.bert.config.hidden_size + 2
        self.head = nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))
        self.scale = nn.Parameter(torch.tensor(_BASE))
        self.null = nn.Parameter(torch.zeros(()))
        self.tokenizer = open_tokenizer(folder)
        self.max_tokens, self.first_tokens = max_tokens, first_tokens

    def in_half(self) -> "Learner":
        """Computes the states in bfloat16 from now on, twice as fast; what learns stays float32."""
        for part in self.bert.modules():
            if isinstance(part, nn.LayerNorm | nn.Embedding):
                part.to(torch.bfloat16)
        return self

    def score(self, texts: Sequence[tuple[str, str]]) -> Tensor:
        """The log-odds for each pair of texts: (pairs,)."""
        pairs = encode(self.tokenizer, texts, self.max_tokens, self.first_tokens)
        order = sorted(range(len(texts)), key=lambda i: len(pairs.ids[i]))
        most = _TOGETHER[self.null.device.type]
        groups = [order[at : at + most] for at in range(0, len(order), most)]
        scores = torch.cat([self(pairs[rows]) for rows in groups])
        return scores[torch.tensor(order, device=scores.device).argsort()]

    def forward(self, pairs: Pairs) -> Tensor:
        """The log-odds for each pair: (pairs,)."""
        rows = (pairs.ids, pairs.parts, pairs.kinds, [[1] * len(row) for row in pairs.ids])
        ids, parts, kinds, mask = (_padded(row).to(self.null.device) for row in rows)
        states = self.bert(ids, mask, token_type_ids=kinds).last_hidden_state.float()
        first, second = parts == 1, parts == 2
        a, b = _mean(states, first), _mean(states, second)
        unit = nn.functional.normalize(states, dim=-1)
        cosines = (unit @ unit.transpose(1, 2)).masked_fill(~second[:, None, :], -1.0)
        best = cosines.amax(dim=-1)
        mean = (best * first).sum(dim=1) / first.sum(dim=1).clamp(min=1)
        least = best.masked_fill(~first, 2.0).amin(dim=1)
        pooled = torch.tanh(self.own[0](states[:, 0]))
        matched = torch.stack([mean, least], 1)
        features = torch.cat([a, b, (a - b).abs(), a * b, pooled, matched], dim=1)
        own = self.own[1](pooled) * self.scale
        scores: Tensor = (self.head(features) + own).squeeze(1)
        return scores - self.null

    def parameters_by_rate(self, rate: float = 1.0) -> list[dict[str, object]]:
        """What learns, for the optimizer: the changes slowly, the head faster."""
        head = [*self.head.parameters(), self.null, self.scale]
        body = [p for change in self.changes.values() for p in (change.down, change.up)]
        return [{"params": body, "lr": RATE * rate}, {"params": head, "lr": HEAD_RATE * rate}]


class Schedule:
    """AdamW with a warm-up and a linear decay over `steps` steps, `rate` times the usual rates."""

    def __init__(self, learner: Learner, steps: int, rate: float = 1.0) -> None:
        self._groups = learner.parameters_by_rate(rate)
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
        """The layer's output with its change, in the precision of `x`."""
        weight = self.base.weight + self.up @ self.down * _CHANGE
        return nn.functional.linear(x, weight.to(x.dtype), self.base.bias.to(x.dtype))


class Told:
    """Says on standard error how an epoch goes."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._started = time.monotonic()
        self._losses: list[float] = []

    def step(self, loss: Tensor) -> None:
        """Keep the `loss` of a step; every fiftieth is told with those before it."""
        self._losses.append(loss.item())
        if len(self._losses) % _TOLD == 0:
            self._tell(f"step {len(self._losses)}", self._losses[-_TOLD:])

    def end(self) -> None:
        """Tell the mean loss of the epoch."""
        self._tell("all", self._losses)

    def _tell(self, what: str, losses: Sequence[float]) -> None:
        seconds = time.monotonic() - self._started
        mean = sum(losses) / len(losses)
        sys.stderr.write(f"epoch {self._epoch}, {what}: loss {mean:.4f}, {seconds:.0f} s\n")


def seed(number: int = 0) -> None:
    """Make the next training the same on the same machine."""
    random.seed(number)
    torch.manual_seed(number)


def mean_of(learners: Sequence[Learner]) -> Learner:
    """The first of `learners`, its weights changed to the mean of all.

    It scores about as the mean of their scores, when they began alike (Wortsman et al. 2022). The
    mean change of a layer is cut back to the rank of one (Eckart & Young 1936).
    """
    mean = learners[0]
    with torch.no_grad():
        for name, change in mean.changes.items():
            whole = torch.stack([of.changes[name].up @ of.changes[name].down for of in learners])
            left, strength, right = torch.linalg.svd(whole.mean(dim=0), full_matrices=False)
            rank = len(change.down)
            root = strength[:rank].sqrt()
            change.up.copy_(left[:, :rank] * root)
            change.down.copy_(root[:, None] * right[:rank])
        for values in zip(
            *([*of.head.parameters(), of.null, of.scale] for of in learners), strict=True
        ):
            values[0].copy_(torch.stack(values).mean(dim=0))
    return mean


def save(learner: Learner, file: Path, card: dict[str, str]) -> None:
    """Write the changes and the head as float16; `card` says where they come from."""
    tensors = {f"head.{name}": value for name, value in learner.head.state_dict().items()}
    tensors["head.null"] = learner.null.detach()
    tensors["head.scale"] = learner.scale.detach()
    for name, change in learner.changes.items():
        tensors[f"{name}.down"] = change.down.detach()
        tensors[f"{name}.up"] = change.up.detach() * _CHANGE
    lengths = {"max_tokens": learner.max_tokens, "first_tokens": learner.first_tokens}
    metadata = card | {name: str(length) for name, length in lengths.items()}
    halves = {name: tensor.half().contiguous().cpu() for name, tensor in tensors.items()}
    save_file(halves, file, metadata=metadata)


def load(learner: Learner, file: Path) -> None:
    """Give `learner` the changes and the head that `save` wrote."""
    stored = {name: tensor.float() for name, tensor in load_file(file).items()}
    learner.null.data = stored.pop("head.null")
    learner.scale.data = stored.pop("head.scale")
    head = {name.removeprefix("head."): t for name, t in stored.items() if name.startswith("head.")}
    learner.head.load_state_dict(head)
    for name, change in learner.changes.items():
        change.down.data = stored[f"{name}.down"]
        change.up.data = stored[f"{name}.up"] / _CHANGE


def _encoder(base: dict[str, Floats]) -> BertModel:
    """The encoder of the base, a MiniLM, without dropout: what learns is small."""
    vocabulary, width = base["embeddings.word_embeddings.weight"].shape
    inner = [name for name in base if name.endswith("intermediate.dense.bias")]
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=len(inner),
        num_attention_heads=12,
        intermediate_size=len(base[inner[0]]),
        layer_norm_eps=1e-12,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    bert = BertModel(config, add_pooling_layer=False)
    bert.load_state_dict({name: torch.tensor(base[name]) for name in bert.state_dict()})
    return bert


def _own_score(base: dict[str, Floats]) -> nn.ModuleList:
    """The layers by which the base scores pairs itself."""
    layers = nn.ModuleList()
    for name in ("pooler.dense", "classifier"):
        weight, bias = (torch.tensor(base[f"{name}.{part}"]) for part in ("weight", "bias"))
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers.append(layer)
    return layers


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
