"""The Evaluate tab: base and trained model on the same tasks, what the scores say, and both answering one prompt."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline import evaluate, train
from pipeline.evaluate import EvaluateNumbers, EvaluateOptions
from pipeline.evaluate.check import REVIEWED, TRUTHFULQA
from pipeline.export import exported
from pipeline.preflight import Preflight
from pipeline.project import DEFAULT_BASE_MODEL, Project, find
from pipeline.runs.ledger import Run, State
from pipeline.studio import Studio
from ui import answer, evaluate_result, run_view
from ui.answer import AnswerBox
from ui.forms import ParameterForm, control, parameter_form
from ui.handlers import BUSY, QUIET, handle
from ui.notice import facts, notice, notices, wrong_values
from ui.page import Page
from ui.run_view import RunView, duration
from ui.text import say, t

HUB, FILE, BUNDLED = "hub", "file", "bundled"
SPEED = ["max_samples", "batch_size", "dtype"]
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
        results = evaluate_result.build()
        with gr.Column(visible=False) as history_box:
            gr.Markdown(t("evaluate.history"))
            history = gr.Dataframe(
                interactive=False,
                datatype="str",
                wrap=True,
                column_widths=evaluate_result.WIDTHS,
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
        if not name:  # the page is still loading: what opens the project must not be undone
            return [gr.update()] * len(pickers)
        model, *others = _pickers(studio, _project(studio, name), tuned or "")
        if model["value"] in (None, tuned):  # nothing new to choose: what is being typed now stays
            del model["value"]
        return [model, *others]

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
        return [*evaluate_result.draw(run), *_history(studio, _project(studio, name))]

    def select(name: str, event: gr.SelectData) -> str:
        return next(run.id for run in _runs(studio, name) if str(run.number) == event.row_value[0])

    run_view.wire(tab.view, studio, also=lambda seen: [evaluate_result.key(seen)], also_outputs=[tab.drawn])
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
    files = {HUB: None, FILE: file, BUNDLED: str(evaluate_result.SAMPLE)}
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
    latest = studio.ledger.latest(project.name, "evaluate")
    again = queued or (latest is not None and latest.state is State.SUCCEEDED)
    button = gr.update(
        interactive=not found.blockers,
        value=say("evaluate.start.also" if queued else "evaluate.start"),
        variant="secondary" if again else "primary",
    )
    return [_summary(found, options), button]


def _summary(found: Preflight[EvaluateNumbers], options: EvaluateOptions) -> str:
    numbers = found.numbers
    lines = {}
    if REVIEWED in options.tasks:
        lines[say("evaluate.reviewed")] = say("evaluate.pairs", count=numbers.samples[REVIEWED])
    if TRUTHFULQA in options.tasks:
        lines[evaluate_result.task_name(TRUTHFULQA, options.truthfulqa_data)] = say(
            "evaluate.questions", count=numbers.samples[TRUTHFULQA]
        )
    unknown = say("evaluate.time.unknown")
    lines[say("evaluate.time")] = say("evaluate.about", time=duration(numbers.seconds)) if numbers.seconds else unknown
    return notices(found.blockers, "evaluate", bad=True) + facts(lines) + notices(found.warnings, "evaluate")


def _history(studio: Studio, project: Project | None) -> list[Any]:
    return evaluate_result.history(_runs(studio, project.name) if project else [])
