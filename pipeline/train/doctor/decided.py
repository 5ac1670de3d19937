"""What the choices about the doctor's findings make of a training: its pairs, parameters, notices and spec."""

from __future__ import annotations

from typing import Any, TypeVar

from pipeline.base.message import Message, message
from pipeline.train.doctor.finding import Report, left_out, settings, undecided
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams

Params = TypeVar("Params", bound=TrainParams)


def gone(report: Report | None, options: TrainOptions) -> set[int]:
    """Return the numbers of the pairs left out by choice."""
    if report is None:
        return set()
    return {number for numbers in left_out(report, options.chosen).values() for number in numbers}


def adjusted(params: Params, report: Report | None, options: TrainOptions) -> Params:
    """Return the hyperparameters with those that a choice to cut otherwise sets."""
    found = settings(report, options.chosen) if report else {}
    changed = {name: value for name, value in found.items() if name in type(params).model_fields}
    if not changed:
        return params
    values = params.model_dump() | changed
    if values["max_prompt_length"] >= values["block_size"] or "max_completion_length" in changed:
        values["block_size"] = max(values["block_size"], values["max_prompt_length"] + values["max_completion_length"])
    return type(params).model_validate(values)


def told(report: Report | None, options: TrainOptions) -> dict[str, Any]:
    """Return what a run's spec says of it: the worker leaves out, renders otherwise, and knows what is kept."""
    if report is None:
        return {}
    found = settings(report, options.chosen)
    return {
        "doctor": {
            "remedies": options.remedies,
            "left_out": left_out(report, options.chosen),
            "template": str(found.get("template", "")),
            "join_system": bool(found.get("join_system", False)),
            "known": [finding.code for finding in report.findings],
        }
    }


def notices(report: Report | None, options: TrainOptions, remote: bool) -> tuple[list[Message], list[Message]]:
    """Return what stops a training and what is to beware of, by what the doctor found and what was not decided yet.

    Args:
        report: None: the pairs have not been examined.
        options: With the choices.
        remote: Whether the run is paid for: then nothing starts unexamined.
    """
    if report is None:
        return ([message("doctor.first")], []) if remote else ([], [message("doctor.not_yet")])
    open_ = undecided(report, options.chosen)
    stops = [finding.message() for finding in open_ if finding.severity == "blocker"]
    return stops, [finding.message() for finding in open_ if finding.severity == "warning"]
