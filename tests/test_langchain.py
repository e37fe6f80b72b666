"""The index for LangChain: its own standard suites, and what those do not ask."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings, FakeEmbeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from pydantic import Field

from corpus.errors import IndexCorrupt, IndexForeign, IndexMissing, ModelUnavailable, UsageError
from corpus.paths import data_folder
from index import generations, store
from index.build import build, update
from index.embedder import LocalEmbedder
from index.filters import Filter
from index.for_langchain import IndexRetriever, IndexStore

ROOT = Path(__file__).parents[1]
METADATA: dict[str, Any] = {
    "source": "https://example.org/a?b#0-3",
    "title": "On pay",
    "page": 3,
    "score": 0.1 + 0.2,
    "yes": True,
    "one": 1,
    "nothing": None,
    "nested": {"b": [1, [2.0, {"c": "\u2028 😀"}]], "a": {}},
    "": "a line\nand another",
}


class Counting(DeterministicFakeEmbedding):
    """Deterministic embeddings that remember what they were asked."""

    size: int = 6
    asked: list[str] = Field(default_factory=list)
    noise: float = 0.0
    fails: bool = False

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.fails:
            raise ConnectionError("no route to host")
        self.asked.extend(texts)
        return [[x + self.noise for x in vector] for vector in super().embed_documents(texts)]


# LangChain's own suites.


class TestStoreOfOurEmbedder(VectorStoreIntegrationTests):
    """The store with the default embedder."""

    @pytest.fixture
    def vectorstore(self, fresh_home: Path, embedder: LocalEmbedder) -> VectorStore:
        return IndexStore("suite", embedder)


class TestStoreOfAnyEmbeddings(VectorStoreIntegrationTests):
    """The store with LangChain's embeddings."""

    @pytest.fixture
    def vectorstore(self, fresh_home: Path) -> VectorStore:
        return IndexStore("suite", self.get_embeddings())


class TestRetriever(RetrieversIntegrationTests):
    """The retriever over the default index."""

    parts: dict[str, Any]

    @pytest.fixture(autouse=True)
    def shipped(self, home: Path, embedder: LocalEmbedder) -> None:
        opened = store.open_generation(generations.current("default"), embedder)
        self.parts = {"index": opened, "embedder": embedder}

    @property
    def retriever_constructor(self) -> type[IndexRetriever]:
        return IndexRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self.parts

    @property
    def retriever_query_example(self) -> str:
        return "Which degree does the role ask for?"


# The retriever.


def test_the_retriever_finds_what_the_search_finds(home: Path, embedder: LocalEmbedder) -> None:
    retriever = IndexRetriever.open("default", k=60)
    query = "salary in Boston"
    hits = retriever.index.search(query, embedder.embed([query])[0], k=60, depth=60)
    documents = retriever.invoke(query)
    assert len(documents) == 60
    for hit, document in zip(hits, documents, strict=True):
        metadata = document.metadata
        text = retriever.index.document(metadata["source"]).text
        assert document.page_content == text[metadata["start"] : metadata["end"]] == hit.text
        assert metadata["section"] == list(hit.chunk.section)
        assert metadata["title"] == retriever.index.document(metadata["source"]).title
        assert metadata["score"] == hit.score
        assert document.id == f"{metadata['source']}#{metadata['start']}-{metadata['end']}"
    assert retriever.invoke(query, k=2) == documents[:2]
    assert asyncio.run(retriever.ainvoke(query, k=2)) == documents[:2]
    chain = retriever | RunnableLambda(len)
    assert chain.invoke(query) == 60
    with pytest.raises(ValueError, match="0 results"):
        retriever.invoke(query, k=0)
    with pytest.raises(TypeError, match="colour"):
        retriever.invoke(query, colour="red")
    only = Filter(section=("Geographic Variations",))
    found = retriever.invoke(query, k=3, filter=only)
    assert found
    assert all("Geographic Variations" in one.metadata["section"] for one in found)
    assert asyncio.run(retriever.ainvoke(query, k=3, filter=only)) == found


