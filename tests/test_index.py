"""The index: what a build keeps and embeds, what is gone when it is deleted, and a stable order."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import bm25s
import numpy as np
import pytest
from conftest import ROOT
from test_embedder import Hashing

from corpus.chunks import chunk_document, embedding_text
from corpus.errors import IndexMissing, UsageError
from corpus.paths import SHIPPED_DOCUMENTS, data_folder
from corpus.sections import Document
from index import generations, store, vectors, words
from index.build import build, recorded_paths, update, verify
from index.embedder import Embedder, LocalEmbedder, Progress
from index.filters import Filter
from index.store import RRF_K, Hit, Index
from index.vectors import Plan

QUERIES = (
    "Which degree does the role ask for?",
    "salary in Boston",
    "how do they train a model for a canary",
    "deployment and monitoring",
    "zyxwv",
)
WORDS = "pay leave pension degree python salary model teams remote travel training bonus".split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three small documents."""
    place = tmp_path / "documents"
    place.mkdir()
    (place / "a.md").write_text("# Pay\n\nThe salary is good.\n\n## Bonus\n\n- one\n- two\n")
    (place / "b.txt").write_text("Leave\n\nEveryone has 30 days of leave a year.\n")
    (place / "c.md").write_text("# Training\n\nThe teams train a model every week.\n")
    return place


@pytest.fixture(scope="module")
def shipped(home: Path, embedder: LocalEmbedder) -> Index:
    """The default index."""
    return opened("default", embedder)


def opened(name: str, embedder: Embedder) -> Index:
    return store.open_generation(generations.current(name), embedder)


def found(index: Index, embedder: Embedder, query: str, k: int = 10) -> list[Hit]:
    return index.search(query, embedder.embed([query])[0], k=k)


def content(name: str) -> store.Stored:
    return store.read(generations.current(name))


# --- the encoder


