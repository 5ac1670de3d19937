"""Starting an examination as a run, for data that takes longer than a page waits."""

from __future__ import annotations

from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams


def start(ledger: Ledger, project: Project, options: TrainOptions, params: TrainParams) -> Run:
    """Start the examination of what would be trained on; asked for the same again, return the one under way.

    Args:
        ledger: The home's ledger.
        project: Holds the export.
        options: Names export and base model; the choices made so far do not count.
        params: Gives the lengths.
    """
    asked = {
        "options": options.model_copy(update={"remedies": [], "project_name": "examined"}).model_dump(mode="json"),
        "params": params.model_dump(mode="json"),
    }
    title = message("doctor.run", export=options.dataset)
    return launch.start(ledger, "doctor", project.name, title, dict(asked), asked)
