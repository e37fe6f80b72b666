"""Makes the weights of the support model (`assistant/support.py`).

    python -m eval.train_support --judge train.jsonl.gz [--on WEIGHTS [--also FOLDER]]

Learns from `eval/training/pairs/` (claims written by hand for passages of the documents there, true
and subtly false, and twins of a true claim and a false one that differ in a word or two) and from
labelled pairs of evidence and claim given with `--judge`, JSON lines of
{"set", "group", "evidence", "claim", "label"}. Each epoch sees the pairs anew: evidence among other
sentences, as in real use; true claims changed into false ones; true claims with the evidence of
another. What is `held_back` is never learnt from: it measures. With `--on`, weights that know
those pairs are taught on, with `eval/training/drafts/` (sentences as chat models answer with) and
parts of the others and of `eval/training/relations/`, and the mean of before and after is taken.
The shipped weights know nothing of `eval/training/drafts/more/`, half of it about tables
(docs/decisions/0019).
"""

import argparse
import gzip
import hashlib
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from assistant.bearing import bearing
from assistant.cross_encoder import BASE
from assistant.support import READ_WORDS, WEIGHTS, listed
from corpus.readable import with_columns
from index.models import ModelStore

from .learner import Learner, Schedule, Told, load, mean_of, save, seed

PAIRS = Path(__file__).parent / "training" / "pairs"
RELATIONS, DRAFTS = PAIRS.with_name("relations"), PAIRS.with_name("drafts")
RANK, MAX_TOKENS, FIRST_TOKENS = 24, 224, 72
EPOCHS, OWN_TIMES, BATCH = 3, 2, 128  # OWN_TIMES: how often an epoch sees our own pairs
# Taught on: rounds, rate (1: as from the beginning), seed; how many of each a round sees.
ROUNDS, SLOWER, SEED, ALONE, TWINS, JUDGED = 2, 0.6, 6, 4000, 3000, 5000
_PADDED, _CHANGED, _ELSEWHERE = 0.5, 0.35, 0.1  # shares of the pairs that are seen anew
_WORDS, _TRIES = 130, 8  # of padded evidence, and to find what fits
OWN = "career"
_ON_TOPIC = frozenset({"neighbour", "addition", "cause", "scope"})  # the document may bear them out


@dataclass(frozen=True)
class Pair:
    """A claim, the evidence for it, and whether the evidence bears it out."""

    set: str
    group: str
    evidence: str
    claim: str
    label: int
    kind: str = ""
    twins: str = ""  # of a true claim and a false one in nearly the same words


def own_pairs(folder: Path = PAIRS) -> list[Pair]:
    """The pairs written by hand; those of a document, or the twins of a passage, are a group.

    Elsewhere than in `PAIRS` a row's id names its group: a passage, or a document.
    """
    pairs = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            evidence = f"{row['heading']}. {listed(with_columns(row['evidence']))}"
            claims = [(c, 1, "true") for c in row.get("true", ())]
            claims += [(f["claim"], 0, f["kind"]) for f in row.get("false", ())]
            group = file.stem if folder == PAIRS else row["id"]
            pairs += [Pair(OWN, group, evidence, *claim) for claim in claims]
            for twins in row.get("twins", ()):
                name = f"{row['id']}: {twins['true']}"
                pairs.append(Pair(OWN, row["id"], evidence, twins["true"], 1, "true", name))
                pairs.append(Pair(OWN, row["id"], evidence, twins["false"], 0, twins["kind"], name))
    return pairs


def judge_pairs(file: Path) -> list[Pair]:
    """The labelled pairs of a JSON lines file, gzipped or not."""
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    return [
        Pair(r["set"], str(r["group"]), r["evidence"], r["claim"], int(r["label"])) for r in rows
    ]


def held_back(pair: Pair) -> bool:
    """Whether the pair measures instead of teaching: one document, or passage of twins, of six."""
    return pair.set == OWN and hashlib.sha256(pair.group.encode()).digest()[0] % 6 == 0


