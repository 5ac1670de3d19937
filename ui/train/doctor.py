"""The doctor's section of the Train tab: what is wrong with the text, examples, and one click to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.project import Project
from pipeline.train.doctor.check import checks
from pipeline.train.doctor.finding import Finding, Remedies, Report
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams
from pipeline.visit import Visit
from ui.handlers import Given, Update, under
from ui.parts import run_view
from ui.parts.notice import line
from ui.parts.run_view import RunView
from ui.text import has, say, t

PER_SECOND = 3000  # pairs, about, on two cores
LENGTHS = ("block_size", "max_prompt_length", "max_completion_length")
KEPT = ("doctor.key", "doctor.choices.*")  # what the section holds of choices


@dataclass(frozen=True)
class Doctor:
    """Components of the doctor's section.

    Attributes:
        key: State with what the choices were made for: export and base model.
        boxes: One place for each check's finding.
        choices: One choice for each.
    """

    box: gr.Column
    summary: gr.HTML
    examine: gr.Button
    key: gr.State
    boxes: dict[str, gr.HTML]
    choices: dict[str, gr.Radio]


def build() -> tuple[Doctor, RunView]:
    """Lay out the section, hidden until there is something to examine, and the view of its run."""
    with gr.Column(visible=False, elem_id="train-doctor") as box:
        gr.Markdown(t("doctor.title"))
        summary = gr.HTML(elem_id="train-doctor-summary", padding=False)
        examine = gr.Button(t("doctor.examine"), visible=False, elem_id="train-doctor-examine")
        view = run_view.build("doctor")
        boxes, choices = {}, {}
        for check in checks():
            place = f"train-doctor-{check.code.replace('_', '-')}"
            boxes[check.code] = gr.HTML(visible=False, elem_id=place, padding=False)
            choices[check.code] = gr.Radio(
                [],
                label=t("doctor.choice"),
                show_label=False,
                container=False,
                visible=False,
                elem_id=f"{place}-choice",
            )
    return Doctor(box, summary, examine, gr.State(""), boxes, choices), view


def key(options: TrainOptions) -> str:
    """Return what choices are made for; the lengths do not count."""
    return f"{options.dataset} {options.base_model}"


def under_way(visit: Visit, project: Project | None) -> str:
    """Return the id of the examination under way in a project, "" for none."""
    latest = visit.ledger.latest(project.name, "doctor") if project else None
    return latest.id if latest and latest.active else ""


def chosen(given: Given, options: TrainOptions) -> list[str]:
    """Return the choices that hold for an export and a base model, as `TrainOptions.remedies`."""
    if given["doctor.key"] != key(options):
        return []
    return [f"{code}={remedy}" for code, remedy in under(given, "doctor.choices.").items() if remedy]


def hidden() -> Update:
    """Return updates for a page with nothing to examine."""
    return {"box": gr.update(visible=False)}


def draw(report: Report | None, pairs: int, options: TrainOptions, given: Given, running: bool) -> Update:
    """Return updates for the section, by its names.

    Args:
        report: What was found; None: nothing was examined yet.
        pairs: Pairs there are.
        options: With the choices made.
        given: What the section holds: choices stay as they are while they are for the same export and base model.
        running: Whether an examination is under way.
    """
    # A choice is never sent back to the page: somebody may have made the next one meanwhile.
    fresh = {} if given["doctor.key"] == key(options) else {"value": None}
    here = {finding.code: finding for finding in report.findings} if report else {}
    updates: Update = {
        "box": gr.update(visible=pairs > 0),
        "summary": _summary(report, pairs),
        "examine": gr.update(visible=report is None and not running),
        "key": key(options),
    }
    for check in checks():
        finding, code = here.get(check.code), check.code
        if finding is None:
            updates[f"boxes.{code}"] = gr.update(visible=False)
            updates[f"choices.{code}"] = gr.update(visible=False, choices=_labels(check.remedies), **fresh)
            continue
        updates[f"boxes.{code}"] = gr.update(visible=True, value=_finding(finding, options.chosen))
        labels = [(_label(finding, remedy), remedy) for remedy in finding.remedies]
        updates[f"choices.{code}"] = gr.update(visible=True, choices=labels, **fresh)
    return updates


def raised(report: Report | None, given: Given) -> tuple[dict[str, Any], Update]:
    """Return the hyperparameters that a choice to cut otherwise sets, and updates that take the choice back.

    What is raised in the form is seen there: the pairs are examined again, and the finding is gone.
    """
    values: dict[str, Any] = {}
    updates: Update = {}
    for finding in report.findings if report else []:
        lengths = {name: value for name, value in finding.settings.items() if name in TrainParams.model_fields}
        if lengths and given.get(f"doctor.choices.{finding.code}") == "otherwise":
            values |= lengths
            updates[f"doctor.choices.{finding.code}"] = gr.update(value=None)
    return values, updates


def _labels(remedies: Sequence[str]) -> list[tuple[str, str]]:
    return [(say(f"doctor.choice.{remedy}"), remedy) for remedy in remedies]


def _label(finding: Finding, remedy: str) -> str:
    """Return what a choice is called: with what it would set, where that is known."""
    own = f"doctor.choice.{remedy}.{finding.code}"
    if not has(own):
        return say(f"doctor.choice.{remedy}")
    value = next(iter(finding.settings.values()), "")
    return say(own, **{**finding.values, "value": f"{value:,}" if isinstance(value, int) else value})


def _summary(report: Report | None, pairs: int) -> Markup:
    about = line(say("doctor.about"))
    if report is None:
        seconds = f"{max(1, round(pairs / PER_SECOND))}"
        return about + line(say("doctor.unexamined", pairs=f"{pairs:,}", seconds=seconds))
    words = say("doctor.found" if report.findings else "doctor.fine", **_numbers(report))
    estimate = line(say("doctor.estimate")) if not report.tokenizer else Markup("")
    return about + line(words) + estimate


def _numbers(report: Report) -> Mapping[str, str]:
    return {"pairs": f"{report.pairs:,}", "seconds": f"{report.seconds:.1f}"}


def _finding(finding: Finding, made: Remedies) -> Markup:
    """Return a finding as HTML: what it is, how many, five examples; the text of the pairs as text."""
    said = finding.message()
    undecided = made.get(finding.code) not in finding.remedies
    style = "notice bad" if finding.severity == "blocker" and undecided else "notice"
    style = style if undecided and finding.severity != "note" else "notice good"
    head = Markup("<b>{}</b> · {}").format(finding.title(), say(f"doctor.severity.{finding.severity}"))
    return Markup('<div class="{}">{}<br>{}{}</div>').format(style, head, said.said(), _examples(finding))


def _examples(finding: Finding) -> Markup:
    if not finding.examples:
        return Markup("")
    cell, row = Markup("<td>{}</td>"), Markup("<tr>{}</tr>")
    names = Markup("").join(
        Markup("<th>{}</th>").format(say(f"doctor.column.{n}")) for n in ("pair", "prompt", "shown")
    )
    rows = [
        row.format(Markup("").join(cell.format(text) for text in (f"{each.number:,}", each.prompt, each.shown)))
        for each in finding.examples
    ]
    table = Markup('<table class="plain-table"><tr>{}</tr>{}</table>').format(names, Markup("").join(rows))
    folded = Markup('<details><summary>{}</summary><div class="table-box">{}</div></details>')
    return folded.format(say("doctor.examples"), table)
