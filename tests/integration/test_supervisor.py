"""The supervisor on real processes: it carries, waits for its turn, and ends a run whose task fails."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.home import Home, open_home
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.view import look


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger(home)


def add(ledger: Ledger, kind: str = "export", **spec: object) -> Run:
    return ledger.add(kind, "p", "title", spec)[0]


def wait_for(ledger: Ledger, run: Run, condition: Callable[[Run], bool], seconds: float = 30) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = ledger.get(run.id)
        if condition(seen):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"{run.id} is still {ledger.get(run.id).state}")


def wait_for_end(ledger: Ledger, run: Run) -> Run:
    return wait_for(ledger, run, lambda seen: not seen.active)


def test_a_failing_task_ends_as_failed_with_its_reason(ledger: Ledger) -> None:
    run = launch.start(ledger, "export", "no-such-project", "Export", {"options": {}})
    seen = wait_for_end(ledger, run)
    assert seen.state is State.FAILED
    assert seen.problem is not None
    assert "no-such-project" in seen.problem.what
    assert [event["event"] for event in events.read(run.events).events][-1] == "error"
    shown = look(ledger, run.id)
    assert shown is not None
    assert shown.problem == seen.problem


def test_a_run_whose_starter_died_is_taken_up(ledger: Ledger) -> None:
    run = add(ledger)  # the app was killed between the ledger's row and the supervisor's start
    assert not launch.has_supervisor(run)
    launch.revive(ledger)
    assert wait_for_end(ledger, run).state is State.FAILED  # there is no such project


def test_a_queued_run_is_cancelled_by_its_stop_file(ledger: Ledger) -> None:
    blocker = add(ledger, "train")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, filelock; filelock.FileLock(sys.argv[1]).acquire(); input()",
            str(blocker.folder / "supervisor.lock"),
        ],
        stdin=subprocess.PIPE,
    )  # stands for the supervisor of a long training: it holds that run's lock
    try:
        deadline = time.monotonic() + 10
        while not launch.has_supervisor(blocker) and time.monotonic() < deadline:
            time.sleep(0.05)
        queued = launch.start(ledger, "train", "p", "second", {"n": 2})
        launch.stop(queued)
        seen = wait_for_end(ledger, queued)
    finally:
        holder.communicate(b"\n", timeout=10)
    assert seen.state is State.CANCELLED
    assert seen.started is None


def test_a_run_whose_user_is_not_signed_in_waits_and_can_be_stopped(ledger: Ledger) -> None:
    run = launch.start(ledger, "export", "p", "Publish", {"user": "ada"})
    assert ledger.get(run.id).state is State.WAITING
    assert not launch.has_supervisor(run)
    launch.stop(run)
    launch.revive(ledger)
    assert wait_for_end(ledger, run).state is State.CANCELLED


def test_a_waiting_run_holds_nobody_up(ledger: Ledger) -> None:
    waiting = add(ledger, "train", user="ada")
    launch.revive(ledger)
    assert ledger.get(waiting.id).state is State.WAITING
    run = launch.start(ledger, "train", "p", "second", {"n": 2})
    seen = wait_for(ledger, run, lambda seen: seen.state is not State.QUEUED)
    assert seen.state is not State.QUEUED
    launch.stop(run)
    launch.stop(run)
    wait_for_end(ledger, run)
