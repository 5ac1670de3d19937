"""Whose workspace of the review server: the local person's as they choose, and for everybody else one of their own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from filelock import FileLock

from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL, Home
from pipeline.base.project import slug
from pipeline.base.secret import kept

USUAL = "align-studio"
_FILE, _FORMER = "workspace", "former_annotators.json"
_READABLE = 30  # letters of the account's name
_TOLD_APART = 6  # letters of the id's digest behind it


def workspace_of(home: Home, wished: str = USUAL, *, account: str = "") -> str:
    """Return the workspace of the review server that a person's pairs and annotators are in.

    Args:
        home: The home as the person sees it.
        wished: What a plan names; it counts for the local person alone.
        account: The name of the person's account, for the first part of a workspace's name.

    Returns:
        Its name: of another person than the local one always the one that was made for them first, and no other's.

    Raises:
        StudioError: The local person wishes for another's.
    """
    if home.owner != LOCAL:
        return _own(home, account)
    if wished in _others(home).values():
        raise StudioError("workspace.anothers", name=wished)
    return wished


def former(home: Home) -> list[str]:
    """Return the ids of the accounts that somebody took out of their workspaces."""
    try:
        return list(json.loads((home.own / _FORMER).read_text("utf-8")))
    except FileNotFoundError:
        return []


def note_former(home: Home, account: str) -> None:
    """Note that somebody took an account out of a workspace of theirs."""
    with FileLock(home.locks / "workspaces.lock"):
        fresh = home.own / f"{_FORMER}.new"
        fresh.write_text(json.dumps(list(dict.fromkeys([*former(home), account]))), encoding="utf-8")
        fresh.replace(home.own / _FORMER)


def _own(home: Home, account: str) -> str:
    file = home.own / _FILE
    if not file.exists():
        home.own.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(home.locks / "workspaces.lock"):
            kept(file, lambda: _fresh(home, account).encode())
    return file.read_text("ascii")


def _fresh(home: Home, account: str) -> str:
    """Return a name that nobody has: the account's, and as many letters of its id's digest as tell it apart."""
    taken = {USUAL, *_others(home).values()}
    digest = hashlib.sha256(home.owner.encode()).hexdigest()
    readable = slug(account or home.owner)[:_READABLE].strip("-")
    names = (f"{readable}-{digest[:length]}" for length in range(_TOLD_APART, len(digest) + 1))
    return next(name for name in names if name not in taken)


def _others(home: Home) -> dict[Path, str]:
    """Return the workspaces of all other people by their folders."""
    files = home.path.glob(f"people/*/{_FILE}")
    return {file.parent: file.read_text("ascii") for file in files if file.parent != home.own}
