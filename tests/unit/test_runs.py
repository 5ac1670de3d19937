"""Ledger, what an end means, folding, and the supervisor on a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.home import Home, open_home
from pipeline.runs import events, local, supervisor
from pipeline.runs.ledger import Ledger, Problem, Run, State
from pipeline.runs.process import Identity
from pipeline.runs.view import Folded, fold, look


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger(home)


def add(ledger: Ledger, kind: str = "export", **spec: object) -> Run:
    return ledger.add(kind, "p", "title", spec)[0]


def wait_for_end(ledger: Ledger, run: Run, seconds: float = 30) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = ledger.get(run.id)
        if not seen.active:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"{run.id} is still {ledger.get(run.id).state}")


def test_asking_twice_while_active_gives_one_run(ledger: Ledger) -> None:
    first, new = ledger.add("train", "p", "a", {"x": 1})
    again, newer = ledger.add("train", "p", "a", {"x": 1})
    other, newest = ledger.add("train", "p", "a", {"x": 2})
    assert (new, newer, newest) == (True, False, True)
    assert again.id == first.id != other.id
    ledger.end(first.id, State.CANCELLED)
    assert ledger.add("train", "p", "a", {"x": 1})[0].id != first.id


def test_the_first_end_wins(ledger: Ledger) -> None:
    run = add(ledger)
    ledger.end(run.id, State.FAILED, problem=Problem("what", "why", "next"))
    ledger.end(run.id, State.SUCCEEDED, result={"a": 1})
    ledger.set_state(run.id, State.RUNNING)
    seen = ledger.get(run.id)
    assert (seen.state, seen.problem, seen.result) == (State.FAILED, Problem("what", "why", "next"), None)


def test_list_is_newest_first_and_filters(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger, "train")
    assert [run.id for run in ledger.list()] == [second.id, first.id]
    assert [run.id for run in ledger.list(kind="export")] == [first.id]
    ledger.end(second.id, State.SUCCEEDED)
    assert [run.id for run in ledger.list(active=True)] == [first.id]
    assert ledger.latest("p", "train") == ledger.get(second.id)
    assert ledger.latest("q", "train") is None


@pytest.mark.parametrize(
    ("end", "code", "state", "words"),
    [
        ({"event": "done", "value": 3}, 0, State.SUCCEEDED, ""),
        ({"event": "done", "value": 3}, None, State.SUCCEEDED, ""),
        ({"event": "cancelled"}, 130, State.CANCELLED, ""),
        (
            {"event": "error", "message": "no data", "type": "ValueError", "next": "add rows"},
            1,
            State.FAILED,
            "no data",
        ),
        (None, -9, State.FAILED, "killed (SIGKILL)"),
        (None, -11, State.FAILED, "SIGSEGV"),
        (None, 3, State.FAILED, "exit code 3"),
        ({"event": "done"}, 1, State.FAILED, "exit code 1"),
        (None, None, State.LOST, "without a trace"),
    ],
)
def test_what_an_end_means(
    ledger: Ledger, end: dict[str, object] | None, code: int | None, state: State, words: str
) -> None:
    run = add(ledger)
    if end:
        values = dict(end)
        events.append(run.events, str(values.pop("event")), **values)
    got, problem, result = local.conclude(run, code, peak=3 << 30)
    assert got is state
    assert words in (problem.what if problem else "")
    assert result == ({"value": 3} if state is State.SUCCEEDED else None)


def test_a_memory_limit_is_named(ledger: Ledger) -> None:
    _, problem, _ = local.conclude(add(ledger), -9, peak=3 << 30, ooms=1)
    assert problem is not None
    assert "out of memory" in problem.what
    assert "peak 3.0" in problem.why


def test_identity_knows_a_process_from_a_later_one_of_its_number() -> None:
    me = Identity.of(os.getpid())
    assert Identity.from_dict(me.as_dict()).process() is not None
    assert Identity(me.boot, me.pid, me.start - 5).process() is None
    assert Identity("another boot", me.pid, me.start).process() is None


def test_folding_gives_rate_and_time_left() -> None:
    folded = Folded()
    folded.add({"ts": 100.0, "event": "stage", "stage": "import", "message": "Importing"})
    folded.add({"ts": 100.0, "event": "progress", "done": 0, "total": 100, "unit": "records"})
    folded.add({"ts": 104.0, "event": "progress", "done": 40, "total": 100, "unit": "records"})
    assert folded.progress is not None
    assert (folded.progress.rate, folded.progress.left, folded.progress.share) == (10.0, 6.0, 0.4)
    folded.add({"ts": 105.0, "event": "stage", "stage": "check", "message": "Checking"})
    assert folded.progress is None


def test_fold_reads_only_what_is_new(ledger: Ledger) -> None:
    run = add(ledger)
    events.append(run.events, "log", step=1, loss=2.0)
    assert len(fold(run).metrics) == 1
    events.append(run.events, "log", step=2, loss=1.0)
    assert [entry["step"] for entry in fold(run).metrics] == [1, 2]


def test_a_failing_task_ends_as_failed_with_its_reason(ledger: Ledger) -> None:
    run = supervisor.launch(ledger, "export", "no-such-project", "Export", {"options": {}})
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
    assert not supervisor.has_supervisor(run)
    supervisor.tend(ledger)
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
        while not supervisor.has_supervisor(blocker) and time.monotonic() < deadline:
            time.sleep(0.05)
        queued = supervisor.launch(ledger, "train", "p", "second", {"n": 2})
        supervisor.stop(queued)
        seen = wait_for_end(ledger, queued)
    finally:
        holder.communicate(b"\n", timeout=10)
    assert seen.state is State.CANCELLED
    assert seen.started is None
