"""The run that puts a project's pairs into Argilla."""

from __future__ import annotations

import itertools
from typing import Any

from pipeline.base import install, project
from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL, Home
from pipeline.base.message import Message
from pipeline.base.project import Project, Record
from pipeline.base.settings import Settings
from pipeline.dataset import pairs
from pipeline.models import tokens
from pipeline.review import importing
from pipeline.review.importing import Imported
from pipeline.review.plan import Kept, ReviewPlan, columns_of
from pipeline.review.project import order_of, settled_plan
from pipeline.review.service import ArgillaService, Endpoint
from pipeline.runs.task import Cancelled, Reporter

CHUNK = 100  # pairs between two looks at the stop file: a second or so

SHOWN = 100  # skipped pairs named in a run's result


def import_pairs(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Put a project's pairs into Argilla; what an earlier import left there stays and is not repeated.

    Args:
        spec: With project (its name) and plan (a ReviewPlan).
        reporter: Gets stages and progress.

    Returns:
        What was done: dataset_id, total, added, already_there, altered, skipped (a number) and the first of these.

    Raises:
        Cancelled: The user asked for a stop; what is imported stays.
        StudioError: Argilla does not start or refuses; see `pipeline.review`.
    """
    settings = Settings()
    home = Home(settings.home.expanduser().resolve()).of(spec.get("owner", LOCAL))
    of, plan = project.find(home, spec["project"]), settled_plan(home, ReviewPlan.kept(spec["plan"]))
    reporter.stage("prepare", "argilla.stage.starting")
    endpoint = _argilla(settings, home, reporter)
    reporter.stage("prepare", "argilla.stage.counting")
    counts = _counts(of, plan)
    if reporter.should_stop():
        raise Cancelled
    reporter.stage("import", "argilla.stage.importing")
    wanted = plan.pairs or len(counts)
    # Made empty first: even an import that is killed leaves the dataset's id, so that the next one goes on there.
    order, kinds = order_of(of, plan), _kinds(of, plan)
    dataset_id = importing.import_pairs(endpoint, plan, [], [], order=order, kinds=kinds).dataset_id
    _remember(of, plan, dataset_id)
    imported = importing.import_pairs(
        endpoint,
        plan,
        itertools.islice(pairs.stream_pairs(of.pairs), wanted),  # a batch in memory at a time: there may be thousands
        counts[:wanted],
        order=order,
        kinds=kinds,
        on_progress=lambda done, _: reporter.progress("import", done, min(wanted, len(counts)), "pairs"),
        should_stop=reporter.should_stop,
        chunk=CHUNK,
    )
    if imported.stopped:
        raise Cancelled
    return _result(imported)


def _argilla(settings: Settings, home: Home, reporter: Reporter) -> Endpoint:
    """Return the user's own server, or the embedded one, started if need be: the app may be gone."""
    if settings.argilla_api_url:
        key = settings.argilla_api_key.get_secret_value()
        return Endpoint(settings.argilla_api_url.rstrip("/"), key, port=0, embedded=False)

    def check() -> None:
        if reporter.should_stop():
            raise Cancelled

    def line(said: Message) -> None:
        reporter.stage("prepare", said)

    python = install.ensure("argilla_server", settings.engines_folder, line, check)
    return ArgillaService(home.argilla, python).start()


def _counts(of: Project, plan: ReviewPlan) -> list[tokens.PairCounts]:
    """Return the lengths of a project's pairs in the unit the plan was made with.

    Raises:
        StudioError: They were tokens, and the tokenizer is not at hand any more.
    """
    for counter in (tokens.counter(of.read().base_model), tokens.WordEstimate()):
        if plan.unit == counter.unit:
            return tokens.pair_counts(pairs.stream_pairs(of.pairs), counter)
    raise StudioError("argilla.no_tokenizer", unit=tokens.unit_of(plan.unit), model=of.read().base_model)


def _kinds(of: Project, plan: ReviewPlan) -> dict[str, Kept]:
    """Return what the dataset's own columns are, where the plan names any."""
    named = {*plan.columns, *plan.metadata} - {"source", *plan.lengths}
    return columns_of(pairs.stream_pairs(of.pairs)) if named else {}


def _remember(of: Project, plan: ReviewPlan, dataset_id: str) -> None:
    """Note where a project's pairs are in Argilla; the answers of another dataset are not those of this one."""

    def change(record: Record) -> None:
        if record.review is not None and record.review.dataset_id != dataset_id:
            record.review.plan = plan.model_dump(mode="json")
            record.review.dataset_id, record.review.cursor = dataset_id, ""

    of.update(change)


def _result(imported: Imported) -> dict[str, Any]:
    return {
        "dataset_id": imported.dataset_id,
        "total": imported.total,
        "added": imported.added,
        "already_there": imported.already_there,
        "altered": imported.altered,
        "skipped": len(imported.skipped),
        "first_skipped": [
            {"number": pair.number, "record_id": pair.record_id, "reason": pair.reason.as_dict()}
            for pair in imported.skipped[:SHOWN]
        ],
    }
