"""Program of the runs that need no engine: `python -m pipeline.runs.task SPEC.json`.

It speaks the workers' protocol (`pipeline/engines/protocol.py`) for functions of our own environment.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.message import Message, message, worded
from pipeline.engines import protocol
from pipeline.hub import client
from pipeline.runs import events
from pipeline.runs.kinds import kind_of

Cancelled = protocol.Cancelled
LOOK_S = 0.5  # seconds between two looks whether to stop, where nothing else looks


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

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Say how much of a countable stage is done."""
        self.emit("progress", stage=stage, done=done, total=total, unit=unit)

    def should_stop(self) -> bool:
        """Return whether the user asked for a stop."""
        return self._stop.exists()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a stop end what is being done, even what waits for an answer that does not come.

        Raises:
            Cancelled: A stop is asked for; anywhere inside, so nothing in there may be half done.
        """

        def look(number: int, frame: object) -> None:
            if self.should_stop():
                raise Cancelled

        before = signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


Task = Callable[[dict[str, Any], Reporter], dict[str, Any]]


def main(path: str) -> int:
    """Run the task of a spec.

    Args:
        path: The spec, a JSON file with at least kind, events and stop_file.

    Returns:
        0 done, 1 failed, 130 cancelled.
    """
    return protocol.run(path, _work, {}, _explain, expected=(StudioError,))


def _work(spec: dict[str, Any], _reporter: protocol.Reporter) -> dict[str, Any]:
    # Imported here: one task does not pay for another's libraries.
    module, function = kind_of(spec["kind"]).task.split(":")
    task: Task = getattr(importlib.import_module(module), function)
    with client.acting_as(os.environ.pop("HF_TOKEN", None)):  # taken out: what a task starts has no token
        return task(spec, Reporter(spec))


def _explain(error: BaseException) -> dict[str, Any]:
    name = type(error).__name__
    if isinstance(error, StudioError):
        return {**error.message.as_dict(), "type": name}
    full = isinstance(error, Exception) and disk_full(error)
    why = message("run.disk_full") if full else message("run.unexpected", detail=str(error), name=name)
    return {**why.as_dict(), "type": name}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
