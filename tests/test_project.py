"""The project itself: who imports whom, what may not be called, what is declared, what is said.

Tests marked `static` only read the checkout; `make check` runs them.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from assistant import Assistant, Settings, __version__

ROOT = Path(__file__).parents[1]
LAYERS = ("corpus", "index", "assistant", "eval")  # each may import those before it
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEAVY = (
    "bm25s",
    "faiss",
    "gradio",
    "langchain_core",
    "langchain_openai",
    "sentence_transformers",
    "torch",
    "transformers",
    "xllamacpp",
)
BANNED_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
BANNED_CALLS = {"eval", "exec", "torch.load", "yaml.full_load", "yaml.load", "yaml.unsafe_load"}
MAX_BYTES = 5_000_000


def tracked(*patterns: str) -> list[Path]:
    """The files of the checkout that git tracks, or would once they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    files = (ROOT / name for name in listed.decode().split("\0") if name)
    return sorted({file for file in files if file.is_file()})


def sources(*folders: str) -> list[Path]:
    """The Python files below `folders` of the checkout."""
    return [file for folder in folders for file in tracked(f"{folder}/*.py")]


def imported(source: str) -> Iterator[tuple[str, int]]:
    """The modules that `source` imports by their full names, with line numbers."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module, node.lineno


# Who imports whom.


def direction_faults(layer: str, source: str) -> list[str]:
    """What is wrong with the imports of `source`, a module of `layer`."""
    below = LAYERS[: LAYERS.index(layer)]
    faults = []
    for module, line in imported(source):
        top = module.split(".")[0]
        if module == "eval":
            faults.append(f"{line}: `import eval` hides a builtin")
        elif top == layer:
            faults.append(f"{line}: imports {module}; inside a package imports are relative")
        elif top in LAYERS and top not in below:
            faults.append(f"{line}: {layer} imports {module}")
    return faults


@pytest.mark.static
def test_imports_go_one_way():
    faults = [
        f"{file.relative_to(ROOT)}:{fault}"
        for layer in LAYERS
        for file in sources(layer)
        for fault in direction_faults(layer, file.read_text("utf-8"))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.static
@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("corpus", "from index.store import Index"),
        ("index", "def f():\n    import assistant.settings"),
        ("assistant", "from eval.cases import Case"),
        ("assistant", "from assistant.answer import Answer"),
        ("eval", "import eval"),
    ],
)
def test_a_wrong_import_is_found(layer: str, source: str):
    assert direction_faults(layer, source)


def test_import_assistant_is_light():
    code = f"import sys, assistant; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


def test_a_module_of_the_users_that_hides_ours_is_named_in_one_line(tmp_path: Path):
    (tmp_path / "index.py").write_text("raise SystemExit('the file of the user ran')")
    ran = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, ''); import assistant"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0
    assert ran.stderr.count("\n") == 1
    assert str(tmp_path / "index.py") in ran.stderr
    assert "'index'" in ran.stderr


# What may not be called.


def banned(source: str) -> list[str]:
    """What in `source` could run code that comes with data."""
    faults = [
        f"{line}: imports {module}"
        for module, line in imported(source)
        if module.split(".")[0] in BANNED_MODULES
    ]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            loose = any(
                k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords
            )
            if called in BANNED_CALLS or loose:
                faults.append(f"{node.lineno}: {ast.unparse(node)[:80]}")
    return faults


@pytest.mark.static
def test_loading_data_runs_no_code():
    faults = [
        f"{file.relative_to(ROOT)}:{fault}"
        for file in sources(*LAYERS)
        for fault in banned(file.read_text("utf-8"))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.static
@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x')",
        "import yaml\nyaml.load('x', Loader)",
        "eval('1')",
        "exec('1')",
    ],
)
def test_a_banned_call_is_found(source: str):
    assert banned(source)


@pytest.mark.static
def test_what_only_looks_banned_is_let_through():
    assert not banned("model.eval()\nyaml.safe_load(x)\nnp.load(x, allow_pickle=False)")


# What is declared.


def requirements(*extras: str) -> list[Requirement]:
    """The declared dependencies, those of `extras` too."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def undeclared(files: Sequence[Path], *extras: str) -> list[str]:
    """What `files` import though no declared dependency brings it."""
    known = {canonicalize_name(r.name) for r in requirements(*extras)}
    owners = packages_distributions()
    ours = {*LAYERS, *(file.stem for file in tracked("tests/*.py"))}
    faults = []
    for file in files:
        for module, line in imported(file.read_text("utf-8")):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top in ours:
                continue
            if not known & {canonicalize_name(name) for name in owners.get(top, ())}:
                faults.append(f"{file.relative_to(ROOT)}:{line}: imports {module}")
    return faults


