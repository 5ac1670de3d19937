"""The Train tab: choose an export and a base model, see what would happen, train, watch, take the model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline.base.project import Project, find
from pipeline.export import exported
from pipeline.hardware.flavors import Need
from pipeline.hardware.remote import JobOptions
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.runs.view import look
from pipeline.studio import Studio
from pipeline.train import check, job, trainings
from pipeline.train.orpo import OrpoParams, TrainOptions
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.parts import hardware as places
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control, parameter_form
from ui.parts.hardware import Confirmation, HardwarePicker, Question
from ui.parts.notice import wrong_values
from ui.parts.run_view import RunView
from ui.text import say, t
from ui.train import check as train_check
from ui.train import history as train_history
from ui.train import result as train_result
from ui.train.history import History
from ui.train.result import Trained

# A check may ask the Hub and count tokens: queued, but without a spinner, and only the last of several changes counts.
CHECK: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class TrainTab:
    """Components of the Train tab.

    Attributes:
        newest: State with the newest export seen: a newer one is chosen when the tab is opened.
        based: State with the project's base model seen: another one is chosen when the tab is opened.
        drawn: State with what of the run was drawn last; its change event draws curves and result.
    """

    empty: gr.HTML
    go: gr.Button
    body: gr.Column
    options: ParameterForm
    hardware: HardwarePicker
    machine: gr.HTML
    form: ParameterForm
    check: gr.HTML
    start: gr.Button
    confirm: Confirmation
    view: RunView
    newest: gr.State
    based: gr.State
    drawn: gr.State
    trained: Trained
    history: History

    @property
    def inputs(self) -> list[Component]:
        """All controls of a run: options, parameters, hardware."""
        return [*self.options.inputs, *self.form.inputs, *self.hardware.inputs]


def build(studio: Studio) -> TrainTab:
    """Lay out the Train tab."""
    empty = gr.HTML(t("train.empty.project"), elem_id="train-empty", elem_classes="empty")
    go = gr.Button(t("train.go"), variant="primary", visible=False, elem_id="train-go")
    with gr.Column(visible=False) as body:
        gr.Markdown(t("train.intro"))
        options = _options()
        picker = places.build("train")
        machine = gr.HTML(elem_id="train-machine")
        form = parameter_form(OrpoParams, "train", folded=["optimizer", "lengths", "adapter", "output"])
        check = gr.HTML(elem_id="train-check")
        start = gr.Button(t("train.start"), variant="primary", interactive=False, elem_id="train-start")
        confirm = places.build_confirmation("train")
    view = run_view.build("train")
    trained = train_result.build()
    history = train_history.build()
    return TrainTab(
        *(empty, go, body, options, picker, machine, form, check, start, confirm, view),
        *(gr.State(""), gr.State(""), gr.State(""), trained, history),
    )


def _options() -> ParameterForm:
    with gr.Row(elem_classes="form-row"):
        dataset = gr.Dropdown(
            [], label=t("train.dataset"), info=t("train.dataset.help"), elem_id="train-dataset", min_width=220
        )
        base_model = control(TrainOptions, "train", "base_model", choices=[])
        name = control(TrainOptions, "train", "project_name")
    return ParameterForm(TrainOptions, {"dataset": dataset, "base_model": base_model, "project_name": name})


def wire(tab: TrainTab, studio: Studio, page: Page) -> None:
    """Connect the Train tab."""
    _wire_project(tab, studio, page)
    _wire_start(tab, studio, page)
    _wire_run(tab, studio, page)


def _wire_project(tab: TrainTab, studio: Studio, page: Page) -> None:
    def opened(name: str) -> list[Any]:
        project = _project(studio, name)
        latest = studio.ledger.latest(name, "train") if project else None
        base = project.read().base_model if project else TrainOptions().base_model
        shown = _chosen(studio, project, "", "", base)
        return [*shown, _free_name(studio, project), latest.id if latest else ""]

    def again(name: str, dataset: str | None, newest: str, based: str) -> list[Any]:
        if not name:  # the page is still loading: what opens the project must not be undone
            return [gr.update()] * len(chosen)
        base = find(studio.home, name).read().base_model  # the Filter tab may have changed it
        return _chosen(studio, find(studio.home, name), dataset or "", newest, base if base != based else None)

    def leave(name: str) -> Any:
        return gr.Tabs(selected="export" if name else "dataset")

    options = tab.options.components
    chosen = [tab.empty, tab.go, tab.body, tab.newest, options["dataset"], options["base_model"], tab.based]
    chosen += tab.history.outputs
    fresh = [*chosen, options["project_name"], tab.view.run]
    page.project.change(handle(opened), [page.project], fresh, **QUIET)
    again_inputs = [page.project, options["dataset"], tab.newest, tab.based]
    page.items["train"].select(handle(again), again_inputs, chosen, **QUIET)
    tab.go.click(handle(leave), [page.project], [page.tabs], **QUIET)


def _wire_start(tab: TrainTab, studio: Studio, page: Page) -> None:
    def checked(name: str, *values: Any) -> list[Any]:
        return _checked(studio, tab, _project(studio, name), values)

    def ask(name: str, *values: Any) -> Question | None:
        return _question(studio, find(studio.home, name), *_read(tab, values))

    def start(name: str, *values: Any) -> list[Any]:
        project = find(studio.home, name)
        run = trainings.start(studio.ledger, project, *_read(tab, values))
        return [run.id, _free_name(studio, project), *train_history.draw(studio, project)]

    def adapt(on: bool) -> list[Any]:
        return [gr.update(interactive=bool(on))] * len(adapter)

    check = [tab.check, tab.start, tab.machine, *tab.hardware.outputs]
    everything = [page.project, *tab.inputs]
    changes = [component.change for component in tab.inputs]
    others = [page.items["train"].select, tab.view.ended.change, page.account.change]
    gr.on([*changes, *others], handle(checked), everything, check, **CHECK)
    started = [tab.view.run, tab.options.components["project_name"], *tab.history.outputs]
    places.wire(tab.confirm, tab.start, everything, started, ask=ask, go=start)
    lora = tab.form.components["lora"]
    adapter = [tab.form.components[field] for field in ("lora_r", "lora_alpha", "lora_dropout", "merge_adapter")]
    lora.change(handle(adapt), [lora], adapter, **QUIET)


def _wire_run(tab: TrainTab, studio: Studio, page: Page) -> None:
    def draw(run_id: str) -> list[Any]:
        return train_result.draw(look(studio.ledger, run_id) if run_id else None)

    def evaluate(run_id: str) -> list[Any]:
        path = trainings.loaded_from(studio.ledger.get(run_id))
        return [gr.Tabs(selected="evaluate"), (path, time.time())]

    run_view.wire(tab.view, studio, also=lambda seen: [train_result.key(seen)], also_outputs=[tab.drawn])
    tab.drawn.change(handle(draw), [tab.view.run], tab.trained.outputs, **QUIET)
    train_history.wire(tab.history, studio, page, tab.drawn, tab.view.run)
    tab.trained.evaluate.click(handle(evaluate), [tab.view.run], [page.tabs, page.model], **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    return find(studio.home, name) if name else None


def _chosen(studio: Studio, project: Project | None, dataset: str, newest: str, base: str | None = None) -> list[Any]:
    """Return updates for what can be chosen: the empty state, exports, base models, history.

    Args:
        studio: Names the ledger.
        project: The project shown.
        dataset: The export chosen so far.
        newest: The newest export when that was chosen; a newer one is chosen now.
        base: Base model to choose; None leaves it.
    """
    exports = exported.names(project) if project else []
    if project is None or not exports:
        words = say("train.empty.export" if project else "train.empty.project")
        empty = gr.update(value=escape(words), visible=True)
        hidden = gr.update(visible=False)
        go = gr.update(value=say("train.go.export" if project else "train.go.dataset"), visible=True)
        return [
            empty,
            go,
            hidden,
            "",
            gr.update(choices=[], value=None),
            gr.update(),
            "",
            *train_history.draw(studio, project),
        ]
    chosen = dataset if dataset in exports and exports[0] == newest else exports[0]
    return [
        gr.update(visible=False),
        gr.update(visible=False),
        gr.update(visible=True),
        exports[0],
        gr.update(choices=exports, value=chosen),
        gr.update(choices=_base_models(studio, project), **({} if base is None else {"value": base})),
        project.read().base_model,
        *train_history.draw(studio, project),
    ]


def _base_models(studio: Studio, project: Project) -> list[tuple[str, str]]:
    """Return what a training can start from without typing: the project's base model, the default, its own models."""
    names = dict.fromkeys([project.read().base_model, TrainOptions().base_model])
    # A training starts from the newest version of a model on the Hub.
    made = {model.path.partition("@")[0]: model.name for model in reversed(trainings.models(studio.ledger, project))}
    own = [(say("train.own", name=name), path) for path, name in reversed(made.items())]
    return [*((name, name) for name in names), *own]


