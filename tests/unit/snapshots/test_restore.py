"""Only whole snapshots are restored, whatever the bucket has lost, and whenever the studio was killed."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.snapshots import bucket as buckets
from pipeline.snapshots.bucket import Bucket
from pipeline.snapshots.manifest import KeptFile, Manifest
from pipeline.snapshots.restore import Restored, is_fresh, restore
from pipeline.snapshots.take import Taker
from tests.unit.snapshots.conftest import records
from tests.unit.snapshots.test_take import MINE, back


def objects(bucket: Bucket, manifest: Manifest, path: str) -> Iterator[Path]:
    """Yield the objects of a file in a snapshot."""
    for file in manifest.files:
        if file.path == path:
            for piece in file.pieces:
                yield bucket.folder / "objects" / piece.name


def grow(home: Path) -> None:
    """Change a file and a database."""
    (home / "projects/pairs/project.json").write_text('{"name": "pairs", "more": true}')
    connection = sqlite3.connect(home / "argilla/argilla.db")
    with connection:
        connection.execute("INSERT INTO records (text) VALUES ('new')")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    ],
    ids=["lost", "cut", "zeros"],
)
def test_a_snapshot_whose_object_did_not_arrive_is_passed_over(
    home: Path, taker: Taker, bucket: Bucket, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    taker.take()
    grow(home)
    newest = taker.take()
    damage(next(objects(bucket, newest, "projects/pairs/project.json")))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    found = restore(fresh, Bucket(tmp_path / "bucket"), MINE, patience=0)
    assert found is not None and found.passed_over == 1
    assert (fresh / "projects/pairs/project.json").read_text() == '{"name": "pairs"}'
    assert records(fresh) == 50


def test_an_object_that_arrives_late_is_waited_for(
    home: Path, taker: Taker, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker.take()
    grow(home)
    late = next(objects(bucket, taker.take(), "projects/pairs/project.json"))
    content = late.read_bytes()
    late.unlink()
    monkeypatch.setattr("pipeline.snapshots.restore.time.sleep", lambda seconds: late.write_bytes(content))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    found = restore(fresh, Bucket(tmp_path / "bucket"), MINE, patience=60)
    assert found is not None and found.passed_over == 0
    assert records(fresh) == 51


def test_where_none_is_whole_nothing_is_restored_and_it_is_said(taker: Taker, bucket: Bucket, tmp_path: Path) -> None:
    taker.take()
    for path in (bucket.folder / "snapshots").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert restore(fresh, bucket, MINE, patience=0) == Restored(None, passed_over=1)
    assert list(fresh.iterdir()) == []


def test_an_empty_bucket_and_another_studios_snapshots_are_not_restored(
    taker: Taker, bucket: Bucket, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert restore(fresh, bucket, MINE, patience=0) is None
    taker.take()
    assert restore(fresh, bucket, frozenset({"eve/studio"}), patience=0) is None
    assert is_fresh(fresh)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\x", "a\0b"])
def test_a_manifest_that_leads_out_of_the_home_is_none(path: str) -> None:
    with pytest.raises(ValidationError):
        KeptFile(path=path, mode=0o600, modified=0, pieces=())


def killed_at(
    number: int, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> bool:
    """Do something in a child that is killed in its nth call of a function, half done; return whether it came so far."""
    real = getattr(module, name)
    calls = itertools.count()

    def dying(*arguments: object) -> object:
        if next(calls) == number:
            for each in arguments:
                if isinstance(each, bytes):  # half of it is written
                    real(*(other[: len(other) // 2] if other is each else other for other in arguments))  # type: ignore[index]
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    child = os.fork()
    if child == 0:
        try:
            setattr(module, name, dying)
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_during_a_snapshot_loses_nothing_older_than_the_last(
    home: Path, taker: Taker, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every write one after the other, each half done: objects, then the manifest."""
    taker.take()
    (tmp_path / "restored").mkdir()
    grow(home)
    for number in itertools.count():
        died = killed_at(number, taker.take, monkeypatch, Bucket, "_write")
        fresh = tmp_path / f"fresh{number}"
        fresh.mkdir()
        found = restore(fresh, Bucket(tmp_path / "bucket"), MINE, patience=0)
        assert found is not None and found.at is not None
        assert records(fresh) == (50 if died else 51)
        if not died:
            break
    # Two objects and a manifest, and half an object that a dead process left is written again under another name.
    assert number == 5
    assert (fresh / "projects/pairs/project.json").read_text() == '{"name": "pairs", "more": true}'


def test_a_kill_during_restoring_is_made_good_at_the_next_start(
    taker: Taker, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker.take()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for number in itertools.count():
        died = killed_at(
            number, lambda: restore(fresh, Bucket(tmp_path / "bucket"), MINE, patience=0), monkeypatch, Path, "replace"
        )
        if not died:
            break
        assert is_fresh(fresh)
    assert number >= 5
    assert not is_fresh(fresh)
    assert records(fresh) == 50
    assert sorted(path.name for path in fresh.iterdir()) == sorted(
        path.name for path in back(tmp_path, bucket).iterdir()
    )


def test_the_last_snapshots_are_kept_and_what_older_ones_alone_named_goes(
    home: Path, taker: Taker, bucket: Bucket, tmp_path: Path
) -> None:
    for number in range(8):
        (home / "projects/pairs/project.json").write_text(f'{{"name": "pairs", "number": {number}}}')
        taker.take()
        bucket.prune()
    assert bucket.numbers() == [8, 7, 6, 5, 4]
    named = {piece.name for name in bucket.names() for file in bucket.manifest(name).files for piece in file.pieces}  # type: ignore[union-attr]
    there = {f"{path.parent.name}/{path.name}" for path in (bucket.folder / "objects").glob("*/*")}
    assert there == named
    assert '"number": 7' in (back(tmp_path, bucket) / "projects/pairs/project.json").read_text()


def test_objects_of_snapshots_that_were_never_finished_go_after_a_day(taker: Taker, bucket: Bucket) -> None:
    taker.take()
    piece, _ = bucket.put(b"of a snapshot that was killed")
    assert bucket.sweep() == 0
    later = (bucket.folder / "objects" / piece.name).stat().st_mtime + buckets.STALE_S + 1
    assert bucket.sweep(later) == 1
    assert not (bucket.folder / "objects" / piece.name).exists()
