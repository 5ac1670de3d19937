"""The run that examines what would be trained on."""

from __future__ import annotations

from typing import Any

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL, open_home
from pipeline.base.settings import Settings
from pipeline.runs.task import Cancelled, Reporter
from pipeline.train.algorithm import algorithm_of
from pipeline.train.doctor import kept
from pipeline.train.options import TrainOptions


def examine_pairs(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Examine the train split of an export for a base model.

    Args:
        spec: With project (its name), options (TrainOptions) and params (of its algorithm).
        reporter: Gets progress.

    Returns:
        What was found, in numbers: pairs, findings, seconds.

    Raises:
        Cancelled: The user asked for a stop.
        StudioError: The export is not there any more, or a line of it is no pair.
    """
    of = project.find(open_home(Settings().home).of(spec.get("owner", LOCAL)), spec["project"])
    options = TrainOptions.model_validate(spec["options"])
    params = algorithm_of(options.algorithm).params.model_validate(spec["params"])

    def told(done: int, pairs: int) -> None:
        reporter.progress("examining", done, pairs, "pairs")
        if reporter.should_stop():
            raise Cancelled

    reporter.stage("examining", "doctor.stage.examining")
    found = kept.made(of, options, params, told)
    if found is None:
        raise StudioError("training.no_export", export=options.dataset)
    return {"pairs": found.pairs, "findings": len(found.findings), "seconds": found.seconds}
