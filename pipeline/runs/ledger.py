"""The ledger: one row per run, in SQLite, shared by the app and all supervisors."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import re
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.base import words
from pipeline.base.errors import StudioError, disk_full
from pipeline.base.home import LOCAL, Home
from pipeline.base.message import Message, verbatim
from pipeline.runs.run import ACTIVE, Run, State

__all__ = ["ACTIVE", "Ledger", "LedgerFull", "Run", "Spec", "State"]


PATIENCE = 2.0  # seconds between two tries to write down on a full disk how a run ended
_RESERVE = 128 << 10  # bytes kept for the ledger on a disk that others fill
_CHECKPOINT = 8  # pages in the write-ahead log before it is used from its beginning again
Spec = dict[str, Any] | Callable[[str], dict[str, Any]]
_RUN_ID = re.compile(r"[a-z]+-\d{8}-\d{6}-[0-9a-f]{4,16}")

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
    result TEXT,
    place TEXT NOT NULL DEFAULT 'local',
    user TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT 'local'
)
"""


class LedgerFull(StudioError):
    """The ledger cannot be written: its disk is full."""

    def __init__(self) -> None:
        super().__init__("run.ledger_full")


class Ledger:
    """The runs of one home, all of them or those of one owner. Every call opens a short connection of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.owner: str | None = None
        self._whole: Ledger | None = None
        self._room: Callable[[str, int], None] | None = None
        # Held open: the end of the last connection removes the write-ahead log, and without space for a new one SQLite
        # cannot even read.
        held = sqlite3.connect(home.ledger, timeout=30, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, held.close)
        self._held, self._guard = held, threading.Lock()
        with _full_is_said():
            held.execute("PRAGMA journal_mode=WAL")
            held.execute(_SCHEMA)
        _reserve(held, home.ledger)

    def of(self, owner: str, room: Callable[[str, int], None] | None = None) -> Ledger:
        """Return the ledger as an owner sees it: the runs of others are not in it.

        Args:
            owner: The owner.
            room: Called before a run is added, with its kind and how many of theirs are active; raises what forbids it.
        """
        seen = copy.copy(self)
        seen._room = room
        seen.home, seen.owner = self.home.of(owner), owner
        seen._whole = self  # it has the connection that is held open
        return seen

    def changes(self) -> int:
        """Return a number that is another one once anybody has changed the ledger; a fraction of what a look costs."""
        with self._guard:
            return int(self._held.execute("PRAGMA data_version").fetchone()[0])

    def asked(self, kind: str, project: str, asked: Mapping[str, Any]) -> Run | None:
        """Return the active run that was asked for in the same words, None where there is none; see `add`."""
        with self._connect() as connection:
            row = _asked(connection, self._request(kind, project, asked))
        return self.get(row["id"]) if row else None

    def _request(self, kind: str, project: str, asked: Mapping[str, Any]) -> str:
        owner = self.owner or LOCAL
        whole = [kind, project, asked] if owner == LOCAL else [kind, project, asked, owner]
        return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()

    def add(
        self, kind: str, project: str, title: Message | str, spec: Spec, asked: Mapping[str, Any] | None = None
    ) -> tuple[Run, bool]:
        """Add a run; asking for the same while it is active gives the run there is, so a double click starts one.

        Args:
            kind: Name of a `pipeline.runs.kinds.RunKind`.
            project: Name of the project it belongs to.
            title: What people see.
            spec: What the worker needs, or what makes it from the run's id, with `place` (see `Run.place`) and `user`
                where it has them; `events` and `stop_file` are added here.
            asked: What makes it the same run, by default the spec: what was asked for, where the spec says more.

        Returns:
            The run and whether it is new.

        Raises:
            StudioError: Its owner has no room for another one; see `of`.
        """
        if asked is None:
            asked = {} if callable(spec) else spec
        request = self._request(kind, project, asked)
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if row := _asked(connection, request):
                connection.rollback()
                return self.get(row["id"]), False
            if self._room is not None:  # under the lock: nobody counts the same room twice
                query = f"SELECT count(*) FROM runs WHERE owner = ? AND state IN {_marks()}"
                self._room(kind, connection.execute(query, (self.owner or LOCAL, *ACTIVE)).fetchone()[0])
            run_id = _new_id(connection, kind)
            made = spec(run_id) if callable(spec) else spec
            self._insert(connection, run_id, request, kind, project, title, State.QUEUED, time.time(), made)
            connection.commit()
        return self.get(run_id), True

    def adopt(
        self,
        run_id: str,
        kind: str,
        project: str,
        title: Message | str,
        created: float,
        spec: dict[str, Any],
        worker: dict[str, Any],
    ) -> tuple[Run, bool]:
        """Take in the run of a Job that this ledger does not know: it was started from another disk.

        Args:
            run_id: Id of the run, as the Job's label says it.
            kind: train or evaluate.
            project: Name of its project, whose folder is there.
            title: What people see.
            created: When it was asked for, Unix seconds.
            spec: What is known of its spec, without paths.
            worker: The Job; see `Run.worker`.

        Returns:
            The run and whether it is new here.

        Raises:
            ValueError: The id is none that this program gives.
        """
        if not _RUN_ID.fullmatch(run_id):  # it names a folder, and comes from the outside
            raise ValueError(f"{run_id!r} is no id of a run.")
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
                connection.rollback()
                return self.get(run_id), False
            self._insert(
                connection, run_id, f"adopted-{run_id}", kind, project, title, State.STARTING, created, spec, worker
            )
            connection.commit()
        return self.get(run_id), True

    def _insert(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        request: str,
        kind: str,
        project: str,
        title: Message | str,
        state: State,
        created: float,
        spec: dict[str, Any],
        worker: dict[str, Any] | None = None,
    ) -> None:
        folder = self.home.runs / run_id
        folder.mkdir(mode=0o700, exist_ok=True)
        full = spec | {
            "kind": kind,
            "project": project,
            "owner": self.owner or LOCAL,
            "run": run_id,
            "events": str(folder / "events.jsonl"),
            "stop_file": str(folder / "stop"),
        }
        (folder / "spec.json").write_text(json.dumps(full, ensure_ascii=False, indent=2, default=str))
        values = {
            "id": run_id,
            "request": request,
            "kind": kind,
            "project": project,
            "title": json.dumps(_titled(title).as_dict(), ensure_ascii=False),
            "state": state,
            "created": created,
            "worker": json.dumps(worker) if worker else None,
            "place": str(spec.get("place") or "local"),
            "user": str(spec.get("user") or ""),
            "owner": self.owner or LOCAL,
        }
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(values.values()))

    def forget(self, runs: Iterable[Run]) -> None:
        """Take ended runs out of their project, with what they left on this disk.

        A run in a Job stays as a line of no project: unknown, it would be taken in again from the Hub.
        """
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for run in runs:
                where = f"WHERE id = ? AND owner = coalesce(?, owner) AND state NOT IN {_marks()}"
                do = "DELETE FROM runs" if run.place == "local" else "UPDATE runs SET project = ''"
                connection.execute(f"{do} {where}", (run.id, self.owner, *ACTIVE))
            connection.commit()

    def get(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            KeyError: There is none of that id.
        """
        with self._connect() as connection:
            query = "SELECT * FROM runs WHERE id = ? AND owner = coalesce(?, owner)"
            row = connection.execute(query, (run_id, self.owner)).fetchone()
        if row is None:
            raise KeyError(run_id)
        return self._run(row)

    def list(
        self, *, project: str | None = None, kind: str | None = None, active: bool = False, limit: int = -1
    ) -> list[Run]:
        """Return runs, newest first.

        Args:
            project: Only of this project.
            kind: Only of this kind.
            active: Only those that have not ended.
            limit: At most so many; negative: all.
        """
        where: list[str] = ["owner = coalesce(?, owner)"]
        values: list[str | int | None] = [self.owner]
        if project is not None:
            where, values = [*where, "project = ?"], [*values, project]
        if kind is not None:
            where, values = [*where, "kind = ?"], [*values, kind]
        if active:
            where, values = [*where, f"state IN ({','.join('?' * len(ACTIVE))})"], [*values, *ACTIVE]
        query = f"SELECT * FROM runs WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?"
        with self._connect() as connection:
            return [self._run(row) for row in connection.execute(query, [*values, limit])]

    def latest(self, project: str, kind: str) -> Run | None:
        """Return the newest run of a kind in a project."""
        return next(iter(self.list(project=project, kind=kind, limit=1)), None)

    def set_state(self, run_id: str, state: State) -> None:
        """Record that an active run has gone on; a run that has ended stays as it ended."""
        started = time.time() if state is State.RUNNING else None
        self._update(
            f"UPDATE runs SET state = ?, started = coalesce(started, ?) WHERE id = ? AND state IN {_marks()}",
            (state, started, run_id, *ACTIVE),
        )

    def set_worker(self, run_id: str, worker: dict[str, Any]) -> None:
        """Record the identity of the run's worker, see `Run.worker`; waits while the disk is full."""
        self._update("UPDATE runs SET worker = ? WHERE id = ?", (json.dumps(worker), run_id), patient=True)

    def end(
        self, run_id: str, state: State, *, problem: Message | None = None, result: dict[str, Any] | None = None
    ) -> None:
        """Record how an active run ended; the first end wins. Waits while the disk is full."""
        why = json.dumps(problem.as_dict(), ensure_ascii=False) if problem else None
        outcome = json.dumps(result, ensure_ascii=False, default=str) if result is not None else None
        self._update(
            f"UPDATE runs SET state = ?, ended = ?, problem = ?, result = ? WHERE id = ? AND state IN {_marks()}",
            (state, time.time(), why, outcome, run_id, *ACTIVE),
            patient=True,
        )

    def _update(self, statement: str, values: tuple[object, ...], *, patient: bool = False) -> None:
        """Change rows; patient: on a full disk wait for space, since nobody else knows what is to be written down."""
        while True:
            try:
                with self._connect() as connection:
                    connection.execute(statement, values)
                return
            except LedgerFull:
                if not patient:
                    raise
                time.sleep(PATIENCE)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.home.ledger, timeout=30, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            with _full_is_said():
                connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
                yield connection
        finally:
            connection.close()

    def _run(self, row: sqlite3.Row) -> Run:
        return Run(
            number=row["number"],
            id=row["id"],
            kind=row["kind"],
            project=row["project"],
            named=_named(row["title"], words.spoken()),
            state=State(row["state"]),
            created=row["created"],
            started=row["started"],
            ended=row["ended"],
            worker=json.loads(row["worker"]) if row["worker"] else None,
            problem=Message.from_dict(json.loads(row["problem"])) if row["problem"] else None,
            result=json.loads(row["result"]) if row["result"] else None,
            folder=self.home.runs / row["id"],
            place=row["place"],
            user=row["user"],
            owner=row["owner"],
        )