class Epochs:
    """The pairs of each epoch, made anew from the same ones."""

    def __init__(self, pairs: Sequence[Pair], drafts: Sequence[Pair] = ()) -> None:
        self._alone = [(pair,) for pair in pairs if pair.set == OWN and not pair.twins]
        self._twins = list(_twins(pairs))
        self._judged = [(pair,) for pair in pairs if pair.set != OWN]
        self._drafts = [(pair,) for pair in drafts]
        self._evidence: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._names: dict[str, list[str]] = defaultdict(list)
        for evidence, pair in {p.evidence: p for p in (*pairs, *drafts)}.items():
            self._evidence[pair.set].append((pair.group, evidence))
            self._evidence[f"{pair.set}/{pair.group}"].append((pair.group, evidence))
            self._names[pair.set] += _NAME.findall(pair.claim)

    def __call__(self) -> list[tuple[Pair, ...]]:
        """One epoch, in random order: all pairs or, beside drafts, a part."""
        shown: list[tuple[Pair, ...]]
        if self._drafts:
            shown = [
                *_some(self._alone, ALONE),
                *_some(self._twins, TWINS),
                *_some(self._judged, JUDGED),
                *self._drafts,
            ]
        else:
            shown = [*(*self._alone, *self._twins) * OWN_TIMES, *self._judged]
        seen = [self._seen(pairs) for pairs in shown]
        random.shuffle(seen)
        return seen

    def _seen(self, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        if len(pairs) == 1:
            return (self._anew(pairs[0]),)
        among = self._padded(pairs[0]) if random.random() < _PADDED else pairs[0]
        evidence = bearing(among.claim, among.evidence, READ_WORDS)  # the same for both
        return tuple(replace(pair, evidence=evidence) for pair in pairs)

    def _anew(self, pair: Pair) -> Pair:
        chance = random.random()
        if pair.label and chance < _ELSEWHERE:
            pair = replace(pair, evidence=self._other(pair, False), label=0, kind="elsewhere")
        elif pair.label and chance < _ELSEWHERE + _CHANGED * (pair.set != OWN):
            changed = changed_claim(pair, self._names[pair.set])
            if changed:
                pair = replace(pair, claim=changed, label=0, kind="changed")
        return self._padded(pair) if random.random() < _PADDED else pair

    def _padded(self, pair: Pair) -> Pair:
        """The evidence somewhere among other sentences of its set."""
        room = random.randint(20, _WORDS) - len(pair.evidence.split())
        topical = pair.set == OWN and not pair.twins and pair.kind not in _ON_TOPIC
        others: list[str] = []
        for _ in range(_TRIES):
            other = self._other(pair, topical and random.random() < 0.5)
            if 0 < len(other.split()) <= room:
                others.append(other)
                room -= len(other.split())
        others.insert(random.randint(0, len(others)), pair.evidence)
        return replace(pair, evidence=" ".join(others))

    def _other(self, pair: Pair, near: bool) -> str:
        """Evidence of another group or, `near`, of the same."""
        pool = self._evidence[f"{pair.set}/{pair.group}" if near else pair.set]
        for _ in range(_TRIES):
            group, evidence = random.choice(pool)
            if evidence != pair.evidence and (near or group != pair.group):
                return evidence
        return ""


def _some(pairs: Sequence[tuple[Pair, ...]], most: int) -> list[tuple[Pair, ...]]:
    return random.sample(pairs, min(most, len(pairs)))


_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+(?: [A-Z][\w-]+)*")
_DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
_AUXILIARY = re.compile(r"\b(?:is|are|was|were|can|will|has|have|does|do|did|should|may|must)\b")
_TURNS = [
    "more less", "higher lower", "increase decrease", "increases decreases", "increased decreased",
    "before after", "first last", "most least", "all some", "always sometimes", "never always",
    "many few", "must may", "better worse", "above below", "rise fall", "larger smaller",
    "earlier later", "maximum minimum", "several all", "can cannot", "with without", "and or",
    "up down", "best worst", "often rarely", "only also", "positive negative", "men women",
    "gain loss", "start end", "north south", "east west", "could will", "some every",
]  # fmt: skip
_TURNED = {a: b for pair in _TURNS for a, b in [pair.split(), pair.split()[::-1]]}


def changed_claim(pair: Pair, names: Sequence[str]) -> str:
    """The claim with a number, name, denial or direction changed; empty where it has none."""
    ways = [_other_number, _other_name, _denied, _turned]
    random.shuffle(ways)
    for way in ways:
        changed = way(pair, names)
        if changed and changed != pair.claim:
            return changed
    return ""


def _other_number(pair: Pair, _: Sequence[str]) -> str:
    found = list(_DIGITS.finditer(pair.claim))
    if not found:
        return ""
    match = random.choice(found)
    given = [n for n in _DIGITS.findall(pair.evidence) if n != match[0]]
    value = float(match[0].replace(",", "").rstrip(".") or 0)
    near = value + random.choice([-3, -2, -1, 1, 2, 3, 5, 10, value, -value / 2])
    made = f"{near:.1f}" if "." in match[0] else f"{abs(int(near))}"
    new = random.choice(given) if given and random.random() < 0.5 else made
    return pair.claim[: match.start()] + new + pair.claim[match.end() :]


def _other_name(pair: Pair, names: Sequence[str]) -> str:
    found = list(_NAME.finditer(pair.claim))
    if not found or not names:
        return ""
    match = random.choice(found)
    given = [n for n in _NAME.findall(pair.evidence) if n not in pair.claim]
    new = random.choice(given) if given and random.random() < 0.6 else random.choice(names)
    return pair.claim[: match.start()] + new + pair.claim[match.end() :]


def _denied(pair: Pair, _: Sequence[str]) -> str:
    if " not " in pair.claim:
        return pair.claim.replace(" not ", " ", 1)
    match = _AUXILIARY.search(pair.claim)
    return f"{pair.claim[: match.end()]} not{pair.claim[match.end() :]}" if match else ""


def _turned(pair: Pair, _: Sequence[str]) -> str:
    found = [m for m in re.finditer(r"[a-z]+", pair.claim) if m[0] in _TURNED]
    if not found:
        return ""
    match = random.choice(found)
    return pair.claim[: match.start()] + _TURNED[match[0]] + pair.claim[match.end() :]


def _twins(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, ...]]:
    together: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.twins:
            together[pair.twins].append(pair)
    return map(tuple, together.values())


