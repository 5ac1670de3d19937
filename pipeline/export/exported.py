"""A project's exports as later steps find them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pipeline.base.errors import StudioError
from pipeline.base.pair import Pair, as_messages
from pipeline.base.project import Project
from pipeline.export.options import ExportFile, ExportPlan

Split = Literal["train", "test"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
PUBLISHED = "published.json"  # in the export's folder; never among the files that are published


def names(project: Project) -> list[str]:
    """Return the names of the finished exports, the newest first."""
    found = project.exports.glob("*/export.json")
    return [file.parent.name for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)]


@dataclass(frozen=True)
class Exported:
    """What a finished export says of itself.

    Attributes:
        name: Its name.
        folder: Its folder.
        created: When it was made, ISO 8601.
        plan: What it holds, and what was left out.
        files: Its files, `export.json` left out.
        card: The text of its dataset card.
    """

    name: str
    folder: Path
    created: str
    plan: ExportPlan
    files: list[ExportFile]
    card: str


def read(project: Project, name: str) -> Exported:
    """Return what a finished export says of itself.

    Args:
        project: Holds the export.
        name: The export.

    Raises:
        StudioError: It is not there any more, or its record cannot be read.
    """
    folder = _folder(project, name)
    try:
        record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        plan, files = ExportPlan(**record["counts"]), [ExportFile(**file) for file in record["files"]]
        card = (folder / "README.md").read_text(encoding="utf-8")
        return Exported(name, folder, str(record["provenance"]["created"]), plan, files, card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudioError("export.unreadable", name=name, detail=str(error)) from error


def file_of(project: Project, name: str, path: str) -> Path:
    """Return one file of a finished export.

    Args:
        project: Holds the export.
        name: The export.
        path: The file, as the export itself names it.

    Raises:
        StudioError: There is no such export, or no such file in it.
    """
    found = read(project, name)
    file = found.folder / path
    known = {"README.md", *(each.path for each in found.files)}
    if path not in known or not file.is_file() or not file.resolve().is_relative_to(found.folder.resolve()):
        raise StudioError("file.none", name=path)
    return file


def _folder(project: Project, name: str) -> Path:
    """Return an export's folder; a name that leads elsewhere is none.

    Raises:
        StudioError: It is no name.
    """
    if not _NAME.fullmatch(name):
        raise StudioError("export.none", name=name)
    return project.exports / name


@dataclass(frozen=True)
class Published:
    """Where an export was last published, and what is there of it.

    Attributes:
        repository: Id of the dataset on the Hub.
        revision: Commit that holds the export.
        url: Address of that commit.
        private: Whether the repository was private then.
        when: ISO 8601.
        by: Account that published it.
    """

    repository: str
    revision: str
    url: str
    private: bool
    when: str
    by: str


def published(project: Project, name: str) -> Published | None:
    """Return where an export was last published; None: nowhere that is known.

    Args:
        project: Holds the export.
        name: The export.
    """
    if not name:
        return None
    try:
        return Published(**json.loads((_folder(project, name) / PUBLISHED).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remember(project: Project, name: str, where: Published) -> None:
    """Note where an export was published, beside its files.

    Args:
        project: Holds the export.
        name: The export.
        where: The repository and its commit.
    """
    file = _folder(project, name) / PUBLISHED
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(where), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)


def snippet(where: Path | str, revision: str = "") -> str:
    """Return Python that loads an export.

    Args:
        where: Its folder, or its repository on the Hub.
        revision: Commit on the Hub; empty: the newest.
    """
    options = f", revision={json.dumps(revision)}" if revision else ""
    return (
        "from datasets import load_dataset\n\n"
        f"pairs = load_dataset({json.dumps(str(where), ensure_ascii=False)}{options})\n"
        'print(pairs["train"][0])\n'
    )


def free_name(project: Project) -> str:
    """Return a name for the next export: the project's with the first version number not in use."""
    number = 1
    while (project.exports / f"{project.name}-v{number}").exists():
        number += 1
    return f"{project.name}-v{number}"


def split_file(project: Project, name: str, split: Split) -> Path | None:
    """Return the JSONL file of one split, or None when there is none of it.

    Args:
        project: Holds the export.
        name: The export.
        split: Which of its files.
    """
    file = _folder(project, name) / f"{split}.jsonl" if name else None
    return file if file is not None and file.is_file() else None


def read_pairs(file: Path) -> list[Pair]:
    """Return the pairs of a split's JSONL file.

    Args:
        file: See `split_file`.

    Raises:
        StudioError: A line is no pair.
    """
    pairs = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                prompt, chosen, rejected = (as_messages(row[part]) for part in ("prompt", "chosen", "rejected"))
                pairs.append(Pair(str(row["record_id"]), prompt, chosen, rejected, source=str(row.get("source") or "")))
            except (KeyError, TypeError, ValueError) as error:
                where = f"{file.parent.name}/{file.name}"
                raise StudioError("export.no_pair", number=number, file=where, detail=repr(error)) from error
    return pairs
