"""The one kind of error a user is meant to read."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

from pipeline.base.message import Message, worded


class StudioError(Exception):
    """Something the user can understand and act on.

    Args:
        code: Key of its words, or the whole message; see `pipeline.base.message`.
        **values: What the words name.
    """

    def __init__(self, code: str | Message, /, **values: Any) -> None:
        super().__init__()
        self.message = worded(code, **values)

    def __str__(self) -> str:
        return self.message.said()

    @property
    def what(self) -> str:
        """What happened, in the present language."""
        return self.message.what

    @property
    def why(self) -> str:
        """Why it happened, as far as known."""
        return self.message.why

    @property
    def next(self) -> str:
        """What to do now."""
        return self.message.next


class Wrong(ValueError):
    """What the validator of an option raises: why its value cannot be used, by code."""

    def __init__(self, code: str, /, **values: Any) -> None:
        super().__init__(code)
        self.message = worded(code, **values)

    def __str__(self) -> str:
        return self.message.said()


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
