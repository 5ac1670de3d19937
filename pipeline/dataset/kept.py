"""What a load has read, kept in its run's folder until somebody has said which column is what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.dataset.files import read_rows
from pipeline.dataset.rows import Rows
from pipeline.dataset.sources import Source
from pipeline.dataset.tables import TableRows
from pipeline.hub.datasets import Chosen

_FOLDER, _SOURCE, _TABLES = "read", "source.json", "rows.arrow"


def keep(folder: Path, source: Source, file: Path | None) -> None:
    """Keep a source.

    Args:
        folder: The run's folder.
        source: What was read.
        file: The file it was read from; None for tables of the Hub.
    """
    inside = folder / _FOLDER
    inside.mkdir(mode=0o700, exist_ok=True)
    said: dict[str, object] = {"kind": source.kind, "name": source.name, "sha256": source.sha256}
    if file is not None:
        said["file"] = file.name
        if not file.is_relative_to(inside):
            shutil.copyfile(file, inside / file.name)
    elif isinstance(source.rows.rows, TableRows) and source.chosen is not None:
        said |= {"chosen": asdict(source.chosen), "columns": source.rows.columns}
        said["tables"] = source.rows.rows.save(inside / _TABLES)
    (inside / _SOURCE).write_text(json.dumps(said, ensure_ascii=False))


def place(folder: Path, file: Path) -> Path:
    """Move a file into a run's folder, where it is kept or forgotten with what was read of it.

    Args:
        folder: The run's folder.
        file: The file; the folder it lies in goes with it.
    """
    inside = folder / _FOLDER
    inside.mkdir(mode=0o700, exist_ok=True)
    moved = Path(shutil.move(file, inside / file.name))
    file.parent.rmdir()
    return moved


def there(folder: Path) -> bool:
    """Return whether a run's folder keeps a source."""
    return (folder / _FOLDER / _SOURCE).is_file()


def read(folder: Path) -> Source:
    """Return the source that a run's folder keeps.

    Raises:
        StudioError: It keeps none any more, or it cannot be read.
    """
    inside = folder / _FOLDER
    try:
        said = json.loads((inside / _SOURCE).read_text())
    except (OSError, ValueError) as error:
        raise StudioError("load.forgotten") from error
    if "file" in said:
        return Source(read_rows(inside / said["file"]), said["kind"], said["name"], said["sha256"])
    tables = TableRows.opened(inside / _TABLES, said["tables"], said["columns"])
    rows = Rows(tables.columns, tables, range(1, len(tables) + 1), format="Hub dataset")
    return Source(rows, said["kind"], said["name"], chosen=Chosen(**said["chosen"]))


def forget(folders: Iterable[Path]) -> None:
    """Remove what runs' folders keep."""
    for folder in folders:
        shutil.rmtree(folder / _FOLDER, ignore_errors=True)
