"""What goes wrong is told in one line, damages nothing and is mended by the command it names.

Bad input, damaged and foreign indexes of every kind, full disks, kills at every act of a build,
racing writers, a taken port, models that are not there.
"""

import hashlib
import json
import mmap
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import EMBEDDER, MODELS, ROOT, Career, Ran, started

from assistant.cross_encoder import BASE
from corpus.errors import IndexCorrupt
from index import generations, store, vectors
from index.build import build, update, verify
from index.embedder import LocalEmbedder, Progress
from index.vectors import Plan

# Forks of one process share what it has imported; none of its libraries may have started threads.
FORKING = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small documents."""
    place = tmp_path / "documents"
    place.mkdir()
    (place / "pay.md").write_text("# Pay\n\nThe salary is good.\n\n- one\n- two\n")
    (place / "leave.txt").write_text("Leave\n\nEveryone has 30 days of leave.\n")
    return place


@pytest.fixture
def generation(fresh_home: Path, folder: Path, embedder: LocalEmbedder) -> Path:
    """The folder of the only generation of an index `own`."""
    build("own", [folder], embedder)
    return generations.current("own").folder


def write_many(place: Path) -> None:
    """Enough chunks for an approximate index, of which only twenty differ: quick to embed."""
    sections = (f"## {n % 20}\n\nTerm {n % 20} is kept.\n\n" for n in range(260))
    (place / "many.md").write_text("# Terms\n\n" + "".join(sections))


@pytest.fixture(scope="module")
def indexes(
    home: Path, embedder: LocalEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A folder with an index of each kind, which has what only large ones have.

    The first of its two segments is kept as it was, with a deleted row.
    """
    place = tmp_path_factory.mktemp("many")
    write_many(place)
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "_REWRITTEN", 100)
        for kind in ("exact", "pq", "ivf"):
            patch.setenv("CAREER_HOME", str(tmp_path_factory.mktemp(kind)))
            (place / "gone.md").write_text("This was removed.\n")
            build(kind, [place], embedder, plan=Plan(kind))
            (place / "gone.md").unlink()
            (place / "pay.md").write_text("The salary is good.\n")
            update(kind, embedder)
            (place / "pay.md").unlink()
            folders[kind] = generations.index_folder(kind)
    return folders


@pytest.fixture
def large(request: pytest.FixtureRequest, fresh_home: Path, indexes: dict[str, Path]) -> Path:
    """The generation of an index `own` that is a copy of that of a kind, which is the parameter."""
    shutil.copytree(indexes[request.param], generations.index_folder("own"))
    return generations.current("own").folder


every_kind = pytest.mark.parametrize("large", ["exact", "pq", "ivf"], indirect=True)


def error_of(ran: Ran) -> dict[str, str]:
    """The error that a command printed as JSON, with everything that an error must have."""
    assert set(ran.json) == {"error"}
    error: dict[str, str] = ran.json["error"]
    assert error["code"]
    assert error["message"]
    assert error["remedy"]
    assert "Traceback" not in ran.stderr
    return error


# --- questions


def test_ten_megabytes_of_question_are_refused_at_once(home: Path, career: Career) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = career("ask", "-", "--json", stdin=b"why " * 2_500_000)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.code == 2
    assert "too long" in error_of(ran)["message"]
    assert after.ru_utime - before.ru_utime < 2, "a model was loaded for it"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\xfd", "is not UTF-8"),
        (b"x" + "€".encode() * 100_000, "is too long"),  # read to the middle of a character
    ],
    ids=["nothing", "other bytes", "long"],
)
def test_what_is_no_question_is_refused_on_stdin_too(
    sent: bytes, said: str, career: Career
) -> None:
    ran = career("ask", "-", "--json", stdin=sent)
    assert (ran.code, error_of(ran)["code"]) == (2, "usage")
    assert said in ran.json["error"]["message"]


# --- files


