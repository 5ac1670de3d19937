"""The end of what a run's processes printed."""

from __future__ import annotations

from pathlib import Path


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, at most 8 KB of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
