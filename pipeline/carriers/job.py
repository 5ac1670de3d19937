"""A run in a Hugging Face Job, which the Hub itself ends in time; see `pipeline.carriers.remote`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import JobInfo

from pipeline.carriers.job_end import Outcome, conclude, ending, worker_of
from pipeline.carriers.remote import Remote
from pipeline.hub import jobs, store
from pipeline.runs.ledger import Ledger, Run, State

SCRIPT = Path(jobs.__file__).parents[1] / "engines" / "job" / "run.py"


def carry(ledger: Ledger, run: Run) -> None:
    """Carry a run in a Job; see `Remote.carry`."""
    _Job(ledger, run).carry()


class _Job(Remote[JobInfo]):
    words = "job"

    def found(self) -> dict[str, Any] | None:
        there = jobs.of_run(self.spec["job"]["namespace"], self.run.id)
        return worker_of(there) if there else None

    def begin(self, place: str, revision: str) -> dict[str, Any]:
        wanted = self.spec["job"]
        launch = jobs.Launch(
            run=self.run.id,
            project=self.run.project,
            kind=self.run.kind,
            namespace=wanted["namespace"],
            flavor=wanted["flavor"],
            timeout=int(wanted["timeout"]),
            price_per_minute=float(wanted["price_per_minute"]),
            studio=self.ledger.home.studio,
            script=SCRIPT,
            environment=self.environment(place, revision),
        )
        return worker_of(jobs.start(launch))

    @property
    def _place(self) -> tuple[str, str]:
        return str(self.worker["namespace"]), str(self.worker["job"])

    def look(self) -> JobInfo:
        return jobs.look(*self._place)

    def lines(self) -> Iterator[str]:
        return jobs.lines(*self._place)

    def note(self, seen: JobInfo) -> State | None:
        self.stage = jobs.stage(seen)
        if self.stage in jobs.TERMINAL:
            return None
        return State.STARTING if self.stage == "SCHEDULING" else State.RUNNING

    def printing(self) -> bool:
        return self.stage not in ("", "SCHEDULING")

    def obey_stop(self) -> None:
        if self.run.kill_file.exists() or self.stage == "SCHEDULING":
            self.once("cancel", lambda: jobs.cancel(*self._place))
        elif self.stage == "RUNNING":
            self.once("stop", lambda: store.ask_stop(self.run.user, self.run.id))

    def ending(self, seen: JobInfo) -> dict[str, Any]:
        return ending(seen, self.price)

    def conclude(self, seen: JobInfo | None) -> Outcome:
        return conclude(self.run, seen, self.follower.end)
