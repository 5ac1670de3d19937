"""The table of a project's trainings in the Train tab; a click on one shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipeline.base.project import Project, find
from pipeline.runs.ledger import Run
from pipeline.runs.spec import spec_of
from pipeline.runs.view import fold
from pipeline.studio import Studio
from ui.handlers import QUIET, handle
from ui.page import Page
from ui.parts.hardware import named
from ui.parts.run_view import duration
from ui.text import say, t

WIDTHS: list[str | int] = ["60px", "150px", "220px", "210px", "120px", "180px", "80px", "100px", "110px"]
COLUMNS = ("number", "started", "model", "dataset", "where", "state", "steps", "loss", "time")


@dataclass(frozen=True)
class History:
    """Components of the table of trainings."""

    box: gr.Column
    table: gr.Dataframe

    @property
    def outputs(self) -> list[Any]:
        """Components that `draw` returns updates for."""
        return [self.box, self.table]


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


def wire(history: History, studio: Studio, page: Page, drawn: gr.State, shown: gr.State) -> None:
    """Connect the table.

    Args:
        history: Its components.
        studio: Names the home and the ledger.
        page: Gives the project.
        drawn: State that changes when the table has to be drawn again.
        shown: State with the id of the run shown: a click puts one there.
    """

    def listed(name: str) -> list[Any]:
        return draw(studio, find(studio.home, name) if name else None)

    def select(name: str, event: gr.SelectData) -> str:
        return next(run.id for run in _runs(studio, name) if str(run.number) == event.row_value[0])

    drawn.change(handle(listed), [page.project], history.outputs, **QUIET)
    history.table.select(handle(select), [page.project], [shown], **QUIET)


def draw(studio: Studio, project: Project | None) -> list[Any]:
    """Return updates for `History.outputs`: a project's trainings, the newest first."""
    runs = _runs(studio, project.name) if project else []
    headers = [say(f"train.column.{name}") for name in COLUMNS]
    return [gr.update(visible=bool(runs)), gr.update(value={"headers": headers, "data": [_line(run) for run in runs]})]


def _runs(studio: Studio, name: str) -> list[Run]:
    return studio.ledger.list(project=name, kind="train")


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
        named(str((asked.get("job") or {}).get("flavor") or "–")) if run.place == "job" else say("train.here"),
        say("train.state.stopped") if result.get("stopped") else state,
        str(result.get("steps") or (metrics[-1]["step"] if metrics else "–")),
        f"{loss:.4g}" if loss is not None else "–",
        duration((run.ended or time.time()) - (run.started or run.created)),
    ]