def test_the_retriever_adds_the_place_to_the_metadata(fresh_home: Path) -> None:
    added = IndexStore("own", Counting())
    added.add_texts(["# Pay\n\nThe salary is good."], [{"page": 3, "source": "a.pdf"}], ids=["a"])
    with pytest.raises(UsageError, match="made with the embeddings Counting"):
        IndexRetriever.open("own")
    (found,) = IndexRetriever.open("own", Counting()).invoke("salary")
    expected = {"page": 3, "source": "a", "title": "Pay", "section": ["Pay"], "start": 7, "end": 26}
    assert found.metadata == {**expected, "score": found.metadata["score"]}
    assert found.page_content == "The salary is good."
    assert found.id == "a#7-26"


# What comes back.


def test_documents_come_back_as_they_were(fresh_home: Path) -> None:
    texts = (
        "Hello World",
        "# Only a heading",
        " two\r\nlines\r\rand\r\ranother\r",
        "- item",
        "",
        "---\na: b\n---\n",
    )
    given = [Document(page_content=text, metadata=METADATA) for text in texts]
    ids = IndexStore("own", Counting()).add_documents(given)
    opened = IndexStore("own", Counting())  # from the disk
    held = opened.get_by_ids(ids)
    assert [(one.id, one.page_content) for one in held] == list(zip(ids, texts, strict=True))
    assert {json.dumps(one.metadata) for one in held} == {json.dumps(METADATA)}
    found = opened.similarity_search("Hello", k=10)
    assert {(one.id, one.page_content) for one in found} == {
        pair for pair in zip(ids, texts, strict=True) if pair[1]
    }, "all but the empty text are found whole"
    for one in (*found, *held):
        one.metadata["nested"].clear()
    again = opened.get_by_ids(ids)[0].metadata
    assert again == METADATA, "what is found is the caller's own"


@pytest.mark.parametrize("text", ["The salary is good.", "Title\r=====\r", "1. Ask\n2. Wait"])
def test_the_text_alone_is_embedded(text: str, fresh_home: Path) -> None:
    embeddings = Counting()
    opened = IndexStore.from_texts([text, "Another."], embeddings, name="own")
    assert embeddings.asked[1:] == [text.strip().removeprefix("1. "), "Another."]
    ((first, score), _) = opened.similarity_search_with_score(embeddings.asked[1], k=2)
    assert (text.endswith(first.page_content), score) == (True, pytest.approx(1))


def test_a_long_document_is_found_in_parts(fresh_home: Path, embedder: LocalEmbedder) -> None:
    sections = [f"# Part {n}\n\n" + f"Sentence {n} of the handbook. " * 60 for n in range(3)]
    opened = IndexStore.from_texts(["\n\n".join(sections)], opened_embeddings(embedder), name="own")
    (whole,) = opened.similarity_search("handbook", k=100)[:1]
    source = str(whole.id).partition("#")[0]
    parts = opened.similarity_search("handbook", k=100)
    assert len(parts) > 3
    assert opened.get_by_ids([str(part.id) for part in parts]) == parts
    (document,) = opened.get_by_ids([source])
    for part in parts:
        start, end = map(int, str(part.id).partition("#")[2].split("-"))
        assert document.page_content[start:end] == part.page_content
    with pytest.raises(ValueError, match="delete that"):
        opened.delete([str(parts[0].id)])
    assert opened.get_by_ids([f"{source}#0-1", "#", "x#1-2", ""]) == []


def opened_embeddings(embedder: LocalEmbedder) -> Embeddings:
    """Our embedder as LangChain knows it."""
    return IndexStore("any", embedder).embeddings


@pytest.mark.parametrize(
    "metadata",
    [{"a": (1, 2)}, {"a": {1}}, {"a": float("nan")}, {"a": b"x"}, {"a": {1: 2}}, {"a": "\ud800"}],
)
def test_metadata_that_would_change_are_refused(metadata: dict[str, Any], fresh_home: Path) -> None:
    with pytest.raises(ValueError, match="document '1'"):
        IndexStore("own", Counting()).add_texts(["text"], [metadata], ids=["1"])
    assert generations.index_names() == []


