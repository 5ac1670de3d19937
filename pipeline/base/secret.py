"""Secrets of the studio's own, made once and kept in the home for its user's eyes only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def kept(file: Path, make: Callable[[], bytes]) -> bytes:
    """Return a secret, made when there is none yet.

    Args:
        file: Where it is kept, mode 600; its folder exists.
        make: Makes it.
    """
    if not file.exists():
        draft = file.with_name(file.name + ".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(make())
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(file)
    return file.read_bytes()