@contextlib.contextmanager
def _full_is_said() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        if disk_full(error):
            raise LedgerFull from error
        raise


def _new_id(connection: sqlite3.Connection, kind: str) -> str:
    """Return an id that no run has: many may be started in one second."""
    while True:
        run_id = f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if not connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
            return run_id


def _asked(connection: sqlite3.Connection, request: str) -> sqlite3.Row | None:
    query = f"SELECT id FROM runs WHERE request = ? AND state IN {_marks()}"
    row: sqlite3.Row | None = connection.execute(query, (request, *ACTIVE)).fetchone()
    return row


def _titled(title: Message | str) -> Message:
    return title if isinstance(title, Message) else verbatim(title)


@functools.lru_cache(maxsize=4096)
def _named(text: str, language: str) -> Message:
    """Return a title: a message as JSON, or the words an older ledger has.

    Kept, for all runs are listed at every look at them, and a message that comes from outside is tried in the present
    language when it is read.
    """
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict) and "code" in found:
            return Message.from_dict(found)
    return verbatim(text)


def _reserve(connection: sqlite3.Connection, ledger: Path) -> None:
    """Make the write-ahead log and the ledger large enough to note on a full disk how runs ended.

    What was written and deleted stays part of both files, and is written over.
    """
    connection.execute("SELECT count(*) FROM runs").fetchone()
    log = ledger.with_name(f"{ledger.name}-wal")
    if log.exists() and log.stat().st_size >= _RESERVE:
        return
    with contextlib.suppress(sqlite3.OperationalError):  # the disk is full already
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS space (filler BLOB)")
            connection.execute(f"INSERT INTO space VALUES (zeroblob({_RESERVE}))")
        connection.execute("DELETE FROM space")


def _marks() -> str:
    return f"({','.join('?' * len(ACTIVE))})"
