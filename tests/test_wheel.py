"""The wheel, installed outside the checkout: everything is in it, and its commands answer."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_project import LAYERS, ROOT, tracked

from assistant import __version__


@dataclass(frozen=True)
class Installed:
    """The wheel, and the folder that it was installed into."""

    wheel: Path
    folder: Path

    def __call__(self, command: str | Path, *arguments: str, cwd: Path) -> str:
        """What a command of the wheel writes to stdout, started in the folder `cwd`."""
        done = subprocess.run(
            [self.folder / "bin" / command, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"  # a copy: setuptools leaves a build folder behind
    for file in tracked():
        copy = checkout / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, checkout)
    wheel = next(folder.glob("*.whl"))
    pip("install", "--target", folder / "site", wheel)
    return Installed(wheel, folder / "site")


def pip(command: str, *arguments: str | Path) -> None:
    """Run pip without any network."""
    line = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*line, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_of_the_packages_is_in_the_wheel_and_nothing_else(installed: Installed):
    packed = {name for name in zipfile.ZipFile(installed.wheel).namelist() if not _info(name)}
    ours = {f.relative_to(ROOT).as_posix() for layer in LAYERS for f in tracked(f"{layer}/*")}
    assert packed == ours


def test_the_licences_are_in_the_wheel(installed: Installed):
    packed = zipfile.ZipFile(installed.wheel).namelist()
    assert {Path(name).name for name in packed if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_the_commands_are_those_of_the_wheel(installed: Installed, tmp_path: Path):
    code = "import assistant, eval.cli; print(assistant.__file__, eval.cli.__file__)"
    places = installed(Path(sys.executable), "-P", "-c", code, cwd=tmp_path).split()
    assert all(Path(place).is_relative_to(installed.folder) for place in places)
    assert installed("career", "--version", cwd=tmp_path) == f"career {__version__}\n"
    assert installed("career-eval", "--version", cwd=tmp_path) == f"career-eval {__version__}\n"


def test_the_installed_command_answers(installed: Installed, home: Path, tmp_path: Path):
    asked = "What is the national average of the base salary?"
    answer = json.loads(installed("career", "ask", asked, "--json", cwd=tmp_path))
    assert answer["status"] == "answered"
    cited = answer["citations"][0]
    place = (f"--start={cited['start']}", f"--end={cited['end']}")
    shown = installed("career", "show", cited["source"], *place, cwd=tmp_path)
    assert shown == cited["quote"]


def _info(name: str) -> bool:
    return name.split("/")[0].endswith(".dist-info")