def test_the_numpy_encoder_gives_the_vectors_of_sentence_transformers(
    home: Path, embedder: LocalEmbedder, shipped: Index
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [shipped.document(c.source).text[c.start : c.end] for c in shipped.chunks[::6]]
    texts += [
        "x",
        "?",
        "a " * 600,
        "Gehälter 💶 שלום e\u0301",
        "one\n\ntwo\tthree",
        "\u200b",
    ]
    folder = home / "models" / embedder.name
    reference = SentenceTransformer(str(folder), device="cpu").encode(
        texts, normalize_embeddings=True
    )
    ours = embedder.embed(texts)
    assert ours.dtype == np.float32
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() <= 1e-5
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() <= 1e-5


def test_an_empty_text_is_refused(embedder: LocalEmbedder) -> None:
    with pytest.raises(ValueError, match="empty"):
        embedder.embed(["one", " \n"])


# --- building


def test_only_what_changed_is_embedded(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    first = build("own", [folder], embedder)
    assert (first.added, first.embedded) == (("a.md", "b.txt", "c.md"), first.chunks)
    again = build("own", [folder], embedder)
    assert (again.embedded, again.added, again.changed, again.removed) == (0, (), (), ())
    (folder / "c.md").write_text("# Training\n\nThe teams train two models every week.\n")
    (folder / "b.txt").rename(folder / "d.txt")
    report = update("own", embedder)
    assert (report.added, report.changed, report.removed) == (("d.txt",), ("c.md",), ("b.txt",))
    assert report.embedded == 2
    assert report.generation > again.generation > first.generation


def test_of_a_changed_document_only_the_changed_section_is_embedded(
    fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    file, sections = tmp_path / "pay.md", ["Salary is good.", "Bonus is paid.", "Leave is long."]
    for changed in (None, 1, 2, 0):
        if changed is not None:
            sections[changed] = sections[changed].replace("is", "was")
        parts = (f"## Part {at}\n\n{text}\n\n" for at, text in enumerate(sections))
        file.write_text("# Pay\n\n" + "".join(parts))
        report = build("own", [file], embedder)
        assert report.embedded == (3 if changed is None else 1)
        held = content("own")
        assert np.abs(held.matrix - embedder.embed(held.texts())).max() <= 1e-5


def write_sections(file: Path, count: int) -> None:
    """A document of `count` sections, no two with the same text."""
    parts = (f"## Part {n}\n\nTerm {n} of {n * n} is kept.\n\n" for n in range(count))
    file.write_text("# Terms\n\n" + "".join(parts))


def test_a_build_that_was_killed_goes_on_from_what_it_had_embedded(
    fresh_home: Path, tmp_path: Path
) -> None:
    write_sections(tmp_path / "many.md", 700)
    program = f"""
import os
from pathlib import Path
from index.build import build
from index.vectors import Plan
from test_embedder import Hashing

class Killed(Hashing):
    def embed(self, texts, on_progress=None):
        if self.asked:
            os.kill(os.getpid(), {int(signal.SIGKILL)})
        return super().embed(texts, on_progress)

build("own", [Path({str(tmp_path / "many.md")!r})], Killed(), plan=Plan("pq"))
"""
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", program], env=env)
    assert done.returncode == -signal.SIGKILL
    assert generations.index_names() == []
    journal = generations.index_folder("own") / "EMBEDDED"
    assert journal.exists()
    again = Hashing()
    report = build("own", [tmp_path / "many.md"], again, plan=Plan("pq"))
    assert (report.chunks, len(again.asked)) == (700, 700 - 512)
    held = content("own")
    assert (held.matrix == Hashing().embed(held.texts())).all()
    assert generations.current("own").manifest["kind"] == "pq"
    assert not journal.exists()


def test_progress_tells_of_every_text(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    seen: list[Progress] = []
    report = build("own", [folder], embedder, seen.append)
    assert (seen[-1].done, seen[-1].total) == (report.chunks, report.chunks)


@pytest.mark.parametrize("seed", [1, 2])
def test_incremental_builds_equal_a_clean_one(
    seed: int, fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    place = tmp_path / "documents"
    place.mkdir()
    chance = random.Random(seed)
    for step in range(6):
        _change(place, chance)
        build("grown", [place], embedder)
        if step % 2:
            build("clean", [place], embedder)
            _same(embedder)
            generations.remove("clean")


@pytest.mark.parametrize("kind", ["exact", "pq", "ivf"])
@pytest.mark.parametrize("rewritten", [100, 65_536])
def test_incremental_builds_of_every_kind_equal_a_clean_one(
    kind: str, rewritten: int, fresh_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether what is deleted stays in a segment for a time or its other rows are written anew."""
    monkeypatch.setattr(vectors, "_REWRITTEN", rewritten)
    place, chance, embedder = tmp_path / "documents", random.Random(3), Hashing()
    place.mkdir()
    write_sections(place / "many.md", 300)
    deleted = 0
    for step in range(8):
        _change(place, chance)
        build("grown", [place], embedder, plan=Plan(kind))
        manifest = generations.current("grown").manifest
        assert manifest["kind"] == kind
        deleted += manifest["vectors"]["deleted"]
        if step % 2:
            build("clean", [place], embedder, plan=Plan(kind))
            _same(embedder, exact=True)
            generations.remove("clean")
    assert bool(deleted) == (rewritten == 100)


def _change(place: Path, chance: random.Random) -> None:
    """Add, change, rename or delete a document; one is always left."""
    files = sorted(file for file in place.iterdir() if file.name != "many.md")
    act = chance.choice(["add", "change", "rename", "delete"]) if len(files) > 1 else "add"
    target = chance.choice(files) if files else place
    if act == "delete":
        target.unlink()
    elif act == "rename":
        target.rename(place / f"{chance.randrange(10**6)}.md")
    else:
        ending = chance.choice([".md", ".txt"])
        file = target if act == "change" else place / f"{chance.randrange(10**6)}{ending}"
        parts = [" ".join(chance.choices(WORDS, k=8)).capitalize() + "." for _ in range(4)]
        file.write_text(f"## {chance.choice(WORDS)}\n\n" + "\n\n".join(parts))


def _same(embedder: Embedder, *, exact: bool = False) -> None:
    """Nothing, if the indexes hold and find the same; approximate ones when all is compared."""
    grown, clean = content("grown"), content("clean")
    assert grown.documents == clean.documents
    assert [(e.chunk, e.before) for e in grown.entries] == [
        (e.chunk, e.before) for e in clean.entries
    ]
    assert np.abs(grown.matrix - clean.matrix).max() <= 1e-5
    one, other = opened("grown", embedder), opened("clean", embedder)
    assert one.fingerprint == other.fingerprint
    for query in QUERIES:
        if exact:
            vector = embedder.embed([query])[0]
            hits, expected = (index.nearest(vector, k=400, exact=True) for index in (one, other))
            near = one.nearest(vector, k=10)
            assert len({h.chunk for h in near} & {h.chunk for h in expected[:10]}) >= 8
        else:
            hits, expected = found(one, embedder, query), found(other, embedder, query)
        assert [h.chunk for h in hits] == [h.chunk for h in expected]


def test_deleted_means_gone_from_the_disk(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    (folder / "secret.md").write_text("# Secret\n\nThe quokka codeword is plinth-4711.\n")
    build("own", [folder], embedder)
    assert _on_disk(b"quokka"), "else this test could not fail"
    (folder / "secret.md").unlink()
    update("own", embedder)
    for canary in (b"quokka", b"plinth", b"4711", b"secret.md"):
        assert _on_disk(canary) == []
    hits = found(opened("own", embedder), embedder, "quokka codeword plinth-4711")
    assert all(hit.chunk.source != "secret.md" for hit in hits)


def _on_disk(canary: bytes) -> list[Path]:
    files = [path for path in data_folder().rglob("*") if path.is_file()]
    return [file for file in files if canary in file.read_bytes()]


def test_update_looks_again_at_what_was_named_and_drops_nothing_by_mistake(
    fresh_home: Path, folder: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    single = tmp_path / "single.md"
    single.write_text("Alone.")
    build("own", [folder, single], embedder)
    assert recorded_paths("own") == [folder, single]
    single.unlink()
    assert update("own", embedder).removed == ("single.md",)
    shutil.move(folder, tmp_path / "unplugged")
    with pytest.raises(UsageError, match="is gone"):
        update("own", embedder)
    assert [d.source for d in content("own").documents] == ["a.md", "b.txt", "c.md"]


@pytest.mark.parametrize(
    "texts", [{}, {"a.md": "# Only\n\n## headings\n"}, {"a.md": "---\n\n***\n"}, {"a.png": "x"}]
)
def test_nothing_to_index_is_said_and_leaves_nothing(
    texts: dict[str, str], fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    place = tmp_path / "documents"
    place.mkdir()
    for name, text in texts.items():
        (place / name).write_text(text)
    with pytest.raises(UsageError, match=r"no documents below|nothing to index"):
        build("own", [place], embedder)
    assert generations.index_names() == []
    with pytest.raises(IndexMissing):
        generations.current("own")


@pytest.mark.parametrize(
    "text", ["😀😀😀", "The of and.", "?", "\u200b", "x" * 100_000, "日本語の文書。"]
)
def test_a_text_without_english_words_is_indexed_and_searched(
    text: str, fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    (tmp_path / "the.md").write_text(text)
    build("own", [tmp_path / "the.md"], embedder)
    (first, *_) = found(opened("own", embedder), embedder, text[:200])
    assert first.text in text


def test_names_that_could_not_be_folders_are_refused(fresh_home: Path) -> None:
    for name in ("", ".", "..", "a/b", "A", "-x", "a b", "x" * 65, "ä", "a\n", "a\0"):
        with pytest.raises(UsageError, match="no index name"):
            generations.index_folder(name)


def test_foreign_folders_among_the_generations_do_no_harm(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    (fresh_home / "data" / "index" / "own" / "gen-old").mkdir(parents=True)
    (fresh_home / "data" / "index" / "own" / "notes.txt").write_text("mine")
    build("own", [folder], embedder)
    assert set(verify("own").values()) == {"ok"}
    assert generations.index_names() == ["own"]


# --- searching


def test_search_fuses_both_rankings_by_reciprocal_rank(
    shipped: Index, embedder: LocalEmbedder
) -> None:
    for query in QUERIES:
        vector = embedder.embed([query])[0]
        dense = shipped.search(query, vector, k=50, lexical=False)
        lexical = shipped.search(query, vector, k=50, dense=False)
        scores: dict[int, float] = {}
        for hit in (*dense, *lexical):
            at = shipped.chunks.index(hit.chunk)
            scores[at] = scores.get(at, 0.0) + 1 / (RRF_K + hit.rank)
        expected = sorted(scores, key=lambda at: (-scores[at], at))[:10]
        fused = shipped.search(query, vector, k=10)
        assert [shipped.chunks.index(hit.chunk) for hit in fused] == expected
        assert [hit.score for hit in fused] == pytest.approx([scores[at] for at in expected])


def test_dense_search_is_exact(shipped: Index, embedder: LocalEmbedder) -> None:
    vectors = content("default").matrix
    for query in QUERIES:
        vector = embedder.embed([query])[0]
        products = vectors @ vector
        best = np.argsort(-products, kind="stable")[:10]
        hits = shipped.search(query, vector, k=10, lexical=False)
        assert [hit.similarity for hit in hits] == pytest.approx(products[best], abs=1e-6)
        assert [shipped.chunks.index(hit.chunk) for hit in hits] == best.tolist()


def test_lexical_search_is_bm25_over_text_and_headings(
    shipped: Index, embedder: LocalEmbedder
) -> None:
    (document,) = shipped.documents
    limit = embedder.limit
    chunks = chunk_document(document, embedder.count_tokens, limit=limit)
    texts = [embedding_text(document, chunk, embedder.count_tokens, limit) for chunk in chunks]
    reference = bm25s.BM25()
    reference.index(words.tokenize(texts), show_progress=False)
    for query in ("pay in Boston", "degree", "deployment and monitoring of models"):
        scores = reference.get_scores(words.tokenize([query])[0])
        best = [int(at) for at in np.argsort(-scores, kind="stable")[:10] if scores[at] > 0]
        hits = shipped.search(query, embedder.embed([query])[0], k=10, dense=False)
        assert [shipped.chunks.index(hit.chunk) for hit in hits] == best
    assert shipped.search("zyxwv", embedder.embed(["zyxwv"])[0], k=10, dense=False) == []


def test_words_that_are_kept_between_builds_are_those_of_a_new_build(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    (folder / "zebra.md").write_text("# Animals\n\nA zebra is striped. A salary is not.\n")
    build("own", [folder], embedder)
    (folder / "zebra.md").unlink()
    (folder / "new.md").write_text("# Tools\n\nPython earns a salary; pythons do not.\n")
    update("own", embedder)
    vocabulary = generations.current("own").read("bm25/vocab.index.json")
    assert b"zebra" not in vocabulary
    assert b"python" in vocabulary
    build("anew", [folder], embedder)
    assert sorted(json.loads(vocabulary)) == sorted(
        json.loads(generations.current("anew").read("bm25/vocab.index.json"))
    )
    kept, anew = (words.WordSearch.read(generations.current(n)) for n in ("own", "anew"))
    for query in ("salary", "pythons", "python tools earning a salary"):
        assert kept.best(query, 10, None) == anew.best(query, 10, None) != []


@pytest.mark.parametrize("file", ["words.i32", "ends.i64"])
def test_damaged_words_are_counted_anew_and_no_vector_is(
    file: str, fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    build("own", [folder], embedder)
    damaged = generations.current("own").folder / "bm25" / file
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert "not the file" in verify("own")[f"bm25/{file}"]
    assert update("own", embedder).embedded == 0
    assert set(verify("own").values()) == {"ok"}
    best = opened("own", embedder).search("salary", embedder.embed(["x"])[0], k=1, dense=False)
    assert "salary" in best[0].text


def test_order_is_stable_and_ties_go_to_what_stands_first(
    fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    place = tmp_path / "documents"
    place.mkdir()
    for name in "edcba":
        (place / name).mkdir()
        (place / name / "same.md").write_text("# Pay\n\nThe salary is good.\n")
    build("own", [place], embedder)
    orders = []
    for _ in range(3):
        hits = found(opened("own", embedder), embedder, "salary")
        orders.append([hit.chunk.source for hit in hits])
    assert orders == [[f"{name}/same.md" for name in "abcde"]] * 3


def test_hits_are_the_stored_characters(shipped: Index, embedder: LocalEmbedder) -> None:
    for query in QUERIES:
        for hit in found(shipped, embedder, query, k=50):
            document = shipped.document(hit.chunk.source)
            assert document.text[hit.chunk.start : hit.chunk.end] == hit.text
            assert -1 <= hit.similarity <= 1
    assert shipped.document("senior-ai-ml-engineer.md").text == (
        SHIPPED_DOCUMENTS / "senior-ai-ml-engineer.md"
    ).read_text("utf-8")
    with pytest.raises(IndexMissing, match="no source"):
        shipped.document("nope.md")


# --- filters


FILTERS: dict[str, tuple[Filter, Callable[[str, str], bool]]] = {
    "nothing asked": (Filter(), lambda source, section: True),
    "one source": (Filter(("us/a.md",)), lambda source, section: source == "us/a.md"),
    "a pattern": (Filter(("us/*",)), lambda source, section: source.startswith("us/")),
    "two patterns": (Filter(("us/a*", "?e/b.md")), lambda s, _: s in ("us/a.md", "de/b.md")),
    "a section": (Filter(section=("leave",)), lambda source, section: section == "Leave"),
    "above it": (Filter(section=("Pay",)), lambda source, section: section != "Leave"),
    "a path": (Filter(section=("PAY", "bonus")), lambda s, section: section == "Pay > Bonus"),
    "metadata": (Filter(metadata={"team": "b"}), lambda source, _: source.endswith("b.md")),
    "the source as metadata": (Filter(metadata={"source": "de/a.md"}), lambda s, _: s == "de/a.md"),
    "all of it": (
        Filter(("us/*",), ("Bonus",), {"team": "a"}),
        lambda source, section: (source, section) == ("us/a.md", "Pay > Bonus"),
    ),
    "an unknown source": (Filter(("US/*",)), lambda source, section: False),
    "half a name": (Filter(("us/a",)), lambda source, section: False),
    "an unknown section": (Filter(section=("Pay", "Leave")), lambda source, section: False),
    "another value": (Filter(metadata={"team": "A"}), lambda source, section: False),
    "an unknown key": (Filter(metadata={"tam": "a"}), lambda source, section: False),
    "no document has both": (
        Filter(("us/a.md",), metadata={"team": "b"}),
        lambda source, section: False,
    ),
}


@pytest.fixture(params=["exact", "pq", "ivf"])
def teams(request: pytest.FixtureRequest, fresh_home: Path, tmp_path: Path) -> Index:
    """An index of each kind with four documents of which each has sections, country and team."""
    for country in ("us", "de"):
        (tmp_path / "teams" / country).mkdir(parents=True)
        for team in ("a", "b"):
            lines = [f"---\nteam: {team}\n---\n"]
            for n in range(30):  # they repeat, so that all are chunks of their own
                lines.append(f"# Pay\n\nSalary {n} in {country}.\n\n## Bonus\n\nBonus {n}.\n")
                lines.append(f"# Leave\n\nLeave {n} of team {team}.\n")
            (tmp_path / "teams" / country / f"{team}.md").write_text("\n".join(lines))
    build("own", [tmp_path / "teams"], Hashing(), plan=Plan(request.param))
    assert generations.current("own").manifest["kind"] == request.param
    return opened("own", Hashing())


def test_a_filter_finds_all_that_it_lets_through_and_nothing_else(teams: Index) -> None:
    """In the order and with the scores that they have among all, however they are searched."""
    query, vector = "bonus and leave and salary 7", Hashing().embed(["bonus"])[0]
    everything = teams.nearest(vector, k=1000, exact=True)
    assert len(everything) == len(teams.chunks) == 360
    for name, (only, fits) in FILTERS.items():
        expected = [h for h in everything if fits(h.chunk.source, " > ".join(h.chunk.section))]
        for exact in (False, True):
            hits = teams.nearest(vector, k=1000, only=only, exact=exact)
            assert [h.chunk for h in hits] == [h.chunk for h in expected], name
            assert [h.similarity for h in hits] == [h.similarity for h in expected], name
            assert [h.rank for h in hits] == [*range(1, len(expected) + 1)], name
            best = teams.nearest(vector, k=5, only=only, exact=exact)
            assert len({h.chunk for h in best} & {h.chunk for h in expected[:5]}) >= min(
                4, len(expected)
            ), name
        allowed = {h.chunk for h in expected}
        for dense, lexical in [(True, True), (True, False), (False, True)]:
            hits = teams.search(
                query, vector, k=1000, only=only, dense=dense, lexical=lexical, depth=1000
            )
            assert {h.chunk for h in hits} <= allowed, name
            assert not dense or {h.chunk for h in hits} == allowed, name
            few = teams.search(query, vector, k=5, only=only, dense=dense, lexical=lexical)
            assert {h.chunk for h in few} <= allowed, name
            assert len(few) == min(5, len(hits)), name


def test_a_bracket_in_a_pattern_is_a_bracket() -> None:
    only = Filter(sources=("notes[1]*.md",))
    assert only.takes_document(Document("notes[1] new.md", "x"))
    assert not only.takes_document(Document("notes1.md", "x"))


def test_words_are_ranked_among_what_a_filter_lets_through(teams: Index) -> None:
    vector = Hashing().embed(["x"])[0]
    alone = teams.search("leave of team a", vector, k=1000, dense=False, depth=1000)
    only = Filter(("de/*",))
    hits = teams.search("leave of team a", vector, k=7, dense=False, depth=7, only=only)
    expected = [h.chunk for h in alone if h.chunk.source.startswith("de/")]
    assert [h.chunk for h in hits] == expected[:7]


@pytest.mark.parametrize("kind", ["exact", "pq", "ivf"])
def test_when_all_is_compared_the_nearest_are_exact(
    kind: str, fresh_home: Path, tmp_path: Path
) -> None:
    write_sections(tmp_path / "many.md", 600)
    build("own", [tmp_path / "many.md"], Hashing(), plan=Plan(kind))
    index, matrix = opened("own", Hashing()), content("own").matrix
    for query in QUERIES:
        vector = Hashing().embed([query])[0]
        best = np.argsort(-(matrix @ vector.astype(np.float64)), kind="stable")[:20]
        hits = index.nearest(vector, k=20, exact=True)
        assert [index.chunks.index(hit.chunk) for hit in hits] == best.tolist()
        assert len(index.nearest(vector, k=10_000)) == 600
    assert index.nearest(vector, k=0) == []


# --- generations


def test_readers_keep_the_generation_that_they_opened(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    build("own", [folder], embedder)
    reader = opened("own", embedder)
    before = [found(reader, embedder, query) for query in QUERIES]
    (folder / "a.md").write_text("Something else altogether.")
    (folder / "b.txt").unlink()
    update("own", embedder)
    assert not reader.generation.folder.exists()
    assert [found(reader, embedder, query) for query in QUERIES] == before
    assert "Everyone has 30 days" in reader.document("b.txt").text
    assert opened("own", embedder).generation.folder != reader.generation.folder


def test_an_index_can_be_opened_while_it_is_replaced(
    fresh_home: Path, folder: Path, embedder: LocalEmbedder
) -> None:
    states = {}
    for text in ("One state of the world.", "Another state of the world."):
        (folder / "a.md").write_text(text)
        build("own", [folder], embedder)
        states[opened("own", embedder).fingerprint] = content("own").documents
    done = threading.Event()

    def publish() -> None:
        try:
            for turn in range(15):
                (folder / "a.md").write_text(
                    f"{'Another' if turn % 2 else 'One'} state of the world."
                )
                build("own", [folder], embedder)
        finally:
            done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    generations_seen = set()
    while not done.is_set():
        index = opened("own", embedder)
        assert index.documents == states[index.fingerprint], "a mixture of two generations"
        assert set(verify("own").values()) == {"ok"}
        generations_seen.add(index.generation.folder)
    publisher.join()
    assert len(generations_seen) > 3


MANIFEST: dict[str, Callable[[object], bool]] = {
    "format": lambda value: value == generations.FORMAT_VERSION,
    "kind": lambda value: value == "exact",
    "dimension": lambda value: value == 384,
    "embedder": lambda value: isinstance(value, dict) and len(str(value["weights"])) == 64,
    "chunker": lambda value: isinstance(value, dict) and bool(value["version"]),
    "files": lambda value: (
        isinstance(value, dict)
        and all(len(file["sha256"]) == 64 and file["bytes"] >= 0 for file in value.values())
    ),
}


def test_the_manifest_says_what_the_index_was_made_of(shipped: Index) -> None:
    manifest = shipped.generation.manifest
    for key, holds in MANIFEST.items():
        assert holds(manifest[key]), key
    assert manifest["chunks"] == len(shipped.chunks)
    assert set(manifest["documents"]) == {document.source for document in shipped.documents}
    listed = set(manifest["files"])
    folder = shipped.generation.folder
    assert listed == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } - {"manifest.json"}
