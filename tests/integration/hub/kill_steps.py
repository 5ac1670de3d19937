"""What tests that kill share: one studio that speaks to the Hub double, what is started in it, and what is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.base import project as projects
from pipeline.base.home import Home
from pipeline.base.project import Project
from pipeline.base.settings import Settings
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run
from tests.browser.conftest import App
from tests.doubles.hub import HubDouble

WAIT_S = 240.0


def until(true: Callable[[], object], what: Callable[[], str] | str, seconds: float = WAIT_S) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what if isinstance(what, str) else what()
        time.sleep(0.05)


@dataclass
class Place:
    """A studio that speaks to the Hub double, its engines recorded, and everything in its home."""

    app: App
    hub: HubDouble
    user: str
    folder: Path
    bucket: Path

    @property
    def home(self) -> Home:
        return Home(self.app.home.resolve())

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.home)

    @property
    def project(self) -> Project:
        return projects.find(self.home.of("local"), "kills")

    def command(self, *arguments: str) -> dict[str, Any]:
        """Start something as a person does from a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments, "--home", str(self.app.home), "--json", "--yes"],
            env=os.environ | self.app.environment | {"ALIGN_STUDIO_ENGINES": str(Settings().engines_folder)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = dict(json.loads(done.stdout))
        return dict(found.get("run") or found)

    def run(self, run_id: str) -> Run:
        return self.ledger.get(run_id)

    def kill(self, victim: str, run: Run) -> str:
        """Kill, and say what was killed."""
        worker = (run.worker or {}).get("pid")
        if victim == "worker" and worker:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker, signal.SIGKILL)
            return "worker"
        if victim == "app":
            self.app.kill()
            return "app"
        if victim == "all":
            self.app.kill()
            kill_all(lambda command: str(self.app.home) in command)
            return "all"
        kill_all(lambda command: "pipeline.carriers.supervisor" in command and run.id in command)
        return "supervisor"

    def restart(self) -> None:
        """Start the app again, where it was killed."""
        if self.app.process is None or self.app.process.poll() is not None:
            self.app.start()

    def story(self, run: Run) -> str:
        told = [str(event)[:300] for event in events.read(run.events).events[-12:]]
        texts = [
            file.read_text(errors="replace")[-1500:]
            for file in (run.log, run.folder / "supervisor.txt")
            if file.exists()
        ]
        return "\n".join([str(self.run(run.id)), *told, *texts, self.app.log()[-1500:]])

    def ended(self, run_id: str) -> Run:
        """Wait until a run has ended; return it."""
        until(lambda: not self.run(run_id).active, lambda: self.story(self.run(run_id)))
        return self.run(run_id)


def kill_all(wanted: Callable[[str], bool]) -> None:
    for _ in range(3):  # what was being started meanwhile
        for process in psutil.process_iter(["cmdline"]):
            if process.pid != os.getpid() and wanted(" ".join(process.info["cmdline"] or [])):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.1)
