"""Keeps a home in a bucket: restores it at the start, saves it every few minutes, after each run, and at the end."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.secret import kept
from pipeline.base.settings import Settings
from pipeline.snapshots import writers
from pipeline.snapshots.bucket import Bucket, NotWritten
from pipeline.snapshots.restore import Restored, is_fresh, restore
from pipeline.snapshots.take import Progress, Taker
from pipeline.snapshots.writers import Claim

LOG = logging.getLogger("align_studio")
LOOK_S = 2.0  # between two looks at which runs have ended
AGAIN_S = 60.0  # until what failed is tried again
PRUNE_S = 3600.0  # between two looks for objects that nobody names

State = Literal["off", "unkept", "waiting", "saving", "saved", "failed"]


@dataclass(frozen=True)
class KeepStatus:
    """How a home is kept.

    Attributes:
        state: off: nobody asked for it; unkept: a Space without a bucket, where nothing survives a restart; waiting:
            nothing saved yet; saving; saved: as it was at `at`; failed: see `problem`.
        at: When everything was last in the bucket, Unix seconds.
        progress: How far a snapshot is.
        problem: Why it is not saved.
        restored: What the home was restored from.
        left_out: What is in no snapshot though it lies in the home: links, and what cannot be read.
    """

    state: State
    at: float | None = None
    progress: Progress = Progress()
    problem: StudioError | None = None
    restored: Restored | None = None
    left_out: tuple[str, ...] = ()


def mounted(settings: Settings) -> Path | None:
    """Return the folder that snapshots go to, None where there is none that lasts.

    On a Space it must be a mount: a folder of the container goes with it.
    """
    folder = settings.snapshots
    if folder is None:
        return None
    try:
        if settings.space_id:
            return folder if folder.stat().st_dev != Path(settings.home).resolve().parent.stat().st_dev else None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None if settings.space_id else folder  # a local one is told why when it is written
    return folder


class Keeper:
    """Keeps the home of one studio.

    Args:
        settings: Where it is, where its snapshots go, and which Space it is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home.expanduser().resolve()
        folder = mounted(settings)
        self._bucket = Bucket(folder) if folder else None
        self.status = KeepStatus("waiting" if folder else "unkept" if settings.space_id else "off")
        self._boot = secrets.token_hex(6)
        self._claim: Claim | None = None
        self._taker: Taker | None = None
        self._active: Callable[[], set[str]] = set
        self._guard = threading.Lock()
        self._ended, self._wanted = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = 0.0

    def restore(self, on_file: Callable[[int, int], None] = lambda done, of: None) -> Restored | None:
        """Restore a fresh home from the newest whole snapshot, before anything opens it; None where nothing was.

        A bucket that is another studio's is left alone: the status says so.

        Args:
            on_file: Told how many files are there, of how many.

        Raises:
            StudioError: The home cannot be written.
        """
        if self._bucket is None:
            return None
        try:
            found = self._restored(self._bucket, on_file)
        except StudioError as error:
            self._failed(error)
            return None
        except OSError as error:
            raise StudioError("snapshot.not_restored", folder=str(self._bucket.folder), detail=str(error)) from error
        self.status = replace(self.status, restored=found)
        return found

    def _restored(self, bucket: Bucket, on_file: Callable[[int, int], None]) -> Restored | None:
        there = writers.owner(bucket.claims())
        fresh = is_fresh(self._home)
        if there is not None and fresh and not self._settings.space_id:
            self._take_id(there)
        self._claim = self._claimed(there)
        if there is not None and there.studio != self._claim.studio and not self._claim.instead_of:
            raise StudioError("snapshot.foreign", studio=there.name)
        if not fresh:
            return None
        studios = frozenset({self._claim.studio, there.studio if there else self._claim.studio})
        return restore(self._home, bucket, studios, on_file=on_file)

    def _take_id(self, there: Claim) -> None:
        """Give a fresh home of a machine of one's own the name of the studio whose snapshots it is restored from."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept(self._home / "studio.id", lambda: there.studio.encode())

    def _claimed(self, there: Claim | None) -> Claim:
        wanted = self._settings.snapshots_of
        instead_of = wanted if there is not None and wanted in (there.studio, there.name) else ""
        if self._settings.space_id:
            return Claim(time.time(), self._boot, self._settings.space_id, self._settings.space_id, instead_of)
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        studio = kept(self._home / "studio.id", lambda: f"local-{secrets.token_hex(8)}".encode()).decode()
        return Claim(time.time(), self._boot, studio, platform.node() or studio, instead_of)

    def start(self, active: Callable[[], set[str]]) -> None:
        """Begin to save.

        Args:
            active: Returns the ids of the runs that have not ended; when one has, the home is saved.
        """
        if self._bucket is None or self._stopped_for_good():
            return
        if self._claim is None:
            self._claim = self._claimed(writers.owner(self._bucket.claims()))
        self._taker = Taker(self._home, self._bucket, self._claim.studio, self._boot, self._progressed)
        self._active = active
        self._thread = threading.Thread(target=self._keep, daemon=True, name="snapshots")
        self._thread.start()

    def close(self) -> None:
        """Save once more, and no more after that."""
        self._ended.set()
        self._wanted.set()
        if self._thread is not None and self._taker is not None:
            self._thread.join()
            self.save()

    def save(self) -> KeepStatus:
        """Save now, and return how that went."""
        with self._guard:
            if self._taker is None or self._bucket is None or self._stopped_for_good():
                return self.status
            self.status = replace(self.status, state="saving", progress=Progress())
            began = time.time()
            try:
                self._save(self._taker, self._bucket)
            except StudioError as error:
                self._failed(error)
            except (OSError, sqlite3.Error, NotWritten) as error:
                self._failed(self._worded(error))
            else:
                left_out = self._taker.last.left_out if self._taker.last else ()
                self.status = replace(self.status, state="saved", at=began, problem=None, left_out=left_out)
            return self.status

    def _save(self, taker: Taker, bucket: Bucket) -> None:
        assert self._claim is not None
        claim = self._claim
        if claim not in bucket.claims():
            bucket.claim(claim)
        writers.require(claim, bucket.claims())
        before = taker.last
        taker.take(lambda: writers.require(claim, bucket.claims()))
        if taker.last is not before:
            self._tidy(bucket)

    def _tidy(self, bucket: Bucket) -> None:
        """Remove what is too old; that it cannot be removed does not unmake the snapshot."""
        try:
            bucket.prune()
            if time.monotonic() - self._swept > PRUNE_S or not self._swept:
                self._swept = time.monotonic()
                bucket.sweep()
                bucket.drop_claims(writers.lasting(bucket.claims()))
        except OSError:
            LOG.exception("removing old snapshots")

    def _keep(self) -> None:
        """Save when a run has ended, every few minutes besides, and sooner again after a failure."""
        every, before = self._settings.snapshot_minutes * 60.0, self._runs()
        while True:
            self.save()
            if self._stopped_for_good():
                return
            pause = min(every, AGAIN_S) if self.status.state == "failed" else every
            until = time.monotonic() + pause
            while time.monotonic() < until and not self._wanted.is_set():
                self._wanted.wait(LOOK_S)
                now = self._runs()
                if before - now:
                    self._wanted.set()
                before = now
            self._wanted.clear()
            if self._ended.is_set():
                return

    def _runs(self) -> set[str]:
        try:
            return self._active()
        except Exception:  # the ledger's disk is full, say: saving goes on by the clock
            LOG.exception("looking at the runs")
            return set()

    def _progressed(self, progress: Progress) -> None:
        self.status = replace(self.status, progress=progress)

    def _stopped_for_good(self) -> bool:
        problem = self.status.problem
        return problem is not None and problem.message.code in ("snapshot.foreign", "snapshot.replaced")

    def _failed(self, error: StudioError) -> None:
        LOG.warning("%s %s", error.what, error.why)
        self.status = replace(self.status, state="failed", problem=error)

    def _worded(self, error: Exception) -> StudioError:
        """Return an error in our words."""
        cause = error.__cause__ if isinstance(error, NotWritten) and error.__cause__ else error
        folder = str(self._settings.snapshots)
        if isinstance(error, NotWritten):
            if disk_full(cause):
                return StudioError("snapshot.full", folder=folder)
            if isinstance(cause, PermissionError) or (isinstance(cause, OSError) and not os.access(folder, os.W_OK)):
                return StudioError("snapshot.denied", folder=folder, detail=str(cause))
            return StudioError("snapshot.not_written", folder=folder, detail=str(cause))
        if disk_full(cause):
            return StudioError("snapshot.no_room", detail=str(cause))
        return StudioError("snapshot.unreadable", detail=str(cause))
