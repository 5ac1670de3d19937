"""The run that loads a dataset: reads it, and makes a project of it or says that its columns must be chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.base.home import LOCAL, Home, open_home
from pipeline.base.settings import Settings
from pipeline.dataset import kept, loads, reading, sources
from pipeline.dataset.guess import guess, why_not
from pipeline.dataset.loads import LoadOptions
from pipeline.dataset.reading import LayoutUnknown
from pipeline.dataset.recognise import recognise
from pipeline.dataset.sources import Source
from pipeline.hub import datasets as hub
from pipeline.runs.task import Cancelled, Reporter


def load_dataset(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Load a dataset.

    Args:
        spec: With wanted (LoadOptions).
        reporter: Gets stages and progress.

    Returns:
        The values of `pipeline.dataset.loads.Outcome`: a project, or the columns to choose from.

    Raises:
        Cancelled: The user asked for a stop; no project is left behind.
        StudioError: It cannot be read, no row is a pair, or the project cannot be written.
    """
    wanted = LoadOptions.model_validate(spec["wanted"])
    home = open_home(Settings().home).of(spec.get("owner", LOCAL))
    folder = Path(spec["events"]).parent
    try:
        with sources.bounded(wanted.name or Path(wanted.path).name):
            return _loaded(wanted, home, folder, reporter)
    except BaseException:
        kept.forget([folder])
        raise


def _loaded(wanted: LoadOptions, home: Home, folder: Path, reporter: Reporter) -> dict[str, Any]:
    source, file = _read(wanted, home, folder, reporter)
    _check(reporter)
    if wanted.by_hand and wanted.mapping is None:
        return _columns(folder, source, file)
    reporter.stage("making", "load.stage.making")
    try:
        project, loaded = sources.load(home, source, wanted.mapping, lambda: _check(reporter))
    except LayoutUnknown:
        return _columns(folder, source, file)
    kept.forget([folder, *([home.runs / wanted.run] if wanted.kind == "kept" else [])])
    return {
        "project": project.name,
        "pairs": len(loaded.pairs),
        "bad_rows": len(loaded.bad_rows),
        "recognised": loaded.recognised.as_dict(),
        "notes": [note.as_dict() for note in loaded.notes],
    }


def _read(wanted: LoadOptions, home: Home, folder: Path, reporter: Reporter) -> tuple[Source, Path | None]:
    """Return what was read, and the file that it was read from."""

    def count(done: int, total: int | None) -> None:
        _check(reporter)
        reporter.progress("reading", done, total or 0, "rows")

    if wanted.kind == "hub":
        with reporter.interruptible():  # a Hub that does not answer is not waited for
            reporter.stage("asking", "load.stage.asking")
            chosen = hub.choose(wanted.name, wanted.config, wanted.split, wanted.revision, wanted.limit)
            reporter.stage("reading", "load.stage.reading")
            return sources.hub(chosen, count), None
    reporter.stage("reading", "load.stage.reading")
    if wanted.kind == "sample":
        return sources.sample(), reading.SAMPLE
    if wanted.kind == "kept":
        return kept.read(home.runs / wanted.run), None
    file = sources.path_of(wanted.path)
    if wanted.kind == "upload":
        file = kept.place(folder, file)
    return sources.file(file), file


def _columns(folder: Path, source: Source, file: Path | None) -> dict[str, Any]:
    """Keep what was read, and return what a person chooses the columns by."""
    kept.keep(folder, source, file)
    rows, proposed = source.rows, guess(source.rows)
    why = None if recognise(rows) else why_not(rows)
    return {
        "columns": rows.columns,
        "first": [[loads.cut(row.get(name)) for name in rows.columns] for row in rows.rows[: loads.FIRST]],
        "why": why.as_dict() if why else None,
        "guess": proposed.model_dump(mode="json") if proposed else None,
    }


def _check(reporter: Reporter) -> None:
    if reporter.should_stop():
        raise Cancelled
