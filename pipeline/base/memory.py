"""What was made of a file, kept in memory while the file stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_KEPT = 4  # projects' worth of data in memory
_cache: dict[tuple[str, str], tuple[object, object]] = {}
_making: dict[tuple[str, str], threading.RLock] = {}
_guard = threading.Lock()


def cached(what: str, folder: Path, version: object, make: Callable[[], T]) -> T:
    """Return what was made before for this folder and version, else make it; the oldest is forgotten."""
    key = (what, str(folder))
    with _guard:
        making = _making.setdefault(key, threading.RLock())
    with making:  # one for each thing: counting 40,000 pairs of one project must not keep another page waiting
        with _guard:
            found = _cache.pop(key, None)
        value = found[1] if found is not None and found[0] == version else make()
        with _guard:
            _cache[key] = (version, value)  # last in order: used last
            while sum(name == what for name, _ in _cache) > _KEPT:
                del _cache[next(old for old in _cache if old[0] == what)]
    return value  # type: ignore[return-value]  # the key's first part says of which type


def remembered(what: str, folder: Path, version: object) -> object | None:
    """Return what was made before for this folder and version; None where it is not kept any more."""
    with _guard:
        found = _cache.get((what, str(folder)))
    return found[1] if found is not None and found[0] == version else None


def version(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file's content, None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
