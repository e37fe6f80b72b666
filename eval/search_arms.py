"""The ways of searching that `career-eval bench search` compares, each in a process of its own.

    python -P -m eval.search_arms NAME RECALL [FOLDER]

serves one of them: it reads a JSON command a line on stdin and answers each with a JSON line on
stdout. Packages are also looked for in FOLDER, after our own. Nothing but numpy is imported here
before the arm is known, so that the memory of a process is that of its arm.
"""
# ruff: noqa: ARG002  one form for several libraries, each of which needs a part of what is given

import gc
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Setting = dict[str, int]

K = 10
_CHANGES = 5  # vectors that are added, and removed, one at a time
_NONE = np.int64(-1)


class Unsupported(Exception):
    """The library cannot do this."""


class Missing(Exception):
    """What the arm needs is not installed; the text says what to do."""


class Arm:
    """A way of searching. It finds the ids of the `K` nearest rows, best first; -1 is none."""

    modules: tuple[str, ...] = ()
    pips: tuple[str, ...] = ()  # whose versions a row names
    note = ""

    def load(self) -> None:
        """Import what is needed.

        Raises:
            Missing: it is not installed.
        """
        try:
            self.library: Any = import_module(self.modules[0])
        except ImportError as error:
            raise Missing(f"not installed: pip install {' '.join(self.pips)}") from error

    def ladders(self, n: int) -> list[list[Setting]]:
        """Settings from cheap to thorough, to be tuned with; none for what is exact."""
        return []

    def build(self, matrix: Floats, folder: Path) -> None:
        """Make the index of the unit rows of `matrix`, with their numbers as ids, in `folder`."""
        raise NotImplementedError

    def open(self, folder: Path, setting: Setting) -> None:
        """Open what `build` left in `folder`."""
        raise NotImplementedError

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """The nearest rows of each query, among the ids `allowed`: (len(queries), K)."""
        raise NotImplementedError

    def add(self, at: int, vector: Floats) -> None:
        """Add one unit vector under the id `at`, the number of vectors so far."""
        raise Unsupported

    def remove(self, at: int) -> None:
        """Remove the vector with the id `at`."""
        raise Unsupported


class Ours(Arm):
    """index.vectors, of one kind."""

    def __init__(self, kind: str, recall: float) -> None:
        self._kind = kind
        self._recall = recall

    def load(self) -> None:
        """Import our own index."""
        try:
            self.library = import_module("index.vectors")
        except ModuleNotFoundError as error:
            raise Missing(f"not installed: this version has no {error.name}") from error

    def build(self, matrix: Floats, folder: Path) -> None:
        """Add, build and tune, write."""
        plan = self.library.Plan(self._kind, self._recall)
        made = self.library.Vectors.empty(matrix.shape[1]).added(matrix)
        description = made.compacted(plan).write(folder)
        (folder / "description.json").write_text(json.dumps(description))
        kinds = {segment["kind"] for segment in description["segments"]}
        if kinds != {self._kind}:
            self.note = f"so few are searched as {', '.join(sorted(kinds))}"
        elif self._kind != "exact":
            self.note = "tuned itself while it was built"

    def open(self, folder: Path, setting: Setting) -> None:
        """Read what the description names."""
        description = json.loads((folder / "description.json").read_text())
        self._index = self.library.Vectors.read(description, lambda name: mapped(folder / name))

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """The ids that are found."""
        found: Ids = self._index.search(queries, K, allowed=allowed)[1]
        return found

    def add(self, at: int, vector: Floats) -> None:
        """A new snapshot with one more."""
        self._index = self._index.added(vector[None])

    def remove(self, at: int) -> None:
        """A new snapshot with one less."""
        self._index = self._index.removed(np.array([at], dtype=np.int64))


