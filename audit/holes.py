"""Locks, published holes, and which of them reach us."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pipeline.base.install import ENGINES, TORCH

ROOT = Path(__file__).resolve().parents[1]
KNOWN = Path(__file__).with_name("known.toml")
LOCKS = {
    "app": ROOT / "requirements.lock",
    "development": ROOT / "requirements-dev.lock",
    **{name: engine.lock for name, engine in ENGINES.items()},
}
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Hole:
    """One published hole of a package.

    Attributes:
        package: The package, as the index spells it.
        affected: Its versions that have it (PEP 440).
        ids: The names it was published under.
        what: What it is, in a sentence.
        remains: By lock that holds an affected version, why it does not reach us there.
    """

    package: str
    affected: SpecifierSet
    ids: tuple[str, ...]
    what: str
    remains: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A hole in a lock."""

    lock: str
    version: str
    hole: Hole

    @property
    def why(self) -> str:
        """Why it does not reach us; empty where nobody said."""
        return self.hole.remains.get(self.lock, "")


def known(file: Path = KNOWN) -> tuple[datetime.date, list[Hole]]:
    """Return the committed list and the day it was made."""
    read = tomllib.loads(file.read_text("utf-8"))
    holes = [
        Hole(one["package"], SpecifierSet(one["affected"]), tuple(one["ids"]), one["what"], one.get("remains", {}))
        for one in read["hole"]
    ]
    return read["dated"], holes


def normal(name: str) -> str:
    """Return a package's name as all spellings of it are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(lock: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of what a lock installs; torch stands beside the locks of the engines that need it."""
    for name, version in _PINNED.findall(text):
        yield normal(name), version
    if lock in ENGINES and ENGINES[lock].torch:
        yield "torch", TORCH


def in_locks(holes: list[Hole], locks: dict[str, Path] | None = None) -> list[Found]:
    """Return which holes are in which locks."""
    found = []
    for lock, path in (locks or LOCKS).items():
        for name, version in packages(lock, path.read_text("utf-8")):
            found += [
                Found(lock, version, hole)
                for hole in holes
                if normal(hole.package) == name and hole.affected.contains(Version(version), prereleases=True)
            ]
    return found


def outdated(holes: list[Hole], found: list[Found]) -> list[str]:
    """Return the reasons that explain nothing any more: their lock holds no affected version."""
    there = {(one.lock, one.hole.ids) for one in found}
    return [
        f"{hole.package} {hole.ids[0]}: {lock} no longer holds it"
        for hole in holes
        for lock in hole.remains
        if (lock, hole.ids) not in there
    ]
