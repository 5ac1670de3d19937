"""The runs of our own environment: what stands between a project's folder and the steps."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import __version__, dataset, export, project, review, tokens, workbench
from pipeline.engines import install
from pipeline.engines.argilla_server.service import ArgillaService, Endpoint
from pipeline.errors import StudioError
from pipeline.export import publish
from pipeline.filter import RuleEffect
from pipeline.home import Home, open_home
from pipeline.project import Project, Record
from pipeline.review import Imported, ReviewPlan
from pipeline.runs.task import Cancelled, Reporter
from pipeline.settings import Settings
from pipeline.settle import SettlePolicy

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
    home = Home(settings.home.expanduser().resolve())
    of, plan = project.find(home, spec["project"]), ReviewPlan.model_validate(spec["plan"])
    reporter.stage("prepare", "Starting Argilla")
    endpoint = _argilla(settings, home, reporter)
    reporter.stage("prepare", "Counting the pairs' lengths")
    counts = _counts(of, plan)
    if reporter.should_stop():
        raise Cancelled
    reporter.stage("import", "Importing into Argilla")
    # Made empty first: even an import that is killed leaves the dataset's id, so that the next one goes on there.
    dataset_id = review.import_pairs(endpoint, plan, [], []).dataset_id
    _remember(of, plan, dataset_id)
    imported = review.import_pairs(
        endpoint,
        plan,
        dataset.stream_pairs(of.pairs),  # a batch in memory at a time: there may be tens of thousands
        counts,
        on_progress=lambda done, _: reporter.progress("import", done, len(counts), "pairs"),
        should_stop=reporter.should_stop,
        chunk=CHUNK,
    )
    if imported.stopped:
        raise Cancelled
    return _result(imported)


def export_pairs(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the pairs that a project's recipe keeps as an export, with the answers read back so far.

    Args:
        spec: With project (its name) and options (ExportOptions).
        reporter: Gets stages and progress.

    Returns:
        What was written: folder, name, files (path, bytes, rows), and the counts of `pipeline.export.ExportPlan`.

    Raises:
        Cancelled: The user asked for a stop; nothing of the export is left behind.
        StudioError: See `pipeline.export.write`.
    """
    of = project.find(open_home(Settings().home), spec["project"])
    options = export.ExportOptions.model_validate(spec["options"])

    def report(stage: str, done: int, total: int) -> None:
        if stage == "rows":
            reporter.progress("write", done, total, "pairs")
        if reporter.should_stop():
            raise Cancelled

    reporter.stage("filter", "Reading the pairs")
    pairs = workbench.pairs_of(of)
    report("filter", 0, 0)
    reporter.stage("filter", "Counting their lengths")
    counted = workbench.counts_of(of)
    report("filter", 0, 0)
    reporter.stage("filter", "Choosing the pairs")
    outcome = workbench.filtered(of)
    report("filter", 0, 0)
    reporter.stage("write", "Writing the files")
    lengths = {pair.record_id: count for pair, count in zip(pairs, counted.counts, strict=True)}
    written = export.write(
        outcome.kept,
        workbench.settled_of(of),
        options,
        of.exports / options.name,
        _provenance(of, outcome.removed, counted),
        [lengths[pair.record_id] for pair in outcome.kept],
        report,
    )
    files = [{"path": file.path, "bytes": file.bytes, "rows": file.rows} for file in written.files]
    return {"folder": str(written.folder), "name": options.name, "files": files, **asdict(written.plan)}


def publish_export(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Put a finished export into a dataset repository on the Hub, acting for the account that the run names.

    Args:
        spec: With run, project (its name), name (of the export), options (PublishOptions) and agreed (Agreed).
        reporter: Gets stages and progress.

    Returns:
        Where it is: repository, revision, url, and whether anything had to change.

    Raises:
        Cancelled: The user asked for a stop; the repository is as it was.
        StudioError: See `pipeline.export.publish.publish`.
    """
    of = project.find(open_home(Settings().home), spec["project"])

    def sent(done: int, total: int) -> None:
        reporter.progress("publish", done, total, "bytes")
        if reporter.should_stop():
            raise Cancelled

    where, changed = publish.publish(
        of,
        spec["name"],
        publish.PublishOptions.model_validate(spec["options"]),
        publish.Agreed(**spec["agreed"]),
        f"align-studio-run: {spec['run']}",
        lambda message: reporter.stage("publish", message),
        sent,
    )
    return publish.result(where, changed)


def _provenance(of: Project, removed: list[RuleEffect], counted: workbench.Counted) -> export.Provenance:
    """Return where a project's pairs come from and what was done to them."""
    record = of.read()
    if record.dataset is None:
        raise StudioError("This project has no dataset.", "", "Load one on the Dataset tab.")
    answered = {answer.annotator for answer in workbench.answers_of(of) if answer.status == "submitted"}
    # A model's folder is named without the path to it: an export may be published.
    model = Path(counted.name).name if Path(counted.name).is_absolute() else counted.name
    return export.Provenance(
        dataset=record.dataset.name,
        kind=record.dataset.kind,
        sha256=record.dataset.sha256 or None,
        config=record.dataset.config,
        split=record.dataset.split,
        revision=record.dataset.revision,
        limit=record.dataset.limit,
        recipe=workbench.recipe_of(of).model_dump(mode="json"),
        rule_effects=removed,
        settle_policy=SettlePolicy().model_dump(),
        annotators=len(answered),
        token_unit=f"{counted.unit} of {model}" if counted.unit == "tokens" else counted.unit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        studio_version=__version__,
    )


def _argilla(settings: Settings, home: Home, reporter: Reporter) -> Endpoint:
    """Return the user's own server, or the embedded one, started if need be: the app may be gone."""
    if settings.argilla_api_url:
        key = settings.argilla_api_key.get_secret_value()
        return Endpoint(settings.argilla_api_url.rstrip("/"), key, port=0, embedded=False)

    def check() -> None:
        if reporter.should_stop():
            raise Cancelled

    def line(text: str) -> None:
        reporter.stage("prepare", text)

    python = install.ensure("argilla_server", settings.engines_folder, line, check)
    return ArgillaService(home.argilla, python).start()


def _counts(of: Project, plan: ReviewPlan) -> list[tokens.PairCounts]:
    """Return the lengths of a project's pairs in the unit the plan was made with.

    Raises:
        StudioError: They were tokens, and the tokenizer is not at hand any more.
    """
    for counter in (tokens.counter(of.read().base_model), tokens.WordEstimate()):
        if plan.unit == counter.unit:
            return tokens.pair_counts(dataset.stream_pairs(of.pairs), counter)
    raise StudioError(
        f"The pairs' lengths cannot be counted in {plan.unit}.",
        f"The tokenizer of {of.read().base_model} cannot be loaded at the moment.",
        "Check the connection, then continue the import.",
    )


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
            {"number": pair.number, "record_id": pair.record_id, "reason": pair.reason}
            for pair in imported.skipped[:SHOWN]
        ],
    }
