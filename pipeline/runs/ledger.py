"""The ledger: one row per run, in SQLite, shared by the app and all supervisors."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.home import Home


class State(StrEnum):
    """What a run is doing (design §4)."""

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
COMPUTE = frozenset({"train", "evaluate", "answer"})  # kinds that wait for each other: one at a time on this machine

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    worker TEXT,
    problem TEXT,
    result TEXT
)
"""


@dataclass(frozen=True)
class Problem:
    """Why a run did not succeed: what happened, why, and what to do next."""

    what: str
    why: str = ""
    next: str = ""


@dataclass(frozen=True)
class Run:
    """One row of the ledger; times are Unix seconds."""

    number: int
    id: str
    kind: str
    project: str
    title: str
    state: State
    created: float
    started: float | None
    ended: float | None
    worker: dict[str, Any] | None
    problem: Problem | None
    result: dict[str, Any] | None
    folder: Path

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
    def kill_file(self) -> Path:
        """Its existence asks the supervisor to end the worker at once."""
        return self.folder / "kill"


class Ledger:
    """All runs of one home. Cheap to make; every call opens a short connection of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)

    def add(self, kind: str, project: str, title: str, spec: dict[str, Any]) -> tuple[Run, bool]:
        """Add a run; asking for the same while it is active gives the run there is, so a double click starts one.

        Args:
            kind: import, export, train, evaluate or answer.
            project: Name of the project it belongs to.
            title: What people see.
            spec: What the worker needs; `events` and `stop_file` are added here.

        Returns:
            The run and whether it is new.
        """
        request = hashlib.sha256(json.dumps([kind, project, spec], sort_keys=True, default=str).encode()).hexdigest()
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            asked = f"SELECT id FROM runs WHERE request = ? AND state IN {_marks()}"
            row = connection.execute(asked, (request, *ACTIVE)).fetchone()
            if row:
                connection.rollback()
                return self.get(row["id"]), False
            run_id = f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            folder = self.home.runs / run_id
            folder.mkdir(mode=0o700)
            full = spec | {
                "kind": kind,
                "project": project,
                "run": run_id,
                "events": str(folder / "events.jsonl"),
                "stop_file": str(folder / "stop"),
            }
            (folder / "spec.json").write_text(json.dumps(full, ensure_ascii=False, indent=2, default=str))
            connection.execute(
                "INSERT INTO runs (id, request, kind, project, title, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run_id, request, kind, project, title, State.QUEUED, time.time()),
            )
            connection.commit()
        return self.get(run_id), True

    def get(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            KeyError: There is none of that id.
        """
        with self._connect() as connection:
            row = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise KeyError(run_id)
        return self._run(row)

    def list(self, *, project: str | None = None, kind: str | None = None, active: bool = False) -> list[Run]:
        """Return runs, newest first.

        Args:
            project: Only of this project.
            kind: Only of this kind.
            active: Only those that have not ended.
        """
        where: list[str] = ["1"]
        values: list[str] = []
        if project is not None:
            where, values = [*where, "project = ?"], [*values, project]
        if kind is not None:
            where, values = [*where, "kind = ?"], [*values, kind]
        if active:
            where, values = [*where, f"state IN ({','.join('?' * len(ACTIVE))})"], [*values, *ACTIVE]
        query = f"SELECT * FROM runs WHERE {' AND '.join(where)} ORDER BY number DESC"
        with self._connect() as connection:
            return [self._run(row) for row in connection.execute(query, values)]

    def latest(self, project: str, kind: str) -> Run | None:
        """Return the newest run of a kind in a project."""
        return next(iter(self.list(project=project, kind=kind)), None)

    def set_state(self, run_id: str, state: State) -> None:
        """Record that an active run has gone on; a run that has ended stays as it ended."""
        started = time.time() if state is State.RUNNING else None
        with self._connect() as connection:
            connection.execute(
                f"UPDATE runs SET state = ?, started = coalesce(started, ?) WHERE id = ? AND state IN {_marks()}",
                (state, started, run_id, *ACTIVE),
            )

    def set_worker(self, run_id: str, worker: dict[str, Any]) -> None:
        """Record the identity of the run's worker process."""
        with self._connect() as connection:
            connection.execute("UPDATE runs SET worker = ? WHERE id = ?", (json.dumps(worker), run_id))

    def end(
        self, run_id: str, state: State, *, problem: Problem | None = None, result: dict[str, Any] | None = None
    ) -> None:
        """Record how an active run ended; the first end wins."""
        words = json.dumps(problem.__dict__, ensure_ascii=False) if problem else None
        outcome = json.dumps(result, ensure_ascii=False, default=str) if result is not None else None
        with self._connect() as connection:
            connection.execute(
                f"UPDATE runs SET state = ?, ended = ?, problem = ?, result = ? WHERE id = ? AND state IN {_marks()}",
                (state, time.time(), words, outcome, run_id, *ACTIVE),
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.home.ledger, timeout=30, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    def _run(self, row: sqlite3.Row) -> Run:
        return Run(
            number=row["number"],
            id=row["id"],
            kind=row["kind"],
            project=row["project"],
            title=row["title"],
            state=State(row["state"]),
            created=row["created"],
            started=row["started"],
            ended=row["ended"],
            worker=json.loads(row["worker"]) if row["worker"] else None,
            problem=Problem(**json.loads(row["problem"])) if row["problem"] else None,
            result=json.loads(row["result"]) if row["result"] else None,
            folder=self.home.runs / row["id"],
        )


def _marks() -> str:
    return f"({','.join('?' * len(ACTIVE))})"
