"""What a worker says and listens to: events, the stop file, errors a user can act on. Standard library only."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

Spec = dict[str, Any]


class Problem(Exception):
    """Something the user can act on.

    Args:
        kind: The error event's type.
        message: What is wrong.
        next: One sentence what to do.
    """

    def __init__(self, kind: str, message: str, next: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.next = next


class Cancelled(Exception):
    """The stop file appeared."""


class Reporter:
    """Appends events and watches the stop file.

    Args:
        spec: Gives `events` and `stop_file`.
    """

    def __init__(self, spec: Spec) -> None:
        self._target = spec.get("events") or "-"
        self._stop_file = Path(spec["stop_file"]) if spec.get("stop_file") else None
        self._last = 0.0

    def emit(self, event: str, **values: Any) -> None:
        """Append one event in one write; numbers that are not finite become null."""
        line = json.dumps(finite({"ts": time.time(), "event": event, **values}), ensure_ascii=False, default=str)
        if self._target == "-":
            print(f"@@EVT {line}", flush=True)
            return
        handle = os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{line}\n".encode("utf-8", "replace"))
        finally:
            os.close(handle)

    def progress(self, stage: str, done: int, total: int, unit: str, **values: Any) -> None:
        """Report countable work, at most twice a second and always its end; obey the stop file."""
        self.check()
        now = time.monotonic()
        if done >= total or now - self._last >= 0.5:
            self._last = now
            self.emit("progress", stage=stage, done=done, total=total, unit=unit, **values)

    def check(self) -> None:
        """Raise Cancelled if a stop is asked for."""
        if self._stop_file is not None and self._stop_file.exists():
            raise Cancelled


def finite(value: Any) -> Any:
    """Return a JSON value with null for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