def train(pairs: Sequence[Pair], models: ModelStore, epochs: int) -> Learner:
    """A learner that saw the `pairs` for so many `epochs`."""
    seed()
    learner = Learner(models, rank=RANK, max_tokens=MAX_TOKENS, first_tokens=FIRST_TOKENS)
    return _taught(learner, Epochs(_to_teach(pairs)), epochs)


def train_on(
    weights: Path, pairs: Sequence[Pair], drafts: Sequence[Pair], models: ModelStore
) -> Learner:
    """The mean of `weights` and of what they become by the `drafts` and parts of all else."""
    seed(SEED)
    known = _to_teach([*pairs, *own_pairs(RELATIONS)])
    make = Epochs(known, _to_teach(drafts))
    after = _taught(_loaded(weights, models), make, ROUNDS, SLOWER)
    return mean_of([_loaded(weights, models), after])


def _loaded(weights: Path, models: ModelStore) -> Learner:
    learner = Learner(models, rank=RANK, max_tokens=MAX_TOKENS, first_tokens=FIRST_TOKENS)
    load(learner, weights)
    return learner


def _to_teach(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if not held_back(pair)]


def _taught(learner: Learner, make: Epochs, epochs: int, rate: float = 1.0) -> Learner:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    learner.in_half().to(device).train()
    schedule: Schedule | None = None
    for epoch in range(1, epochs + 1):
        told = Told(f"{epoch} of {epochs}")
        batches = list(_batches(make()))
        schedule = schedule or Schedule(learner, epochs * len(batches), rate)
        for batch in batches:
            scores = learner.score([(p.claim, p.evidence) for p in batch])
            wanted = torch.tensor([float(p.label) for p in batch], device=device)
            loss = nn.functional.binary_cross_entropy_with_logits(scores, wanted)
            schedule.step(loss)
            told.step(loss)
        told.end()
    return learner.eval()


def _batches(seen: Sequence[tuple[Pair, ...]]) -> Iterator[list[Pair]]:
    """The pairs in batches of like lengths, in random order."""
    size = BATCH * 40
    for start in range(0, len(seen), size):
        group = sorted(seen[start : start + size], key=lambda t: len(t[0].claim + t[0].evidence))
        together = [pair for pairs in group for pair in pairs]
        cuts = list(range(0, len(together), BATCH))
        random.shuffle(cuts)
        for at in cuts:
            yield together[at : at + BATCH]


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description="Train the support model.")
    parser.add_argument("--judge", type=Path, required=True, help="labelled pairs, JSON lines")
    parser.add_argument("--on", type=Path, metavar="WEIGHTS", help="teach these on")
    parser.add_argument("--also", type=Path, metavar="FOLDER", help="more drafts to teach on with")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="from the beginning")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    pairs = [*own_pairs(), *judge_pairs(given.judge)]
    sys.stderr.write(f"{len(pairs)} pairs\n")
    models = ModelStore()
    card = {"base": BASE, "pairs": _hash(PAIRS), "judge": _hash(given.judge)}
    if given.on:
        folders = [DRAFTS, given.also] if given.also else [DRAFTS]
        drafts = [pair for folder in folders for pair in own_pairs(folder)]
        learner = train_on(given.on, pairs, drafts, models)
        card |= {"on": _hash(given.on), "relations": _hash(RELATIONS)}
        card |= {"drafts": " ".join(map(_hash, folders)), "epochs": str(ROUNDS)}
    else:
        learner = train(pairs, models, given.epochs)
        card["epochs"] = str(given.epochs)
    save(learner, given.out, card)


def _hash(path: Path) -> str:
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    main()