class Numpy(Arm):
    """One product and a partial sort."""

    modules = pips = ("numpy",)

    def build(self, matrix: Floats, folder: Path) -> None:
        """Save the rows."""
        np.save(folder / "vectors.npy", matrix)

    def open(self, folder: Path, setting: Setting) -> None:
        """Load the rows into memory."""
        self._rows: Floats = np.load(folder / "vectors.npy")
        self._ids: Ids = np.arange(len(self._rows))

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """All scores, the K best sorted."""
        rows, ids = self._rows, self._ids
        if allowed is not None:
            rows, ids = rows[allowed], ids[allowed]
        scores = (rows @ queries[0])[None] if len(queries) == 1 else queries @ rows.T
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found: Ids = ids[np.take_along_axis(best, order, axis=1)]
        return found

    def add(self, at: int, vector: Floats) -> None:
        """Copy everything, and one more."""
        self._rows = np.concatenate([self._rows, vector[None]])
        self._ids = np.append(self._ids, at)

    def remove(self, at: int) -> None:
        """Copy everything but one."""
        place = int(np.flatnonzero(self._ids == at)[0])
        self._rows = np.delete(self._rows, place, axis=0)
        self._ids = np.delete(self._ids, place)


class Faiss(Arm):
    """An index of faiss by the words of its factory; {dim/4} and {nlist} are filled in."""

    modules, pips = ("faiss",), ("faiss-cpu",)

    def __init__(self, factory: str) -> None:
        self._factory = factory

    def ladders(self, n: int) -> list[list[Setting]]:
        """Doubling efSearch; doubling k_factor; doubling nprobe for each of four k_factors."""
        if "IVF" in self._factory:
            probes = doubling(1, lists_for(n))
            return [[{"k_factor": k, "nprobe": p} for p in probes] for k in (2, 4, 8, 16)]
        if "PQ" in self._factory:
            return [[{"k_factor": k} for k in doubling(1, min(512, n // K))]]
        if "HNSW" in self._factory:
            return [[{"efSearch": ef} for ef in doubling(16, 2048)]]
        return []

    def build(self, matrix: Floats, folder: Path) -> None:
        """Train and add, write."""
        n, dim = matrix.shape
        words = self._factory.replace("{nlist}", str(lists_for(n)))
        words = words.replace("{dim/4}", str(dim // 4))
        index = self.library.index_factory(dim, words, self.library.METRIC_INNER_PRODUCT)
        if "HNSW" in words:
            index.hnsw.efConstruction = 100
        index.train(matrix)
        index.add(matrix)
        self.library.write_index(index, str(folder / "index.faiss"))

    def open(self, folder: Path, setting: Setting) -> None:
        """Read the index into memory."""
        self._index = self.library.read_index(str(folder / "index.faiss"))
        self._setting = setting

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """With the parameters of this search, a bitmap of the allowed ids among them."""
        bits = selector = None
        if allowed is not None:
            chosen = np.zeros(self._index.ntotal, dtype=bool)
            chosen[allowed] = True
            bits = np.packbits(chosen, bitorder="little")
            selector = self.library.IDSelectorBitmap(bits)
        parameters, kept = self._parameters(selector)
        try:
            found: Ids = self._index.search(queries, K, params=parameters)[1]
        except RuntimeError as error:  # "selector not supported", in several wordings
            if selector is None:
                raise
            raise Unsupported(str(error)) from error
        del kept, bits  # faiss only points at them
        return found

    def _parameters(self, selector: Any) -> tuple[Any, Any]:
        """The parameters of a search, and what has to live as long as they do."""
        faiss, chosen = self.library, {} if selector is None else {"sel": selector}
        if "RFlat" in self._factory:
            inner = None
            if "IVF" in self._factory:
                inner = faiss.SearchParametersIVF(nprobe=self._at("nprobe"), **chosen)
            elif chosen:
                inner = faiss.SearchParameters(**chosen)
            given = {} if inner is None else {"base_index_params": inner}
            refined = faiss.IndexRefineSearchParameters(k_factor=self._at("k_factor"), **given)
            return refined, inner
        if "HNSW" in self._factory:
            return faiss.SearchParametersHNSW(efSearch=self._at("efSearch"), **chosen), None
        return (faiss.SearchParameters(**chosen) if chosen else None), None

    def _at(self, name: str) -> int:
        return self._setting.get(name, 1)

    def add(self, at: int, vector: Floats) -> None:
        """Faiss numbers it itself."""
        self._index.add(vector[None])

    def remove(self, at: int) -> None:
        """What comes after it is numbered anew."""
        try:
            self._index.remove_ids(np.array([at], dtype=np.int64))
        except RuntimeError as error:
            raise Unsupported(str(error)) from error


class Hnswlib(Arm):
    """hnswlib, M=16."""

    modules = pips = ("hnswlib",)

    def ladders(self, n: int) -> list[list[Setting]]:
        """Doubling ef."""
        return [[{"ef": ef} for ef in doubling(16, 2048)]]

    def build(self, matrix: Floats, folder: Path) -> None:
        """Add all, save."""
        index = self.library.Index(space="ip", dim=matrix.shape[1])
        index.init_index(max_elements=len(matrix), M=16, ef_construction=100)
        index.add_items(matrix)
        index.save_index(str(folder / "index.bin"))
        (folder / "shape.json").write_text(json.dumps(matrix.shape))

    def open(self, folder: Path, setting: Setting) -> None:
        """Load the index with room for a few more."""
        n, dim = json.loads((folder / "shape.json").read_text())
        self._index = self.library.Index(space="ip", dim=dim)
        self._index.load_index(str(folder / "index.bin"), max_elements=n + 1000)
        self._index.set_ef(setting.get("ef", K))

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """A filter is a function that is called for every vector that is met."""
        if allowed is None:
            return np.asarray(self._index.knn_query(queries, K)[0], dtype=np.int64)
        among = set(allowed.tolist())
        try:
            found = self._index.knn_query(queries, K, num_threads=1, filter=among.__contains__)[0]
        except RuntimeError:  # it met fewer than K of them, and then says nothing of those
            return np.full((len(queries), K), _NONE)
        return np.asarray(found, dtype=np.int64)

    def add(self, at: int, vector: Floats) -> None:
        """Into the graph."""
        self._index.add_items(vector[None], np.array([at]))

    def remove(self, at: int) -> None:
        """Only marked as deleted."""
        self._index.mark_deleted(at)


class Usearch(Arm):
    """usearch in float32, M=16."""

    modules, pips = ("usearch.index",), ("usearch",)

    def ladders(self, n: int) -> list[list[Setting]]:
        """Doubling expansion."""
        return [[{"expansion_search": e} for e in doubling(16, 2048)]]

    def build(self, matrix: Floats, folder: Path) -> None:
        """Add all, save."""
        index = self._empty(matrix.shape[1])
        index.add(np.arange(len(matrix)), matrix)
        index.save(str(folder / "index.usearch"))
        (folder / "dimension.json").write_text(json.dumps(matrix.shape[1]))

    def open(self, folder: Path, setting: Setting) -> None:
        """Load the index into memory: one that is only mapped cannot be changed."""
        self._index = self._empty(json.loads((folder / "dimension.json").read_text()))
        self._index.load(str(folder / "index.usearch"))
        self._index.expansion_search = setting.get("expansion_search", 64)

    def _empty(self, dimension: int) -> Any:
        return self.library.Index(
            ndim=dimension, metric="ip", dtype="f32", connectivity=16, expansion_add=100
        )

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """Its Python part takes no filter."""
        if allowed is not None:
            raise Unsupported
        return np.atleast_2d(self._index.search(queries, K).keys).astype(np.int64)

    def add(self, at: int, vector: Floats) -> None:
        """Into the graph."""
        self._index.add(at, vector)

    def remove(self, at: int) -> None:
        """Out of what is found."""
        self._index.remove(at)


class SqliteVec(Arm):
    """A vec0 table; all that is near in L2 is near in the product of unit vectors."""

    modules, pips = ("sqlite_vec",), ("sqlite-vec",)
    note = "takes one query at a time; changes are on disk when they return"

    def load(self) -> None:
        """Import sqlite-vec, and an SQLite that loads extensions."""
        super().load()
        import sqlite3

        self._connect: Callable[[str], Any] = sqlite3.connect
        if not hasattr(sqlite3.Connection, "enable_load_extension"):
            try:
                self._connect = import_module("apsw").Connection
            except ImportError as error:
                raise Missing(
                    "not installed: this Python's sqlite3 loads no extensions: pip install apsw"
                ) from error

    def build(self, matrix: Floats, folder: Path) -> None:
        """One transaction."""
        self.open(folder, {})
        self._db.execute(f"create virtual table v using vec0(embedding float[{matrix.shape[1]}])")
        with self._db:
            self._db.executemany(
                "insert into v(rowid, embedding) values (?, ?)",
                ((at, row.tobytes()) for at, row in enumerate(matrix)),
            )
        self._db.close()

    def open(self, folder: Path, setting: Setting) -> None:
        """Connect."""
        self._db = self._connect(str(folder / "vectors.db"))
        self._db.enable_load_extension(True)
        self._db.load_extension(self.library.loadable_path())

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """A select for each query."""
        among = "" if allowed is None else "and rowid in (select value from json_each(?))"
        select = (
            f"select rowid from v where embedding match ? and k = {K} {among} order by distance"  # noqa: S608
        )
        given = () if allowed is None else (json.dumps(allowed.tolist()),)
        return filled(
            [at for (at,) in self._db.execute(select, (query.tobytes(), *given))]
            for query in queries
        )

    def add(self, at: int, vector: Floats) -> None:
        """Insert and commit."""
        with self._db:
            self._db.execute("insert into v(rowid, embedding) values (?, ?)", (at, bytes(vector)))

    def remove(self, at: int) -> None:
        """Delete and commit."""
        with self._db:
            self._db.execute("delete from v where rowid = ?", (at,))


class Chroma(Arm):
    """A persistent collection, M=16."""

    modules = pips = ("chromadb",)
    note = "changes are on disk when they return"
    _NAME = "vectors"

    def ladders(self, n: int) -> list[list[Setting]]:
        """Doubling ef_search."""
        return [[{"ef_search": ef} for ef in doubling(16, 2048)]]

    def build(self, matrix: Floats, folder: Path) -> None:
        """Add in the largest batches that it takes."""
        client = self._client(folder)
        hnsw = {"space": "ip", "ef_construction": 100, "max_neighbors": 16}
        collection = client.create_collection(
            self._NAME, configuration={"hnsw": hnsw}, embedding_function=None
        )
        step = client.get_max_batch_size()
        for start in range(0, len(matrix), step):
            part = matrix[start : start + step]
            ids = [str(at) for at in range(start, start + len(part))]
            collection.add(ids=ids, embeddings=part)

    def open(self, folder: Path, setting: Setting) -> None:
        """Open the collection; a change of ef_search holds from the next opening on."""
        self._open(folder)
        wanted = setting.get("ef_search")
        if wanted and self._collection.configuration["hnsw"]["ef_search"] != wanted:
            self._collection.modify(configuration={"hnsw": {"ef_search": wanted}})
            import_module(
                "chromadb.api.shared_system_client"
            ).SharedSystemClient.clear_system_cache()
            self._open(folder)

    def _open(self, folder: Path) -> None:
        self._collection = self._client(folder).get_collection(self._NAME, embedding_function=None)

    def _client(self, folder: Path) -> Any:
        settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
        return self.library.PersistentClient(str(folder), settings)

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """Filtered by ids."""
        among = {} if allowed is None else {"ids": [str(at) for at in allowed]}
        found = self._collection.query(query_embeddings=queries, n_results=K, include=[], **among)
        return filled([int(at) for at in ids] for ids in found["ids"])

    def add(self, at: int, vector: Floats) -> None:
        """Written to its log too."""
        self._collection.add(ids=[str(at)], embeddings=vector[None])

    def remove(self, at: int) -> None:
        """Written to its log too."""
        self._collection.delete(ids=[str(at)])


class Lance(Arm):
    """A table with LanceDB's own choice of an IVF_PQ index."""

    modules, pips = ("lancedb",), ("lancedb",)
    note = "changes are on disk when they return"

    def load(self) -> None:
        """Import LanceDB, quiet."""
        os.environ["RUST_LOG"] = os.environ["LANCE_LOG"] = "error"
        super().load()

    def ladders(self, n: int) -> list[list[Setting]]:
        """Doubling nprobes for each of three refine factors."""
        probes = doubling(1, lists_for(n))
        return [[{"refine_factor": k, "nprobes": p} for p in probes] for k in (4, 16, 64)]

    def build(self, matrix: Floats, folder: Path) -> None:
        """Write the rows, then index them."""
        table = self.library.connect(str(folder)).create_table(
            "v", self._rows(range(len(matrix)), matrix)
        )
        table.create_index(metric="dot", vector_column_name="vector")

    def open(self, folder: Path, setting: Setting) -> None:
        """Open the table."""
        self._table = self.library.connect(str(folder)).open_table("v")
        self._setting = setting

    def _rows(self, ids: Iterable[int], matrix: Floats) -> Any:
        arrow = import_module("pyarrow")
        vectors = arrow.FixedSizeListArray.from_arrays(
            arrow.array(matrix.reshape(-1)), matrix.shape[1]
        )
        return arrow.table({"id": arrow.array(list(ids), arrow.int64()), "vector": vectors})

    def search(self, queries: Floats, allowed: Ids | None = None) -> Ids:
        """Several queries go in one call; a filter is applied first."""
        many = len(queries) > 1
        asked = self._table.search(
            list(queries) if many else queries[0], vector_column_name="vector"
        )
        asked = asked.distance_type("dot").select(["id", "_distance"]).limit(K)
        if self._setting:
            asked = asked.nprobes(self._setting["nprobes"])
            asked = asked.refine_factor(self._setting["refine_factor"])
        if allowed is not None:
            asked = asked.where(f"id in ({','.join(map(str, allowed))})", prefilter=True)
        found = asked.to_arrow()
        ids = found["id"].to_pylist()
        owners = found["query_index"].to_pylist() if many else [0] * len(ids)
        lists: list[list[int]] = [[] for _ in queries]
        for owner, at in zip(owners, ids, strict=True):
            lists[owner].append(at)
        return filled(lists)

    def add(self, at: int, vector: Floats) -> None:
        """A new version of the table."""
        self._table.add(self._rows([at], vector[None]))

    def remove(self, at: int) -> None:
        """A new version of the table."""
        self._table.delete(f"id = {at}")


ARMS: Mapping[str, Callable[[float], Arm]] = {
    "ours exact": lambda recall: Ours("exact", recall),
    "ours pq": lambda recall: Ours("pq", recall),
    "ours ivf": lambda recall: Ours("ivf", recall),
    "numpy": lambda _: Numpy(),
    "faiss IndexFlatIP": lambda _: Faiss("Flat"),
    "faiss HNSW32": lambda _: Faiss("HNSW32"),
    "faiss IVFPQfs+refine": lambda _: Faiss("IVF{nlist},PQ{dim/4}x4fs,RFlat"),
    "faiss PQfs+refine": lambda _: Faiss("PQ{dim/4}x4fs,RFlat"),
    "hnswlib": lambda _: Hnswlib(),
    "usearch": lambda _: Usearch(),
    "sqlite-vec": lambda _: SqliteVec(),
    "chromadb": lambda _: Chroma(),
    "lancedb": lambda _: Lance(),
}


def doubling(start: int, end: int) -> list[int]:
    """`start` and its doubles up to `end`, which is the last."""
    steps = [start << power for power in range(32) if start << power < end]
    return [*steps, max(start, end)]


def lists_for(n: int) -> int:
    """The power of two next to the root of `n`: 1,024 lists for a million vectors."""
    return 1 << round(math.log2(math.sqrt(n)))


def mapped(file: Path) -> NDArray[np.uint8]:
    """The bytes of a file, mapped; an empty one cannot be."""
    if not file.stat().st_size:
        return np.empty(0, dtype=np.uint8)
    return np.memmap(file, dtype=np.uint8, mode="r")


def filled(lists: Iterable[Sequence[int]]) -> Ids:
    """The ids of each query in a row of K, -1 where there are fewer."""
    rows = [[*ids[:K], *[_NONE] * (K - len(ids))] for ids in lists]
    return np.array(rows, dtype=np.int64)


class Session:
    """One arm, and the commands that it answers."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def hello(self) -> dict[str, Any]:
        """Import everything, and name the versions."""
        self._arm.load()
        versions = ", ".join(f"{pip} {metadata.version(pip)}" for pip in self._arm.pips)
        return {"version": versions or "this checkout"}

    def ladders(self, n: int) -> dict[str, Any]:
        """What to tune with."""
        return {"ladders": self._arm.ladders(n)}

    def build(self, matrix: str, folder: str) -> dict[str, Any]:
        """Build and save, from vectors in memory to files."""
        rows = np.load(matrix)
        started = time.perf_counter()
        self._arm.build(rows, Path(folder))
        return {"build_s": time.perf_counter() - started, "note": self._arm.note}

    def open(self, folder: str, queries: str, setting: Setting, first: int = 0) -> dict[str, Any]:
        """Open the saved index and ask it the query number `first`."""
        self._queries: Floats = np.load(queries)
        gc.collect()
        self._before = _memory(reset=True)
        started = time.perf_counter()
        self._arm.open(Path(folder), setting)
        self._arm.search(self._queries[first : first + 1])
        return {"open_ms": _since(started)}

    def search(
        self, groups: Sequence[Sequence[int]], seconds: float, allowed: str | None = None
    ) -> dict[str, Any]:
        """The milliseconds and the ids of each group of queries, until `seconds` are over."""
        among = np.load(allowed) if allowed else None
        took: list[float] = []
        found: list[Any] = []
        end = time.perf_counter() + seconds
        for group in groups:
            queries = np.ascontiguousarray(self._queries[list(group)])
            started = time.perf_counter()
            ids = self._arm.search(queries, among)
            took.append(_since(started))
            found += ids.tolist()
            if time.perf_counter() > end:
                break
        return {"ms": took, "ids": found}

    def memory(self) -> dict[str, Any]:
        """By how much the memory has grown since the index was opened, in MB."""
        now = _memory()
        grown = {name: max(0.0, now[name] - self._before[name]) for name in ("peak", "anonymous")}
        anonymous = grown["anonymous"] if sys.platform == "linux" else None
        return {"rss_mb": grown["peak"], "rss_anon_mb": anonymous}

    def add(self, at: int) -> dict[str, Any]:
        """The milliseconds of adding one vector, and whether it is found then.

        The vectors are queries, the ids go from `at` on.
        """
        took = []
        for number in range(_CHANGES):
            vector = self._queries[number]
            started = time.perf_counter()
            self._arm.add(at + number, vector)
            took.append(_since(started))
        found = self._arm.search(self._queries[:1])[0, 0] == at
        return {"ms": statistics.median(took), "works": bool(found)}

    def remove(self) -> dict[str, Any]:
        """The milliseconds of removing one vector, and whether it is not found any more."""
        took = []
        works = True
        for number in range(_CHANGES):
            query = self._queries[-1 - number][None]
            at = int(self._arm.search(query)[0, 0])
            started = time.perf_counter()
            self._arm.remove(at)
            took.append(_since(started))
            works = works and int(self._arm.search(query)[0, 0]) != at
        return {"ms": statistics.median(took), "works": works}

    def about(self) -> dict[str, Any]:
        """The linear algebra that numpy and faiss bring, and what faiss was compiled for."""
        faiss = import_module("faiss")
        kept = ("internal_api", "version", "architecture", "num_threads", "threading_layer")
        pools = []
        with suppress(ImportError):
            pools = [
                # the folder's name tells whose it is
                {"of": Path(pool["filepath"]).parent.name} | {key: pool.get(key) for key in kept}
                for pool in import_module("threadpoolctl").threadpool_info()
            ]
        return {"blas": pools, "faiss": faiss.get_compile_options().strip()}


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _memory(*, reset: bool = False) -> dict[str, float]:
    """Peak and anonymous memory of this process in MB; on Linux the peak can begin anew."""
    if sys.platform != "linux":
        import resource

        unit = 1e6 if sys.platform == "darwin" else 1e3
        return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "anonymous": 0.0}
    if reset:
        with suppress(OSError):  # a container may forbid it; then the peak of the imports counts
            Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: int(lines[field].split()[0]) / 1e3
        for name, field in (("peak", "VmHWM"), ("anonymous", "RssAnon"))
    }


def main(arguments: Sequence[str]) -> None:
    """Serve the arm that is named until stdin ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply
    name, recall, *folders = arguments
    sys.path += folders
    session = Session(ARMS[name](float(recall)))
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = getattr(session, command.pop("do"))(**command)
        except Unsupported:
            reply = {"unsupported": True}
        except Missing as missing:
            reply = {"missing": str(missing)}
        except Exception as error:
            said = " ".join(str(error).split())[-300:]
            reply = {"failed": f"{type(error).__name__}: {said}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
