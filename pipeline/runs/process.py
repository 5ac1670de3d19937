"""Processes that outlive their parent: starting, recognising and ending them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Identity:
    """Names one process for ever: a pid alone is used again.

    Attributes:
        boot: Identity of the machine's current boot.
        pid: Process number.
        start: Unix time at which the process began, seconds.
    """

    boot: str
    pid: int
    start: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a running process.

        Raises:
            psutil.NoSuchProcess: It is gone already.
        """
        return cls(boot_id(), pid, psutil.Process(pid).create_time())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Identity:
        """Return the inverse of `as_dict`."""
        return cls(str(values["boot"]), int(values["pid"]), float(values["start"]))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def process(self) -> psutil.Process | None:
        """Return the running process, or None when it has ended (a zombie has ended)."""
        if self.boot != boot_id():
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            # create_time is derived from clock ticks; a hundredth of a second covers rounding
            if abs(process.create_time() - self.start) < 0.05 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def boot_id() -> str:
    """Return an identity of the machine's current boot."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return f"{psutil.boot_time():.0f}"


def start_detached(
    command: list[str], *, log: Path, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that no signal or terminal of ours reaches it.

    Args:
        command: Program and arguments.
        log: File its output is appended to.
        cwd: Its working directory.
        environment: Its environment; ours by default.

    Returns:
        The started process; a background thread reaps it, so it never stays a zombie of ours.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True, name=f"reap-{process.pid}").start()
    return process


def end_group(identity: Identity, how: signal.Signals) -> None:
    """Send a signal to the process group of a worker started by `start_detached`, if it still runs."""
    if identity.process() is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(identity.pid, how)
