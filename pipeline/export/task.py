"""The runs that write an export and that publish it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import project, words
from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL, open_home
from pipeline.base.project import Project
from pipeline.base.settings import Settings
from pipeline.dataset.project import Counted, counts_of, pairs_of
from pipeline.export import options as export_options
from pipeline.export import publish, writing
from pipeline.filter.project import filtered, recipe_of
from pipeline.filter.recipe import RuleEffect
from pipeline.review.project import answers_of, settled_of
from pipeline.runs.task import Cancelled, Reporter


def export_pairs(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the pairs that a project's recipe keeps as an export, with the answers read back so far.

    Args:
        spec: With project (its name) and options (ExportOptions).
        reporter: Gets stages and progress.

    Returns:
        What was written: folder, name, files (path, bytes, rows), and the counts of `pipeline.export.ExportPlan`.

    Raises:
        Cancelled: The user asked for a stop; nothing of the export is left behind.
        StudioError: See `pipeline.export.writing.write`.
    """
    of = project.find(open_home(Settings().home).of(spec.get("owner", LOCAL)), spec["project"])
    options = export_options.ExportOptions.model_validate(spec["options"])

    def report(stage: str, done: int, total: int) -> None:
        if stage == "rows":
            reporter.progress("write", done, total, "pairs")
        if reporter.should_stop():
            raise Cancelled

    reporter.stage("filter", "export.stage.reading")
    pairs = pairs_of(of)
    report("filter", 0, 0)
    reporter.stage("filter", "export.stage.counting")
    counted = counts_of(of)
    report("filter", 0, 0)
    reporter.stage("filter", "export.stage.choosing")
    outcome = filtered(of, settling=options.settling)
    report("filter", 0, 0)
    reporter.stage("write", "export.stage.writing")
    lengths = {pair.record_id: count for pair, count in zip(pairs, counted.counts, strict=True)}
    written = writing.write(
        outcome.kept,
        settled_of(of, options.settling),
        options,
        of.exports / options.name,
        _provenance(of, outcome.removed, counted, options),
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
    of = project.find(open_home(Settings().home).of(spec.get("owner", LOCAL)), spec["project"])

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
        lambda code: reporter.stage("publish", code),
        sent,
    )
    return publish.result(where, changed)


def _provenance(
    of: Project, removed: list[RuleEffect], counted: Counted, options: export_options.ExportOptions
) -> export_options.Provenance:
    """Return where a project's pairs come from and what was done to them."""
    record = of.read()
    if record.dataset is None:
        raise StudioError("export.no_dataset")
    answered = {answer.annotator for answer in answers_of(of) if answer.status == "submitted"}
    # A model's folder is named without the path to it: an export may be published.
    model = Path(counted.name).name if Path(counted.name).is_absolute() else counted.name
    with words.speaking(words.ENGLISH):
        unit = words.say("card.dataset.unit.tokens", model=model) if counted.unit == "tokens" else counted.unit
    return export_options.Provenance(
        dataset=record.dataset.name,
        kind=record.dataset.kind,
        sha256=record.dataset.sha256 or None,
        config=record.dataset.config,
        split=record.dataset.split,
        revision=record.dataset.revision,
        limit=record.dataset.limit,
        unused=record.dataset.unused,
        left_out=record.dataset.bad_rows,
        recipe=recipe_of(of).model_dump(mode="json"),
        rule_effects=removed,
        settle_policy=options.settling.said_of(),
        annotators=len(answered),
        token_unit=unit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        studio_version=__version__,
    )
