"""What the Evaluate tab shows of a run: table, counts, plot, command lines; and the table of all runs."""

from __future__ import annotations

import json
import time
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from pipeline import evaluate
from pipeline.evaluate import Evaluation, Row
from pipeline.evaluate.check import REVIEWED
from pipeline.evaluate.comparison import finding, interval, interval_words
from pipeline.preflight import spec_of
from pipeline.runs.ledger import Run
from pipeline.runs.local import ROOT
from pipeline.runs.view import View, fold
from ui.notice import notice
from ui.text import CATALOGUE, say, t

SAMPLE = ROOT / "samples" / "truthful_mini.jsonl"
SHOWN = ("truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm", "pref_margin_norm", "pref_acc")
SHARES = ("truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm")  # 0 to 1: what the plot shows
COLUMNS = ("task", "measure", "base", "tuned", "difference", "verdict", "samples")
NUMBERS, NUMBER = ("base", "tuned", "difference", "samples"), ' class="number"'
WIDTHS: list[str | int] = ["60px", "160px", "200px", "180px", "270px", "120px", "220px"]
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


def task_name(task: str, data: Path | str | None) -> str:
    """Return what a task is called: reviewed pairs, TruthfulQA, a file in its place, or our sample."""
    if task == REVIEWED:
        return say("evaluate.reviewed")
    if data is None:
        return say("evaluate.truthful")
    return say("evaluate.sample") if Path(data) == SAMPLE else say("evaluate.truthful.file", name=Path(data).name)


def key(seen: View | None) -> str:
    """Return a text that changes when the results have to be drawn again."""
    return f"{seen.run.id} {seen.run.state} {len(seen.folded.results)}" if seen else ""


def draw(run: Run | None) -> list[Any]:
    """Return updates for what a run has found so far, in the order of the layout."""
    found = evaluate.result(run) if run else None
    if run is None or found is None or not found.results:
        return [gr.update(visible=False), *(gr.update() for _ in range(6))]
    rows = found.rows()
    data = {task["name"]: task.get("data") for task in spec_of(run).get("tasks", [])}
    names = {task: task_name(task, data.get(task)) for task in {row.task for row in rows}}
    banner = _banner(run, rows)
    commands = _commands(found)
    shown = [row for row in rows if row.metric in SHOWN]
    return [
        gr.update(visible=True),
        gr.update(value=banner, visible=bool(banner)),
        _table(shown, names),
        _counts(rows),
        _plot(rows, found),
        gr.update(visible=bool(commands)),
        commands,
    ]


def _banner(run: Run, rows: list[Row]) -> str:
    """Mark what is only a part: of the samples, or of the tasks and models."""
    parts = [
        notice(say("evaluate.partial", samples=row.samples, available=row.available))
        for row in {row.task: row for row in rows if row.partial}.values()
    ]
    if run.active:
        parts.append(notice(say("evaluate.unfinished.running")))
    elif any(row.base is None and row.tuned is not None or row.tuned is None and row.base is not None for row in rows):
        parts.append(notice(say("evaluate.unfinished")))
    return "".join(parts)


def _table(rows: list[Row], names: dict[str, str]) -> str:
    """Return the results as an HTML table, each task's name once."""
    head = "".join(f'<th class="number">{escape(say(f"evaluate.column.{name}"))}</th>' for name in COLUMNS)
    body, last = [], ""
    for row in rows:
        task = "" if row.task == last else names[row.task]
        last = row.task
        cells = zip(COLUMNS, _cells(row, task), strict=True)
        body.append("".join(f"<td{NUMBER if name in NUMBERS else ''}>{escape(cell)}</td>" for name, cell in cells))
    lines = "".join(f"<tr>{cells}</tr>" for cells in body)
    table = f'<table class="plain-table"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def _cells(row: Row, task: str) -> list[str]:
    samples = f"{row.samples:,}"
    found = "equal" if interval(row) == (0, 0) and finding(row) == "same" else finding(row)
    low, high = interval_words(row)
    return [
        task,
        say(f"evaluate.metric.{row.metric}"),
        evaluate.rounded(row.base, row.base_stderr),
        evaluate.rounded(row.tuned, row.tuned_stderr),
        evaluate.rounded(row.difference, row.difference_stderr, signed=True),
        say(f"evaluate.finding.{found}", low=low, high=high),
        say("evaluate.some_of", count=samples, total=f"{row.available:,}") if row.partial else samples,
    ]


