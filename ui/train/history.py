"""The table of a project's trainings in the Train tab; a click on one shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.hardware.pricing import RENTED
from pipeline.runs.ledger import Run
from pipeline.runs.places import carrier_of
from pipeline.runs.spec import spec_of
from pipeline.runs.view import fold
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring
from ui.parts.hardware import named
from ui.parts.run_view import duration
from ui.text import say, t

WIDTHS: list[str | int] = ["60px", "150px", "220px", "210px", "120px", "180px", "80px", "100px", "110px"]
DRAWN = ("history.box", "history.table")  # what `draw` updates
COLUMNS = ("number", "started", "model", "dataset", "where", "state", "steps", "loss", "time")


@dataclass(frozen=True)
class History:
    """Components of the table of trainings."""

    box: gr.Column
    table: gr.Dataframe


def build() -> History:
    """Lay out the table, hidden until there is a training."""
    with gr.Column(visible=False) as box:
        gr.Markdown(t("train.history"))
        table = gr.Dataframe(
            interactive=False,
            datatype="str",
            wrap=True,
            column_widths=WIDTHS,
            buttons=[],
            elem_id="train-history",
        )
    return History(box, table)


def wire(wiring: Wiring) -> None:
    """Connect the table, which the tab calls `history`.

    Args:
        wiring: Knows the tab's parts.
    """
    wiring.on(wiring.parts["view.drawn"].change, listed, "page.project", DRAWN)
    table = wiring.parts["history.table"]
    wiring.on(table.select, selected, "page.project", "view.run", event=gr.SelectData)


def listed(visit: Visit, given: Given) -> Update:
    """Show a project's trainings."""
    return draw(visit, visit.project_or_none(given["page.project"]))


def selected(visit: Visit, given: Given) -> Update:
    """Show the training that was clicked on."""
    number = str(given["event"].row_value[0])
    run = next((run for run in _runs(visit, visit.project(given["page.project"])) if str(run.number) == number), None)
    if run is None:
        raise StudioError("run.none", run=number)
    return {"view.run": run.id}


def draw(visit: Visit, project: Project | None) -> Update:
    """Return updates for `DRAWN`: a project's trainings, the newest first."""
    runs = _runs(visit, project) if project else []
    headers = [say(f"train.column.{name}") for name in COLUMNS]
    table = {"headers": headers, "data": [_line(run) for run in runs]}
    return {"history.box": gr.update(visible=bool(runs)), "history.table": gr.update(value=table)}


def _runs(visit: Visit, project: Project) -> list[Run]:
    return visit.ledger.list(project=project.name, kind="train")


def _line(run: Run) -> list[str]:
    asked, result = spec_of(run), run.result or {}
    metrics = fold(run).metrics
    loss = next((entry["loss"] for entry in reversed(metrics) if isinstance(entry.get("loss"), int | float)), None)
    state = say(f"run.state.{run.state.value.split()[0]}")
    return [
        str(run.number),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)),
        str(asked.get("project_name", "")),
        str(asked.get("dataset", "")),
        named(str((asked.get("job") or {}).get("flavor") or "–")) + (" · Space" if run.place == "space" else "")
        if run.place in RENTED
        else str(carrier_of(run.place).called),
        say("train.state.stopped") if result.get("stopped") else state,
        str(result.get("steps") or (metrics[-1]["step"] if metrics else "–")),
        f"{loss:.4g}" if loss is not None else "–",
        duration((run.ended or time.time()) - (run.started or run.created)),
    ]
