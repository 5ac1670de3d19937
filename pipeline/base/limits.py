"""How much one visitor of a shared studio may have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one person may have at most.

    Attributes:
        projects: Projects.
        runs: Runs that go on or wait, at once.
        megabytes: Disk, MB.
    """

    projects: int
    runs: int
    megabytes: int


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder, 0 where there is none; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
