"""What of a home is in a snapshot: everything, but what is made again, and what belongs to a running process."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePath

# Engines are installed again; the text index (search.db) is built again, never copied; the rest is of processes that
# will not be there: locks, databases' logs, where a server listens and what it said.
LEFT_OUT = (
    "engines", "locks", "restoring", "ledger.db-*", "argilla/*.db-*", "argilla/search.db*", "argilla/tmp",
    "argilla/service.json*", "argilla/spec.json", "argilla/server.log*",
)  # fmt: skip
_CHECKPOINT = re.compile(r"(models/[^/]+|runs/.+)/checkpoint-\d+")  # serves the training that writes it
LEDGER = "ledger.db"


def contents(home: Path) -> Iterator[Path]:
    """Yield the files of a home that are kept, what is read first at first.

    The ledger: a run that it calls ended has written its files, which are read later. Other databases last: a project
    that names a dataset of Argilla is read before the database that has it.
    """
    files: list[Path] = []
    databases: list[Path] = []
    for path in _walk(home, home):
        (databases if is_database(path, home) else files).append(path)
    ledger = home / LEDGER
    yield from (path for path in databases if path == ledger)
    yield from files
    yield from (path for path in databases if path != ledger)


def _walk(home: Path, folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = Path(entry.path)
            if _left_out(path.relative_to(home)):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(home, path)
            else:
                yield path


def _left_out(path: PurePath) -> bool:
    name = path.as_posix()
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT) or bool(_CHECKPOINT.search(name))


def is_database(path: Path, home: Path) -> bool:
    """Return whether a file is a database of the studio's own, which SQLite copies; one that was uploaded is a file."""
    return path.suffix == ".db" and path.parent in (home, home / "argilla")


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that others write to, as it is at one moment, into a file without a log beside it.

    Args:
        source: The database.
        target: A new file on a local disk.

    Raises:
        sqlite3.Error: It cannot be read, or is damaged.
    """
    address = f"{source.resolve().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=30)) as read,
        contextlib.closing(sqlite3.connect(target)) as written,
    ):
        written.execute("PRAGMA synchronous=OFF")
        read.backup(written)  # all pages in one step: a writer does not make it begin again
        written.execute("PRAGMA journal_mode=DELETE")
        found = written.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"{source.name}: {found}")


def state_of(path: Path, home: Path) -> tuple[int, ...]:
    """Return numbers that change when a file does, four of each file; of a database also those of its log."""
    found: list[int] = []
    for each in (path, path.with_name(f"{path.name}-wal")) if is_database(path, home) else (path,):
        with contextlib.suppress(FileNotFoundError):
            known = each.stat()
            found += [known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns]
    return tuple(found)
