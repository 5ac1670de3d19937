"""A project's data as the steps need it: read from its folder, kept in memory while the files stay as they are."""

from __future__ import annotations

import hashlib
import json
import statistics
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock

from pipeline import answers as answer_file
from pipeline import dataset, filter, project, review, tokens
from pipeline.answers import Answer
from pipeline.dataset.recognise import Loaded
from pipeline.dataset.rows import BadRow
from pipeline.engines.argilla_server.service import Endpoint
from pipeline.errors import StudioError
from pipeline.home import Home
from pipeline.hub.datasets import Chosen
from pipeline.pair import Pair
from pipeline.project import DatasetRecord, Project, Record, ReviewRecord
from pipeline.review.plan import ReviewPlan
from pipeline.runs import supervisor
from pipeline.runs.ledger import Ledger, Run
from pipeline.settle import Settled, settle

T = TypeVar("T")
Kind = Literal["file", "sample", "hub"]

_KEPT = 4  # projects' worth of data in memory
_cache: dict[tuple[str, str], tuple[object, object]] = {}
_making: dict[tuple[str, str], threading.RLock] = {}
_guard = threading.Lock()


@dataclass(frozen=True)
class Counted:
    """Token counts of a project's pairs.

    Attributes:
        counts: One per pair, in the order of the pairs.
        name: The tokenizer's name.
        unit: tokens, or words (estimate).
    """

    counts: list[tokens.PairCounts]
    name: str
    unit: str


def _cached(what: str, folder: Path, version: object, make: Callable[[], T]) -> T:
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


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def start_project(
    home: Home, loaded: Loaded, kind: Kind, name: str, sha256: str = "", chosen: Chosen | None = None
) -> Project:
    """Make a project of a loaded dataset, named after it.

    Args:
        home: The studio's home.
        loaded: Pairs and bad rows.
        kind: Where it comes from.
        name: File name or Hub id.
        sha256: SHA-256 of the file, if it is one.
        chosen: Configuration, split and commit, if it is a Hub dataset.

    Raises:
        StudioError: The project cannot be written; nothing of it is left behind.
    """
    fresh = project.create(home, Path(name).stem if kind == "file" else name)
    try:
        dataset.save(loaded.pairs, fresh.pairs)
        fresh.bad_rows.write_text(json.dumps([asdict(row) for row in loaded.bad_rows], ensure_ascii=False))
        record = DatasetRecord(
            kind=kind,
            name=name,
            sha256=sha256,
            recognised=loaded.recognised,
            rows=len(loaded.pairs) + len(loaded.bad_rows),
            pairs=len(loaded.pairs),
            bad_rows=len(loaded.bad_rows),
            config=chosen.config if chosen else "",
            split=chosen.split if chosen else "",
            revision=chosen.revision if chosen else "",
            limit=chosen.limit if chosen else None,
        )

        def change(of: Record) -> None:
            of.dataset = record

        fresh.update(change)
    except BaseException as error:
        project.discard(fresh)
        if isinstance(error, OSError):
            raise project.not_made(error) from error
        raise
    return fresh


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pairs_of(of: Project) -> list[Pair]:
    """Return the project's pairs, in file order."""
    return _cached("pairs", of.folder, _version(of.pairs), lambda: dataset.open_pairs(of.pairs))


def bad_rows_of(of: Project) -> list[BadRow]:
    """Return the rows of the project's dataset that are no pairs."""
    if not of.bad_rows.exists():
        return []
    return [BadRow(**row) for row in json.loads(of.bad_rows.read_text())]


def counts_of(of: Project) -> Counted:
    """Return the token counts of the project's pairs, by the tokenizer of its base model."""
    base_model = of.read().base_model
    counter = tokens.counter(base_model)  # the estimate while the Hub is out of reach, the tokenizer later

    def count() -> Counted:
        return Counted(tokens.pair_counts(pairs_of(of), counter), counter.name, counter.unit)

    return _cached("counts", of.folder, (_version(of.pairs), base_model, counter.name), count)


def answers_of(of: Project) -> list[Answer]:
    """Return the answers read back so far."""
    if not of.answers.exists():
        return []
    return _cached("answers", of.folder, _version(of.answers), lambda: answer_file.open_answers(of.answers))


def settled_of(of: Project) -> dict[str, Settled]:
    """Return what the reviewers said of each record, settled into one."""
    return _cached("settled", of.folder, _version(of.answers), lambda: settle(answers_of(of)))


