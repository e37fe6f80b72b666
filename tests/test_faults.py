"""What goes wrong is told in one line, damages nothing and is mended by the command it names.

Bad input, damaged and foreign indexes, full disks, kills at every act of a build, racing writers,
a taken port, models that are not there.
"""

import hashlib
import json
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

import pytest
from conftest import EMBEDDER, ROOT, Career, Ran, started

from index import generations
from index.build import build, verify
from index.embedder import LocalEmbedder

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
    files = [generation.parent / "CURRENT", *(p for p in generation.rglob("*") if p.is_file())]
    assert len(files) == 11
    for file in files:
        whole = file.read_bytes()
        broken = DAMAGES[damage](whole)
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
    other = generations.current("other").folder
    for file in sorted(path for path in generation.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        twin = other / file.relative_to(generation)
        if twin.read_bytes() != whole:
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
    pointer.write_bytes((other.parent / "CURRENT").read_bytes())
    assert career.here("search", "salary", "--index", "own").code == 5
    pointer.unlink()
    assert career.here("search", "salary", "--index", "own").code == 3


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


@pytest.mark.parametrize(("mode", "code"), [("tmpfs", "disk"), ("limit", "machine")])
def test_a_full_disk_is_told_and_the_old_index_still_serves(
    mode: str, code: str, fresh_home: Path, tmp_path: Path
) -> None:
    """With room for ever more of the new index: on a small disk, and below a limit for files."""
    old, new = tmp_path / "old", tmp_path / "new"
    for place, count in [(old, 2), (new, 6)]:
        place.mkdir()
        for number in range(count):
            lines = [f"The {place.name} salary {n} of {number} is good.\n\n" for n in range(5)]
            (place / f"{number}.md").write_text("".join(lines))
    command = [sys.executable, str(ROOT / "tests" / "full_disk.py"), mode, str(old), str(new)]
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
        assert trial == {"told": code, "state": ["0.md", "1.md"], "strays": []}
    assert last["told"] == "ok"
    assert told["readonly"] == ("machine" if mode == "tmpfs" else "")
    assert len(told["after"]) == 6
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
    ("scenario", "least"), [("first build", 30), ("rebuild", 40), ("remove", 10)]
)
def test_killed_at_any_act_one_whole_state_is_left_and_the_next_build_succeeds(
    scenario: str, least: int, fresh_home: Path, states: Path
) -> None:
    """SIGKILL at every open, mkdir, rename and remove on the index folder, and at random times."""
    trials = [sys.executable, str(ROOT / "tests" / "fork_faults.py"), scenario, str(states)]
    told = json.loads(script(trials))
    assert told["faults"] == []
    assert told["events"] >= least, "the sweep saw too little of what a build does"
    assert told["killed"] >= told["events"]


def test_of_builds_at_the_same_moment_one_wins_and_the_others_say_so_at_once(
    fresh_home: Path, states: Path
) -> None:
    race = [sys.executable, str(ROOT / "tests" / "fork_faults.py"), "race", str(states)]
    told = json.loads(script(race))
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
