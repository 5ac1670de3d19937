"""Runs on this machine: which program does them, how it is watched, and what its end means."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from pipeline import engines
from pipeline.base import install
from pipeline.base.errors import disk_full, no_space
from pipeline.base.message import Message, message
from pipeline.runs import events, launch
from pipeline.runs.kinds import kind_of
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.log import tail
from pipeline.runs.process import Identity, end_group, start_detached
from pipeline.runs.spec import spec_of
from pipeline.runs.task import Cancelled

TICK = 0.3  # seconds between looks at the worker and the stop file
TERM_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


def carry(ledger: Ledger, run: Run) -> None:
    """Carry a run on this machine: take over its worker if it has one, else start it.

    Raises:
        Cancelled: It was stopped before it began.
        StudioError: Its engine cannot be built.
        OSError: Its worker cannot be started.
    """
    carried = _Carried(ledger, run)
    if run.worker is not None:
        carried.take_over(Identity.from_dict(run.worker))
    else:
        carried.start_and_watch()


class _Carried:
    """One run on this machine."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self.ledger = ledger
        self.run = run
        self.peak = 0

    def _build_line(self, line: Message) -> None:
        events.tell(self.run.events, "stage", line, stage="install")

    def start_and_watch(self) -> None:
        """Start the worker and stay with it to its end."""
        self.ledger.set_state(self.run.id, State.STARTING)
        program = command(self.run, self._build_line, self._check_stop)
        self._check_stop()
        ooms = oom_kills()
        process = start_detached(
            program, log=self.run.log, cwd=self.run.folder, environment=launch.environment(self.run)
        )
        with contextlib.suppress(psutil.NoSuchProcess):  # ended within a millisecond: its exit code tells
            self.ledger.set_worker(self.run.id, Identity.of(process.pid).as_dict())
        self.ledger.set_state(self.run.id, State.RUNNING)
        code = self._watch(self._identity(process.pid), process)
        self._finish(code, (oom_kills() or 0) - (ooms or 0))

    def take_over(self, worker: Identity) -> None:
        """Stay with a worker that a former supervisor started."""
        self._finish(self._watch(worker, None), 0)

    def _check_stop(self) -> None:
        if self.run.stop_file.exists():
            raise Cancelled

    def _identity(self, pid: int) -> Identity | None:
        worker = self.ledger.get(self.run.id).worker
        return Identity.from_dict(worker) if worker and worker["pid"] == pid else None

    def _watch(self, identity: Identity | None, process: subprocess.Popen[bytes] | None) -> int | None:
        """Wait for the worker's end, pass stop requests on, remember its peak memory; return its exit code if seen."""
        terminated: float | None = None
        stopping = False
        while True:
            if process is not None and process.poll() is not None:
                return process.returncode
            if process is None and (identity is None or identity.process() is None):
                return None
            self._measure(identity)
            if self.run.stop_file.exists() and not stopping:
                stopping = True
                self.ledger.set_state(self.run.id, State.STOPPING)
            if self.run.kill_file.exists() and identity is not None:
                if terminated is None:
                    terminated = time.monotonic()
                    end_group(identity, signal.SIGTERM)
                elif time.monotonic() - terminated > TERM_GRACE:
                    end_group(identity, signal.SIGKILL)
            time.sleep(TICK)

    def _measure(self, identity: Identity | None) -> None:
        worker = identity.process() if identity else None
        if worker is None:
            return
        with contextlib.suppress(psutil.Error):  # it may end between two calls
            family = [worker, *worker.children(recursive=True)]
            self.peak = max(self.peak, sum(process.memory_info().rss for process in family))

    def _finish(self, code: int | None, ooms: int) -> None:
        state, problem, result = conclude(self.run, code, peak=self.peak, ooms=ooms)
        if last_end(self.run) is None:
            events.tell_end(self.run.events, problem)
        self.ledger.end(self.run.id, state, problem=problem, result=result)


def command(run: Run, on_line: install.Lines, check: install.Check) -> list[str]:
    """Return the program that carries a run, building its engine first when needed.

    Args:
        run: The run.
        on_line: Called with each line of an engine's build.
        check: Called about every second of it; what it raises ends the build.

    Raises:
        StudioError: The engine cannot be built.
    """
    engine = kind_of(run.kind).engine and str(spec_of(run).get("engine") or kind_of(run.kind).engine)
    if not engine:
        return [sys.executable, "-m", "pipeline.runs.task", str(run.spec)]
    from pipeline.base.settings import Settings  # noqa: PLC0415 - a third of a second for runs without an engine

    python = install.ensure(engine, Settings().engines_folder, on_line, check)
    return [str(python), str(Path(engines.__file__).parent / engine / "worker.py"), str(run.spec)]


def oom_kills() -> int | None:
    """Return how often the kernel's memory limit has killed a process of our cgroup; None where unreadable."""
    try:
        lines = CGROUP_EVENTS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def last_end(run: Run) -> events.Event | None:
    """Return the event by which the worker said how it ended, if it did."""
    return next((event for event in reversed(events.read(run.events).events) if event["event"] in events.ENDS), None)


def conclude(
    run: Run, code: int | None, *, peak: int = 0, ooms: int = 0
) -> tuple[State, Message | None, dict[str, Any] | None]:
    """Say how a run ended.

    Args:
        run: The run.
        code: Exit code of the worker (negative: the signal that ended it); None when nobody saw it end.
        peak: Largest resident memory seen of the worker and its children, bytes.
        ooms: Kills by the memory limit while it ran.

    Returns:
        The state, the problem if there is one, the result if there is one.
    """
    end = last_end(run)
    kind = end["event"] if end else None
    if end and kind == "done" and code in (0, None):
        return State.SUCCEEDED, None, {k: v for k, v in end.items() if k not in {"ts", "event"}}
    if kind == "cancelled" or code == 130 or (run.kill_file.exists() and kind is None):
        return State.CANCELLED, None, None
    if end and kind == "error":
        return State.FAILED, events.said(end), None
    if _out_of_space(run):
        return State.FAILED, message("run.no_space"), None
    if code is None:
        return State.LOST, message("run.lost"), None
    if code < 0:
        return State.FAILED, _killed(signal.Signals(-code), peak, ooms), None
    return State.FAILED, message("run.exit", code=code, log=tail(run.log)), None


def _out_of_space(run: Run) -> bool:
    """Return whether a worker that did not say how it ended had no space left to say it."""
    return no_space(run.folder) or disk_full(tail(run.log))


def _killed(name: signal.Signals, peak: int, ooms: int) -> Message:
    total = psutil.virtual_memory().total
    used = {"peak": f"{peak / 2**30:.1f}", "total": f"{total / 2**30:.1f}"}
    if ooms:
        return message("run.out_of_memory", **used)
    return message("run.killed" if name is signal.SIGKILL else "run.signal", signal=name.name, **used)
