"""What the tests need besides Python packages: the engines and a browser. `python -m tests.prepare`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from pipeline.base import install
from pipeline.base.settings import Settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """Return a browser for Playwright: CHROMIUM, one on PATH, or Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    if found := next(filter(None, map(shutil.which, BROWSERS)), None):
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def get_browser() -> str:
    """Return a browser, installing one if there is none."""
    if found := chromium():
        return found
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(
                command, check=False, stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            )
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if found := chromium():
        return found
    raise SystemExit(
        "The tests need a Chromium: `apt-get install chromium` or `brew install chromium`, or name one in CHROMIUM."
    )


def main() -> None:
    """Get everything, saying what it is and how long it took."""
    began = time.monotonic()
    print(f"Browser: {get_browser()}", flush=True)
    folder = Settings().engines_folder
    for name in install.ENGINES:
        install.ensure(name, folder, lambda line: print(line, flush=True))
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"Engines: {folder} ({size / 1e9:.1f} GB). Prepared in {time.monotonic() - began:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
