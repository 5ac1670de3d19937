"""What a process may take for what others made: a few kilobytes of a file can say terabytes, or go on for ever.

Standard library alone: used by the app and by the engines' programs. Only Linux counts memory so; elsewhere it is not
limited.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20


class TooMuch(BaseException):
    """What others made takes more processor time than it is given; no Exception, so that no library swallows it."""


@contextmanager
def memory(mib: int) -> Iterator[None]:
    """Let this process take so much more memory of its own at most for a while; beyond it MemoryError is raised.

    It holds for all threads: for processes that do one thing.

    Args:
        mib: Mebibytes of data beside what the process holds already.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [value for value in (_held() + mib * MIB, before, most) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


@contextmanager
def processor(seconds: float) -> Iterator[None]:
    """Let this process take so much processor time for a while; beyond it TooMuch is raised in what it does.

    Time of the process, not of the clock: a busy machine does not count. In a thread beside the main one, where signals
    do not come, nothing is limited.

    Args:
        seconds: Of processor time, of all threads.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _end(number: int, frame: object) -> None:
    raise TooMuch


def _held() -> int:
    """Return the bytes of data that this process holds, as the limit counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), 0)