def _free_name(studio: Studio, project: Project | None) -> str:
    """Return the default name of a model, numbered when the project has it."""
    default = TrainOptions().project_name
    if project is None:
        return default
    taken = (run for run in studio.ledger.list(project=project.name, kind="train") if run.active or run.place == "job")
    used = {str(spec_of(run).get("project_name")) for run in taken}
    number, name = 1, default
    while name in used or (project.models / name).exists():
        number += 1
        name = f"{default}-{number}"
    return name


def _read(tab: TrainTab, values: tuple[Any, ...]) -> tuple[TrainOptions, OrpoParams, JobOptions]:
    count, parameters = len(tab.options.components), len(tab.form.components)
    given = dict(zip(tab.options.components, values[:count], strict=True))
    options = TrainOptions.model_validate({name: value or "" for name, value in given.items()})
    params = tab.form.read(values[count : count + parameters])
    assert isinstance(params, OrpoParams)
    return options, params, places.read(values[count + parameters :])


def _question(
    studio: Studio, project: Project, options: TrainOptions, params: OrpoParams, where: JobOptions
) -> Question | None:
    """Return what to ask before a run on a Job; None for one that costs nothing, or that is running already."""
    if not where.remote or trainings.asked_already(studio.ledger, project, options, params, where):
        return None
    found = check.preflight(studio.ledger, project, options, params, where=where)
    found.stop_if_blocked()
    planned = found.numbers.job
    if planned is None or planned.destination is None:  # it would have been a blocker
        return None
    lines = {
        "dataset": say("train.confirm.dataset.at", name=planned.dataset, revision=planned.revision[:12]),
        "base": options.base_model,
        "steps": f"{found.numbers.steps:,}",
        "model": say(f"train.confirm.model.{planned.destination.state}", name=planned.destination.repository),
    }
    return Question(planned.offer, {say(f"train.confirm.{name}"): text for name, text in lines.items()}, found.warnings)


