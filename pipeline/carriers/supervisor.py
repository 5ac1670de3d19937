"""One small process per run: waits its turn and has the run's carrier bring it to its end.

    python -m pipeline.carriers.supervisor HOME RUN_ID

It has the token of the run's user, where the run names one, in its environment and nowhere else.

It holds the run's lock while it lives; the lock, which the system frees at any kind of death, is how others know. A
supervisor started for a run whose worker still lives takes it over. What a carrier is: `pipeline.runs.places.Carrier`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.home import Home
from pipeline.base.message import Message, message
from pipeline.hub import client
from pipeline.runs import events, launch, places
from pipeline.runs.ledger import Ledger, State
from pipeline.runs.task import Cancelled

TICK = 0.3  # seconds between looks at the stop file
REVIVE = 5.0  # seconds between looks at other runs' supervisors while waiting


class Supervisor:
    """Carries one run to its end."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger = ledger
        self.run = ledger.get(run_id)
        self.carrier = places.carrier_of(self.run.place)

    def carry(self) -> None:
        """Carry the run once it is its turn."""
        if not self.run.active:
            return
        if client.token() is None and launch.needs_token(self.run):
            self.ledger.set_state(self.run.id, State.WAITING)  # its user's next sign-in starts us again
            return
        try:
            carry = places.carrying(self.carrier)
        except (ImportError, AttributeError, ValueError) as error:  # an extension that is written wrong
            self._fail(message("run.unexpected", name=type(error).__name__, detail=str(error)))
            return
        try:
            with self._turn():
                carry(self.ledger, self.run)
            if (left := self.ledger.get(self.run.id)).active and left.state is not State.WAITING:
                self._fail(message("run.lost"))
        except Cancelled:
            events.tell_end(self.run.events, None)
            self.ledger.end(self.run.id, State.CANCELLED)
        except StudioError as error:
            self._fail(error.message)
        except OSError as error:
            full = disk_full(error)
            self._fail(message("run.not_started_full") if full else message("run.not_started", detail=str(error)))

    def _fail(self, problem: Message) -> None:
        self.ledger.end(self.run.id, State.FAILED, problem=problem)
        events.tell_end(self.run.events, problem)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the machine's compute lock while the run needs it; others of its kind go in ledger order.

        A run whose worker lives already had its turn.
        """
        if not self.run.takes_turns or self.run.worker is not None:
            yield
            return
        lock = FileLock(self.ledger.home.locks / "compute.lock")
        revived = float("-inf")
        while True:
            self._check_stop()
            if time.monotonic() - revived > REVIVE:
                launch.revive(self.ledger)  # a run ahead of us whose supervisor was killed would hold everybody up
                revived = time.monotonic()
            active = [run for run in self.ledger.list(active=True) if run.takes_turns]
            if not any(run.number < self.run.number and run.state is not State.WAITING for run in active):
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=0)
                    break
            time.sleep(TICK)
        try:
            yield
        finally:
            lock.release()

    def _check_stop(self) -> None:
        if self.run.stop_file.exists():
            raise Cancelled


def main(home: str, run_id: str) -> int:
    """Supervise one run to its end; do nothing when another supervisor has it."""
    os.umask(0o077)
    ledger = Ledger(Home(Path(home)))
    lock = launch.lock_of(ledger.get(run_id))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return 0
    # Taken out of the environment: of our children only the run's worker is given it.
    with lock, client.acting_as(os.environ.pop("HF_TOKEN", None)):
        Supervisor(ledger, run_id).carry()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