def test_what_does_not_fit_together_is_refused(fresh_home: Path) -> None:
    opened = IndexStore.from_texts(["one", "two"], Counting(), name="own")
    for call in (
        lambda: opened.add_texts(["a", "b"], ids=["1"]),
        lambda: opened.add_texts(["a", "b"], [{}]),
        lambda: opened.add_documents([Document("a")], ids=[]),
        lambda: opened.similarity_search("one", k=0),
        lambda: opened.similarity_search_by_vector([1.0, 2.0]),
        lambda: opened.similarity_search_by_vector([float("nan")] * 6),
    ):
        with pytest.raises(ValueError, match=r"shorter|longer|0 results|2 dimensions|not finite"):
            call()
    with pytest.raises(TypeError, match="does not know colour"):
        opened.similarity_search("one", colour="red")
    with pytest.raises(TypeError, match="not list"):
        opened.similarity_search("one", filter=["page", 1])
    with pytest.raises(UsageError, match="no index name"):
        IndexStore.from_texts(["one"], Counting())
    assert opened.add_documents([]) == []


# Searching.


def test_every_way_of_searching(fresh_home: Path, embedder: LocalEmbedder) -> None:
    texts = ["The salary is good.", "The salary is good!", "Everyone has 30 days of leave."]
    documents = [Document(id=str(n), page_content=text) for n, text in enumerate(texts)]
    opened = IndexStore.from_documents(documents, opened_embeddings(embedder), name="own")
    query = "What is the pay?"
    scored = opened.similarity_search_with_score(query, k=3)
    cosines = embedder.embed(texts) @ embedder.embed([query])[0]
    order = np.argsort(-cosines)
    assert [found.id for found, _ in scored] == [str(at) for at in order]
    assert [score for _, score in scored] == pytest.approx(cosines[order], abs=1e-5)
    vector = opened.embeddings.embed_query(query)
    longer = [x * 7 for x in vector]
    assert opened.similarity_search_by_vector(longer, k=3) == [found for found, _ in scored]
    relevances = opened.similarity_search_with_relevance_scores("leave", k=3)
    assert all(0 <= score <= 1 for _, score in relevances)
    near = {"score_threshold": float(cosines[order[1]]) - 0.001}
    strict = opened.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"k": 3} | near
    )
    assert [found.id for found in strict.invoke(query)] == [str(at) for at in order[:2]]
    varied = {"k": 2, "lambda_mult": 0.0}
    retriever = opened.as_retriever(search_type="mmr", search_kwargs=varied)
    assert [found.id for found in retriever.invoke(query)] == [str(order[0]), "2"]
    assert opened.max_marginal_relevance_search_by_vector(vector, **varied) == retriever.invoke(
        query
    )


# Writing.


def test_only_what_changed_is_embedded(fresh_home: Path) -> None:
    embeddings = Counting()
    opened = IndexStore("own", embeddings)
    opened.add_texts(["one", "two"], [{"a": 1}, {}], ids=["1", "2"])
    first = generations.current("own")
    del embeddings.asked[:]
    opened.add_texts(["two", "three"], ids=["2", "3"])
    assert embeddings.asked == ["three"]
    second = generations.current("own")
    opened.add_texts(["one"], [{"a": True}], ids=["1"])
    third = generations.current("own")
    assert embeddings.asked == ["three"], "of other metadata there are no other vectors"
    assert opened.get_by_ids(["1"])[0].metadata["a"] is True
    assert len({one.manifest["fingerprint"] for one in (first, second, third)}) == 3
    hashes = {document.source: document.sha256 for document in store.read_documents(third)}
    assert third.manifest["documents"] == hashes
    opened.add_texts(["one"], [{"a": True}], ids=["1"])
    opened.delete(["4"])
    assert generations.current("own").folder == third.folder, "nothing changed"