def _checked(studio: Studio, tab: TrainTab, project: Project | None, values: tuple[Any, ...]) -> list[Any]:
    """Return the summary of what would happen, whether it can be started, and which hardware fits."""
    place, flavor, _ = values[-len(tab.hardware.inputs) :]
    machine = gr.update(value=train_check.machine_line(), visible=place != "job")
    if project is None:
        return ["", gr.update(interactive=False), machine, *places.show(place, flavor, Need())]
    try:
        options, params, where = _read(tab, values)
    except ValidationError as error:
        wrong = wrong_values(error, "train")
        return [wrong, gr.update(interactive=False), machine, *places.show(place, flavor, Need())]
    found = check.preflight(studio.ledger, project, options, params, where=where)
    latest = studio.ledger.latest(project.name, "train")
    queued = latest is not None and latest.active and not where.remote
    label = "train.start.job" if where.remote else "train.start.also" if queued else "train.start"
    button = gr.update(
        interactive=not found.blockers,
        value=say(label),
        # With a model there, evaluating it is what comes next.
        variant="secondary" if queued or (latest and latest.state is State.SUCCEEDED) else "primary",
    )
    fitting = places.show(place, flavor, job.need(params, found.numbers.memory))
    return [train_check.summary(found, params), button, machine, *fitting]
