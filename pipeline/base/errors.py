"""The one kind of error a user is meant to read."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


class StudioError(Exception):
    """Something the user can understand and act on.

    Args:
        what: What happened, one sentence.
        why: Why it happened, as far as known.
        next: What to do now.
    """

    def __init__(self, what: str, why: str = "", next: str = "") -> None:
        super().__init__(" ".join(part for part in (what, why, next) if part))
        self.what = what
        self.why = why
        self.next = next


# Besides ENOSPC: a user's quota, and a limit on one file's size.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What libraries make of them; SQLite calls a quota "disk I/O error".
_SIGNS = ("disk is full", "no space left", "quota exceeded", "file too large", "disk i/o error")
_NOTHING = 1 << 20  # bytes; less than this is a full disk


def disk_full(error: BaseException | str) -> bool:
    """Return whether an error, or what a program printed of it, is that of a full disk."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(sign in str(error).lower() for sign in _SIGNS)


def no_space(folder: Path) -> bool:
    """Return whether the disk of a folder has no space left."""
    return shutil.disk_usage(folder).free < _NOTHING
