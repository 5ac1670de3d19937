"""A project: the folder that ties dataset, review, recipe, exports, models and runs together."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, Field

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.home import Home

DEFAULT_BASE_MODEL = "HuggingFaceTB/SmolLM2-135M"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class DatasetRecord(BaseModel):
    """Where a project's pairs come from."""

    kind: str = Field(description="file, sample or hub")
    name: str = Field(description="File name or Hub id.")
    sha256: str = Field("", description="SHA-256 of the file.")
    recognised: dict[str, Any] | str = Field(
        "", description="How the data was read: a message by code; older projects have a sentence."
    )
    rows: int
    pairs: int
    bad_rows: int
    config: str = Field("", description="Configuration of a Hub dataset.")
    split: str = Field("", description="Split of a Hub dataset.")
    revision: str = Field("", description="Commit of a Hub dataset.")
    limit: int | None = Field(None, description="Rows of a Hub dataset read at most, the first ones; None: all.")
    unused: list[str] = Field(default_factory=list, description="Columns with text that no pair has.")


class ReviewRecord(BaseModel):
    """The project's dataset in Argilla."""

    plan: dict[str, Any] = Field(description="The ReviewPlan it was imported with.")
    server: str = Field(description="embedded, or the URL of a foreign server.")
    dataset_id: str = Field("", description="Argilla's id of the dataset; empty until the import has made it.")
    cursor: str = Field("", description="How far answers were read.")


class Record(BaseModel):
    """What `project.json` holds; larger things lie beside it."""

    name: str
    created: datetime
    base_model: str = DEFAULT_BASE_MODEL
    dataset: DatasetRecord | None = None
    review: ReviewRecord | None = None
    recipe: dict[str, Any] | None = None
    settling: dict[str, Any] | None = Field(None, description="How answers were settled in the last export.")


@dataclass(frozen=True)
class Project:
    """One project's folder and the paths in it."""

    folder: Path

    @property
    def name(self) -> str:
        """The project's name, its folder's name."""
        return self.folder.name

    @property
    def pairs(self) -> Path:
        """The normalised pairs, parquet of pipeline.base.pair.SCHEMA."""
        return self.folder / "pairs.parquet"

    @property
    def bad_rows(self) -> Path:
        """Rows that are no pairs, JSON list of {number, code, values}; older: {number, reason}."""
        return self.folder / "bad_rows.json"

    @property
    def answers(self) -> Path:
        """Answers read back from Argilla."""
        return self.folder / "answers.parquet"

    @property
    def exports(self) -> Path:
        """Folder of the project's exports."""
        return self.folder / "exports"

    @property
    def models(self) -> Path:
        """Folder of the models trained in this project."""
        return self.folder / "models"

    @property
    def evaluations(self) -> Path:
        """Folder of the project's evaluations, one folder per run."""
        return self.folder / "evaluations"

    def read(self) -> Record:
        """Return what project.json says."""
        return Record.model_validate_json((self.folder / "project.json").read_text())

    def update(self, change: Callable[[Record], None]) -> Record:
        """Change project.json under its lock, whole or not at all.

        Args:
            change: Changes the record in place.

        Returns:
            The record as written.
        """
        with FileLock(self.folder / ".lock"):
            record = self.read()
            change(record)
            _write(self.folder, record)
        return record


def _write(folder: Path, record: Record) -> None:
    fresh = folder / "project.json.new"
    fresh.write_text(json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=2))
    fresh.replace(folder / "project.json")


def slug(text: str) -> str:
    """Return a project name made from any text: lower case letters, digits and hyphens, at most 40."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return name or "project"


def create(home: Home, wanted: str) -> Project:
    """Make a new project; when the name is in use, `-2`, `-3`, … is added.

    Args:
        home: The studio's home.
        wanted: Any text; see `slug`.

    Raises:
        StudioError: The folder cannot be made.
    """
    base, number = slug(wanted), 1
    while True:
        folder = home.projects / (base if number == 1 else f"{base}-{number}")
        try:
            home.projects.mkdir(mode=0o700, parents=True, exist_ok=True)  # its owner's first one
            folder.mkdir(mode=0o700)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise not_made(error) from error
    try:
        _write(folder, Record(name=folder.name, created=datetime.now(UTC)))
    except OSError as error:
        shutil.rmtree(folder)
        raise not_made(error) from error
    return Project(folder)


def not_made(error: OSError) -> StudioError:
    """Return the error of a project whose files could not be written."""
    return StudioError("project.disk_full") if disk_full(error) else StudioError("project.not_made", detail=str(error))


def discard(project: Project) -> None:
    """Remove a project that came to nothing; a project with a dataset is never removed."""
    if project.read().dataset is None:
        shutil.rmtree(project.folder)


def find(home: Home, name: str) -> Project:
    """Return a project by name.

    Raises:
        StudioError: There is none of that name.
    """
    folder = home.projects / name
    if not NAME.fullmatch(name) or not (folder / "project.json").exists():
        raise StudioError("project.none", name=name)
    return Project(folder)


def names(home: Home) -> list[str]:
    """Return the names of all projects, the one worked on last first."""
    records = home.projects.glob("*/project.json")
    return [path.parent.name for path in sorted(records, key=lambda path: path.stat().st_mtime, reverse=True)]


def latest(home: Home) -> Project | None:
    """Return the project worked on last."""
    return next((find(home, name) for name in names(home)), None)