def test_bad_files_are_told_one_by_one_and_the_good_ones_are_indexed(
    fresh_home: Path, folder: Path, career: Career
) -> None:
    bad = {
        "empty.md": b"",
        "binary.md": b"\x7fELF\0\0",
        "latin.txt": "Gehälter".encode("latin-1"),
        "utf16.txt": "pay".encode("utf-16"),
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.txt")
    ran = career.here("index", "build", str(folder), "--index", "own", "--json")
    assert ran.code == 0
    assert ran.json["added"] == ["leave.txt", "pay.md"]
    told = {unread["path"]: unread["reason"] for unread in ran.json["unread"]}
    assert set(told) == {*bad, "pipe.txt"}
    assert len(set(told.values())) == len(told), "each fault has words of its own"


NOTHING: dict[str, Callable[[Path], object]] = {
    "an empty folder": lambda place: None,
    "no readable ending": lambda place: (place / "x.docx").write_bytes(b"PK"),
    "an empty file": lambda place: (place / "x.md").write_bytes(b""),
    "headings only": lambda place: (place / "x.md").write_text("# One\n\n## Two\n"),
    "no folder": lambda place: place.rmdir(),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_corpus_without_text_is_refused_and_the_index_stays(
    name: str, generation: Path, tmp_path: Path, career: Career
) -> None:
    place = tmp_path / "nothing"
    place.mkdir()
    NOTHING[name](place)
    ran = career.here("index", "build", str(place), "--index", "own", "--json")
    assert (ran.code, error_of(ran)["code"]) == (2, "usage")
    named = "x.md" if (place / "x.md").exists() else str(place)
    assert named in ran.json["error"]["message"]
    assert generations.current("own").folder == generation
    assert set(verify("own").values()) == {"ok"}


# --- damage


def flipped(data: bytes, seed: int = 0) -> bytes:
    """`data` with one other bit, the same one every time."""
    chance = random.Random(seed)
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": flipped,
    "another flipped bit": lambda data: flipped(data, 1),
    "a third flipped bit": lambda data: flipped(data, 2),
    "a flipped bit in the header": lambda data: flipped(data[:16]) + data[16:],
    "half of it": lambda data: data[: len(data) // 2],
    "one byte less": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\0",
    "nothing": lambda data: b"",
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_found_before_the_file_is_used(
    damage: str, generation: Path, career: Career
) -> None:
    assert len(files_of(generation)) == 13
    damage_must_be_found(generation, DAMAGES[damage], career)


@every_kind
@pytest.mark.parametrize("damage", ["a flipped bit", "half of it"])
def test_damage_is_found_in_indexes_of_every_kind(damage: str, large: Path, career: Career) -> None:
    names = {file.name for file in (large / "vectors").iterdir()} - {"000001.faiss"}
    assert names == {
        *("000001.ids.i64", "000001.vectors.f32"),
        *("000002.ids.i64", "000002.vectors.f32"),
        "deleted.i64",
    }
    damage_must_be_found(large, DAMAGES[damage], career)


def files_of(generation: Path) -> list[Path]:
    """Every file of an index but the one that its writers lock."""
    return [generation.parent / "CURRENT", *(p for p in generation.rglob("*") if p.is_file())]


def damage_must_be_found(
    generation: Path, damage: Callable[[bytes], bytes], career: Career
) -> None:
    for file in files_of(generation):
        whole = file.read_bytes()
        broken = damage(whole)
        assert broken != whole
        file.write_bytes(broken)
        ran = career.here("search", "salary", "--index", "own", "--json")
        error = error_of(ran)
        assert (ran.code, error["code"]) == (5, "index_corrupt"), file
        if file.name != "CURRENT":  # if that one names another file, it is that which differs
            assert file.relative_to(generation).as_posix() in error["message"]
        assert error["remedy"] == "rebuild it with: career index build PATH… --index own"
        assert career.here("index", "verify", "--index", "own", "--json").code == 5, file
        file.write_bytes(whole)
    assert career.here("search", "salary", "--index", "own").code == 0


def test_a_missing_or_swapped_file_is_damage_too(
    generation: Path, folder: Path, embedder: LocalEmbedder, career: Career
) -> None:
    (folder / "more.md").write_text("More of it.\n")
    build("other", [folder], embedder)
    swap_and_miss(generation, generations.current("other").folder, career)


@every_kind
def test_a_missing_or_swapped_file_is_damage_in_indexes_of_every_kind(
    large: Path, indexes: dict[str, Path], career: Career, embedder: LocalEmbedder, tmp_path: Path
) -> None:
    """The other files are those of another kind, or of the same one after one more update."""
    (tmp_path / "more.md").write_text("More of it.\n")
    shutil.copytree(large.parent, generations.index_folder("other"))
    build("other", [tmp_path], embedder)
    swap_and_miss(large, generations.current("other").folder, career)
    first, second = (large / "vectors" / f"00000{n}.ids.i64" for n in (1, 2))
    whole = first.read_bytes(), second.read_bytes()
    first.write_bytes(whole[1]), second.write_bytes(whole[0])
    ran = career.here("search", "salary", "--index", "own", "--json")
    assert error_of(ran)["code"] == "index_corrupt", "files of two segments are swapped"


def swap_and_miss(generation: Path, other: Path, career: Career) -> None:
    for file in sorted(path for path in generation.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        twin = other / file.relative_to(generation)
        if twin.exists() and twin.read_bytes() != whole:
            shutil.copy(twin, file)
            ran = career.here("search", "salary", "--index", "own", "--json")
            assert error_of(ran)["code"] == "index_corrupt", f"{file} of another index"
        file.unlink()
        ran = career.here("search", "salary", "--index", "own", "--json")
        assert error_of(ran)["code"] == "index_corrupt", f"{file} is missing"
        file.mkdir()
        ran = career.here("search", "salary", "--index", "own", "--json")
        assert error_of(ran)["code"] == "index_corrupt", f"{file} is a folder"
        file.rmdir()
        file.write_bytes(whole)
    pointer = generation.parent / "CURRENT"
    before = pointer.read_bytes()
    pointer.write_bytes((other.parent / "CURRENT").read_bytes())
    assert career.here("search", "salary", "--index", "own").code == 5
    pointer.unlink()
    assert career.here("search", "salary", "--index", "own").code == 3
    pointer.write_bytes(before)


@pytest.mark.parametrize(
    "name", ["CURRENT", "manifest.json", "vectors/000001.vectors.f32", "documents.jsonl"]
)
def test_a_damaged_index_is_rebuilt_by_the_command_that_the_error_names(
    name: str, generation: Path, folder: Path, career: Career
) -> None:
    file = generation.parent / name if name == "CURRENT" else generation / name
    file.write_bytes(b"damaged")
    ran = career.here("index", "build", str(folder), "--index", "own", "--json")
    assert ran.code == 0
    assert ran.json["embedded"] == ran.json["chunks"], "nothing of a damaged index is kept"
    assert career.here("index", "verify", "--index", "own").code == 0
    assert len(list(generation.parent.glob("gen-*"))) == 1


@pytest.mark.parametrize("large", ["pq", "ivf"], indirect=True)
@pytest.mark.parametrize("name", ["000001.faiss", "000001.vectors.f32", "deleted.i64"])
def test_a_damaged_index_is_rebuilt_as_the_kind_that_it_was(
    name: str, large: Path, tmp_path: Path, embedder: LocalEmbedder
) -> None:
    kind = generations.current("own").manifest["kind"]
    write_many(tmp_path)
    (large / "vectors" / name).write_bytes(b"damaged")
    report = build("own", [tmp_path], embedder)
    assert report.embedded == report.chunks, "nothing of a damaged index is kept"
    assert set(verify("own").values()) == {"ok"}
    manifest = generations.current("own").manifest
    assert (manifest["kind"], manifest["vectors"]["deleted"]) == (kind, 0)


# --- large files, which are mapped and not hashed at every opening


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of a kilobyte and segments of a hundred rows are large; which files were hashed."""
    hashed: list[str] = []

    def noted(path: Path) -> str:
        if path.suffix in (".faiss", ".i64", ".f32"):
            hashed.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(vectors, "_REWRITTEN", 100)
    monkeypatch.setattr(generations, "MAPPED_FROM", 1000)
    monkeypatch.setattr(generations, "_sha256", noted)
    return hashed


LARGE = ["000001.faiss", "000001.ids.i64", "000001.vectors.f32", "000002.vectors.f32", "ends.i64"]


def place(generation: Path, name: str) -> Path:
    return generation / ("bm25" if name == "ends.i64" else "vectors") / name


def opened(embedder: LocalEmbedder) -> store.Index:
    return store.open_generation(generations.current("own"), embedder)


@every_kind
def test_large_files_are_hashed_once_and_again_when_they_seem_to_have_changed(
    large: Path, mapped: list[str], embedder: LocalEmbedder
) -> None:
    files = [name for name in LARGE if place(large, name).exists()]
    for hashed in (files, []):  # a copy has other times and inodes than what was published
        mapped.clear()
        assert opened(embedder).nearest(embedder.embed(["salary"])[0], k=1)[0].chunk
        assert sorted(mapped) == hashed
    for name in files:
        os.utime(place(large, name))
        for hashed in ([name], []):
            mapped.clear()
            opened(embedder)
            assert mapped == hashed


@every_kind
@pytest.mark.parametrize("damage", ["a flipped bit", "one byte more", "one byte less", "zeros"])
def test_a_large_file_that_changed_is_refused(
    damage: str, large: Path, mapped: list[str], embedder: LocalEmbedder
) -> None:
    opened(embedder)
    for name in LARGE:
        file = place(large, name)
        if file.exists():
            whole = file.read_bytes()
            file.write_bytes(DAMAGES[damage](whole))
            for _ in range(2):  # it is not remembered as good
                with pytest.raises(IndexCorrupt, match=name):
                    opened(embedder)
            file.write_bytes(whole)
            opened(embedder)


STAMPS: dict[str, Callable[[Path], object]] = {
    "none": lambda file: file.unlink(),
    "nothing": lambda file: file.write_bytes(b""),
    "no JSON": lambda file: file.write_bytes(b"\xff{"),
    "a list": lambda file: file.write_bytes(b"[1, 2]"),
    "other values": lambda file: file.write_text(
        json.dumps(dict.fromkeys(json.loads(file.read_bytes()), "good"))
    ),
    "others' stamps": lambda file: file.write_text(
        json.dumps({key: [1, 2, 3] for key in json.loads(file.read_bytes())})
    ),
    "a folder": lambda file: file.rename(file.with_name("old")).with_name("VERIFIED").mkdir(),
}


@pytest.mark.parametrize("large", ["pq"], indirect=True)
@pytest.mark.parametrize("stamps", STAMPS)
def test_unreadable_stamps_only_cost_a_hashing(
    stamps: str, large: Path, mapped: list[str], embedder: LocalEmbedder
) -> None:
    opened(embedder)
    STAMPS[stamps](large.parent / "VERIFIED")
    mapped.clear()
    opened(embedder)
    assert sorted(mapped) == LARGE
    mapped.clear()
    opened(embedder)
    assert sorted(mapped) == (LARGE if stamps == "a folder" else [])
    (large / "vectors" / LARGE[2]).write_bytes(b"damaged")
    with pytest.raises(IndexCorrupt):
        opened(embedder)


def changed_unseen(file: Path) -> None:
    """Flip a bit of `file` as a failing disk does: nothing else tells of it."""
    before = file.stat()
    with file.open("r+b") as out:
        out.write(flipped(file.read_bytes()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@every_kind
def test_verify_finds_a_change_that_no_stamp_tells_of_and_a_build_mends_it(
    large: Path, mapped: list[str], embedder: LocalEmbedder, tmp_path: Path, career: Career
) -> None:
    write_many(tmp_path)
    opened(embedder)
    changed_unseen(large / "vectors" / LARGE[2])
    opened(embedder)
    ran = career.here("index", "verify", "--index", "own", "--json")
    assert ran.code == 5
    assert "000001.vectors.f32 is not the file" in str(ran.json)
    build("own", [tmp_path], embedder)
    assert set(verify("own").values()) == {"ok"}
    held = store.read(generations.current("own"))
    assert np.abs(held.matrix - embedder.embed(held.texts())).max() <= 1e-5


@every_kind
def test_damage_that_no_stamp_tells_of_is_not_copied_into_a_merged_segment(
    large: Path,
    mapped: list[str],
    embedder: LocalEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There it would be hashed as good; all is embedded again instead."""
    write_many(tmp_path)
    opened(embedder)
    changed_unseen(large / "vectors" / LARGE[2])
    monkeypatch.setattr(vectors, "_RATIO", 10_000)  # whatever is added is merged with all
    (tmp_path / "more.md").write_text("More of it.\n")
    report = build("own", [tmp_path], embedder)
    assert report.embedded == report.chunks
    assert set(verify("own").values()) == {"ok"}
    held = store.read(generations.current("own"))
    assert np.abs(held.matrix - embedder.embed(held.texts())).max() <= 1e-5


@every_kind
def test_a_large_file_that_is_damaged_while_an_index_is_built_is_found(
    large: Path, mapped: list[str], embedder: LocalEmbedder, tmp_path: Path
) -> None:
    """The next generation links it, and did not read it again."""
    write_many(tmp_path)
    (tmp_path / "more.md").write_text("More of it.\n")
    opened(embedder)

    def damage(progress: Progress) -> None:
        file = large / "vectors" / LARGE[2]
        file.write_bytes(flipped(file.read_bytes()))

    build("own", [tmp_path], embedder, damage)
    with pytest.raises(IndexCorrupt, match="is not the file that was published"):
        opened(embedder)


@pytest.mark.parametrize("large", ["pq"], indirect=True)
def test_a_large_file_that_changes_while_it_is_hashed_is_not_taken_for_good(
    large: Path, mapped: list[str], embedder: LocalEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed_after(path: Path) -> str:
        data = path.read_bytes()
        path.write_bytes(flipped(data))
        return hashlib.sha256(data).hexdigest()

    with monkeypatch.context() as patch:
        patch.setattr(generations, "_sha256", changed_after)
        opened(embedder)
    with pytest.raises(IndexCorrupt):
        opened(embedder)


def is_mapped(array: np.ndarray) -> bool:
    """Whether it is a view, of a view perhaps, of a file."""
    below: object = array
    while isinstance(below, np.ndarray) and not isinstance(below, np.memmap):
        below = below.base
    return isinstance(below, np.memmap | mmap.mmap)


@every_kind
def test_readers_keep_the_large_files_of_a_generation_that_was_replaced(
    large: Path, mapped: list[str], embedder: LocalEmbedder, tmp_path: Path
) -> None:
    reader, query = opened(embedder), embedder.embed(["salary of a term"])[0]
    before = reader.nearest(query, k=300)
    assert any(is_mapped(segment.vectors) for segment in reader._vectors.segments)
    (tmp_path / "other.md").write_text("Something else.\n")
    for _ in range(2):
        build("own", [tmp_path], embedder)
    assert not reader.generation.folder.exists()
    assert reader.nearest(query, k=300) == before
    assert len(opened(embedder).nearest(query, k=300)) == 1


def test_an_index_of_another_embedder_is_refused_by_name_and_rebuilt(
    generation: Path,
    folder: Path,
    home: Path,
    tmp_path: Path,
    career: Career,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one has the same dimension and files; one weight of it differs."""
    other = tmp_path / "other-embedder"
    shutil.copytree(home / "models" / EMBEDDER, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    monkeypatch.setenv("CAREER_EMBEDDER", str(other))
    ran = career.here("search", "salary", "--index", "own", "--json")
    error = error_of(ran)
    assert (ran.code, error["code"]) == (5, "index_foreign")
    assert EMBEDDER in error["message"]
    assert str(other) in error["message"]
    assert "career index build" in error["remedy"]
    rebuilt = career.here("index", "update", "--index", "own", "--json").json
    assert rebuilt["embedded"] == rebuilt["chunks"], "vectors of another model are not kept"
    assert career.here("search", "salary", "--index", "own").code == 0


def test_an_index_of_another_format_is_refused(generation: Path, career: Career) -> None:
    pointer, file = generation.parent / "CURRENT", generation / "manifest.json"
    manifest = json.loads(file.read_bytes()) | {"format": generations.FORMAT_VERSION + 1}
    file.write_text(json.dumps(manifest))
    told = json.loads(pointer.read_bytes())
    told["manifest"] = hashlib.sha256(file.read_bytes()).hexdigest()
    pointer.write_text(json.dumps(told))
    ran = career.here("search", "salary", "--index", "own", "--json")
    assert (ran.code, error_of(ran)["code"]) == (5, "index_foreign")


# --- disks, kills and races


@pytest.mark.parametrize(
    ("mode", "code", "kinds", "step"),
    [
        ("tmpfs", "disk", ("auto", "auto"), 8_192),
        ("limit", "machine", ("auto", "auto"), 3_000),
        ("tmpfs", "disk", ("pq", "pq"), 16_384),
        ("tmpfs", "disk", ("exact", "ivf"), 100_000),
        ("limit", "machine", ("ivf", "ivf"), 8_000),
        ("limit", "machine", ("exact", "pq"), 60_000),
    ],
)
def test_a_full_disk_is_told_and_the_old_index_still_serves(
    mode: str, code: str, kinds: tuple[str, str], step: int, fresh_home: Path, tmp_path: Path
) -> None:
    """With room for ever more of the new index: on a small disk, and below a limit for files."""
    old, new = tmp_path / "old", tmp_path / "new"
    for place, count in [(old, 2), (new, 6)]:
        place.mkdir()
        for number in range(count):
            lines = [f"The {place.name} salary {n} of {number} is good.\n\n" for n in range(5)]
            (place / f"{number}.md").write_text("".join(lines))
        if kinds != ("auto", "auto"):
            write_many(place)
    disk = [sys.executable, str(ROOT / "tests" / "full_disk.py")]
    command = [*disk, mode, str(old), str(new), *kinds, str(step)]
    if mode == "tmpfs":
        alone = ["unshare", "--map-root-user", "--mount"]
        mount = [*alone, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
        if not shutil.which("unshare") or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("this machine does not let a test mount a small disk")
        command = [*alone, *command]
    told = json.loads(script(command))
    *refused, last = told["trials"]
    assert len(refused) > 2, "the disk was never full"
    for trial in refused:
        assert trial == {"told": code, "state": told["before"], "strays": []}
    assert last["told"] == "ok"
    assert told["readonly"] == ("machine" if mode == "tmpfs" else "")
    assert len(told["after"]) - len(told["before"]) == 4
    assert told["kind"] == ("exact" if kinds[1] == "auto" else kinds[1])
    assert told["strays"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["index", "list", "--json"]])
def test_output_that_cannot_be_written_is_told_on_stderr(
    arguments: list[str], career: Career
) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            career.command(*arguments), stdout=full, stderr=subprocess.PIPE, cwd=ROOT, text=True
        )
    assert ran.returncode == 5
    assert ran.stderr.startswith("career: the output cannot be written (No space left on device)")
    assert ran.stderr.count("\n") == 1


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """Two states of two documents: all of one state say `old`, all of the other `new`."""
    for state in ("old", "new"):
        (tmp_path / "states" / state).mkdir(parents=True)
        for number in (1, 2):
            text = f"The {state} salary number {number} is good.\n"
            (tmp_path / "states" / state / f"{number}.md").write_text(text)
    return tmp_path / "states"


def script(command: list[str]) -> str:
    """What a script of ours prints."""
    env = os.environ | FORKING | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, env=env, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("scenario", "kind", "every", "least"),
    [
        ("first build", "auto", 1, 30),
        ("rebuild", "auto", 1, 40),
        ("remove", "auto", 1, 10),
        ("rebuild", "exact", 6, 10),
        ("rebuild", "pq", 4, 10),
        ("rebuild", "ivf", 6, 10),
        ("remove", "pq", 3, 5),
    ],
)
def test_killed_at_any_act_one_whole_state_is_left_and_the_next_build_succeeds(
    scenario: str, kind: str, every: int, least: int, fresh_home: Path, states: Path
) -> None:
    """SIGKILL at every open, mkdir, rename and remove on the index folder, and at random times."""
    if kind != "auto":
        write_many(states / "old")
        write_many(states / "new")
    told = json.loads(script(forking(scenario, states, kind, every)))
    assert told["faults"] == []
    assert told["trials"] >= least, "the sweep saw too little of what a build does"
    assert told["killed"] >= told["trials"]


def forking(what: str, states: Path, kind: str = "auto", every: int = 1) -> list[str]:
    program = [sys.executable, str(ROOT / "tests" / "fork_faults.py")]
    return [*program, what, str(states), kind, str(every)]


@pytest.mark.parametrize("kind", ["auto", "pq"])
def test_of_builds_at_the_same_moment_one_wins_and_the_others_say_so_at_once(
    kind: str, fresh_home: Path, states: Path
) -> None:
    if kind != "auto":
        write_many(states / "old")
        write_many(states / "new")
    told = json.loads(script(forking("race", states, kind)))
    outcomes = [outcome for outcome, _ in told["told"]]
    assert "published" in outcomes
    assert set(outcomes) <= {"published", "busy"}
    assert all(seconds < 1 for _, seconds in told["told"]), told["told"]
    assert told["state"] in {"old", "new"}


def test_a_second_build_is_refused_while_the_first_writes_and_not_after_it_died(
    generation: Path, folder: Path, career: Career
) -> None:
    holder = (
        "import sys, time\nfrom index.generations import writing\n"
        "with writing('own'):\n    print('held', flush=True)\n    time.sleep(600)"
    )
    with started([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        asked = time.monotonic()
        ran = career.here("index", "build", str(folder), "--index", "own", "--json")
        assert time.monotonic() - asked < 2
        assert (ran.code, error_of(ran)["code"]) == (5, "index_busy")
        assert career.here("index", "remove", "--index", "own").code == 5
        assert career.here("search", "salary", "--index", "own").code == 0, "readers need no lock"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert career.here("index", "build", str(folder), "--index", "own").code == 0


# --- the machine


def test_a_port_in_use_is_told_before_anything_is_fetched(tmp_path: Path, career: Career) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = career("ui", "--port", str(port), env={"CAREER_HOME": str(tmp_path)})
    assert (ran.code, ran.stdout) == (5, b"")
    assert ran.stderr.startswith(f"career: port {port} on 127.0.0.1 cannot be opened")
    assert "career ui --port" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["ask", "Which degree?"], ["search", "degree"], ["index", "build", "."]]
)
def test_without_network_and_models_the_way_out_is_told(
    arguments: list[str], tmp_path: Path, career: Career
) -> None:
    env = {
        "CAREER_HOME": str(tmp_path),
        "CAREER_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "HF_HOME": str(tmp_path / "hub"),
    }
    ran = career(*arguments, "--json", env=env)
    error = error_of(ran)
    assert (ran.code, error["code"]) == (4, "model_unavailable")
    assert "career models pull all-minilm-l6-v2" in error["remedy"]
    assert not (tmp_path / "data").exists(), "nothing was begun"


def test_the_one_model_that_is_missing_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, career: Career
) -> None:
    (tmp_path / "models").mkdir()
    for name in set(MODELS) - {BASE}:
        (tmp_path / "models" / name).symlink_to(home / "models" / name)
    monkeypatch.setenv("CAREER_HOME", str(tmp_path))
    monkeypatch.setenv("CAREER_OFFLINE", "1")
    ran = career.here("ask", "Which degree?", "--json")
    assert (ran.code, error_of(ran)["code"]) == (4, "model_unavailable")
    assert f"career models pull {BASE}" in error_of(ran)["remedy"]
    faults = [c for c in career.here("doctor", "--json").json["checks"] if c["state"] == "fail"]
    assert [fault["fix"] for fault in faults] == [f"career models pull {BASE}"]


def test_a_model_that_is_none_is_told(home: Path, career: Career, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    ran = career.here("ask", "Which degree?", "--model", str(broken), "--json")
    assert (ran.code, error_of(ran)["code"]) == (4, "model_unavailable")
    ran = career.here("ask", "Which degree?", "--model", "http://127.0.0.1:9", "--json")
    assert (ran.code, error_of(ran)["code"]) == (4, "model_unavailable")


def test_a_damaged_model_is_not_loaded(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, career: Career
) -> None:
    shutil.copytree(home / "models" / EMBEDDER, tmp_path / "models" / EMBEDDER)
    tokenizer = tmp_path / "models" / EMBEDDER / "tokenizer.json"
    tokenizer.write_bytes(flipped(tokenizer.read_bytes()))
    monkeypatch.setenv("CAREER_HOME", str(tmp_path))
    ran = career.here("search", "salary", "--json")
    error = error_of(ran)
    assert (ran.code, error["code"]) == (4, "model_unavailable")
    assert "tokenizer.json" in error["message"]
    assert f"career models pull {EMBEDDER}" in error["remedy"]
