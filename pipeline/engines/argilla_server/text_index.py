"""The text index: a disposable SQLite FTS5 file beside Argilla's database.

It holds nothing that is not in `argilla.db`. Every method takes ids and reads the texts from there, so the index cannot
hold something else than the database; a start compares (record id, updated_at) and indexes what differs. A missing,
foreign or damaged file is thrown away and built again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from .query_text import EVERY, EVERY_TOKEN, TOKENIZER, index_text
from .sql import RECORDS_INDEX

T = TypeVar("T")

LOG = logging.getLogger("argilla.studio.text_index")

VERSION = 1
"""Goes up whenever the tables or the way text is cut change; an index of another version is built again."""
BATCH = 500
REPORT_EVERY = 5000

_MAIN_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS {RECORDS_INDEX} ON records"
    "(dataset_id, inserted_at, status, id, updated_at, external_id, metadata)",
    "CREATE INDEX IF NOT EXISTS studio_responses_changes ON responses(updated_at, id)",
)
_DOCUMENTS = (
    "CREATE TABLE IF NOT EXISTS doc (rowid INTEGER PRIMARY KEY, dataset_id TEXT NOT NULL,"
    " record_id TEXT NOT NULL UNIQUE, updated_at TEXT)",
    "CREATE INDEX IF NOT EXISTS doc_dataset ON doc(dataset_id)",
)


def prepare_database(database: Path) -> None:
    """Put Argilla's database in WAL mode and add the indexes that our statements name.

    Without WAL, readers and the one writer lock each other out ("database is locked" with a few annotators).
    """
    con = sqlite3.connect(database, timeout=30)
    try:
        con.execute("PRAGMA journal_mode=WAL")
        for statement in _MAIN_INDEXES:
            con.execute(statement)
        con.commit()
    finally:
        con.close()


def table_of(dataset: str) -> str:
    """Return the name of a dataset's FTS5 table (dataset: 32 hexadecimal digits)."""
    return f"fts_{dataset}"


def column_of(field: str) -> str:
    """Return the name of a field's column (field: its id, 32 hexadecimal digits)."""
    return f"f_{field}"


