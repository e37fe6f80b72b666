"""Pictures for the README: `python docs/screenshots.py` writes docs/images/*.png.

Starts the real page on a folder of its own (models are fetched on first use), asks one question in
Chromium, opens a citation, and takes the picture once for a desktop and once for a phone. With the
folder of a run, `python docs/screenshots.py runs/now`, it takes the picture of its report instead.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
QUESTION = "Which cities pay above the national average?"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
PATIENCE_S = 300


def main() -> None:
    """Take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    browsers = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, browsers)), None)
    if found is None:
        sys.exit("no Chromium; on Debian: apt-get install chromium")
    if len(sys.argv) > 1:
        report(found, Path(sys.argv[1]).resolve() / "report.html")
        return
    with chat_page() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        desktop = answered(browser, url, width=1280, height=800)
        desktop.screenshot(path=IMAGES / "answer.png")
        phone = answered(browser, url, width=390, height=844)
        phone.locator("button.mark").first.click()
        phone.wait_for_timeout(1500)  # the page scrolls smoothly to the cited words
        phone.screenshot(path=IMAGES / "phone.png")
        browser.close()
    for picture in sorted(IMAGES.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1000} kB")


def report(browser: str, file: Path) -> None:
    """Take the picture of a run's report."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = opened.new_page(viewport={"width": 1180, "height": 1250}, color_scheme="light")
        page.goto(file.as_uri())
        page.screenshot(path=IMAGES / "report.png")
        opened.close()


@contextmanager
def chat_page() -> Iterator[str]:
    """The address of a running `career ui`."""
    with tempfile.TemporaryDirectory() as home:
        models = Path(os.environ.get("CAREER_HOME", "")) / "models"
        if models.is_absolute() and models.is_dir():
            (Path(home) / "models").symlink_to(models, target_is_directory=True)
        command = [sys.executable, "-m", "assistant.cli", "ui", "--port", "0"]
        log = Path(home) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command, stderr=stderr, cwd=ROOT, env={**os.environ, "CAREER_HOME": home}
            )
        try:
            yield address_in(log, process)
        finally:
            process.terminate()
            process.wait(30)


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The address that the process has announced in `log`."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"http://[\d.]+:\d+", log.read_text()):
            return found[0]
        time.sleep(0.2)
    sys.exit(f"career ui did not start: {log.read_text()}")


def answered(browser: Browser, url: str, *, width: int, height: int) -> Page:
    """A page of this size on which QUESTION was answered."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=2, color_scheme="light"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(url)
    page.locator(".welcome").wait_for()
    page.fill("#question textarea", QUESTION)
    page.keyboard.press("Enter")
    page.locator(".exchange.answered").wait_for()
    page.locator("#source mark").first.wait_for()
    page.locator("#question textarea").blur()
    page.wait_for_timeout(500)
    return page


if __name__ == "__main__":
    main()