def test_deleted_means_gone_and_all_can_go(fresh_home: Path, embedder: LocalEmbedder) -> None:
    opened = IndexStore("own", embedder)
    assert opened.delete(["nothing"]) is True
    opened.add_texts(["The quokka sleeps."], [{"codeword": "plinth-4711"}], ids=["secret.md"])
    opened.add_texts(["The salary is good."], ids=["pay"])
    assert on_disk("quokka")
    assert on_disk("plinth")
    opened.delete(["secret.md"])
    assert [on_disk(canary) for canary in ("quokka", "plinth", "4711", "secret.md")] == [[]] * 4
    opened.delete()
    assert on_disk("salary") == []
    assert opened.similarity_search("salary") == []
    assert IndexStore("own", embedder).get_by_ids(["pay"]) == []
    empty = IndexRetriever.open("own")
    assert (empty.invoke("salary"), empty.index.documents) == ([], ())
    assert generations.current("own").manifest["dimension"] == 384
    opened.add_texts(["The salary is good."], ids=["pay"])
    assert [found.id for found in opened.similarity_search("salary")] == ["pay"]


def on_disk(canary: str) -> list[Path]:
    """The files of the data folder that hold `canary`."""
    files = [path for path in data_folder().rglob("*") if path.is_file()]
    return [file for file in files if canary.encode() in file.read_bytes()]


