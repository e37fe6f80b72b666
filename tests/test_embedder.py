"""Embedding many texts: order, length, the choice of a precision, and going on after a kill."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from index import embedder as embedding
from index.embedder import (
    FEW_TEXTS,
    Floats,
    LocalEmbedder,
    OnProgress,
    Precision,
    Progress,
    open_embedder,
)
from index.journal import Journal, embed_with, identity
from index.models import ModelStore

WORDS = "pay leave pension degree python salary model teams remote travel training bonus".split()
BFLOAT16 = Precision("bfloat16", 0.9999, 2.5)


def some_texts(count: int, longest: int = 15) -> list[str]:
    """Texts of different lengths, each another; the same ones begin every list of them."""
    chance = random.Random(longest)
    return [f"{at} " + " ".join(chance.choices(WORDS, k=at % longest + 1)) for at in range(count)]


class Hashing:
    """An embedder that needs no model; it counts what it is asked and may be killed."""

    name, weights, limit = "hashing", "0" * 64, 256

    def __init__(self, kill_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self._kill_after = kill_after

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> Floats:
        if len(self.asked) >= self._kill_after:
            raise KeyboardInterrupt
        self.asked += texts
        if on_progress:
            on_progress(Progress(len(texts), len(texts), 1.0))
        raw = [np.frombuffer(hashlib.sha256(t.encode()).digest(), np.uint8) for t in texts]
        vectors = np.stack(raw).astype(np.float32)
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vectors.journal"


def lengths_are_one(vectors: Floats) -> bool:
    exact = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return bool(np.abs(exact - 1).max() <= 1e-6)


# --- many texts


@pytest.fixture(scope="module")
def many() -> list[str]:
    """More than numpy embeds, with some that are equal and one that is too long for the model."""
    return [*some_texts(FEW_TEXTS + 100), "the pay " * 400, *some_texts(5)]


@pytest.fixture(scope="module")
def on_cpu(embedder: LocalEmbedder, home: Path) -> LocalEmbedder:
    """The default embedder, on the CPU also where there is a GPU."""
    return open_embedder(embedder.name, ModelStore(home / "models"), "cpu")


@pytest.fixture(scope="module")
def exact(many: list[str], on_cpu: LocalEmbedder) -> Floats:
    """The float32 vectors of `many`."""
    return on_cpu.embed(many)


def is_reduced(vectors: Floats, exact: Floats) -> bool:
    """Whether vectors were computed in bfloat16; nearly the same they have to be."""
    smallest = (vectors * exact).sum(axis=1).min()
    assert smallest >= 0.999
    return bool(smallest < 0.999999)


def test_many_texts_have_the_vectors_that_each_has_alone(
    many: list[str], exact: Floats, on_cpu: LocalEmbedder
) -> None:
    assert exact.dtype == np.float32
    assert exact.shape == (len(many), 384)
    assert lengths_are_one(exact)
    for at in (0, 7, FEW_TEXTS, FEW_TEXTS + 99, FEW_TEXTS + 100, len(many) - 1):
        assert np.abs(exact[at] - on_cpu.embed([many[at]])[0]).max() <= 1e-5, many[at][:40]
    assert np.array_equal(exact[:5], exact[-5:]), "equal texts"


def test_bfloat16_gives_nearly_the_same_vectors(
    many: list[str], exact: Floats, home: Path, embedder: LocalEmbedder
) -> None:
    reduced = open_embedder(embedder.name, ModelStore(home / "models"), "cpu", "bfloat16")
    kept: dict[str, Floats] = {}

    def keep(texts: Sequence[str], vectors: Floats) -> None:
        kept.update(zip(texts, vectors, strict=True))

    vectors = reduced.embed(many, keep=keep)
    assert reduced.chosen == Precision("bfloat16")
    assert vectors.dtype == np.float32
    assert lengths_are_one(vectors)
    assert is_reduced(vectors, exact)
    assert np.array_equal(vectors, np.stack([kept[text] for text in many]))
    assert reduced.embed(many[:3]) == pytest.approx(exact[:3], abs=1e-5), "few stay in float32"


@pytest.mark.parametrize(
    ("gain", "cosine", "name"),
    [(0.0, 0.999, "bfloat16"), (1e9, 0.999, "float32"), (0.0, 1.1, "float32")],
)
def test_a_precision_is_chosen_by_what_a_sample_shows(
    gain: float,
    cosine: float,
    name: str,
    many: list[str],
    exact: Floats,
    on_cpu: LocalEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "MANY_TEXTS", FEW_TEXTS)
    monkeypatch.setattr(embedding, "MIN_GAIN", gain)
    monkeypatch.setattr(embedding, "MIN_COSINE", cosine)
    vectors = on_cpu.embed(many)
    chosen = on_cpu.chosen
    assert chosen
    assert chosen.name == name
    assert chosen.smallest_cosine is not None
    assert 0.999 <= chosen.smallest_cosine <= 1
    assert chosen.gain
    assert Precision(**chosen.to_dict()) == chosen
    assert is_reduced(vectors, exact) == (name == "bfloat16")


def test_a_model_that_bfloat16_fails_is_embedded_in_float32(
    many: list[str], exact: Floats, on_cpu: LocalEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> Precision:
        raise RuntimeError("expected scalar type Float but found BFloat16")

    monkeypatch.setattr(LocalEmbedder, "_compare", refuses)
    on_cpu.embed(many)
    assert on_cpu.chosen is None, "too few to try"
    monkeypatch.setattr(embedding, "MANY_TEXTS", FEW_TEXTS)
    assert not is_reduced(on_cpu.embed(many), exact)
    assert on_cpu.chosen == Precision("float32")


# --- the journal


def test_a_journal_gives_back_what_was_added(file: Path) -> None:
    texts = ["one", "two", "drei ü 💶"]
    vectors = Hashing().embed(texts)
    journal = Journal.open(file, "a")
    assert journal.known(texts) == {}
    assert not file.exists(), "nothing to write yet"
    journal.add(texts[:2], vectors[:2])
    journal.add(texts[2:], vectors[2:], BFLOAT16)
    for one in (journal, Journal.open(file, "a")):
        known = one.known([*texts, "four"])
        assert list(known) == texts
        assert np.array_equal(np.stack(list(known.values())), vectors)
        assert one.precision == BFLOAT16
    assert b"drei" not in file.read_bytes(), "it holds no text"
    journal.remove()
    journal.remove()
    assert not file.exists()
    assert journal.known(texts) == Journal.open(file, "a").known(texts) == {}


def test_a_journal_of_another_identity_is_empty_and_written_anew(
    file: Path, embedder: LocalEmbedder
) -> None:
    vectors = Hashing().embed(["one", "two"])
    Journal.open(file, "a").add(["one"], vectors[:1])
    other = Journal.open(file, "b")
    assert other.known(["one"]) == {}
    other.add(["two"], vectors[1:])
    assert list(Journal.open(file, "b").known(["one", "two"])) == ["two"]
    assert Journal.open(file, "a").known(["one", "two"]) == {}
    exact = LocalEmbedder("x", embedder._folder, embedder.weights, "cpu", "float32")
    assert len({identity(Hashing()), identity(embedder), identity(exact)}) == 3


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def longer(data: bytes, chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 200))


def zeroed(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes(len(data) - at)


@pytest.mark.parametrize("damage", [cut, flipped, longer, zeroed])
def test_damage_costs_records_and_never_gives_a_wrong_vector(
    damage: Callable[[bytes, random.Random], bytes], file: Path
) -> None:
    texts = some_texts(12)
    right = dict(zip(texts, Hashing().embed(texts), strict=True))
    for seed in range(60):
        file.unlink(missing_ok=True)
        journal = Journal.open(file, "a")
        for text in texts:
            journal.add([text], right[text][None])
        file.write_bytes(damage(file.read_bytes(), random.Random(seed)))
        found = Journal.open(file, "a")
        left = list(found.known(texts))
        assert left == texts[: len(left)], f"seed {seed}: the records before the damage"
        assert (len(left) == len(texts)) == (damage is longer), f"seed {seed}"
        rest = [*texts[len(left) :], "new"]
        found.add(rest, Hashing().embed(rest))
        mended = Journal.open(file, "a").known([*texts, "new"])
        assert len(mended) == len(texts) + 1
        assert all(np.array_equal(mended[text], right[text]) for text in texts)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 500, b"vectors1", b"x" * 5000])
def test_a_file_that_is_no_journal_is_an_empty_one(garbage: bytes, file: Path) -> None:
    file.write_bytes(garbage)
    journal = Journal.open(file, "a")
    assert journal.known(["one"]) == {}
    journal.add(["one"], Hashing().embed(["one"]))
    assert list(Journal.open(file, "a").known(["one"])) == ["one"]


# --- embedding with a journal


def test_after_a_kill_only_the_rest_is_embedded(file: Path) -> None:
    texts = some_texts(2_000)
    texts += texts[:50]
    killed = Hashing(kill_after=1_024)
    with pytest.raises(KeyboardInterrupt):
        embed_with(Journal.open(file, "a"), killed, texts)
    assert len(killed.asked) == 1_024
    again, seen = Hashing(), list[Progress]()
    vectors = embed_with(Journal.open(file, "a"), again, texts, seen.append)
    assert len(again.asked) == 2_000 - 1_024
    assert not set(again.asked) & set(killed.asked)
    assert np.array_equal(vectors, Hashing().embed(texts))
    assert [(p.done, p.total) for p in seen] == [(1_586, 2_050), (2_050, 2_050)]
    last, told = Hashing(), list[Progress]()
    assert np.array_equal(embed_with(Journal.open(file, "a"), last, texts, told.append), vectors)
    assert (last.asked, told) == ([], [Progress(2_050, 2_050, 0.0)])


def test_longest_texts_come_first(file: Path) -> None:
    embedder = Hashing()
    texts = some_texts(1_200)
    embed_with(Journal.open(file, "a"), embedder, texts)
    sizes = embedder.count_tokens(embedder.asked)
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(embedder.asked) == sorted(texts)


def test_few_new_texts_are_not_written_down(file: Path) -> None:
    texts = some_texts(FEW_TEXTS)
    embedder, seen = Hashing(), list[Progress]()
    vectors = embed_with(Journal.open(file, "a"), embedder, texts + texts[:1], seen.append)
    assert np.array_equal(vectors, Hashing().embed(texts + texts[:1]))
    assert embedder.asked == texts
    assert seen[-1].done == seen[-1].total == FEW_TEXTS + 1
    assert not file.exists()


def test_the_rate_counts_what_is_embedded_now(file: Path) -> None:
    texts = some_texts(1_000)
    Journal.open(file, "a").add(texts[:900], Hashing().embed(texts[:900]))
    seen: list[Progress] = []
    embed_with(Journal.open(file, "a"), Hashing(), texts, seen.append)
    assert seen == [Progress(1_000, 1_000, 1.0)], "one text a second, as the embedder said"


def test_a_process_that_is_killed_leaves_what_it_had_written(file: Path) -> None:
    program = f"""
import os, signal, numpy as np
from pathlib import Path
from index.journal import Journal
journal = Journal.open(Path({str(file)!r}), "a")
for at in range(3):
    journal.add([str(at)], np.eye(3, dtype=np.float32)[at : at + 1])
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    known = Journal.open(file, "a").known(["0", "1", "2"])
    assert np.array_equal(np.stack(list(known.values())), np.eye(3, dtype=np.float32))


def test_an_interrupted_build_goes_on_in_the_precision_it_began_with(
    many: list[str], exact: Floats, on_cpu: LocalEmbedder, file: Path
) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    begun = Journal.open(file, "a")
    begun.add(["begun"], on_cpu.embed(["begun"]), BFLOAT16)
    with pytest.raises(KeyboardInterrupt):
        embed_with(begun, on_cpu, many, stop)
    journal, seen = Journal.open(file, "a"), list[Progress]()
    written = len(journal.known(many))
    assert 1 < written < 100, "the first batch"
    vectors = embed_with(journal, on_cpu, many, seen.append)
    assert seen[0].done > written
    assert seen[-1].done == seen[-1].total == len(many)
    assert on_cpu.chosen == journal.precision == BFLOAT16
    assert lengths_are_one(vectors)
    assert is_reduced(vectors, exact)