PLUGIN = re.compile(r"eval/pytest_plugin.py:\d+: imports pytest")  # only pytest loads that file


@pytest.mark.static
def test_every_import_is_declared():
    faults = undeclared(sources(*LAYERS)) + undeclared(sources("tests", "docs"), "dev")
    faults = [f for f in faults if not PLUGIN.fullmatch(f)]
    assert not faults, "\n".join(faults)


@pytest.mark.static
def test_the_constraints_pin_what_is_declared():
    text = (ROOT / "constraints.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}
    assert all(len(pin) == 1 and str(pin).startswith("==") for pin in pins.values())
    assert "://" not in text
    assert str(pins[canonicalize_name("torch")]) == "==2.13.0"
    for wanted in requirements("all", "dev", "gpu"):
        pin = str(pins[canonicalize_name(wanted.name)]).removeprefix("==")
        assert wanted.specifier.contains(pin), f"{wanted} is pinned to {pin}"


@pytest.mark.static
def test_the_version_is_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert PROJECT["version"] == __version__
    assert f"## [{__version__}]" in changes


# What is in the repository.


def _pattern(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words))


# Put together here, so that this file does not hold what it looks for.
_FOLDERS = _pattern(*(rf"(?<![\w.])/{name}/" for name in ("work", "root", "farm")))
_HOSTS = _pattern(
    *(
        re.escape(".".join(parts))
        for parts in (
            ("pythonhosted", "org"),
            ("pypi", "org"),
            ("registry", "npmjs"),
            ("deb", "debian", "org"),
        )
    )
)


@pytest.mark.static
def test_nothing_is_tracked_that_does_not_belong():
    faults = []
    for file in tracked():
        data = file.read_bytes()
        name = file.relative_to(ROOT)
        if len(data) > MAX_BYTES:
            faults.append(f"{name} has {len(data):,} bytes")
        if b"\0" not in data:
            text = data.decode("utf-8")
            faults += [f"{name}: {m[0]}" for p in (_FOLDERS, _HOSTS) for m in p.finditer(text)]
    assert not faults, "\n".join(faults)


@pytest.mark.static
def test_a_machine_path_and_a_registry_are_found():
    assert _FOLDERS.search("cd " + "/".join(("", "work", "main")))
    assert not _FOLDERS.search("the network/" + "/".join(("", "working")))
    assert _HOSTS.search("https://" + ".".join(("files", "pythonhosted", "org")))


# What the documents say.


_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """The fragments that lead to the headings of a Markdown text."""
    headings = re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", markdown), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


def dead_links(file: Path) -> list[str]:
    """The relative links of a Markdown file that lead nowhere."""
    dead = []
    for target in _LINK.findall(_FENCE.sub("", file.read_text("utf-8"))):
        path, _, fragment = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = file.parent / path if path else file
        if not found.exists():
            dead.append(f"{file.name}: {target}")
        elif fragment and fragment not in anchors(found.read_text("utf-8")):
            dead.append(f"{file.name}: {target} has no such heading")
    return dead


@pytest.mark.static
def test_no_link_is_dead():
    documents = [f for f in tracked("*.md") if ROOT / "corpus" not in f.parents]
    dead = [link for file in documents for link in dead_links(file)]
    assert not dead, "\n".join(dead)


@pytest.mark.static
def test_a_dead_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Here I am\n[a](gone.md) [b](#not-here) [c](#here-i-am) [d](page.md)\n")
    assert dead_links(page) == ["page.md: gone.md", "page.md: #not-here has no such heading"]


@pytest.mark.static
def test_the_readme_lists_every_setting_with_its_default():
    table = (ROOT / "README.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        default = field.default if isinstance(field.default, str) else json.dumps(field.default)
        shown = f"`{default}`" if default else "empty"
        row = rf"^\| `{name}` \| {re.escape(shown)} \|"
        assert re.search(row, table, re.MULTILINE), f"README has no row {row}"


def python_examples(file: Path) -> list[str]:
    """The Python code blocks of a Markdown file."""
    return re.findall(r"^```python\n(.*?)^```", file.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readmes_python_examples_run(fresh_home: Path, tmp_path: Path):
    examples = python_examples(ROOT / "README.md")
    assert examples
    program = tmp_path / "examples.py"
    program.write_text("\n".join(examples), "utf-8")
    ran = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


# LangChain.


@pytest.fixture
def assistant(home: Path) -> Iterator[Assistant]:
    opened = Assistant.open()
    yield opened
    opened.close()


def test_the_assistant_is_a_runnable(assistant: Assistant):
    question = "What is the national average of the base salary?"
    runnable = assistant.as_runnable()
    alone = runnable.invoke(question)
    assert alone.answered
    both = runnable.batch([question, {"question": question, "history": ()}])
    assert [answer.text for answer in both] == [alone.text, alone.text]
