"""Print constraints.txt: all dependencies and development tools, resolved together by plain pip.

Torch is held: newer ones bring gigabytes of CUDA to machines that have no use for it.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HELD = ("torch==2.13.0",)
ROOT = Path(__file__).parents[1]
HEAD = """\
# Every package of an installation with its development tools, resolved together for Python 3.11.
# Written by: make constraints
"""


def resolve(folder: Path) -> list[str]:
    """The packages that a fresh environment below `folder` would install, pinned."""
    venv.create(folder / "venv", with_pip=True)
    held, report = folder / "held.txt", folder / "report.json"
    held.write_text("\n".join(HELD))
    command = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--dry-run"]
    command += ["--report", report, "--constraint", held, "--ignore-installed"]
    subprocess.run([*command, f"{ROOT}[all,dev]"], check=True, stdout=sys.stderr)
    found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    pins = {p["name"].lower().replace("_", "-"): p["version"].split("+")[0] for p in found}
    del pins["career-assistant"]
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(HEAD + "\n".join(resolve(Path(folder))) + "\n")
