"""A run: one row of the ledger, and the files of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.base.home import LOCAL
from pipeline.base.message import Message
from pipeline.runs.kinds import kind_of
from pipeline.runs.places import carrier_of


class State(StrEnum):
    """What a run is doing."""

    QUEUED = "queued"
    WAITING = "waiting for sign-in"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


ACTIVE = (State.QUEUED, State.WAITING, State.STARTING, State.RUNNING, State.STOPPING)


@dataclass(frozen=True)
class Run:
    """One row of the ledger; times are Unix seconds.

    Attributes:
        named: What people see; `title` has it in the present language.
        problem: Why it did not succeed: what happened, why, and what to do next.
        place: What carries it, see `pipeline.runs.places`: "local", or "job" for a Hugging Face Job.
        user: Name of the account whose token it needs; "" for none.
        owner: Whose run it is; see `pipeline.base.home.Home`.
        worker: Identity of its process (`process.Identity`), or of its Job: job, namespace, flavor, price_per_minute,
            timeout, url.
    """

    number: int
    id: str
    kind: str
    project: str
    named: Message
    state: State
    created: float
    started: float | None
    ended: float | None
    worker: dict[str, Any] | None
    problem: Message | None
    result: dict[str, Any] | None
    folder: Path
    place: str = "local"
    user: str = ""
    owner: str = LOCAL

    @property
    def title(self) -> str:
        """What people see, in the present language."""
        return self.named.what

    @property
    def takes_turns(self) -> bool:
        """Whether it needs this machine for itself: those runs go one after another."""
        return kind_of(self.kind).turns and carrier_of(self.place).here

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.state in ACTIVE

    @property
    def events(self) -> Path:
        """The run's event file."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """Output of the run's worker."""
        return self.folder / "log.txt"

    @property
    def spec(self) -> Path:
        """Everything needed to run it again; never a token."""
        return self.folder / "spec.json"

    @property
    def stop_file(self) -> Path:
        """Its existence asks the worker to stop and keep what it has."""
        return self.folder / "stop"

    @property
    def launch_file(self) -> Path:
        """Its existence says that a Job may have been started: the Hub is asked before anything else is done."""
        return self.folder / "launch"

    @property
    def kill_file(self) -> Path:
        """Its existence asks the supervisor to end the worker at once."""
        return self.folder / "kill"
