"""A snapshot holds what the home held, restores as it was, and writes only what is new."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from pipeline.base.home import open_home
from pipeline.runs.ledger import Ledger
from pipeline.snapshots import take
from pipeline.snapshots.bucket import Bucket
from pipeline.snapshots.restore import is_fresh, restore
from pipeline.snapshots.take import Taker
from tests.unit.snapshots.conftest import records

MINE = frozenset({"ada/studio"})


def back(tmp_path: Path, bucket: Bucket, name: str = "restored") -> Path:
    """Restore into a fresh home; return it."""
    fresh = tmp_path / name
    fresh.mkdir(mode=0o700)
    found = restore(fresh, Bucket(bucket.folder.parent), MINE, patience=0)
    assert found is not None and found.at is not None
    return fresh


def test_a_home_comes_back_as_it_was(home: Path, taker: Taker, bucket: Bucket, tmp_path: Path) -> None:
    manifest = taker.take()
    assert manifest.number == 1 and manifest.left_out == ()
    fresh = back(tmp_path, bucket)
    assert not is_fresh(fresh)
    assert Ledger(open_home(fresh)).list()[0].title == "a run"
    assert records(fresh) == 50
    assert (fresh / "projects/pairs/exports/train.parquet").read_bytes() == bytes(range(256)) * 40
    assert (fresh / "uploads/mine.db").read_text() == "named like a database, and none"
    assert stat.S_IMODE((fresh / "argilla/secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((fresh / "argilla").stat().st_mode) == 0o700
    # Made again, or of a process that is not there.
    kept = {file.path for file in manifest.files}
    assert not kept & {"argilla/search.db", "ledger.db-wal", "argilla/argilla.db-wal", "locks/home.lock"}
    assert not (fresh / "restoring").exists()


def test_nothing_in_the_bucket_can_be_read_by_others(taker: Taker, bucket: Bucket) -> None:
    taker.take()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in bucket.folder.rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_only_what_changed_is_written_and_nothing_is_written_over(
    home: Path, taker: Taker, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take, "PIECE", 4096)
    first = taker.take()
    before = {path: path.stat() for path in bucket.folder.rglob("*") if path.is_file()}
    assert taker.take() is first
    with (home / "projects/pairs/exports/train.parquet").open("ab") as file:
        file.write(b"more")
    second = taker.take()
    assert second.number == 2
    after = {path: path.stat() for path in bucket.folder.rglob("*") if path.is_file()}
    assert all(after[path].st_mtime_ns == known.st_mtime_ns for path, known in before.items())
    new = sum(known.st_size for path, known in after.items() if path not in before and path.suffix != ".json")
    assert new == (256 * 40 + 4) % 4096  # the last piece alone


def test_databases_are_consistent_while_they_are_written(
    home: Path, taker: Taker, bucket: Bucket, tmp_path: Path
) -> None:
    """Each transaction adds two rows: a snapshot never holds one of them."""
    ended = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(home / "argilla/argilla.db", timeout=30, isolation_level=None)
        while not ended.is_set():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO records (text) VALUES (?)", [("y" * 3000,)] * 2)
            connection.execute("COMMIT")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    for number in range(5):
        taker.take()
        counts.append(records(back(tmp_path, bucket, f"restored{number}")))
    ended.set()
    writer.join()
    assert all(count % 2 == 0 for count in counts)
    assert counts == sorted(counts) and counts[-1] > 50


def test_what_is_no_file_is_named_and_a_checkpoint_of_a_training_is_left_to_it(home: Path, taker: Taker) -> None:
    (home / "uploads/link").symlink_to("/etc/passwd")
    for name in ("projects/pairs/models/m/checkpoint-5", "runs/r/out/checkpoint-10", "projects/checkpoint-7"):
        (home / name).mkdir(parents=True)
        (home / name / "weights").write_text("w")
    manifest = taker.take()
    assert manifest.left_out == ("uploads/link",)
    assert [file.path for file in manifest.files if "checkpoint" in file.path] == ["projects/checkpoint-7/weights"]


def test_a_project_is_read_before_the_database_it_names_and_after_the_ledger(taker: Taker) -> None:
    order = [file.path for file in taker.take().files]
    assert order[0] == "ledger.db" and order[-1] == "argilla/argilla.db"


def test_a_damaged_database_ends_the_snapshot(home: Path, taker: Taker, bucket: Bucket) -> None:
    first = taker.take()
    (home / "argilla/argilla.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    with pytest.raises(sqlite3.DatabaseError):
        taker.take()
    assert [bucket.manifest(name) for name in bucket.names()] == [first]
