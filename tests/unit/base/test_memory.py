"""What is kept in memory: many small things, a few large ones, and nothing of a file that has changed."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from pipeline.base.memory import Version, cached


def test_many_small_projects_are_kept_and_few_large_ones() -> None:
    made: list[Path] = []

    def read(what: str, number: int, size: int) -> None:
        folder = Path(f"/{number}")
        cached(what, folder, (Version(1, size), "model"), lambda: made.append(folder))

    small, large = (uuid4().hex for _ in range(2))
    for number in [*range(50), *range(50)]:
        read(small, number, 100_000)
    assert len(made) == 50
    made.clear()
    for number in [*range(6), *range(5, 1, -1), 0]:
        read(large, number, 50 << 20)
    assert len(made) == 7  # six, and the first one again: four are kept
    read(small, 0, 100_000)
    assert len(made) == 7


def test_a_file_that_changed_is_read_again() -> None:
    what, made = uuid4().hex, []
    for changed in (1, 1, 2):
        cached(what, Path("/x"), Version(changed, 1), lambda: made.append(1))
    assert len(made) == 2
