"""What a worker says and listens to: events, messages by code, the stop file, signals, exit codes.

Standard library alone: workers import it in their engines' environments, as a file of the folder above theirs or, in a
Job, of their own; the app imports it too. The events that all workers share:

- started {pid, versions}
- stage {stage, code, values}                what is being done now
- progress {stage, done, total, unit}        countable work
- warning {code, values}
- result {...}                               one finished part
- done {...} | error {code, values, type?, traceback?} | cancelled {}     the end; exactly one of them, last

`code` and `values` are a message: its words are the app's (`pipeline.base.message`). Values are JSON; a message or an
option within them is what `said` and `option` return.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Spec = dict[str, Any]
MARK = "@@EVT "  # begins an event's line on stdout
ENDS = frozenset({"done", "error", "cancelled"})
DONE, FAILED, CANCELLED = 0, 1, 130  # exit codes
SIGNALS: list[int] = []  # those received: a library may swallow or rename the exception raised on arrival
TRACE_CHARS = 4000


class Problem(Exception):
    """Something the user can act on.

    Args:
        code: Key of its words.
        **values: What the words name.
    """

    def __init__(self, code: str, /, **values: Any) -> None:
        super().__init__(code, values)
        self.code = code
        self.values = values

    def __str__(self) -> str:
        return f"{self.code} {json.dumps(plain(self.values), ensure_ascii=False)}"


class Cancelled(BaseException):
    """A stop was asked for: by a signal, or by the stop file before there was anything to keep."""


def said(code: str, /, **values: Any) -> dict[str, Any]:
    """Return a message as a value of another one."""
    return {"@": "message", "code": code, "values": values}


def option(name: str, step: str) -> dict[str, Any]:
    """Return an option as a value of a message; see `pipeline.base.message.Option`."""
    return {"@": "option", "name": name, "step": step}


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy's and torch's numbers and arrays
        return plain(value.tolist())
    return value if value is None or isinstance(value, (str, int)) else str(value)


def line_of(event: str, /, **values: Any) -> str:
    """Return an event as its line, without the end of line."""
    return json.dumps(plain({"ts": time.time(), "event": event, **values}), ensure_ascii=False)


def append(path: str | Path, event: str, /, **values: Any) -> None:
    """Append one event; a single write, so that readers never see half a line of two writers mixed.

    Args:
        path: The run's events.jsonl.
        event: Kind of the event.
        **values: Its JSON values; `ts` where it happened elsewhere.

    Raises:
        OSError: It was not written, or not as a whole.
    """
    data = f"{line_of(event, **values)}\n".encode("utf-8", "replace")
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(handle, data) < len(data):  # the last bytes of a disk; readers cope with the torn line
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)


class Reporter:
    """Tells what a worker does, and knows whether it is to stop.

    Args:
        spec: Gives `events`, a file or "-" for stdout, and `stop_file`.
    """

    def __init__(self, spec: Spec) -> None:
        self._target = str(spec.get("events") or "-")
        if self._target != "-":
            self._target = str(Path(self._target).resolve())  # a worker may change its folder
        self._stop_file = Path(spec["stop_file"]).resolve() if spec.get("stop_file") else None
        self._last = float("-inf")

    def emit(self, event: str, /, **values: Any) -> None:
        """Write one event."""
        if self._target == "-":
            # The line break before it: a progress bar may have left its line open.
            sys.stdout.write(f"\n{MARK}{line_of(event, **values)}\n")
            sys.stdout.flush()
        else:
            append(self._target, event, **values)

    def stage(self, stage: str, code: str, /, about: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Say what is being done now.

        Args:
            stage: Its name, for programs.
            code: Key of its words.
            about: More of the event for programs: model, task.
            **values: What the words name.
        """
        self.emit("stage", stage=stage, code=code, values=values, **(about or {}))

    def warning(self, code: str, /, **values: Any) -> None:
        """Say what to beware of."""
        self.emit("warning", code=code, values=values)

    def progress(self, stage: str, done: int, total: int, unit: str, **about: Any) -> None:
        """Report countable work, at most twice a second and always its end; obey the stop file.

        Raises:
            Cancelled: A stop is asked for.
        """
        self.check()
        now = time.monotonic()
        if done >= total or now - self._last >= 0.5:
            self._last = now
            self.emit("progress", stage=stage, done=done, total=total, unit=unit, **about)

    def stop_requested(self) -> bool:
        """Return whether the stop file is there: what can be kept is to be kept."""
        return self._stop_file is not None and self._stop_file.exists()

    def check(self) -> None:
        """Raise Cancelled if a stop is asked for."""
        if SIGNALS or self.stop_requested():
            raise Cancelled


Work = Callable[[Spec, Reporter], dict[str, Any]]
Explain = Callable[[BaseException], dict[str, Any]]


def failure(error: BaseException) -> dict[str, Any]:
    """Return the values of an `error` event but for its traceback; what nobody has foreseen is told by its own text."""
    if isinstance(error, Problem):
        return {"code": error.code, "values": error.values}
    name = type(error).__name__
    return {"code": "engines.failed", "values": {"detail": f"{name}: {error}"[:2000]}, "type": name}


def run(
    spec_path: str,
    work: Work,
    versions: Mapping[str, str],
    explain: Explain = failure,
    expected: tuple[type[BaseException], ...] = (),
) -> int:
    """Do the work of a spec, from its first event to its last; return the exit code.

    Args:
        spec_path: The spec, JSON.
        work: Does it; returns the values of `done`.
        versions: Of the libraries that do it, by name.
        explain: Returns the values of an `error` event.
        expected: Errors that say all there is to say: no traceback is kept of them.
    """
    spec = json.loads(Path(spec_path).read_text("utf-8"))
    SIGNALS.clear()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    reporter = Reporter(spec)
    reporter.emit("started", pid=os.getpid(), versions=versions)
    try:
        done = work(spec, reporter)
    except Cancelled:
        return _cancelled(reporter)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if SIGNALS:
            return _cancelled(reporter)
        _let_nothing_between()
        _failed(reporter, explain(error), "" if isinstance(error, expected) else traceback.format_exc())
        return FAILED
    _let_nothing_between()
    reporter.emit("done", **done)
    return DONE


def leave(code: int) -> None:
    """End the process at once: threads that have nothing left to do must not alter the exit code in their teardown."""
    with contextlib.suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _failed(reporter: Reporter, told: dict[str, Any], trace: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk neither log nor event may find space; the exit code tells
        print(trace, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        reporter.emit("error", **told, **({"traceback": trace[-TRACE_CHARS:]} if trace else {}))


def _cancelled(reporter: Reporter) -> int:
    _let_nothing_between()
    with contextlib.suppress(OSError):
        reporter.emit("cancelled")
    return CANCELLED


def _on_signal(number: int, _frame: object) -> None:
    """Remember the signal and end what is being done."""
    SIGNALS.append(number)
    raise Cancelled


def _let_nothing_between() -> None:
    """Let no signal come between the last event and the exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
