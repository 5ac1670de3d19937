"""Program of the runs that need no engine: `python -m pipeline.runs.task SPEC.json`.

It speaks the workers' protocol (events, stop file, true exit code) for functions of our own environment.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.message import Message, message, worded
from pipeline.hub import client
from pipeline.runs import events
from pipeline.runs.kinds import kind_of


class Cancelled(Exception):
    """The stop file is there."""


class Reporter:
    """What a task tells the world: stages, progress, and whether it should stop."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._events = Path(spec["events"])
        self._stop = Path(spec["stop_file"])

    def emit(self, event: str, **values: Any) -> None:
        """Append an event."""
        events.append(self._events, event, **values)

    def stage(self, stage: str, what: Message | str, /, **values: Any) -> None:
        """Say what is being done now: a message, or a code and its values."""
        events.tell(self._events, "stage", worded(what, **values), stage=stage)

    def warn(self, what: Message | str, /, **values: Any) -> None:
        """Say what people should know: a message, or a code and its values."""
        events.tell(self._events, "warning", worded(what, **values))

    def fail(self, why: Message, /, **values: Any) -> None:
        """Say why it did not succeed; the last event."""
        events.tell(self._events, "error", why, **values)

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Say how much of a countable stage is done."""
        self.emit("progress", stage=stage, done=done, total=total, unit=unit)

    def should_stop(self) -> bool:
        """Return whether the user asked for a stop."""
        return self._stop.exists()


Task = Callable[[dict[str, Any], Reporter], dict[str, Any]]


def main(path: str) -> int:
    """Run the task of a spec.

    Args:
        path: The spec, a JSON file with at least kind, events and stop_file.

    Returns:
        0 done, 1 failed, 130 cancelled.
    """
    spec = json.loads(Path(path).read_text())
    reporter = Reporter(spec)
    signal.signal(signal.SIGTERM, _terminate)
    reporter.emit("started", pid=os.getpid(), versions={})
    try:
        # Imported here: one task does not pay for another's libraries.
        module, function = kind_of(spec["kind"]).task.split(":")
        task: Task = getattr(importlib.import_module(module), function)
        with client.acting_as(os.environ.pop("HF_TOKEN", None)):  # taken out: what a task starts has no token
            result = task(spec, reporter)
    except (Cancelled, KeyboardInterrupt):
        reporter.emit("cancelled")
        return 130
    except StudioError as error:
        return _failed(reporter, error.message, type=type(error).__name__)
    except Exception as error:  # the boundary of the process: whatever it is, the user must see it
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
        name = type(error).__name__
        why = message("run.disk_full") if disk_full(error) else message("run.unexpected", detail=str(error), name=name)
        return _failed(reporter, why, type=name, traceback=traceback.format_exc())
    reporter.emit("done", **result)
    return 0


def _failed(reporter: Reporter, why: Message, **values: Any) -> int:
    with contextlib.suppress(OSError):  # without space for the event the supervisor sees the full disk
        reporter.fail(why, **values)
    return 1


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # As a program this module is named __main__, and its Cancelled is not the one that the tasks import and raise.
    from pipeline.runs import task

    raise SystemExit(task.main(sys.argv[1]))
