"""What the page says of storage: how old the last snapshot is, and a banner where nothing survives."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.base.words import speaking
from pipeline.snapshots.keeper import KeepStatus
from pipeline.snapshots.restore import Restored
from pipeline.snapshots.take import Progress
from pipeline.studio import Studio
from pipeline.visit import ALL, ON_A_SPACE, Visit
from tests.handlers.conftest import page, value
from ui.bar import status, storage
from ui.layout import arrived

Told = Callable[..., tuple[str, str]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Return the bar's words and the banner for a status."""
    studio = Studio(Settings(home=tmp_path))

    def tell(now: KeepStatus, may: frozenset[str] = ALL) -> tuple[str, str]:
        studio.snapshots.status = now
        visit = Visit(studio, may=may)
        found = storage.item(visit)
        return found[1] if found else "", str(storage.banner(visit))

    return tell


def test_on_a_machine_of_ones_own_nothing_is_said(told: Told) -> None:
    assert told(KeepStatus("off")) == ("", "")


def test_the_bar_says_how_old_the_last_snapshot_is(told: Told) -> None:
    now = time.time()
    assert told(KeepStatus("saved", now))[0] == "Saved less than a minute ago"
    assert told(KeepStatus("saved", now - 61))[0] == "Saved 1 minute ago"
    assert told(KeepStatus("saved", now - 3 * 3600, left_out=("a",)))[0] == (
        "Saved 3 hours ago (1 link or unreadable file left out)"
    )
    assert told(KeepStatus("saving", progress=Progress(files=7)))[0] == "Saving (7 files)"
    with speaking("zh"):
        assert told(KeepStatus("saved", now - 300))[0] == "已保存（5 分钟前）"


def test_a_failure_is_in_bar_and_banner_and_names_folders_to_the_owner_alone(told: Told) -> None:
    full = StudioError("snapshot.denied", folder="/data", detail=f"[Errno {errno.EACCES}] /data/x")
    now = KeepStatus("failed", time.time() - 200, problem=full)
    bar, banner = told(now)
    assert bar == "Not saved; last saved 3 minutes ago"
    assert "/data/x" in banner and "notice bad" in banner
    bar, banner = told(now, ON_A_SPACE)
    assert "storage bucket cannot be written" in banner
    assert "/data" not in bar + banner


def test_a_damaged_snapshot_that_was_passed_over_is_said(told: Told) -> None:
    _, banner = told(KeepStatus("saved", 0.0, restored=Restored(1_790_000_000.0, 5, 5, passed_over=2)))
    assert "2 newer snapshots were damaged and passed over" in banner
    assert "2026-09-21" in banner
    assert "none of 2 snapshots" in told(KeepStatus("saved", 0.0, restored=Restored(None, passed_over=2)))[1]
    assert told(KeepStatus("saved", 0.0, restored=Restored(1.0, 5, 5)))[1] == ""


def test_a_page_opens_with_the_banner_and_draws_it_anew_when_that_changes(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path, space_id="ada/studio"))
    visit = Visit(studio, may=ON_A_SPACE)
    shown = page().call(arrived, visit)["bar.banner"]
    assert shown["visible"] is True
    assert "does not survive a restart" in str(value(shown))
    assert "/data" in str(value(shown)) and "ada/studio" in str(value(shown))
    before = status.shape(visit)
    studio.snapshots.status = KeepStatus("saved", time.time())
    assert status.shape(visit) != before
    assert page().call(status.redrawn, visit)["bar.banner"]["visible"] is False
    same = status.shape(visit)
    studio.snapshots.status = dataclasses.replace(studio.snapshots.status, state="saving")
    assert status.shape(visit) == same
