"""Follow a run from a terminal: what it does goes to stderr, and leaving it does not stop it."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

from pipeline.base import words
from pipeline.base.plain import plain
from pipeline.command.frame import Call
from pipeline.runs import launch, view
from pipeline.runs.ledger import Run, State
from pipeline.runs.view import View

TICK = 0.3  # seconds between two looks
REVIVE = 5.0  # seconds between looks whether the run has a supervisor
AGAIN = 10.0  # seconds after which a log that is no terminal gets another line of the same stage


class Left(KeyboardInterrupt):
    """Somebody stopped following a run, which goes on.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def add_detach(parser: argparse.ArgumentParser) -> None:
    """Add the option that starts a run and does not follow it."""
    parser.add_argument("--detach", action="store_true", help=words.say("command.option.detach"))


def carried(call: Call, run: Run) -> Run:
    """Return a run that was just started: as it ended, or as it stands where it is not to be followed.

    Args:
        call: Says whether it is followed; what follows is as for `follow`.
        run: The run.
    """
    if getattr(call.given, "detach", False):
        call.tell(words.say("command.detached", run=run.id))
        return call.visit.run(run.id)
    call.tell(words.say("command.following", run=run.id))
    return follow(call, run)


def follow(call: Call, run: Run) -> Run:
    """Follow a run to its end.

    Args:
        call: Whose run it is, and where progress is told.
        run: The run.

    Returns:
        The run as it ended.

    Raises:
        Left: Ctrl-C was pressed; the run goes on.
    """
    screen = _Screen(sys.stderr.isatty())
    revived = float("-inf")
    with _ctrl_c() as pressed:
        while True:
            seen = view.look(call.visit.ledger, run.id)
            assert seen is not None, f"{run.id} was taken out of the ledger"
            screen.show(seen)
            if not seen.run.active:
                screen.end()
                return seen.run
            if pressed:
                screen.end()
                raise Left(seen.run)
            if time.monotonic() - revived > REVIVE:
                launch.supervise(call.visit.ledger.home, seen.run)
                revived = time.monotonic()
            time.sleep(TICK)


@contextlib.contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Collect what is pressed instead of raising: an exception raised in some finalizer would be lost."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class _Screen:
    """One line that changes on a terminal; elsewhere a line where something changed."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._line = ""
        self._stage = ""
        self._at = float("-inf")

    def show(self, seen: View) -> None:
        stage, line = _stage(seen), plain(_line(seen))
        if line == self._line:
            return
        if self._terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif stage != self._stage or not seen.run.active or time.monotonic() - self._at > AGAIN:
            print(line, file=sys.stderr, flush=True)
        else:
            return
        self._line, self._stage, self._at = line, stage, time.monotonic()

    def end(self) -> None:
        if self._terminal and self._line:
            print(file=sys.stderr, flush=True)


def state_words(state: State) -> str:
    """Return what people call a state."""
    return words.say(f"run.state.{state.value.split()[0]}")


def _stage(seen: View) -> str:
    return f"{state_words(seen.run.state)} {seen.folded.message}"


def _line(seen: View) -> str:
    run, folded = seen.run, seen.folded
    parts = [state_words(run.state)]
    if run.state is State.QUEUED and run.takes_turns:
        parts.append(words.say("run.waiting"))
    elif run.active:
        parts.append(str(folded.message))
    if run.active and folded.progress:
        parts.append(folded.progress.amount)
        if folded.progress.left is not None:
            parts.append(words.say("run.left", time=f"{folded.progress.left:.0f} s"))
    loss = folded.metrics[-1].get("loss") if folded.metrics else None
    if run.active and isinstance(loss, int | float):
        parts.append(f"{words.say('train.curve.loss')} {loss:.4g}")
    return " · ".join("".join(sign if sign.isprintable() else " " for sign in part) for part in parts if part)
