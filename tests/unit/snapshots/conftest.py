"""A home with something in it, and a bucket that is a folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pipeline.base.home import open_home
from pipeline.runs.ledger import Ledger
from pipeline.snapshots.bucket import Bucket
from pipeline.snapshots.take import Taker


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a run, a project, an upload and a database of Argilla."""
    folder = open_home(tmp_path / "home").path
    ledger = Ledger(open_home(folder))
    ledger.add("export", "pairs", "a run", {"place": "local"})
    (folder / "projects/pairs/exports").mkdir(parents=True)
    (folder / "projects/pairs/project.json").write_text('{"name": "pairs"}')
    (folder / "projects/pairs/exports/train.parquet").write_bytes(bytes(range(256)) * 40)
    (folder / "uploads/mine.db").write_text("named like a database, and none")
    (folder / "argilla/secrets.json").write_text('{"api_key": "k"}')
    (folder / "argilla/secrets.json").chmod(0o600)
    (folder / "argilla/search.db").write_text("an index")
    with sqlite3.connect(folder / "argilla/argilla.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, text TEXT)")
        database.executemany("INSERT INTO records (text) VALUES (?)", [("x" * 1000,)] * 50)
    database.close()
    return folder


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """An empty bucket."""
    return Bucket(tmp_path / "bucket")


@pytest.fixture
def taker(home: Path, bucket: Bucket) -> Taker:
    """What takes snapshots of the home."""
    return Taker(home, bucket, "ada/studio", "b001")


def records(home: Path) -> int:
    """Return how many records the database of Argilla has."""
    connection = sqlite3.connect(home / "argilla/argilla.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])
    finally:
        connection.close()
