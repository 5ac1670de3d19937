"""From the layout of an older home to the present one: named steps, done once each and in order when a home is opened.

The home's `schema` file counts the steps done. A step is a function whose name says what it changes. It may meet a home
in which it was done already or half done (the program was killed, or an older program made the change without counting
it), and must then end in the same place. A step is never changed or removed: there are homes that have it behind them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

FIRST = 1  # version of the layout before any step

Step = Callable[[Path], None]


def runs_know_their_place(home: Path) -> None:
    """Runs may be carried elsewhere than on this machine: the ledger says where."""
    _add_column(home, "place", "TEXT NOT NULL DEFAULT 'local'")


def runs_know_whose_token_they_need(home: Path) -> None:
    """Runs may act for an account of the Hub: the ledger names it."""
    _add_column(home, "user", "TEXT NOT NULL DEFAULT ''")


def runs_have_an_owner(home: Path) -> None:
    """Several people may share a studio: what was there before belongs to the local person."""
    _add_column(home, "owner", "TEXT NOT NULL DEFAULT 'local'")


STEPS: tuple[Step, ...] = (runs_know_their_place, runs_know_whose_token_they_need, runs_have_an_owner)
LATEST = FIRST + len(STEPS)


def version_of(home: Path) -> int | None:
    """Return the version of a home's layout, None where there is no home yet.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no number.
    """
    with contextlib.suppress(FileNotFoundError):
        return int((home / "schema").read_text())
    return FIRST if (home / "ledger.db").exists() else None


def migrate(home: Path) -> None:
    """Bring a home to the latest layout; the caller holds the home's lock.

    Args:
        home: The home folder; an empty one has the latest layout.

    Raises:
        OSError: A file cannot be read or written.
        sqlite3.Error: The ledger cannot be changed.
    """
    found = version_of(home)
    if found is None:
        _note(home, LATEST)
        return
    for number, step in enumerate(STEPS, FIRST + 1):
        if number > found:
            step(home)
            _note(home, number)


def _note(home: Path, version: int) -> None:
    fresh = home / "schema.new"
    fresh.write_text(f"{version}\n")
    fresh.replace(home / "schema")


def _add_column(home: Path, name: str, kind: str) -> None:
    """Add a column to the ledger's table of runs, unless it is there or there are no runs yet."""
    if not (home / "ledger.db").exists():
        return
    with contextlib.closing(sqlite3.connect(home / "ledger.db", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        there = {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
        if there and name not in there:
            connection.execute(f"ALTER TABLE runs ADD COLUMN {name} {kind}")
        connection.commit()
