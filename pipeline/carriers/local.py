"""A run on this machine: which program carries it, and what its end means."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import psutil

from pipeline import engines
from pipeline.base import install
from pipeline.base.errors import disk_full, no_space
from pipeline.base.message import Message, message
from pipeline.base.settings import Settings
from pipeline.runs import events
from pipeline.runs.kinds import kind_of
from pipeline.runs.ledger import Run, State
from pipeline.runs.log import tail
from pipeline.runs.spec import spec_of

CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


def command(run: Run, settings: Settings, on_line: install.Lines, check: install.Check) -> list[str]:
    """Return the program that carries a run, building its engine first when needed.

    Args:
        run: The run.
        settings: Names the engines' folder.
        on_line: Called with each line of an engine's build.
        check: Called about every second of it; what it raises ends the build.

    Raises:
        StudioError: The engine cannot be built.
    """
    engine = kind_of(run.kind).engine and str(spec_of(run).get("engine") or kind_of(run.kind).engine)
    if not engine:
        return [sys.executable, "-m", "pipeline.runs.task", str(run.spec)]
    python = install.ensure(engine, settings.engines_folder, on_line, check)
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
