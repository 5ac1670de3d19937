"""What the Evaluate tab shows of a run: table, counts, plot, command lines; and the table of all runs."""

from __future__ import annotations

import json
import time
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.evaluate import evaluations
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.task import tasks
from pipeline.runs.ledger import Run
from pipeline.runs.spec import spec_of
from pipeline.runs.view import fold
from ui.evaluate.table import counts, plot, table, task_name, task_of
from ui.handlers import Update
from ui.parts.notice import line, link, notice
from ui.text import has, say, t

WIDTHS: list[str | int] = ["60px", "160px", "200px", "180px", "270px", "120px", "220px"]
DRAWN = ("result_box", "banner", "table", "counts", "plot", "commands_box", "commands")  # what `draw` updates
PAST = ("history_box", "history")  # what `history` updates
HISTORY = ("number", "started", "tuned", "base", "tasks", "state", "headline")


def build() -> dict[str, Any]:
    """Lay out the results; the keys are the names of the tab's components."""
    parts: dict[str, Any] = {}
    with gr.Column(visible=False, elem_id="evaluate-result") as parts["result_box"]:
        gr.Markdown(t("evaluate.result"))
        parts["banner"] = gr.HTML(visible=False, elem_id="evaluate-banner")
        parts["table"] = gr.HTML(elem_id="evaluate-table")
        parts["counts"] = gr.HTML(elem_id="evaluate-counts")
        parts["plot"] = gr.BarPlot(
            x="measure",
            y="score",
            color="model",
            color_title=" ",
            x_title=" ",
            y_title=" ",
            y_lim=[0, 1],
            x_label_angle=-25,
            label=t("evaluate.plot"),
            caption=t("evaluate.plot.help"),
            buttons=["fullscreen"],
            elem_id="evaluate-plot",
        )
        with gr.Accordion(t("evaluate.meaning"), open=False):
            gr.Markdown(t("evaluate.meaning.text"))
        with gr.Accordion(t("evaluate.commands"), open=False) as parts["commands_box"]:
            gr.Markdown(t("evaluate.commands.help"))
            parts["commands"] = gr.Code(
                language="shell",
                interactive=False,
                show_label=False,
                wrap_lines=True,
                lines=1,
                buttons=["copy"],
                elem_id="evaluate-commands",
            )
    return parts


def draw(run: Run | None) -> Update:
    """Return updates for what a run has found so far: of `DRAWN`."""
    found = evaluations.result(run) if run else None
    if run is None or found is None or not found.results:
        return {"result_box": gr.update(visible=False)}
    banner = _banner(run, found)
    commands = _commands(found)
    return {
        "result_box": gr.update(visible=True),
        "banner": gr.update(value=banner, visible=bool(banner)),
        "table": table(found),
        "counts": counts(found) + line(link(found.link, say("evaluate.files"), "evaluate-files")),
        "plot": plot(found),
        "commands_box": gr.update(visible=bool(commands)),
        "commands": commands,
    }


def _banner(run: Run, found: Evaluation) -> Markup:
    """Mark what is only a part: of the samples, or of the tasks and models."""
    rows = {row.task: row for role in found.compared for row in found.rows(role) if row.partial}
    parts = [
        notice(say("evaluate.partial", samples=row.samples, available=row.available, task=task_of(found, row.task)))
        for row in rows.values()
    ]
    there = {(result["role"], result["task"]) for result in found.results}
    lacking = [role for role in found.models if any((role, task) not in there for task in found.tasks)]
    if run.active:
        parts.append(notice(say("evaluate.unfinished.running")))
    elif lacking:
        without = say("evaluate.comma").join(found.name(role) for role in lacking)
        parts.append(notice(say("evaluate.unfinished", names=without)))
    return Markup("").join(parts)


def _commands(found: Evaluation) -> str:
    """Return the equivalent command lines; of a run that did not finish, those it left in its folder."""
    commands = found.commands
    if not commands:
        try:
            commands = json.loads((found.folder / "results.json").read_text("utf-8")).get("commands", [])
        except (OSError, ValueError):  # nothing was saved yet
            commands = []
    return "\n\n".join(commands)


def history(runs: list[Run]) -> Update:
    """Return updates for the table of evaluations: `PAST`.

    Args:
        runs: Of kind evaluate, in the order of the table.
    """
    headers = [say(f"evaluate.column.{name}") for name in HISTORY]
    data = [_past(run) for run in runs]
    table = gr.update(value={"headers": headers, "data": data})
    return {"history_box": gr.update(visible=bool(runs)), "history": table}


def _past(run: Run) -> list[str]:
    asked = spec_of(run)
    names = {model["role"]: str(model["name"]) for model in asked.get("models", [])}
    further = sum(role not in (BASE, TUNED) for role in names)
    tuned = names.get(TUNED, "")
    scores: dict[str, dict[str, float]] = {}
    for result in fold(run).results:
        for metric in (task.metrics[0].name for task in tasks().values() if task.metrics):
            value = (result.get("scores") or {}).get(metric)
            if value is not None:
                scores.setdefault(metric, {})[str(result["role"])] = float(value)
    changes = [
        f"{say(f'evaluate.column.{metric}') if has(f'evaluate.column.{metric}') else metric} {_headline(each)}"
        for metric, each in scores.items()
        if len(each) == len(names)
    ]
    return [
        str(run.number),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)),
        say("evaluate.and_more", name=tuned, count=further) if further else tuned,
        names.get(BASE, "") or "–",
        ", ".join(task_name(task["name"], task.get("data")) for task in asked.get("tasks", [])),
        say(f"run.state.{run.state.value.split()[0]}"),
        "; ".join(changes) or "–",
    ]


def _headline(scores: dict[str, float]) -> str:
    """Return scores by role as "0.500 → 0.520 / 0.530": the base model's, then the others'."""
    others = " / ".join(
        f"{scores[role]:.3f}" for role in sorted(scores, key=lambda role: role != TUNED) if role != BASE
    )
    return f"{scores[BASE]:.3f} → {others}" if BASE in scores else others
