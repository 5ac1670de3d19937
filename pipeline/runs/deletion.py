"""Deleting a project for good: its folder, and what its runs left."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.base.limits import size
from pipeline.base.project import Project
from pipeline.runs.ledger import Ledger, Run


@dataclass(frozen=True)
class Belongings:
    """What goes with a project.

    Attributes:
        exports: How many exports.
        models: How many models.
        runs: How many runs.
        bytes: Disk that all of it takes.
    """

    exports: int
    models: int
    runs: int
    bytes: int


def belongings(ledger: Ledger, project: Project) -> Belongings:
    """Return what would be deleted.

    Args:
        ledger: Its owner's ledger.
        project: The project.
    """
    runs = _runs(ledger, project)
    folders = [project.folder, *(run.folder for run in runs)]
    exports, models = (
        sum(path.is_dir() for path in folder.glob("[!.]*")) for folder in (project.exports, project.models)
    )
    return Belongings(exports, models, len(runs), sum(map(size, folders)))


def delete(ledger: Ledger, project: Project) -> None:
    """Delete a project; what it published, its Jobs' files on the Hub and its dataset in Argilla stay.

    Args:
        ledger: Its owner's ledger.
        project: The project.

    Raises:
        StudioError: One of its runs goes on.
    """
    runs = _runs(ledger, project)
    if active := [run for run in runs if run.active]:
        raise StudioError("project.busy", title=active[0].named)
    gone = ledger.home.own / "gone"
    gone.mkdir(mode=0o700, parents=True, exist_ok=True)
    # At once, whatever happens afterwards; what a crash leaves there goes with the next one.
    project.folder.rename(gone / f"{project.name}-{secrets.token_hex(4)}")
    ledger.forget(runs)
    for run in runs:
        shutil.rmtree(run.folder, ignore_errors=True)
    shutil.rmtree(gone, ignore_errors=True)


def _folders(within: Path) -> int:
    return sum(path.is_dir() for path in within.glob("[!.]*"))


def _runs(ledger: Ledger, project: Project) -> list[Run]:
    made = [run for run in ledger.list(kind="load") if (run.result or {}).get("project") == project.name]
    return [*ledger.list(project=project.name), *made]