def _counts(rows: list[Row]) -> str:
    """Return the ties, scores that are no numbers and pairs left out of the reviewed pairs, as one line of HTML."""
    by_metric = {row.metric: row for row in rows if row.task == REVIEWED}
    any_row = next(iter(by_metric.values()), None)
    if any_row is None:
        return ""
    parts = []
    for metric in ("pref_tie", "pref_nan"):
        row = by_metric.get(metric)
        counts = [f"{round(share * row.samples)}" if share is not None else "–" for share in _both(row)] if row else []
        if counts:
            parts.append(say(f"evaluate.count.{metric}", base=counts[0], tuned=counts[1]))
    left_out = [
        say("evaluate.dropped.one", count=count, reason=_reason(reason)) for reason, count in any_row.dropped.items()
    ]
    line = f'<div class="run-line">{escape(" ".join(parts))}</div>'
    if not left_out:
        return line
    total = any_row.available + sum(any_row.dropped.values())
    return notice(say("evaluate.dropped", list=say("evaluate.semicolon").join(left_out), total=total)) + line


def _both(row: Row) -> tuple[float | None, float | None]:
    return row.base, row.tuned


def _reason(reason: str) -> str:
    key = f"evaluate.reason.{reason}"
    return say(key) if key in CATALOGUE else reason


def _plot(rows: list[Row], found: Evaluation) -> Any:
    """Return the update of the plot: two bars beside each other for each share of 0 to 1."""
    models = {"base": say("evaluate.bar.base", name=found.base), "tuned": say("evaluate.bar.tuned", name=found.tuned)}
    bars = []
    for row in rows:
        if row.metric in SHARES:
            measure = say(f"evaluate.short.{row.metric}")
            for role, score in zip(models, _both(row), strict=True):
                if score is not None:
                    bars.append((say(f"evaluate.bar.{role}.of", measure=measure), score, models[role]))
    table = pd.DataFrame(bars, columns=["measure", "score", "model"])
    return gr.update(value=table, sort=list(table["measure"]))


def _commands(found: Evaluation) -> str:
    """Return the equivalent command lines; of a run that did not finish, those it left in its folder."""
    commands = found.commands
    if not commands:
        try:
            commands = json.loads((found.folder / "results.json").read_text("utf-8")).get("commands", [])
        except (OSError, ValueError):  # nothing was saved yet
            commands = []
    return "\n\n".join(commands)


def history(runs: list[Run]) -> list[Any]:
    """Return updates for the table of evaluations.

    Args:
        runs: Of kind evaluate, in the order of the table.
    """
    headers = [say(f"evaluate.column.{name}") for name in HISTORY]
    data = [_past(run) for run in runs]
    return [gr.update(visible=bool(runs)), gr.update(value={"headers": headers, "data": data})]


def _past(run: Run) -> list[str]:
    asked = spec_of(run)
    names = {model["role"]: str(model["name"]) for model in asked.get("models", [])}
    scores: dict[str, dict[str, float]] = {}
    for result in fold(run).results:
        for metric in ("pref_acc_norm", "truthfulqa_mc1"):
            value = (result.get("scores") or {}).get(metric)
            if value is not None:
                scores.setdefault(metric, {})[str(result["role"])] = float(value)
    changes = [
        f"{say(f'evaluate.column.{metric}')} {both['base']:.3f} → {both['tuned']:.3f}"
        for metric, both in scores.items()
        if len(both) == len(names)
    ]
    return [
        str(run.number),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)),
        names.get("tuned", ""),
        names.get("base", ""),
        ", ".join(task_name(task["name"], task.get("data")) for task in asked.get("tasks", [])),
        say(f"run.state.{run.state.value.split()[0]}"),
        "; ".join(changes) or "–",
    ]