class TextIndex:
    """One connection per thread: the index file, with Argilla's database attached read-only as `arg`.

    Args:
        database: Argilla's database; it exists and was prepared.
        file: The index file; created when missing.
    """

    def __init__(self, database: Path, file: Path) -> None:
        self._database = database
        self._file = file
        self._local = threading.local()
        self._writing = threading.RLock()
        self._generation = 0
        self._behind: set[str] = set()

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        con: sqlite3.Connection | None = getattr(self._local, "con", None)
        if con is not None and self._local.generation == self._generation:
            return con
        if con is not None:
            con.close()
        with self._writing:
            con = sqlite3.connect(self._file.as_uri(), uri=True, timeout=30, isolation_level=None)
            con.execute("PRAGMA journal_mode=WAL")
            con.execute("PRAGMA synchronous=NORMAL")
            for statement in _DOCUMENTS:
                con.execute(statement)
            if con.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                con.execute(f"PRAGMA user_version={VERSION}")
            con.execute("ATTACH DATABASE ? AS arg", (self._database.as_uri() + "?mode=ro",))
            self._local.con, self._local.generation = con, self._generation
        return con

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a reading statement."""
        return self.connection().execute(statement, params).fetchall()

    def columns(self, dataset: str) -> dict[str, str]:
        """Return the searchable fields of a dataset: field name to column name."""
        fields = self.rows("SELECT name, id, settings FROM arg.fields WHERE dataset_id=? ORDER BY id", (dataset,))
        return {name: column_of(id) for name, id, settings in fields if json.loads(settings).get("type") != "image"}

    def repair(self, report: Callable[[str], None] = LOG.info) -> None:
        """Check the file and bring every published dataset's index in line with the database.

        Args:
            report: Gets a line about what is done, at least every few seconds.
        """
        with self._writing:
            if not self._usable():
                if self._file.exists():
                    report("The text index is damaged or of another version; it is built again.")
                self._discard()
            live = [id for (id,) in self.rows("SELECT id FROM arg.datasets WHERE status='ready'")]
            for dataset in live:
                self.sync(dataset, report)
            tables = self.rows(
                "SELECT name FROM main.sqlite_master WHERE name LIKE 'fts!_%' ESCAPE '!' AND sql LIKE 'CREATE VIRTUAL%'"
            )
            for name in {table for (table,) in tables} - {table_of(dataset) for dataset in live}:
                self.drop(name.removeprefix("fts_"))

    def rebuild(self, damaged: int) -> None:
        """Throw the file away while serving and build it again; other threads reopen at their next statement.

        Args:
            damaged: Generation of the file that was found damaged; if another thread has replaced it, nothing is done.
        """
        with self._writing:
            if self._generation != damaged:
                return
            LOG.warning("The text index is damaged; it is built again.")
            self._discard()
            self.repair()

    def sync(self, dataset: str, report: Callable[[str], None] = LOG.info) -> int:
        """Bring one dataset's index in line with the database.

        Returns:
            Number of records indexed.
        """
        with self._writing:
            self._ensure_table(dataset)
            gone = self.rows(
                "SELECT d.record_id FROM doc d"
                " LEFT JOIN arg.records r ON r.id=d.record_id AND r.dataset_id=d.dataset_id"
                " WHERE d.dataset_id=? AND r.id IS NULL",
                (dataset,),
            )
            self.remove(dataset, [id for (id,) in gone])
            stale = self.rows(
                f"SELECT r.id FROM arg.records r INDEXED BY {RECORDS_INDEX} LEFT JOIN doc d ON d.record_id=r.id"
                " WHERE r.dataset_id=? AND (d.record_id IS NULL OR d.updated_at IS NOT r.updated_at)",
                (dataset,),
            )
            for start in range(0, len(stale), BATCH):
                self.index(dataset, [id for (id,) in stale[start : start + BATCH]])
                if start % REPORT_EVERY == 0:
                    report(f"Text index: {start} of {len(stale)} records.")
            self._behind.discard(dataset)
            return len(stale)

    def index(self, dataset: str, records: Sequence[str]) -> None:
        """Index these records as the database has them now (records: ids of at most `BATCH` records)."""
        with self._transaction() as con:
            self._ensure_table(dataset)
            columns = self.columns(dataset)
            names = ", ".join(["rowid", EVERY, *columns.values()])
            places = ", ".join("?" * (len(columns) + 2))
            found = con.execute(
                f"SELECT id, updated_at, fields FROM arg.records WHERE id IN ({', '.join('?' * len(records))})",
                list(records),
            ).fetchall()
            self._delete(con, dataset, records)
            for id, updated_at, fields in found:
                values = json.loads(fields)
                rowid = con.execute(
                    "INSERT INTO doc (dataset_id, record_id, updated_at) VALUES (?, ?, ?)", (dataset, id, updated_at)
                ).lastrowid
                con.execute(
                    f"INSERT INTO {table_of(dataset)} ({names}) VALUES ({places})",
                    [rowid, EVERY_TOKEN, *(index_text(values.get(name)) for name in columns)],
                )

    def remove(self, dataset: str, records: Sequence[str]) -> None:
        """Forget these records."""
        with self._transaction() as con:
            self._ensure_table(dataset)
            self._delete(con, dataset, records)

    def drop(self, dataset: str) -> None:
        """Forget a dataset."""
        with self._transaction() as con:
            con.execute(f"DROP TABLE IF EXISTS main.{table_of(dataset)}")
            con.execute("DELETE FROM doc WHERE dataset_id=?", (dataset,))

    def attempt(self, dataset: str, change: Callable[[], object]) -> None:
        """Apply a change that the database already holds; if the index cannot take it, catch up before the next search.

        A failing cache (full disk, damaged file) must not turn a committed request into an error.
        """
        try:
            change()
        except sqlite3.Error:
            LOG.exception("The text index could not be updated; it will catch up before the next text search.")
            self._behind.add(dataset)

    def search(self, dataset: str, run: Callable[[], T]) -> T:
        """Run a statement that uses a dataset's text index, catching up or rebuilding first where that is needed."""
        generation = self._generation
        try:
            if dataset in self._behind:
                self.sync(dataset)
            return run()
        except sqlite3.DatabaseError as error:
            # sqlite3 raises the base class itself for SQLITE_CORRUPT and SQLITE_NOTADB alone.
            if type(error) is not sqlite3.DatabaseError:
                raise
            self.rebuild(generation)
            return run()

    def _usable(self) -> bool:
        if not self._file.exists():
            return False
        con = sqlite3.connect(self._file.as_uri(), uri=True, timeout=30)
        try:
            version = con.execute("PRAGMA user_version").fetchone()[0]
            return bool(version == VERSION and con.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.DatabaseError:
            return False
        finally:
            con.close()

    def _discard(self) -> None:
        if (con := getattr(self._local, "con", None)) is not None:
            con.close()
            self._local.con = None
        self._generation += 1
        for suffix in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)

    def _ensure_table(self, dataset: str) -> None:
        wanted = [EVERY, *self.columns(dataset).values()]
        have = [row[1] for row in self.rows(f"PRAGMA main.table_info({table_of(dataset)})")]
        if have == wanted:
            return
        con = self.connection()
        con.execute(f"DROP TABLE IF EXISTS main.{table_of(dataset)}")
        con.execute("DELETE FROM doc WHERE dataset_id=?", (dataset,))
        con.execute(
            f"CREATE VIRTUAL TABLE main.{table_of(dataset)} USING fts5({', '.join(wanted)}, tokenize='{TOKENIZER}')"
        )

    def _delete(self, con: sqlite3.Connection, dataset: str, records: Sequence[str]) -> None:
        for id in records:
            if found := con.execute("SELECT rowid FROM doc WHERE record_id=?", (id,)).fetchone():
                con.execute(f"DELETE FROM {table_of(dataset)} WHERE rowid=?", found)
                con.execute("DELETE FROM doc WHERE rowid=?", found)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write at a time. Not BEGIN IMMEDIATE: the lock is wanted on the index alone, never on `arg`."""
        with self._writing:
            con = self.connection()
            con.execute("BEGIN")
            try:
                yield con
            except BaseException:
                con.execute("ROLLBACK")
                raise
            con.execute("COMMIT")
