"""The command `career`: what it prints where, its exit codes, and that its offsets are exact."""

import fcntl
import json
import os
import platform
import pty
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import MODELS, ROOT, Career, Ran, started

from assistant import __version__
from assistant.answer import ABSTENTION_LANGUAGE
from assistant.cli import app
from index import threads

SOURCE = "senior-ai-ml-engineer.md"
FOREIGN = "日本の給料はいくらですか"  # no model has to write an answer to it
QUESTION = "What is the national average of the base salary?"
STRANGE = "Gehälter 💶: e\u0301clair — 𝄞 is 5 %.\r\nAs a family 👨‍👩‍👧 they earn 1,250 EUR.\r\n"


# Runs the command and names what it imported that takes seconds.
WATCHED = """
import sys
from assistant.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
sys.exit(code if not heavy else f"imported {heavy}")
"""


@pytest.fixture(scope="module")
def asked(home: Path) -> Ran:
    """One question, answered by the default models in a process of its own."""
    command = [sys.executable, "-c", WATCHED, "ask", QUESTION, "--json"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=240)
    return Ran(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents and a file that is none."""
    place = tmp_path / "documents"
    (place / "more").mkdir(parents=True)
    (place / "pay.md").write_bytes(b"\xef\xbb\xbf# Pay\r\n\r\n" + STRANGE.encode())
    (place / "more" / "leave.txt").write_text("Leave\n\nEveryone has 30 days of leave a year.\n")
    (place / "scan.txt").write_bytes(b"\x00\x01\x02 not a text")
    return place


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible LLM. Asked as `endless` it never stops; else it says one word."""

    protocol_version = "HTTP/1.1"
    endless_started = threading.Event()
    endless_dropped = threading.Event()

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": "brief"}]}).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "brief":
            self._send("text/event-stream", self._piece("Indeed.") + b"data: [DONE]\n\n")
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while True:
                self.wfile.write(self._piece("well, "))
                self.endless_started.set()
                time.sleep(0.02)
        except OSError:
            self.endless_dropped.set()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _piece(self, text: str) -> bytes:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "stub"}
        return f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode()

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def brief_model() -> Iterator[str]:
    """The URL of an LLM that says one word: the answer is made of quotes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def endless_model(brief_model: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an LLM that never finishes."""
    monkeypatch.setenv("CAREER_LLM_NAME", "endless")
    Endpoint.endless_started.clear()
    Endpoint.endless_dropped.clear()
    return brief_model


