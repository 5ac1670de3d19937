"""What the worker says and listens to: events, signals, errors a user can act on. Standard library only."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Emit = Callable[..., None]
SIGNALS: list[int] = []  # those received: a library may swallow or rename the exception raised on arrival


class Problem(Exception):
    """Something the user can act on.

    Args:
        kind: Its type, for programs.
        message: What happened.
        next: What the user can do, one sentence.
    """

    def __init__(self, kind: str, message: str, next: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.next = next


class Cancelled(BaseException):
    """A signal arrived, or a stop was asked for before there was anything to save."""


def event_writer(target: str) -> Emit:
    """Return the function that writes one event, a single line in a single write.

    Args:
        target: A file, or "-" for stdout.
    """
    handle = None if target == "-" else os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(event: str, **values: Any) -> None:
        line = json.dumps(_plain({"ts": time.time(), "event": event, **values}), ensure_ascii=False)
        if handle is None:
            sys.stdout.write(f"\n@@EVT {line}\n")
            sys.stdout.flush()
        else:
            data = f"{line}\n".encode("utf-8", "replace")
            if os.write(handle, data) < len(data):  # the last bytes of a disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return emit


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def on_signal(number: int, frame: Any) -> None:
    """Remember the signal and end what is being done."""
    SIGNALS.append(number)
    raise Cancelled


def ignore_signals() -> None:
    """Let nothing come between the end event and the exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
