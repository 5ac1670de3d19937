"""What was made of a file, kept in memory while the file stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_KEPT = 4  # projects' worth of data in memory, however large
_ROOM = 64 << 20  # bytes of files whose data is kept besides: many small projects of many visitors
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
            _forget(what)
    return value  # type: ignore[return-value]  # the key's first part says of which type


def remembered(what: str, folder: Path, version: object) -> object | None:
    """Return what was made before for this folder and version; None where it is not kept any more."""
    with _guard:
        found = _cache.get((what, str(folder)))
    return found[1] if found is not None and found[0] == version else None


def _forget(what: str) -> None:
    """Forget the oldest of one kind while there are too many and they are too large."""
    kept = [key for key in _cache if key[0] == what]
    sizes = [_size(_cache[key][0]) for key in kept]
    total = sum(sizes)
    for key, size in zip(kept[:-_KEPT], sizes, strict=False):
        if total <= _ROOM:
            return
        del _cache[key]
        total -= size


def _size(seen: object) -> int:
    """Return the bytes of the files that a version is of; what says nothing counts as large."""
    if isinstance(seen, Version):
        return seen.size
    found = [_size(part) for part in seen if isinstance(part, tuple)] if isinstance(seen, tuple) else []
    return sum(found) if found else _ROOM


class Version(NamedTuple):
    """What changes with a file's content.

    Attributes:
        changed: When it was written, ns.
        size: Its bytes.
    """

    changed: int
    size: int


def version(path: Path) -> Version | None:
    """Return what changes with a file's content, None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return Version(status.st_mtime_ns, status.st_size)
