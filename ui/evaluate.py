"""The Evaluate tab: base and trained model on the same tasks, what the scores say, and both answering one prompt."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.components import Component
from pydantic import ValidationError

from pipeline import evaluate, exported, train
from pipeline.comparison import finding, interval
from pipeline.evaluate import EvaluateNumbers, EvaluateOptions, Evaluation, Row
from pipeline.evaluate_check import REVIEWED, TRUTHFULQA
from pipeline.preflight import Preflight, spec_of
from pipeline.project import DEFAULT_BASE_MODEL, Project, find
from pipeline.runs.ledger import Run
from pipeline.runs.local import ROOT
from pipeline.runs.view import View, fold
from pipeline.studio import Studio
from ui import answer, run_view
from ui.answer import AnswerBox
from ui.forms import ParameterForm, control, parameter_form
from ui.handlers import BUSY, QUIET, handle
from ui.notice import facts, notice, notices, wrong_values
from ui.run_view import RunView, duration
from ui.text import CATALOGUE, say, t

if TYPE_CHECKING:
    from ui.layout import Page

SAMPLE = ROOT / "samples" / "truthful_mini.jsonl"
HUB, FILE, BUNDLED = "hub", "file", "bundled"
SPEED = ["max_samples", "batch_size", "dtype"]
SHOWN = ("truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm", "pref_margin_norm", "pref_acc")
SHARES = ("truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm")  # 0 to 1: what the plot shows
COLUMNS = ("task", "measure", "base", "tuned", "difference", "verdict", "samples")
WIDTHS: list[str | int] = ["60px", "150px", "200px", "170px", "260px", "110px", "220px"]
HISTORY = ("number", "started", "tuned", "base", "tasks", "state", "headline")
CHECK: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class EvaluateTab:
    """Components of the Evaluate tab.

    Attributes:
        drawn: State with what of the run was drawn last; its change event draws the results.
    """

    empty: gr.HTML
    body: gr.Column
    tuned: gr.Dropdown
    base: gr.Dropdown
    reviewed: gr.Checkbox
    dataset: gr.Dropdown
    truthful: gr.Checkbox
    source: gr.Radio
    file_box: gr.Row
    file: gr.Textbox
    upload: gr.UploadButton
    form: ParameterForm
    check: gr.HTML
    start: gr.Button
    view: RunView
    drawn: gr.State
    result_box: gr.Column
    banner: gr.HTML
    table: gr.HTML
    plot: gr.BarPlot
    counts: gr.HTML
    commands_box: gr.Accordion
    commands: gr.Code
    history_box: gr.Column
    history: gr.Dataframe
    answer: AnswerBox

    @property
    def inputs(self) -> list[Component]:
        """All controls of an evaluation."""
        chosen = [self.tuned, self.base, self.reviewed, self.dataset, self.truthful, self.source, self.file]
        return [*chosen, *self.form.inputs]


def build(studio: Studio) -> EvaluateTab:
    """Lay out the Evaluate tab."""
    empty = gr.HTML(t("evaluate.empty"), elem_id="evaluate-empty", elem_classes="empty")
    with gr.Column(visible=False) as body:
        gr.Markdown(t("evaluate.intro"))
        chosen = {**_models(), **_tasks()}
        form = parameter_form(EvaluateOptions, "evaluate", only=SPEED, folded=["speed"])
        check = gr.HTML(elem_id="evaluate-check")
        start = gr.Button(t("evaluate.start"), variant="primary", interactive=False, elem_id="evaluate-start")
        view = run_view.build("evaluate")
        results = _results()
        with gr.Column(visible=False) as history_box:
            gr.Markdown(t("evaluate.history"))
            history = gr.Dataframe(
                interactive=False,
                datatype="str",
                wrap=True,
                column_widths=WIDTHS,
                buttons=[],
                elem_id="evaluate-history",
            )
        box = answer.build(studio)
    return EvaluateTab(
        empty=empty,
        body=body,
        **chosen,
        form=form,
        check=check,
        start=start,
        view=view,
        drawn=gr.State(""),
        **results,
        history_box=history_box,
        history=history,
        answer=box,
    )


def _models() -> dict[str, Any]:
    with gr.Row(elem_classes="form-row"):
        return {name: control(EvaluateOptions, "evaluate", name, choices=[]) for name in ("tuned", "base")}


def _tasks() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with gr.Row(elem_classes="form-row"):
        with gr.Column(min_width=320):
            parts["reviewed"] = gr.Checkbox(
                True, label=t("evaluate.reviewed"), info=t("evaluate.reviewed.help"), elem_id="evaluate-reviewed"
            )
            parts["dataset"] = gr.Dropdown([], label=t("evaluate.dataset"), elem_id="evaluate-dataset")
        with gr.Column(min_width=320):
            parts["truthful"] = gr.Checkbox(
                True, label=t("evaluate.truthful"), info=t("evaluate.truthful.help"), elem_id="evaluate-truthful"
            )
            parts["source"] = gr.Radio(
                [(t(f"evaluate.source.{name}"), name) for name in (HUB, FILE, BUNDLED)],
                value=HUB,
                label=t("evaluate.source"),
                elem_id="evaluate-source",
            )
            with gr.Row(visible=False, equal_height=True) as parts["file_box"]:
                parts["file"] = gr.Textbox(
                    label=t("evaluate.truthfulqa_data"),
                    info=t("evaluate.truthfulqa_data.help"),
                    scale=3,
                    elem_id="evaluate-file",
                )
                parts["upload"] = gr.UploadButton(
                    label=t("evaluate.upload"),
                    file_types=[".parquet", ".jsonl", ".json", ".csv"],
                    size="sm",
                    scale=1,
                    min_width=120,
                    elem_id="evaluate-upload",
                )
    return parts


def _results() -> dict[str, Any]:
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


def wire(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    """Connect the Evaluate tab."""
    _wire_choice(tab, studio, page)
    _wire_start(tab, studio, page)
    _wire_run(tab, studio, page)
    answer.wire(tab.answer, studio, page, {"base": tab.base, "tuned": tab.tuned})


def _wire_choice(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    pickers = [tab.tuned, tab.base, tab.dataset]

    def opened(name: str) -> list[Any]:
        project = _project(studio, name)
        latest = studio.ledger.latest(name, "evaluate") if project else None
        boxes = [gr.update(visible=project is None), gr.update(visible=project is not None)]
        return [*boxes, *_pickers(studio, project), latest.id if latest else "", *_history(studio, project)]

    def again(name: str, tuned: str | None) -> list[Any]:
        return _pickers(studio, _project(studio, name), tuned or "")

    def wanted(name: str, wish: tuple[str, float] | None) -> list[Any]:
        return _pickers(studio, _project(studio, name), wish[0] if wish else "", change=True)

    def picked(name: str, tuned: str | None) -> list[Any]:
        return _pickers(studio, _project(studio, name), tuned or "", change=True)[1:]

    def show(source: str) -> Any:
        return gr.update(visible=source == FILE)

    def toggle(on: bool) -> Any:
        return gr.update(interactive=bool(on))

    page.project.change(
        handle(opened),
        [page.project],
        [tab.empty, tab.body, *pickers, tab.view.run, tab.history_box, tab.history],
        **QUIET,
    )
    page.items["evaluate"].select(handle(again), [page.project, tab.tuned], pickers, **QUIET)
    page.model.change(handle(wanted), [page.project, page.model], pickers, **QUIET)
    tab.tuned.input(handle(picked), [page.project, tab.tuned], pickers[1:], **QUIET)
    tab.source.change(handle(show), [tab.source], [tab.file_box], **QUIET)
    tab.reviewed.change(handle(toggle), [tab.reviewed], [tab.dataset], **QUIET)
    tab.truthful.change(handle(toggle), [tab.truthful], [tab.source], **QUIET)


def _wire_start(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    def checked(name: str, *values: Any) -> list[Any]:
        return _checked(studio, tab, _project(studio, name), values)

    def start(name: str, *values: Any) -> str:
        return evaluate.start(studio.ledger, find(studio.home, name), _read(tab, values)).id

    def take(name: str, cached: str) -> str:
        return str(_keep(find(studio.home, name), Path(cached)))

    everything = [page.project, *tab.inputs]
    changes = [component.change for component in tab.inputs]
    looks = [page.items["evaluate"].select, tab.view.run.change, tab.view.ended.change]
    gr.on([*changes, *looks], handle(checked), everything, [tab.check, tab.start], **CHECK)
    tab.start.click(handle(start), everything, [tab.view.run], **BUSY)
    tab.upload.upload(handle(take), [page.project, tab.upload], [tab.file], **BUSY)


def _wire_run(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    def draw(name: str, run_id: str) -> list[Any]:
        run = studio.ledger.get(run_id) if run_id else None
        return [*_draw(run), *_history(studio, _project(studio, name))]

    def select(name: str, event: gr.SelectData) -> str:
        return next(run.id for run in _runs(studio, name) if str(run.number) == event.row_value[0])

    run_view.wire(tab.view, studio, also=lambda seen: [_key(seen)], also_outputs=[tab.drawn])
    shown = [tab.result_box, tab.banner, tab.table, tab.counts, tab.plot, tab.commands_box, tab.commands]
    tab.drawn.change(handle(draw), [page.project, tab.view.run], [*shown, tab.history_box, tab.history], **QUIET)
    tab.history.select(handle(select), [page.project], [tab.view.run], **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    return find(studio.home, name) if name else None


def _runs(studio: Studio, name: str) -> list[Run]:
    return studio.ledger.list(project=name, kind="evaluate")


def _keep(project: Project, cached: Path) -> Path:
    """Move an uploaded file out of the web server's folder into the project's, where later runs find it."""
    folder = project.folder / "truthfulqa"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Path(shutil.move(cached, folder / cached.name))


def _pickers(studio: Studio, project: Project | None, tuned: str = "", *, change: bool = False) -> list[Any]:
    """Return updates for the pickers of trained model, base model and export.

    Args:
        studio: Names the ledger.
        project: The project shown.
        tuned: The trained model chosen so far; the newest is chosen when there is none.
        change: Whether base model and export follow the trained model.
    """
    if project is None:
        return [gr.update(choices=[], value=None), gr.update(), gr.update(choices=[], value=None)]
    models = train.models(studio.ledger, project)
    choices = [(say("evaluate.model", name=model.name, dataset=model.dataset), str(model.path)) for model in models]
    fresh = change or not tuned
    path = tuned or (str(models[0].path) if models else "")
    model = next((model for model in models if str(model.path) == path), None)
    exports = exported.names(project)
    bases = dict.fromkeys([*(found.base_model for found in models), project.read().base_model, DEFAULT_BASE_MODEL])
    base: dict[str, Any] = {"choices": list(bases)}
    dataset: dict[str, Any] = {"choices": exports}
    if fresh:
        base["value"] = model.base_model if model else project.read().base_model
        dataset["value"] = model.dataset if model and model.dataset in exports else next(iter(exports), None)
    return [gr.update(choices=choices, value=path or None), gr.update(**base), gr.update(**dataset)]


def _read(tab: EvaluateTab, values: tuple[Any, ...]) -> EvaluateOptions:
    tuned, base, reviewed, dataset, truthful, source, file, *speed = values
    files = {HUB: None, FILE: file, BUNDLED: str(SAMPLE)}
    filled: dict[str, Any] = dict(zip(tab.form.components, speed, strict=True))
    return EvaluateOptions.model_validate(
        {
            **filled,
            "tuned": tuned or "",
            "base": base or "",
            "tasks": [task for task, on in ((REVIEWED, reviewed), (TRUTHFULQA, truthful)) if on],
            "dataset": dataset or "",
            "truthfulqa_data": files[source] if truthful else None,
        }
    )


def _checked(studio: Studio, tab: EvaluateTab, project: Project | None, values: tuple[Any, ...]) -> list[Any]:
    """Return the summary of what would be scored, and whether it can be started."""
    if project is None:
        return ["", gr.update(interactive=False)]
    tasks_on, file_wanted = values[2] or values[4], values[4] and values[5] == FILE and not values[6]
    if not tasks_on or file_wanted:
        return [notice(say("evaluate.no_file" if tasks_on else "evaluate.no_task")), gr.update(interactive=False)]
    try:
        options = _read(tab, values)
    except ValidationError as error:
        return [wrong_values(error, "evaluate"), gr.update(interactive=False)]
    found = evaluate.preflight(studio.ledger, project, options)
    queued = bool(studio.ledger.list(project=project.name, kind="evaluate", active=True))
    button = gr.update(
        interactive=not found.blockers,
        value=say("evaluate.start.also" if queued else "evaluate.start"),
        variant="secondary" if queued else "primary",
    )
    return [_summary(found, options), button]


def _summary(found: Preflight[EvaluateNumbers], options: EvaluateOptions) -> str:
    numbers = found.numbers
    lines = {}
    if REVIEWED in options.tasks:
        lines[say("evaluate.reviewed")] = say("evaluate.pairs", count=numbers.samples[REVIEWED])
    if TRUTHFULQA in options.tasks:
        lines[_task_name(TRUTHFULQA, options.truthfulqa_data)] = say(
            "evaluate.questions", count=numbers.samples[TRUTHFULQA]
        )
    unknown = say("evaluate.time.unknown")
    lines[say("evaluate.time")] = say("evaluate.about", time=duration(numbers.seconds)) if numbers.seconds else unknown
    return notices(found.blockers, "evaluate", bad=True) + facts(lines) + notices(found.warnings, "evaluate")


def _task_name(task: str, data: Path | str | None) -> str:
    """Return what a task is called: reviewed pairs, TruthfulQA, a file in its place, or our sample."""
    if task == REVIEWED:
        return say("evaluate.reviewed")
    if data is None:
        return say("evaluate.truthful")
    return say("evaluate.sample") if Path(data) == SAMPLE else say("evaluate.truthful.file", name=Path(data).name)


def _key(seen: View | None) -> str:
    """Return what changes when the results have to be drawn again."""
    return f"{seen.run.id} {seen.run.state} {len(seen.folded.results)}" if seen else ""


def _draw(run: Run | None) -> list[Any]:
    """Return updates for what a run has found so far."""
    found = evaluate.result(run) if run else None
    if run is None or found is None or not found.results:
        return [gr.update(visible=False), *(gr.update() for _ in range(6))]
    rows = found.rows()
    data = {task["name"]: task.get("data") for task in spec_of(run).get("tasks", [])}
    names = {task: _task_name(task, data.get(task)) for task in {row.task for row in rows}}
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
    head = "".join(f"<th>{escape(say(f'evaluate.column.{name}'))}</th>" for name in COLUMNS)
    body, last = [], ""
    for row in rows:
        task = "" if row.task == last else names[row.task]
        last = row.task
        body.append("".join(f"<td>{escape(cell)}</td>" for cell in _cells(row, task)))
    lines = "".join(f"<tr>{cells}</tr>" for cells in body)
    table = f'<table class="plain-table"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}</div>'


def _cells(row: Row, task: str) -> list[str]:
    samples = f"{row.samples:,}"
    low, high = interval(row) or (0.0, 0.0)
    return [
        task,
        say(f"evaluate.metric.{row.metric}"),
        evaluate.rounded(row.base, row.base_stderr),
        evaluate.rounded(row.tuned, row.tuned_stderr),
        evaluate.rounded(row.difference, row.difference_stderr, signed=True),
        say(f"evaluate.finding.{finding(row)}", low=f"{low:+.2g}", high=f"{high:+.2g}"),
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


def _history(studio: Studio, project: Project | None) -> list[Any]:
    """Return updates for the table of the project's evaluations, newest first."""
    runs = _runs(studio, project.name) if project else []
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
        ", ".join(_task_name(task["name"], task.get("data")) for task in asked.get("tasks", [])),
        say(f"run.state.{run.state.value.split()[0]}"),
        "; ".join(changes) or "–",
    ]