# --- starting


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_start_is_quick_and_imports_nothing_heavy(option: str) -> None:
    code = (
        "import sys, assistant.cli; assistant.cli.main(sys.argv[1:]);"
        "print(*sorted({'numpy', 'faiss', 'torch', 'transformers', 'pydantic', 'rich', 'httpx',"
        " 'langchain_core', 'gradio'} & set(sys.modules)), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, option], capture_output=True, cwd=ROOT, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.stderr.split() == [], "imported before any command asked for it"
    assert spent < 0.5, f"{option} took {spent:.2f} s of CPU"
    assert __version__ in done.stdout if option == "--version" else "ask" in done.stdout


# --- ask


def test_ask_prints_the_answer_record_alone(asked: Ran) -> None:
    assert asked.stderr == "", "nothing was fetched, built or slowly imported"
    assert asked.code == 0
    record = asked.json
    expected = {
        "question": str,
        "standalone_question": str,
        "status": str,
        "answer": str,
        "sentences": list,
        "citations": list,
        "dropped": list,
        "nearest": list,
        "timings_ms": dict,
        "fingerprint": dict,
    }
    assert {key: type(record[key]) for key in expected} == expected
    assert record["question"] == QUESTION
    assert record["status"] == "answered"
    assert set(record["fingerprint"]) == {"index", "embedder", "llm", "support"}
    assert record["timings_ms"]["search"] <= record["timings_ms"]["total"]


def test_every_displayed_sentence_is_verified_and_cited(asked: Ran) -> None:
    record = asked.json
    marks = {citation["mark"] for citation in record["citations"]}
    assert marks == set(range(1, len(marks) + 1))
    for sentence in record["sentences"]:
        assert record["answer"][sentence["start"] : sentence["end"]] == sentence["text"]
        assert sentence["verdict"] in {"supported", "quoted"}
        assert sentence["origin"] in {"model", "quote"}
        assert 0 <= sentence["support"] <= 1
        assert sentence["citations"]
        assert set(sentence["citations"]) <= marks
    for dropped in record["dropped"]:
        assert dropped["reason"]
        assert dropped["text"] not in record["answer"]


def test_citations_are_what_show_prints(asked: Ran, career: Career) -> None:
    for citation in asked.json["citations"]:
        shown = career.here(
            "show", citation["source"], "--start", str(citation["start"]), "--end",
            str(citation["end"]),
        )  # fmt: skip
        assert shown.stdout == citation["quote"].encode()
        assert citation["section"]
        assert citation["title"]


def test_ask_for_people_lists_the_citations_below_the_answer(
    home: Path, career: Career, brief_model: str
) -> None:
    record = career.here("ask", QUESTION, "--model", brief_model, "--json").json
    ran = career.here("ask", QUESTION, "--model", brief_model)
    answer, _, below = ran.text.partition("\n\n[1] ")
    assert answer == record["answer"]
    assert record["dropped"][0]["text"] == "Indeed."
    first = record["citations"][0]
    assert below.startswith(
        f"{' > '.join(first['section'])}  ({first['source']} {first['start']}-{first['end']})\n"
    )
    assert f'"{" ".join(first["quote"].split())[:100]}' in below
    assert ran.stderr == ""


def test_a_question_on_stdin_is_the_same_question(
    home: Path, career: Career, brief_model: str
) -> None:
    ran = career("ask", "-", "--model", brief_model, "--json", stdin=f"{FOREIGN}\n".encode())
    assert ran.json["status"] == "abstained"
    assert ran.json["question"] == FOREIGN


def test_an_abstention_says_so_and_names_the_nearest_sections(
    home: Path, career: Career, brief_model: str
) -> None:
    arguments = ["ask", FOREIGN, "--model", brief_model]
    record = career.here(*arguments, "--json").json
    assert record["status"] == "abstained"
    assert record["answer"] == ABSTENTION_LANGUAGE
    assert record["citations"] == record["sentences"] == []
    assert all(nearest["section"] and nearest["source"] for nearest in record["nearest"])
    ran = career.here(*arguments)
    assert ran.code == 0
    assert ran.text.startswith(ABSTENTION_LANGUAGE)
    for nearest in record["nearest"]:
        assert f"  {' > '.join(nearest['section'])}  ({nearest['source']})\n" in ran.text


def test_history_makes_a_follow_up_stand_alone(
    home: Path, career: Career, brief_model: str, tmp_path: Path
) -> None:
    turns = tmp_path / "turns.json"
    turns.write_text(json.dumps([{"question": "Where is the pay highest?", "answer": "In Oslo."}]))
    arguments = ["--history", str(turns), "--model", brief_model, "--json"]
    record = career.here("ask", "And why is it so?", *arguments).json
    assert record["question"] == "And why is it so?"
    assert "pay" in record["standalone_question"]
    assert "Oslo" not in record["standalone_question"], "an earlier answer may have been wrong"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"question": "x"}',
        "[1]",
        '[{"answer": "x"}]',
        '[{"question": 1}]',
        '[{"question": "\\ud800"}]',
        "[" * 100_000,
    ],
)
def test_a_history_that_is_none_is_refused(
    content: str, home: Path, career: Career, tmp_path: Path
) -> None:
    file = tmp_path / "turns.json"
    file.write_text(content)
    ran = career.here("ask", "Which degree?", "--history", str(file), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert str(file) in ran.json["error"]["message"]


# --- chat


def test_chat_answers_line_by_line_and_ends_with_the_input(
    home: Path, career: Career, brief_model: str
) -> None:
    lines = f"{QUESTION}\n\n/new\n{FOREIGN}\n{'x' * 5000}\n"
    ran = career("chat", "--model", brief_model, stdin=lines.encode())
    assert ran.code == 0
    assert "$126,557" in ran.text
    assert "\n\n[1] " in ran.text
    assert "too long" in ran.stderr, "a mistake is told and the chat goes on"
    assert ran.text.count(ABSTENTION_LANGUAGE) == 1
    assert "new conversation" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(
    home: Path, career: Career, endless_model: str
) -> None:
    controller, terminal = pty.openpty()
    command = career.command("chat", "--model", endless_model)
    with started(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        assert "> " in read_until(controller, "> "), "no prompt"
        os.write(controller, f"{QUESTION}\n".encode())
        assert Endpoint.endless_started.wait(60), "the model was not asked"
        process.send_signal(signal.SIGINT)
        said = read_until(controller, "> ")
        assert "stopped" in said
        assert Endpoint.endless_dropped.wait(10), "the model goes on writing for nobody"
        os.write(controller, b"/new\n")
        assert "new conversation" in read_until(controller, "> ")
        os.write(controller, b"\x04")
        assert process.wait(30) == 0
    os.close(controller)


def test_ctrl_c_ends_ask_with_130(home: Path, career: Career, endless_model: str) -> None:
    command = career.command("ask", QUESTION, "--model", endless_model, "--json")
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert Endpoint.endless_started.wait(60), "the model was not asked"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert b"Traceback" not in err


# --- search and show


def test_search_ranks_chunks_whose_text_show_prints(home: Path, career: Career) -> None:
    hits = career.here("search", "salary in Boston", "--k", "5", "--json").json["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert "Geographic Variations" in hits[0]["section"]
    for hit in hits:
        assert set(hit) == {"rank", "score", "source", "section", "start", "end", "text"}
        shown = career.here(
            "show", hit["source"], "--start", str(hit["start"]), "--end", str(hit["end"])
        )
        assert shown.text == hit["text"]
    people = career.here("search", "salary in Boston", "--k", "1").text
    assert people.startswith("1. ")
    assert f"{hits[0]['source']} {hits[0]['start']}-{hits[0]['end']}" in people


def test_show_writes_the_stored_text_and_nothing_else(
    fresh_home: Path, folder: Path, career: Career
) -> None:
    career.here("index", "build", str(folder))
    stored = f"# Pay\n\n{STRANGE}".replace("\r\n", "\n")
    ran = career("show", "pay.md")
    assert (ran.code, ran.stdout, ran.stderr) == (0, stored.encode(), "")
    for start, end in [(0, 0), (0, 3), (10, 25), (len(stored) - 1, len(stored))]:
        ran = career.here("show", "pay.md", "--start", str(start), "--end", str(end))
        assert ran.text == stored[start:end], "offsets count code points"
        record = career.here(
            "show", "pay.md", "--start", str(start), "--end", str(end), "--json"
        ).json
        assert record == {
            "source": "pay.md", "start": start, "end": end, "text": stored[start:end]
        }  # fmt: skip


# --- index


def test_build_update_info_verify_list_remove(
    fresh_home: Path, folder: Path, career: Career
) -> None:
    built = career.here("index", "build", str(folder), "--index", "own", "--json")
    assert built.code == 0
    assert built.json["added"] == ["more/leave.txt", "pay.md"]
    assert built.json["unread"] == [
        {"path": "scan.txt", "reason": built.json["unread"][0]["reason"]}
    ]
    assert "binary" in built.json["unread"][0]["reason"]
    assert built.json["embedded"] == built.json["chunks"] >= 2

    (folder / "pay.md").unlink()
    (folder / "new.md").write_text("# New\n\nThe pension opens after six months.\n")
    updated = career.here("index", "update", "--index", "own", "--json").json
    assert (updated["added"], updated["removed"]) == (["new.md"], ["pay.md"])
    assert updated["embedded"] == 1, "the unchanged document is not embedded again"

    info = career.here("index", "info", "--index", "own", "--json").json
    assert info["documents"] == ["more/leave.txt", "new.md"]
    assert info["generation"] == updated["generation"] != built.json["generation"]
    assert info["kind"] == "exact"
    assert "200,000" in info["kind_reason"]
    assert info["paths"] == [str(folder)]
    assert info["fingerprint"]
    on_disk = [path for path in Path(info["folder"]).rglob("*") if path.is_file()]
    assert info["bytes"] == sum(p.stat().st_size for p in on_disk if p.name != "manifest.json")

    verified = career.here("index", "verify", "--index", "own", "--json")
    assert verified.code == 0
    assert verified.json["ok"] is True
    assert set(verified.json["files"].values()) == {"ok"}
    listed = career.here("index", "list", "--json").json["indexes"]
    assert [(index["index"], index["documents"]) for index in listed] == [("own", 2)]

    assert career.here("index", "remove", "--index", "own", "--json").json["removed"] is True
    assert career.here("index", "list", "--json").json == {"indexes": []}
    assert career.here("index", "info", "--index", "own", "--json").code == 3
    left = [path for path in (fresh_home / "data").rglob("*") if path.is_file()]
    assert not [path for path in left if path.stat().st_size], "a removed index leaves nothing"


def test_index_commands_speak_to_people_too(fresh_home: Path, folder: Path, career: Career) -> None:
    built = career.here("index", "build", str(folder))
    assert "2 documents" in built.text
    assert "added: pay.md" in built.text
    assert "not read: scan.txt is binary" in built.text
    assert "pay.md" in career.here("index", "info").text
    assert "default  2 documents" in career.here("index", "list").text
    assert "documents.jsonl  ok" in career.here("index", "verify").text


def test_a_report_on_many_documents_names_the_first_and_counts_the_rest(
    fresh_home: Path, career: Career, tmp_path: Path
) -> None:
    for number in range(23):
        (tmp_path / f"{number:02}.md").write_text(f"# Pay\n\nLevel {number} earns well.\n")
    told = career.here("index", "build", str(tmp_path), "--index", "own").text
    assert told.count("added: ") == 21
    assert "added: 3 more" in told


# --- models and doctor


def test_models_list_pull_verify(home: Path, career: Career) -> None:
    listed = career.here("models", "list", "--json").json
    states = {model["name"]: model["state"] for model in listed["models"]}
    assert states == dict.fromkeys(MODELS, "present")
    assert all(Path(model["folder"]).is_dir() for model in listed["models"])
    assert career.here("models", "pull", "all-minilm-l6-v2").code == 0
    verified = career.here("models", "verify", "--json")
    assert (verified.code, verified.json["ok"]) == (0, True)
    assert "present in" in career.here("models", "list").text


def test_models_verify_and_remove_tell_of_a_damaged_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, career: Career
) -> None:
    model = tmp_path / "models" / "all-minilm-l6-v2"
    model.mkdir(parents=True)
    config = (home / "models" / "all-minilm-l6-v2" / "config.json").read_bytes()
    (model / "config.json").write_bytes(config)
    monkeypatch.setenv("CAREER_HOME", str(tmp_path))
    ran = career.here("models", "verify", "--json")
    assert (ran.code, ran.json["ok"]) == (4, False)
    assert ran.json["error"]["remedy"] == "run: career models pull all-minilm-l6-v2"
    assert career.here("models", "verify", "smollm2-135m-instruct").code == 4, "named, but absent"
    removed = career.here("models", "remove", "all-minilm-l6-v2", "--json").json
    assert removed == {"models": [{"name": "all-minilm-l6-v2", "removed": True}]}
    assert not model.exists()


def test_doctor_names_the_fault_and_its_fix_mends_it(
    fresh_home: Path, folder: Path, career: Career
) -> None:
    career.here("index", "build", str(folder))
    healthy = career.here("doctor", "--json")
    faults = [c for c in healthy.json["checks"] if c["state"] != "ok"]
    # FAISS's BLAS may not know this processor: that has a test of its own
    faults = [fault for fault in faults if "with kernels for" not in fault["detail"]]
    assert (healthy.code, faults) == (0, [])
    names = {check["name"] for check in healthy.json["checks"]}
    assert names >= {
        "python",
        "packages",
        "settings",
        "data folder",
        "devices",
        "models",
        "indexes",
    }

    generation = fresh_home / "data" / "index" / "default" / "gen-000001"
    (generation / "vectors" / "000001.vectors.f32").write_bytes(b"other bytes")
    (generation.parent / ".building-dead").mkdir()
    (fresh_home / "career.toml").write_text("colour = 'green'\n")
    ran = career.here("doctor", "--json")
    states = {(check["name"], check["state"]): check["fix"] for check in ran.json["checks"]}
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert ("settings", "fail") in states
    assert ("indexes", "warn") in states, "a dead build's folder is worth a word"
    fix = states["indexes", "fail"]
    assert fix == f"career index build '{folder}' --index default"

    (fresh_home / "career.toml").unlink()
    assert career.here("index", "build", str(folder), "--index", "default").code == 0
    mended = career.here("doctor")
    assert mended.code == 0, mended.text
    assert mended.text.startswith("ok    python: ")


# --- errors

MISTAKES = [
    (["ask"], 2, "usage"),
    (["ask", ""], 2, "usage"),
    (["ask", " \n\t "], 2, "usage"),
    (["ask", "x" * 4001], 2, "usage"),
    (["ask", "half \udcff a character"], 2, "usage"),
    (["ask", "x", "--k", "0"], 2, "usage"),
    (["ask", "x", "--k", "-3"], 2, "usage"),
    (["ask", "x", "--k", "many"], 2, "usage"),
    (["ask", "x", "--k", "51"], 2, "usage"),
    (["ask", "x", "--colour"], 2, "usage"),
    (["ask", "x", "--history", "/no/such/file"], 2, "usage"),
    (["ask", "x", "--model", "no-such-model"], 2, "usage"),
    (["ask", "x", "--index", "nope"], 3, "index_missing"),
    (["ask", "x", "--index", "../nope"], 2, "usage"),
    (["search", ""], 2, "usage"),
    (["search", "x", "--index", "nope"], 3, "index_missing"),
    (["show", "nope.md"], 3, "index_missing"),
    (["show", SOURCE, "--index", "nope"], 3, "index_missing"),
    (["show", SOURCE, "--start", "-1"], 2, "usage"),
    (["show", SOURCE, "--start", "5", "--end", "4"], 2, "usage"),
    (["show", SOURCE, "--end", "1000000"], 2, "usage"),
    (["index", "build"], 2, "usage"),
    (["index", "build", "/no/such/folder"], 2, "usage"),
    (["index", "build", "a\0b"], 2, "usage"),
    (["index", "update", "--index", "nope"], 3, "index_missing"),
    (["index", "info", "--index", "nope"], 3, "index_missing"),
    (["index", "verify", "--index", "nope"], 3, "index_missing"),
    (["index", "remove", "--index", "nope"], 3, "index_missing"),
    (["index", "drop"], 2, "usage"),
    (["models", "pull", "no-such-model"], 2, "usage"),
    (["models", "verify", "no-such-model"], 2, "usage"),
    (["models", "remove", "no-such-model"], 2, "usage"),
    (["ui", "--port", "70000"], 2, "usage"),
    (["ui", "--index", "nope"], 3, "index_missing"),
    (["fly"], 2, "usage"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "kind"), MISTAKES, ids=[" ".join(m[0])[:40] for m in MISTAKES]
)
def test_a_mistake_is_one_line_with_a_remedy(
    arguments: list[str], code: int, kind: str, home: Path, career: Career
) -> None:
    ran = career.here(*arguments)
    assert (ran.code, ran.stdout) == (code, b""), "an error is no result"
    assert ran.stderr.startswith("career: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "; " in ran.stderr, "no remedy"
    as_json = career.here(*arguments, "--json")
    if arguments[0] != "ui":
        assert (as_json.code, as_json.stderr) == (code, "")
        assert set(as_json.json) == {"error"}
        assert as_json.json["error"]["code"] == kind
        assert as_json.json["error"]["message"]
        assert as_json.json["error"]["remedy"]


def test_what_nobody_foresaw_is_one_line_too(career: Career) -> None:
    def stumble() -> None:
        raise ZeroDivisionError("division by\nzero")

    app.command("stumble")(stumble)
    try:
        ran = career.here("stumble")
        assert (ran.code, ran.stdout) == (1, b"")
        assert ran.stderr.startswith(
            "career: unexpected ZeroDivisionError: division by; please report"
        )
        assert ran.stderr.count("\n") == 1
        with pytest.raises(ZeroDivisionError):
            career.here("--debug", "stumble")
    finally:
        app.registered_commands.pop()


def test_ctrl_c_while_reading_ends_with_130(home: Path, career: Career) -> None:
    with started(
        career.command("ask", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(b"Which")
        process.stdin.flush()
        until_read(process.stdin.fileno())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr
        said = process.stderr.read().decode()
    assert said.startswith("career: interrupted")
    assert said.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_error(home: Path, career: Career) -> None:
    with started(
        career.command("show", SOURCE), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_settings_that_nobody_knows_are_refused(
    fresh_home: Path, career: Career, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAREER_COLOUR", "green")
    ran = career.here("search", "x", "--json")
    assert ran.code == 2
    assert "CAREER_COLOUR" in ran.json["error"]["message"]
    monkeypatch.delenv("CAREER_COLOUR")
    for content, named in [("colour = 'green'", "colour"), ("k = 0", "k"), ("k =", "career.toml")]:
        (fresh_home / "career.toml").write_text(content)
        ran = career.here("ask", "Which degree?", "--json")
        assert ran.code == 2
        assert named in ran.json["error"]["message"]


def read_until(terminal: int, mark: str, seconds: float = 90.0) -> str:
    """What the terminal shows until `mark` comes, or all that came in `seconds`."""
    text, deadline = "", time.monotonic() + seconds
    while mark not in text and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 4096).decode(errors="replace")
    return text


def until_read(pipe: int, seconds: float = 30.0) -> None:
    """Wait until the other end of `pipe` has taken everything out of it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        (waiting,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
        if not waiting:
            return
        time.sleep(0.02)
    pytest.fail("nobody reads the pipe")


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not threads._has_avx2(), reason="old kernels suit old CPUs"
)
def test_doctor_tells_when_a_blas_took_kernels_that_waste_the_processor(career: Career) -> None:
    ran = career("doctor", "--json", env={"OPENBLAS_CORETYPE": "Prescott"})
    slow = [c for c in ran.json["checks"] if (c["name"], c["state"]) == ("search", "warn")]
    assert {c["detail"].split()[0] for c in slow} == {"numpy", "faiss_cpu"}
    assert {c["fix"] for c in slow} == {"set OPENBLAS_CORETYPE=Haswell in the environment"}


def test_threads_are_as_many_as_the_container_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_CPU_MAX", tmp_path / "cpu.max")
    for told, allowed in [("150000 100000", 1), ("max 100000", 1 << 16), ("nonsense", 1 << 16)]:
        (tmp_path / "cpu.max").write_text(told)
        assert threads._quota() == allowed