def test_files_and_added_documents_share_an_index(
    fresh_home: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("# Pay\n\nThe salary is good.\n\n## Bonus\n\nThere is one.\n")
    (folder / "b.md").write_text("Everyone has 30 days of leave.")
    build("own", [folder], embedder)
    opened = IndexStore("own", embedder)
    found = opened.similarity_search("salary", k=2)[0]
    place = {"source": "a.md", "title": "Pay", "section": ["Pay"], "start": 7, "end": 26}
    assert found == Document(id="a.md#7-26", page_content="The salary is good.", metadata=place)
    opened.add_texts(["Parking is free."], [{"page": 1}], ids=["added"])
    opened.add_texts(["Written anew."], ids=["b.md"])
    (folder / "a.md").write_text("# Pay\n\nThe salary is fair.")
    report = update("own", embedder)
    assert (report.added, report.changed, report.removed) == ((), ("a.md",), ())
    kept = opened.get_by_ids(["a.md", "b.md", "added"])
    assert [one.page_content[-5:] for one in kept] == ["fair.", "anew.", "free."]
    assert kept[2].metadata == {"page": 1}
    report = build("own", [folder], embedder)
    assert (report.changed, report.removed) == (("b.md",), ("added",))
    opened.delete(["a.md"])
    assert [document.id for document in opened.similarity_search("salary")] == ["b.md"]


def test_only_what_came_from_files_is_updated_from_them(fresh_home: Path) -> None:
    opened = IndexStore.from_texts(["one"], Counting(), ids=["1"], name="own")
    with pytest.raises(UsageError, match="not built from files"):
        update("own", LocalEmbedder("x", fresh_home, "f" * 64))
    assert opened.get_by_ids(["1"])


def test_the_record_manager_of_langchain(fresh_home: Path, embedder: LocalEmbedder) -> None:
    opened, records = IndexStore("own", embedder), InMemoryRecordManager("own")
    records.create_schema()

    def indexed(cleanup: Any, **texts: str) -> tuple[int, int, int]:
        """How many were added, skipped and deleted."""
        documents = [Document(text, metadata={"source": name}) for name, text in texts.items()]
        done = index(
            documents,
            records,
            opened,
            cleanup=cleanup,
            source_id_key="source",
            key_encoder="sha256",
        )
        return done["num_added"], done["num_skipped"], done["num_deleted"]

    def held() -> set[str]:
        return {found.page_content for found in opened.similarity_search("pay", k=9)}

    assert indexed("incremental", a="The pay.", b="The leave.") == (2, 0, 0)
    assert indexed("incremental", a="The pay.", b="The leave.") == (0, 2, 0)
    assert indexed("incremental", a="The new pay.") == (1, 0, 1)
    assert held() == {"The new pay.", "The leave."}
    assert indexed("full", b="The leave.", c="The travel.") == (1, 1, 1)
    assert held() == {"The leave.", "The travel."}
    assert indexed("full") == (0, 0, 2)
    assert held() == set()


# Identity, other writers, faults.


@pytest.mark.parametrize(
    "other",
    [
        DeterministicFakeEmbedding(size=6),
        Counting(size=7),
        Counting(noise=0.5),
        FakeEmbeddings(size=6),
    ],
)
def test_an_index_is_bound_to_its_embeddings(other: Embeddings, fresh_home: Path) -> None:
    IndexStore.from_texts(["one"], Counting(), ids=["1"], name="own")
    before = generations.state("own")
    foreign = IndexStore("own", other)
    for use in (
        lambda: foreign.similarity_search("one"),
        lambda: foreign.add_texts(["two"]),
        lambda: foreign.delete(["1"]),
        lambda: IndexRetriever.open("own", other),
    ):
        with pytest.raises(IndexForeign, match="made with embedder 'Counting'"):
            use()
    assert generations.state("own") == before


def test_a_service_may_repeat_a_vector_inexactly(fresh_home: Path) -> None:
    IndexStore.from_texts(["one"], Counting(), ids=["1"], name="own")
    before = generations.current("own").manifest
    embeddings = Counting(noise=0.001)
    again = IndexStore("own", embeddings)
    again.add_texts(["two"], ids=["2"])
    assert embeddings.asked[1:] == ["two"]
    assert generations.current("own").manifest["embedder"] == before["embedder"]
    assert len(again.similarity_search("one")) == 2


def test_what_others_write_is_found(fresh_home: Path) -> None:
    one, other = IndexStore("own", Counting()), IndexStore("own", Counting())
    one.add_texts(["one"], ids=["1"])
    assert len(other.similarity_search("x")) == 1
    threads = [
        threading.Thread(target=one.add_texts, args=([f"text {n}"],), kwargs={"ids": [f"t{n}"]})
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(other.similarity_search("x", k=9)) == 7
    generations.remove("own")
    assert other.similarity_search("x") == []


def test_a_failed_service_leaves_the_index(fresh_home: Path) -> None:
    embeddings = Counting()
    opened = IndexStore.from_texts(["one"], embeddings, ids=["1"], name="own")
    before = generations.state("own")
    embeddings.fails = True
    with pytest.raises(ModelUnavailable, match="no route to host"):
        opened.add_texts(["two"])
    assert generations.state("own") == before
    assert opened.get_by_ids(["1"])


def test_a_filter_lets_through_what_has_its_metadata(fresh_home: Path) -> None:
    metadatas = [{"page": 1, "lang": "en"}, {"page": 2, "lang": "en"}, {"page": 1}]
    opened = IndexStore.from_texts(
        ["one", "two", "three"], Counting(), metadatas, ids=["1", "2", "3"], name="own"
    )
    vector = Counting().embed_query("one")

    def ids(found: list[Document]) -> set[str | None]:
        return {document.id for document in found}

    for only, expected in [
        ({"page": 1}, {"1", "3"}),
        ({"page": 1, "lang": "en"}, {"1"}),
        ({"page": "1"}, set()),
        ({}, {"1", "2", "3"}),
        (Filter(sources=("2", "3")), {"2", "3"}),
    ]:
        assert ids(opened.similarity_search("one", filter=only)) == expected
        assert ids(opened.similarity_search("one", filter=only, exact=True)) == expected
        assert ids(opened.similarity_search_by_vector(vector, filter=only)) == expected
        assert ids(opened.max_marginal_relevance_search("one", filter=only)) == expected
        assert ids(opened.as_retriever(search_kwargs={"filter": only}).invoke("one")) == expected


def test_damage_is_refused_and_what_is_whole_is_kept(fresh_home: Path) -> None:
    opened = IndexStore.from_texts(["one", "two"], Counting(), ids=["1", "2"], name="own")
    folder = generations.current("own").folder
    (folder / "vectors" / "000001.vectors.f32").write_bytes(b"nonsense")
    with pytest.raises(IndexCorrupt, match=r"vectors\.f32"):
        opened.similarity_search("one")
    opened.add_texts(["three"], ids=["3"])
    assert len(opened.similarity_search("one")) == 3
    (generations.current("own").folder / "documents.jsonl").write_bytes(b"{}")
    with pytest.raises(IndexCorrupt, match=r"documents\.jsonl"):
        opened.add_texts(["four"], ids=["4"])


def test_no_index_is_no_retriever(fresh_home: Path) -> None:
    with pytest.raises(IndexMissing):
        IndexRetriever.open("nope")


def test_only_its_module_loads_langchain() -> None:
    code = "import sys, index.build, index.models; print('langchain_core' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr
