"""The studio's home folder: its parts and the version of its layout."""

from __future__ import annotations

import re
import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from pipeline.base import migrations
from pipeline.base.errors import StudioError

LOCAL = "local"  # the one person of a studio that runs on their own machine
_OWNER = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Home:
    """Paths inside the home, as one of its owners sees it; `open_home` makes it.

    Attributes:
        path: The home folder.
        owner: Whose projects and files are seen: who is not named here cannot be reached through it.
    """

    path: Path
    owner: str = LOCAL

    def of(self, owner: str) -> Home:
        """Return the home as an owner sees it.

        Raises:
            ValueError: The name cannot be that of a folder.
        """
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"{owner!r} is no owner's name.")
        return replace(self, owner=owner)

    @property
    def own(self) -> Path:
        """Folder with what belongs to the owner alone, made when it is first needed; the local person's is the home."""
        return self.path if self.owner == LOCAL else self.path / "people" / self.owner

    @property
    def ledger(self) -> Path:
        """The SQLite file of all runs."""
        return self.path / "ledger.db"

    @property
    def studio(self) -> str:
        """Id of the studio whose home this is, made once: it tells what this studio rents from what others rent."""
        file = self.path / "studio.id"
        if not file.exists():
            made = file.with_name(f".studio-{secrets.token_hex(4)}")
            made.write_text(secrets.token_hex(8), "ascii")
            with suppress(FileExistsError):
                file.hardlink_to(made)  # whole or not at all, and the first one stays
            made.unlink()
        return file.read_text("ascii").strip()

    @property
    def runs(self) -> Path:
        """Folder with one folder per run."""
        return self.path / "runs"

    @property
    def projects(self) -> Path:
        """Folder with one folder per project of the owner."""
        return self.own / "projects"

    @property
    def locks(self) -> Path:
        """Folder of the locks that processes of one home share."""
        return self.path / "locks"

    @property
    def argilla(self) -> Path:
        """Home of the embedded Argilla server."""
        return self.path / "argilla"

    @property
    def uploads(self) -> Path:
        """The owner's uploaded files, moved here out of the web server's temporary folder."""
        return self.own / "uploads"


def open_home(path: Path) -> Home:
    """Make the home if it is missing, or bring an older one to the present layout.

    Args:
        path: The home folder.

    Raises:
        StudioError: The folder cannot be used, or a newer version of the studio wrote it.
    """
    home = Home(path.expanduser().resolve())
    try:
        found = migrations.version_of(home.path)
        if found is not None and found > migrations.LATEST:
            raise StudioError("home.newer", home=str(home.path), found=found, known=migrations.LATEST)
        for folder in (home.path, home.runs, home.projects, home.locks, home.argilla, home.uploads):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if found != migrations.LATEST:
            with FileLock(home.locks / "home.lock"):  # another process may be opening it too
                migrations.migrate(home.path)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StudioError("home.unusable", home=str(home.path), detail=str(error)) from error
    return home
