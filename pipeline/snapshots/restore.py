"""A fresh home is restored from the newest whole snapshot of its studio; a damaged one is passed over, and said."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.snapshots.bucket import Bucket, Damaged
from pipeline.snapshots.contents import LEDGER
from pipeline.snapshots.manifest import KeptFile, Manifest

AGAIN_S = 20.0  # what was written last may arrive seconds later
PAUSE_S = 2.0


@dataclass(frozen=True)
class Restored:
    """What a home was restored from.

    Attributes:
        at: When the snapshot was taken, Unix seconds; None: no snapshot was whole.
        files: How many files.
        size: Bytes.
        passed_over: How many newer snapshots were damaged or half written.
    """

    at: float | None
    files: int = 0
    size: int = 0
    passed_over: int = 0


def is_fresh(home: Path) -> bool:
    """Return whether nothing was done in a home yet; the ledger is what is restored last."""
    return not (home / LEDGER).exists()


def restore(
    home: Path,
    bucket: Bucket,
    studios: frozenset[str],
    *,
    patience: float = AGAIN_S,
    on_file: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> Restored | None:
    """Restore a fresh home; None where there is no snapshot. Killed on the way, it begins again the next time.

    Args:
        home: The home folder, fresh.
        bucket: Where the snapshots are.
        studios: Those whose snapshots may be taken.
        patience: Seconds to wait for a newer snapshot to be whole before an older one is taken.
        on_file: Told how many files are there, of how many.

    Raises:
        OSError: The home cannot be written.
    """
    until = time.monotonic() + patience
    while True:
        names = bucket.names()
        foreign = passed_over = 0
        for name in names:
            manifest = bucket.manifest(name)
            if manifest is not None and manifest.studio not in studios:
                foreign += 1
                continue
            if manifest is not None and _brought(home, bucket, manifest, on_file):
                return Restored(manifest.at, len(manifest.files), manifest.size, passed_over)
            if time.monotonic() < until:
                break  # look at all of them again: the newest may have arrived
            passed_over += 1
        else:
            return Restored(None, passed_over=passed_over) if len(names) > foreign else None
        time.sleep(PAUSE_S)


def _brought(home: Path, bucket: Bucket, manifest: Manifest, on_file: Callable[[int, int], None]) -> bool:
    """Bring a snapshot's files into a home, all or none; return whether it was whole."""
    staging = home / "restoring"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for number, file in enumerate(manifest.files, 1):
            _write(staging / file.path, file, bucket)
            on_file(number, len(manifest.files))
    except (Damaged, FileNotFoundError):
        shutil.rmtree(staging, ignore_errors=True)
        return False
    for file in sorted(manifest.files, key=lambda file: file.path == LEDGER):
        _folder(home, (home / file.path).parent)
        (staging / file.path).replace(home / file.path)
    shutil.rmtree(staging, ignore_errors=True)
    return True


def _write(path: Path, file: KeptFile, bucket: Bucket) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        for piece in file.pieces:
            target.write(bucket.get(piece))
        target.flush()
        os.fsync(target.fileno())
    path.chmod(file.mode)
    if file.modified:
        os.utime(path, ns=(file.modified, file.modified))


def _folder(home: Path, folder: Path) -> None:
    """Make a folder and those above it as the studio does: for its user alone."""
    for each in reversed([folder, *folder.parents]):
        if each.is_relative_to(home):
            each.mkdir(mode=0o700, exist_ok=True)
