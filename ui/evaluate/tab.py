"""The Evaluate tab: base and trained model on the same tasks, what the scores say, and both answering one prompt."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline.base.preflight import Preflight
from pipeline.base.project import Project, find
from pipeline.evaluate import check as evaluate_check
from pipeline.evaluate import evaluations
from pipeline.evaluate.check import EvaluateNumbers
from pipeline.evaluate.options import REVIEWED, TRUTHFULQA, TRUTHFULQA_REPOSITORY, EvaluateOptions
from pipeline.export import exported
from pipeline.hardware.flavors import Need
from pipeline.hardware.remote import JobOptions, money, user
from pipeline.hub import store
from pipeline.runs.ledger import Run, State
from pipeline.studio import Studio
from ui.evaluate import answer
from ui.evaluate import card as evaluate_card
from ui.evaluate import models as evaluate_models
from ui.evaluate import result as evaluate_result
from ui.evaluate.answer import AnswerBox
from ui.evaluate.card import CardBox
from ui.evaluate.models import ModelPickers
from ui.evaluate.table import SAMPLE, task_name
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.parts import hardware, run_view
from ui.parts.forms import ParameterForm, parameter_form
from ui.parts.hardware import Confirmation, HardwarePicker, Question
from ui.parts.notice import facts, notice, notices, wrong_values
from ui.parts.run_view import RunView, duration
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
    models: ModelPickers
    reviewed: gr.Checkbox
    dataset: gr.Dropdown
    truthful: gr.Checkbox
    source: gr.Radio
    file_box: gr.Row
    file: gr.Textbox
    upload: gr.UploadButton
    form: ParameterForm
    hardware: HardwarePicker
    check: gr.HTML
    start: gr.Button
    confirm: Confirmation
    view: RunView
    drawn: gr.State
    result_box: gr.Column
    banner: gr.HTML
    table: gr.HTML
    plot: gr.BarPlot
    counts: gr.HTML
    commands_box: gr.Accordion
    commands: gr.Code
    card: CardBox
    history_box: gr.Column
    history: gr.Dataframe
    answer: AnswerBox

    @property
    def inputs(self) -> list[Component]:
        """All controls of an evaluation."""
        tasks = [self.reviewed, self.dataset, self.truthful, self.source, self.file]
        return [*self.models.inputs, *tasks, *self.form.inputs, *self.hardware.inputs]


def build(studio: Studio) -> EvaluateTab:
    """Lay out the Evaluate tab."""
    empty = gr.HTML(t("evaluate.empty"), elem_id="evaluate-empty", elem_classes="empty")
    with gr.Column(visible=False) as body:
        gr.Markdown(t("evaluate.intro"))
        models = evaluate_models.build()
        tasks = _tasks()
        form = parameter_form(EvaluateOptions, "evaluate", only=SPEED, folded=["speed"])
        machine = hardware.build("evaluate")
        check = gr.HTML(elem_id="evaluate-check")
        start = gr.Button(t("evaluate.start"), variant="primary", interactive=False, elem_id="evaluate-start")
        confirm = hardware.build_confirmation("evaluate")
        view = run_view.build("evaluate")
        results = evaluate_result.build()
        card = evaluate_card.build()
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
        models=models,
        **tasks,
        form=form,
        hardware=machine,
        check=check,
        start=start,
        confirm=confirm,
        view=view,
        drawn=gr.State(""),
        **results,
        card=card,
        history_box=history_box,
        history=history,
        answer=box,
    )


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
    answer.wire(tab.answer, studio, page, {"base": tab.models.base, "tuned": tab.models.tuned})


def _wire_choice(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    pickers = [*tab.models.inputs, tab.dataset]

    def opened(name: str) -> list[Any]:
        project = _project(studio, name)
        latest = studio.ledger.latest(name, "evaluate") if project else None
        boxes = [gr.update(visible=project is None), gr.update(visible=project is not None)]
        shown = evaluate_models.choices(studio, project)
        return [*boxes, *shown, latest.id if latest else "", *_history(studio, project)]

    def again(name: str, tuned: str | None) -> list[Any]:
        if not name:  # the page is still loading: what opens the project must not be undone
            return [gr.update()] * len(pickers)
        model, *others = evaluate_models.choices(studio, _project(studio, name), tuned or "")
        if model["value"] in (None, tuned):  # nothing new to choose: what is being typed now stays
            del model["value"]
        return [model, *others]

    def wanted(name: str, wish: tuple[str, float] | None) -> list[Any]:
        return evaluate_models.choices(studio, _project(studio, name), wish[0] if wish else "", change=True)

    def picked(name: str, tuned: str | None) -> list[Any]:
        return evaluate_models.choices(studio, _project(studio, name), tuned or "", change=True)[1:]

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
    tuned = tab.models.tuned
    page.items["evaluate"].select(handle(again), [page.project, tuned], pickers, **QUIET)
    page.model.change(handle(wanted), [page.project, page.model], pickers, **QUIET)
    tuned.input(handle(picked), [page.project, tuned], pickers[1:], **QUIET)
    evaluate_models.wire(tab.models, studio, page.project)
    tab.source.change(handle(show), [tab.source], [tab.file_box], **QUIET)
    tab.reviewed.change(handle(toggle), [tab.reviewed], [tab.dataset], **QUIET)
    tab.truthful.change(handle(toggle), [tab.truthful], [tab.source], **QUIET)


def _wire_start(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    def checked(name: str, *values: Any) -> list[Any]:
        return _checked(studio, tab, _project(studio, name), values)

    def ask(name: str, *values: Any) -> Question | None:
        options, where = _read(tab, values)
        project = find(studio.home, name)
        found = evaluate_check.preflight(studio.ledger, project, options, where=where)
        found.stop_if_blocked()
        if found.numbers.offer is None:
            return None
        return Question(found.numbers.offer, _question(project, options), found.warnings, "evaluate")

    def go(name: str, *values: Any) -> list[Any]:
        options, where = _read(tab, values)
        return [evaluations.start(studio.ledger, find(studio.home, name), options, where).id]

    def take(name: str, cached: str) -> str:
        return str(_keep(find(studio.home, name), Path(cached)))

    everything = [page.project, *tab.inputs]
    changes = [component.change for component in tab.inputs]
    looks = [page.items["evaluate"].select, page.account.change, tab.view.run.change, tab.view.ended.change]
    outputs = [tab.check, tab.start, *tab.hardware.outputs]
    gr.on([*changes, *looks], handle(checked), everything, outputs, **CHECK)
    hardware.wire(tab.confirm, tab.start, everything, [tab.view.run], ask=ask, go=go)
    tab.upload.upload(handle(take), [page.project, tab.upload], [tab.file], **BUSY)


def _wire_run(tab: EvaluateTab, studio: Studio, page: Page) -> None:
    def draw(name: str, run_id: str) -> list[Any]:
        run = studio.ledger.get(run_id) if run_id else None
        return [*evaluate_result.draw(run), *evaluate_card.draw(run), *_history(studio, _project(studio, name))]

    def select(name: str, event: gr.SelectData) -> str:
        return next(run.id for run in _runs(studio, name) if str(run.number) == event.row_value[0])

    run_view.wire(tab.view, studio, also=lambda seen: [evaluate_result.key(seen)], also_outputs=[tab.drawn])
    shown = [tab.result_box, tab.banner, tab.table, tab.counts, tab.plot, tab.commands_box, tab.commands]
    outputs = [*shown, *tab.card.outputs, tab.history_box, tab.history]
    tab.drawn.change(handle(draw), [page.project, tab.view.run], outputs, **QUIET)
    evaluate_card.wire(tab.card, studio, tab.view)
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


def _read(tab: EvaluateTab, values: tuple[Any, ...]) -> tuple[EvaluateOptions, JobOptions]:
    tuned, base, further, reviewed, dataset, truthful, source, file, *others = values
    files = {HUB: None, FILE: file, BUNDLED: str(SAMPLE)}
    filled: dict[str, Any] = dict(zip(tab.form.components, others[: len(tab.form.components)], strict=True))
    options = EvaluateOptions.model_validate(
        {
            **filled,
            "tuned": tuned or "",
            "base": base or "",
            "further": further or [],
            "tasks": [task for task, on in ((REVIEWED, reviewed), (TRUTHFULQA, truthful)) if on],
            "dataset": dataset or "",
            "truthfulqa_data": files[source] if truthful else None,
        }
    )
    return options, hardware.read(others[len(tab.form.components) :])


def _checked(studio: Studio, tab: EvaluateTab, project: Project | None, values: tuple[Any, ...]) -> list[Any]:
    """Return the summary of what would be scored, whether it can be started, and which hardware fits."""
    reviewed, truthful, source, file = values[3], values[5], values[6], values[7]
    where, flavor, _ = values[-3:]
    idle = gr.update(interactive=False)
    if project is None:
        return ["", idle, *hardware.show(where, flavor, Need(gpu=False))]
    tasks_on, file_wanted = reviewed or truthful, truthful and source == FILE and not file
    if not tasks_on or file_wanted:
        words = notice(say("evaluate.no_file" if tasks_on else "evaluate.no_task"))
        return [words, idle, *hardware.show(where, flavor, Need(gpu=False))]
    try:
        options, place = _read(tab, values)
    except ValidationError as error:
        return [wrong_values(error, "evaluate"), idle, *hardware.show(where, flavor, Need(gpu=False))]
    found = evaluate_check.preflight(studio.ledger, project, options, where=place)
    queued = bool(studio.ledger.list(project=project.name, kind="evaluate", active=True))
    latest = studio.ledger.latest(project.name, "evaluate")
    again = queued or (latest is not None and latest.state is State.SUCCEEDED)
    label = "evaluate.start.job" if place.remote else "evaluate.start.also" if queued else "evaluate.start"
    button = gr.update(
        interactive=not found.blockers,
        value=say(label),
        variant="secondary" if again else "primary",
    )
    return [_summary(found, options), button, *hardware.show(where, flavor, found.numbers.need or Need(gpu=False))]


def _summary(found: Preflight[EvaluateNumbers], options: EvaluateOptions) -> str:
    numbers = found.numbers
    lines = {}
    if REVIEWED in options.tasks:
        lines[say("evaluate.reviewed")] = say("evaluate.pairs", count=numbers.samples[REVIEWED])
    if TRUTHFULQA in options.tasks:
        lines[task_name(TRUTHFULQA, options.truthfulqa_data)] = say(
            "evaluate.questions", count=numbers.samples[TRUTHFULQA]
        )
    unknown = say("evaluate.time.unknown")
    about = say("evaluate.about", time=duration(numbers.seconds)) if numbers.seconds else unknown
    if numbers.offer is not None:
        about = say("evaluate.about", time=run_view.rough(numbers.seconds)) if numbers.seconds else unknown
        rough = numbers.offer.estimate is not None and numbers.offer.estimate.source == "formula"
        about = say("evaluate.time.rough", time=about) if rough else about
        lines[say("evaluate.memory")] = _memory(numbers)
        lines[say("evaluate.most")] = money(numbers.offer.at_most)
    lines[say("evaluate.time")] = about
    return notices(found.blockers, "evaluate", bad=True) + facts(lines) + notices(found.warnings, "evaluate")


def _memory(numbers: EvaluateNumbers) -> str:
    need = numbers.need.memory if numbers.need else None
    return say("evaluate.memory.unknown") if need is None else say("evaluate.about", time=f"{need / 1e9:.1f} GB")


def _question(project: Project, options: EvaluateOptions) -> dict[str, str]:
    """Return what a Job would read and where its results go, for the question before it is paid."""
    lines = {say("evaluate.confirm.models"): say("evaluate.comma").join(options.models.values())}
    data = []
    there = exported.published(project, options.dataset) if REVIEWED in options.tasks else None
    if there is not None:
        data.append(f"{there.repository}@{there.revision[:8]}")
    if TRUTHFULQA in options.tasks:
        data.append(TRUTHFULQA_REPOSITORY)
    lines[say("evaluate.confirm.data")] = say("evaluate.comma").join(data)
    lines[say("evaluate.confirm.results")] = say("evaluate.confirm.store", name=store.name(user()))
    return lines


def _history(studio: Studio, project: Project | None) -> list[Any]:
    return evaluate_result.history(_runs(studio, project.name) if project else [])
