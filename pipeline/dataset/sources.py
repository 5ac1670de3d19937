"""From a source to a project: the sample, a file, an upload, a dataset on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.project import Project
from pipeline.base.settings import Settings
from pipeline.dataset import reading
from pipeline.dataset.files import read_rows
from pipeline.dataset.project import Kind, sha256_of, start_project
from pipeline.dataset.reading import Progress
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.dataset.rows import Rows
from pipeline.engines import budget
from pipeline.hub.datasets import Chosen


@dataclass(frozen=True)
class Source:
    """A source as read, before it is known which column is what.

    Attributes:
        rows: Its rows.
        kind: file, sample or hub.
        name: File name or Hub id.
        sha256: SHA-256 of the file, "" for a Hub dataset.
        chosen: Configuration, split and commit of a Hub dataset.
    """

    rows: Rows
    kind: Kind
    name: str
    sha256: str = ""
    chosen: Chosen | None = None


@contextmanager
def bounded(name: str) -> Iterator[None]:
    """Give what reads a source no more memory than the settings say.

    Args:
        name: The source's name, for the message.

    Raises:
        StudioError: It needs more.
    """
    limit, pool = Settings().load_megabytes, pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())  # mimalloc takes a gibibyte at once, whatever it is asked for
    try:
        with budget.memory(limit):
            yield
    except MemoryError as error:
        raise StudioError("load.memory", name=name, limit=limit) from error
    finally:
        pa.set_memory_pool(pool)


def sample() -> Source:
    """Read the bundled sample."""
    return Source(read_rows(reading.SAMPLE), "sample", "sample", sha256_of(reading.SAMPLE))


def local_file(given: str) -> Source:
    """Read a file of this machine; see `path_of`."""
    return file(path_of(given))


def file(path: Path) -> Source:
    """Read a file.

    Raises:
        StudioError: It cannot be read.
    """
    return Source(read_rows(path), "file", path.name, sha256_of(path))


def path_of(given: str) -> Path:
    """Return the path of a file of this machine.

    Args:
        given: Its path as somebody typed or pasted it.

    Raises:
        StudioError: It is no file.
    """
    text = given.strip().strip("\"'")
    if not text:
        raise StudioError("load.no_path")
    try:
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise StudioError("load.part_of_path", path=text)
        if not path.is_file():
            raise StudioError("load.folder" if path.is_dir() else "load.no_file", path=text)
    except (OSError, RuntimeError) as error:  # too long for a path; the home of somebody who is not here
        raise StudioError("load.no_file", path=text) from error
    return path


def hub(chosen: Chosen, progress: Progress | None = None) -> Source:
    """Read a dataset on the Hugging Face Hub.

    Args:
        chosen: Which rows; see `pipeline.hub.datasets.choose`.
        progress: Called with rows read and the rows expected; what it raises ends the reading.

    Raises:
        StudioError: The Hub is not reached any more, or a file cannot be read.
    """
    return Source(reading.read_hub(chosen, progress), "hub", chosen.name, chosen=chosen)


def load(
    home: Home, source: Source, mapping: Mapping | None = None, check: Callable[[], None] = lambda: None
) -> tuple[Project, Loaded]:
    """Make a project of a source.

    Args:
        home: The studio's home.
        source: What was read.
        mapping: Which column is what; None: recognise it.
        check: Called before the project is made; what it raises prevents that.

    Raises:
        LayoutUnknown: The layout is not recognised and no mapping is given.
        StudioError: No row is a pair, or the project cannot be written.
    """
    loaded = reading.load_rows(source.rows, mapping)
    check()
    return start_project(home, loaded, source.kind, source.name, source.sha256, source.chosen), loaded