def plan_of(of: Project) -> ReviewPlan:
    """Return how the project's pairs are put before annotators: as last asked for, else a suggestion."""
    record = of.read()
    if record.review is not None:
        return ReviewPlan.model_validate(record.review.plan)
    return review.suggest(pairs_of(of), of.name, tokens.counter(record.base_model).unit)


def server_name(endpoint: Endpoint) -> str:
    """Return what a project's record calls a review server: embedded, or its URL."""
    return "embedded" if endpoint.embedded else endpoint.url


def start_import(ledger: Ledger, of: Project, plan: ReviewPlan, endpoint: Endpoint, title: str) -> Run:
    """Start putting a project's pairs into Argilla, or go on with it.

    Args:
        ledger: The home's ledger.
        of: The project.
        plan: How the pairs are shown.
        endpoint: The review server.
        title: What people see of the run.
    """
    server, values = server_name(endpoint), plan.model_dump(mode="json")

    def change(record: Record) -> None:
        if record.review is not None and record.review.server == server:
            record.review.plan = values
        else:
            record.review = ReviewRecord(plan=values, server=server)

    of.update(change)
    return supervisor.launch(ledger, "import", of.name, title, {"plan": values})


def review_of(of: Project, endpoint: Endpoint) -> ReviewRecord:
    """Return the project's review on a server.

    Raises:
        StudioError: Nothing is imported yet, or it is on another server.
    """
    found = of.read().review
    if found is None or not found.dataset_id:
        raise StudioError(
            "Nothing of this project is in Argilla yet.", "", "Import its pairs on the Dataset tab first."
        )
    if found.server != server_name(endpoint):
        raise StudioError(
            f"This project is reviewed on another Argilla server: {found.server}.",
            f"The studio is connected to {server_name(endpoint)}.",
            "Set ARGILLA_API_URL to the other one (embedded: leave it empty), or import the pairs again.",
        )
    return found


def refresh_answers(of: Project, endpoint: Endpoint) -> list[Answer]:
    """Read what annotators have answered since the last time, and keep it with the project.

    Args:
        of: The project.
        endpoint: The review server.

    Returns:
        All answers there are now.

    Raises:
        StudioError: Nothing is imported there yet, or the server is not reached.
    """
    with FileLock(of.folder / ".answers.lock"):
        before = review_of(of, endpoint)
        known = answers_of(of) if before.cursor else []
        found, cursor = review.read_answers(endpoint, before.dataset_id, known, before.cursor)
        if cursor == before.cursor:
            return known
        # The answers first: a crash between the two makes the next reading repeat itself, not miss something.
        answer_file.save(found, of.answers)

        def change(record: Record) -> None:
            if record.review is not None and record.review.dataset_id == before.dataset_id:
                record.review.cursor = cursor

        of.update(change)
    return found


def recipe_of(of: Project) -> filter.Recipe:
    """Return the project's filter recipe; the default one until another is saved."""
    return filter.Recipe.model_validate(of.read().recipe or {})


def save_recipe(of: Project, recipe: filter.Recipe) -> None:
    """Make a recipe the project's."""

    def change(record: Record) -> None:
        record.recipe = recipe.model_dump(mode="json")

    of.update(change)


def filtered(of: Project, recipe: filter.Recipe | None = None) -> filter.Filtered:
    """Apply a recipe, the project's own by default, to the project's pairs."""
    counted = counts_of(of)
    return filter.apply(pairs_of(of), settled_of(of), counted.counts, recipe or recipe_of(of), counted.unit)


def distributions(of: Project, outcome: filter.Filtered) -> filter.Distributions:
    """Return the distributions of the project's pairs, those an outcome keeps and the others apart."""
    kept = {pair.record_id for pair in outcome.kept}
    return filter.distributions(pairs_of(of), settled_of(of), counts_of(of).counts, kept)


def summary_of(of: Project) -> dataset.Summary:
    """Return what the project's dataset holds."""
    return _cached("summary", of.folder, _version(of.pairs), lambda: dataset.summarise(pairs_of(of)))


def lengths_of(of: Project) -> dict[str, dataset.Lengths]:
    """Return the lengths of prompts, chosen and rejected, in the unit of `counts_of`."""
    counts = counts_of(of).counts
    found = {}
    for part in ("prompt", "chosen", "rejected"):
        sizes = [getattr(each, part) for each in counts]
        found[part] = dataset.Lengths(min(sizes), statistics.median(sizes), max(sizes))
    return found
