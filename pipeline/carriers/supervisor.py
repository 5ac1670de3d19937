"""One small process per run: waits its turn, starts the worker, watches it, records the end.

    python -m pipeline.carriers.supervisor HOME RUN_ID

It has the token of the run's user, where the run names one, in its environment and nowhere else.

It holds the run's lock while it lives; the lock, which the system frees at any kind of death, is how others know. A
supervisor started for a run whose worker still lives takes it over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.home import Home
from pipeline.base.message import Message, message
from pipeline.base.settings import Settings
from pipeline.carriers import job, local
from pipeline.hub import client
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, State
from pipeline.runs.process import Identity, end_group, start_detached
from pipeline.runs.task import Cancelled

TICK = 0.3  # seconds between looks at the worker and the stop file
TEND = 5.0  # seconds between looks at other runs' supervisors while waiting
TERM_GRACE = 10.0  # seconds between SIGTERM and SIGKILL


class Supervisor:
    """Carries one run to its end."""

    def __init__(self, ledger: Ledger, run_id: str, settings: Settings) -> None:
        self.ledger = ledger
        self.run = ledger.get(run_id)
        self.settings = settings
        self.peak = 0

    def carry(self) -> None:
        """Carry the run: take over its worker if it has one, else wait its turn and start it."""
        if not self.run.active:
            return
        if client.token() is None and launch.needs_token(self.run):
            self.ledger.set_state(self.run.id, State.WAITING)  # its user's next sign-in starts us again
            return
        if self.run.worker is not None and self.run.place == "local":
            self._finish(self._watch(Identity.from_dict(self.run.worker), None), 0)
            return
        try:
            with self._turn():
                if self.run.place == "job":
                    job.Carrier(self.ledger, self.run).carry()
                else:
                    self._start_and_watch()
        except Cancelled:
            self._tell_end(None)
            self.ledger.end(self.run.id, State.CANCELLED)
        except StudioError as error:
            self._fail(error.message)
        except OSError as error:
            full = disk_full(error)
            self._fail(message("run.not_started_full") if full else message("run.not_started", detail=str(error)))

    def _fail(self, problem: Message) -> None:
        self.ledger.end(self.run.id, State.FAILED, problem=problem)
        self._tell_end(problem)

    def _tell_end(self, problem: Message | None) -> None:
        with contextlib.suppress(OSError):  # the disk may be what failed; the ledger has the end
            if problem:
                events.tell(self.run.events, "error", problem)
            else:
                events.append(self.run.events, "cancelled")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the machine's compute lock while the run needs it; others of its kind go in ledger order."""
        if not self.run.takes_turns:
            yield
            return
        lock = FileLock(self.ledger.home.locks / "compute.lock")
        tended = float("-inf")
        while True:
            self._check_stop()
            if time.monotonic() - tended > TEND:
                launch.tend(self.ledger)  # a run ahead of us whose supervisor was killed would hold everybody up
                tended = time.monotonic()
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

    def _build_line(self, line: Message) -> None:
        events.tell(self.run.events, "stage", line, stage="install")

    def _start_and_watch(self) -> None:
        self.ledger.set_state(self.run.id, State.STARTING)
        command = local.command(self.run, self.settings, self._build_line, self._check_stop)
        self._check_stop()
        ooms = local.oom_kills()
        process = start_detached(
            command, log=self.run.log, cwd=self.run.folder, environment=launch.environment(self.run)
        )
        with contextlib.suppress(psutil.NoSuchProcess):  # ended within a millisecond: its exit code tells
            self.ledger.set_worker(self.run.id, Identity.of(process.pid).as_dict())
        self.ledger.set_state(self.run.id, State.RUNNING)
        code = self._watch(self._identity(process.pid), process)
        self._finish(code, (local.oom_kills() or 0) - (ooms or 0))

    def _identity(self, pid: int) -> Identity | None:
        worker = self.ledger.get(self.run.id).worker
        return Identity.from_dict(worker) if worker and worker["pid"] == pid else None

    def _watch(self, identity: Identity | None, process: subprocess.Popen[bytes] | None) -> int | None:
        """Wait for the worker's end, pass stop requests on, remember its peak memory; return its exit code if seen."""
        terminated: float | None = None
        stopping = False
        while True:
            if process is not None and process.poll() is not None:
                return process.returncode
            if process is None and (identity is None or identity.process() is None):
                return None
            self._measure(identity)
            if self.run.stop_file.exists() and not stopping:
                stopping = True
                self.ledger.set_state(self.run.id, State.STOPPING)
            if self.run.kill_file.exists() and identity is not None:
                if terminated is None:
                    terminated = time.monotonic()
                    end_group(identity, signal.SIGTERM)
                elif time.monotonic() - terminated > TERM_GRACE:
                    end_group(identity, signal.SIGKILL)
            time.sleep(TICK)

    def _measure(self, identity: Identity | None) -> None:
        worker = identity.process() if identity else None
        if worker is None:
            return
        with contextlib.suppress(psutil.Error):  # it may end between two calls
            family = [worker, *worker.children(recursive=True)]
            self.peak = max(self.peak, sum(process.memory_info().rss for process in family))

    def _finish(self, code: int | None, ooms: int) -> None:
        state, problem, result = local.conclude(self.run, code, peak=self.peak, ooms=ooms)
        if local.last_end(self.run) is None:
            self._tell_end(problem)
        self.ledger.end(self.run.id, state, problem=problem, result=result)


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
        Supervisor(ledger, run_id, Settings()).carry()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
