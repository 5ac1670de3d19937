"""The studio's keeper: when it saves, what it says, and with whom it does not share a bucket."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.base.home import open_home
from pipeline.base.settings import Settings
from pipeline.runs.ledger import Ledger
from pipeline.snapshots import keeper as keepers
from pipeline.snapshots.bucket import Bucket
from pipeline.snapshots.keeper import Keeper, KeepStatus
from pipeline.snapshots.writers import Claim, lasting, owner
from tests.unit.snapshots.conftest import records

Make = Callable[..., Keeper]


def no_runs() -> set[str]:
    return set()


@pytest.fixture
def make(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes keepers of studios that share one bucket; a Space's has a name."""
    monkeypatch.setattr(keepers, "LOOK_S", 0.02)
    monkeypatch.setattr("pipeline.snapshots.restore.AGAIN_S", 0.0)
    made: list[Keeper] = []

    def one(space: str = "", home: Path = home, **more: object) -> Keeper:
        settings = Settings(home=home, snapshots=tmp_path / "bucket", space_id=space, **more)
        monkeypatch.setattr(keepers, "mounted", lambda settings: settings.snapshots)
        made.append(Keeper(settings))
        return made[-1]

    yield one
    for each in made:
        each.close()


def until(keeper: Keeper, wanted: Callable[[KeepStatus], bool]) -> KeepStatus:
    """Wait until the status is as wanted."""
    end = time.monotonic() + 30
    while not wanted(keeper.status):
        assert time.monotonic() < end, keeper.status
        time.sleep(0.01)
    return keeper.status


def started(keeper: Keeper, active: Callable[[], set[str]] = no_runs) -> Keeper:
    """Restore and start a studio's keeper, and wait for its first snapshot."""
    keeper.restore()
    keeper.start(active)
    until(keeper, lambda now: now.state in ("saved", "failed"))
    return keeper


def test_without_a_folder_nothing_is_done_and_on_a_space_it_is_said(tmp_path: Path, home: Path) -> None:
    assert Keeper(Settings(home=home)).status.state == "off"
    keeper = Keeper(Settings(home=home, space_id="ada/studio", snapshots=tmp_path / "missing"))
    assert keeper.status.state == "unkept"
    # A folder of the container's own disk is no bucket.
    (tmp_path / "same-disk").mkdir()
    keeper = Keeper(Settings(home=home, space_id="ada/studio", snapshots=tmp_path / "same-disk"))
    assert keeper.status.state == "unkept"
    assert keeper.restore() is None
    keeper.start(no_runs)
    keeper.close()
    assert list((tmp_path / "same-disk").iterdir()) == []


def test_it_saves_at_the_start_when_a_run_ends_and_at_the_end(make: Make, home: Path, bucket: Bucket) -> None:
    active = {"export-1"}
    keeper = started(make("ada/studio"), lambda: set(active))
    assert bucket.numbers() == [1]
    (home / "projects/pairs/answers").write_text("1")
    before = keeper.status.at
    active.clear()
    until(keeper, lambda now: now.state == "saved" and now.at != before)
    assert bucket.numbers() == [2, 1]
    (home / "projects/pairs/answers").write_text("2")
    keeper.close()
    assert bucket.numbers() == [3, 2, 1]


def test_a_fresh_home_is_restored_and_saving_goes_on(make: Make, bucket: Bucket, tmp_path: Path) -> None:
    started(make("ada/studio")).close()
    fresh = tmp_path / "fresh"
    keeper = make("ada/studio", home=fresh)
    found = keeper.restore()
    assert found is not None and found.files > 3
    assert records(fresh) == 50
    Ledger(open_home(fresh)).add("export", "pairs", "another", {})
    started(keeper)
    assert bucket.numbers() == [2, 1]


def test_a_local_home_that_was_lost_is_restored_too(make: Make, tmp_path: Path) -> None:
    started(make()).close()
    keeper = make(home=tmp_path / "fresh")
    assert keeper.restore() is not None
    assert (tmp_path / "fresh/studio.id").read_text() == (tmp_path / "home/studio.id").read_text()
    assert started(keeper).status.state == "saved"


def test_two_studios_on_one_bucket_do_not_touch_each_others(make: Make, bucket: Bucket, tmp_path: Path) -> None:
    first = started(make("ada/studio"))
    files = {path: path.stat().st_mtime_ns for path in bucket.folder.rglob("*")}
    other = make("eve/studio", home=tmp_path / "other")
    assert other.restore() is None
    other.start(no_runs)
    assert other.status.state == "failed"
    assert other.status.problem is not None and other.status.problem.message.code == "snapshot.foreign"
    assert "ada/studio" in str(other.status.problem)
    other.close()
    assert {path: path.stat().st_mtime_ns for path in bucket.folder.rglob("*")} == files
    assert not (tmp_path / "other").exists()
    assert first.save().state == "saved"


def test_one_that_moved_takes_the_others_place_by_name(make: Make, tmp_path: Path, home: Path) -> None:
    first = started(make("ada/studio"))
    moved = make("ada/renamed", home=tmp_path / "moved", snapshots_of="ada/studio")
    assert moved.restore() is not None
    assert started(moved).status.state == "saved"
    (home / "projects/pairs/answers").write_text("late")
    status = first.save()
    assert status.problem is not None and status.problem.message.code == "snapshot.foreign"


def test_the_newest_process_of_a_studio_writes(make: Make, bucket: Bucket, home: Path, tmp_path: Path) -> None:
    """A Space that is updated starts before the former process has ended."""
    former = started(make("ada/studio"))
    started(make("ada/studio", home=tmp_path / "fresh"))
    (home / "projects/pairs/answers").write_text("late")
    status = former.save()
    assert status.problem is not None and status.problem.message.code == "snapshot.replaced"
    assert "late" not in {path.read_text(errors="replace") for path in (bucket.folder / "objects").glob("*/*")}


def test_whose_a_bucket_is() -> None:
    claims = [Claim(float(at), f"b{at}", "ada/one", "ada/one") for at in range(6)]
    taken = Claim(7.0, "b7", "ada/two", "ada/two", "ada/one")
    assert owner([]) is None
    assert owner([*claims, Claim(6.0, "e", "eve/x", "eve/x")]) == claims[-1]
    assert owner([*claims, taken]) == taken
    assert lasting([*claims, taken]) == {claims[0], *claims[-2:], taken}
    assert owner(lasting([*claims, taken])) == taken
    assert all(Claim.read(claim.written()) == claim for claim in claims)
    assert Claim.read(taken.written()[:-3]) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "snapshot.full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "snapshot.full"),
        (PermissionError(errno.EACCES, "Permission denied"), "snapshot.denied"),
        (OSError(errno.EROFS, "Read-only file system"), "snapshot.not_written"),
        (OSError(errno.EIO, "Input/output error"), "snapshot.not_written"),
    ],
)
def test_a_bucket_that_takes_nothing_is_said_and_tried_again(
    make: Make, home: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, error: OSError, code: str
) -> None:
    keeper = started(make("ada/studio"))
    saved = keeper.status.at
    (home / "projects/pairs/answers").write_text("more")
    real = os.fsync

    def failing(number: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", failing)
    status = keeper.save()
    assert status.state == "failed" and status.problem is not None
    assert status.problem.message.code == code
    assert status.problem.why and status.problem.next
    assert status.at == saved  # how old the last one is stays known
    monkeypatch.setattr(os, "fsync", real)
    assert keeper.save().state == "saved"
    assert bucket.numbers() == [2, 1]


def test_a_home_that_cannot_be_read_is_said(make: Make, home: Path) -> None:
    keeper = started(make("ada/studio"))
    (home / "argilla/argilla.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    status = keeper.save()
    assert status.problem is not None and status.problem.message.code == "snapshot.unreadable"
