"""The Train tab: choose an export and a base model, see what would happen, train, watch, take the model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import escape
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.hardware.flavors import Need
from pipeline.hardware.pricing import RENTED, JobOptions
from pipeline.runs.ledger import State
from pipeline.runs.places import carrier_of
from pipeline.runs.spec import spec_of
from pipeline.runs.view import look
from pipeline.train import check, job, trainings
from pipeline.train.algorithm import algorithm_of, algorithms
from pipeline.train.doctor import kept, runs
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams
from pipeline.visit import COMPUTE, Visit
from ui.handlers import CHECK, Given, Update, Wiring, prefixed, under
from ui.page import Page
from ui.parts import hardware as places
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control, parameter_form
from ui.parts.hardware import Confirmation, HardwarePicker, Question
from ui.parts.notice import notices, wrong_values
from ui.parts.run_view import RunView
from ui.text import say, t
from ui.train import check as train_check
from ui.train import doctor as train_doctor
from ui.train import history as train_history
from ui.train import result as train_result
from ui.train import space as train_space
from ui.train.doctor import Doctor
from ui.train.history import History
from ui.train.result import Trained
from ui.train.space import SpaceEnd

ADAPTER = ("lora_r", "lora_alpha", "lora_dropout", "merge_adapter")
INPUTS = ("page.project", "options.*", "form.*", *places.INPUTS, *train_doctor.KEPT)  # what a run is made of
CHOICES = ("empty", "go", "body", "newest", "options.dataset", "options.base_model", "based", *train_history.DRAWN)


@dataclass(frozen=True)
class TrainTab:
    """Components of the Train tab.

    Attributes:
        newest: State with the newest export seen: a newer one is chosen when the tab is opened.
        based: State with the project's base model seen: another one is chosen when the tab is opened.
    """

    empty: gr.HTML
    go: gr.Button
    body: gr.Column
    options: ParameterForm
    hardware: HardwarePicker
    machine: gr.HTML
    form: ParameterForm
    doctor: Doctor
    examining: RunView
    check: gr.HTML
    start: gr.Button
    confirm: Confirmation
    view: RunView
    newest: gr.State
    based: gr.State
    trained: Trained
    space: SpaceEnd
    history: History


def build() -> TrainTab:
    """Lay out the Train tab."""
    empty = gr.HTML(t("train.empty.project"), elem_id="train-empty", elem_classes="empty")
    go = gr.Button(t("train.go"), variant="primary", visible=False, elem_id="train-go")
    with gr.Column(visible=False) as body:
        gr.Markdown(t("train.intro"))
        options = _options()
        picker = places.build("train")
        machine = gr.HTML(elem_id="train-machine")
        form = _parameters()
        doctor, examining = train_doctor.build()
        check = gr.HTML(elem_id="train-check")
        start = gr.Button(t("train.start"), variant="primary", interactive=False, elem_id="train-start")
        confirm = places.build_confirmation("train")
    view = run_view.build("train")
    trained, space, history = train_result.build(), train_space.build(), train_history.build()
    return TrainTab(
        *(empty, go, body, options, picker, machine, form, doctor, examining, check, start, confirm, view),
        *(gr.State(""), gr.State(""), trained, space, history),
    )


def _options() -> ParameterForm:
    with gr.Row(elem_classes="form-row"):
        dataset = gr.Dropdown(
            [], label=t("train.dataset"), info=t("train.dataset.help"), elem_id="train-dataset", min_width=220
        )
        base_model = control(TrainOptions, "train", "base_model", choices=[])
        name = control(TrainOptions, "train", "project_name")
    names = [(each.called, each.name) for each in algorithms().values()]
    algorithm = gr.Dropdown(
        names,
        value=TrainOptions().algorithm,
        label=t("train.algorithm"),
        info=t("train.algorithm.help"),
        visible=len(names) > 1,
        elem_id="train-algorithm",
    )
    chosen = {"dataset": dataset, "base_model": base_model, "project_name": name, "algorithm": algorithm}
    return ParameterForm(TrainOptions, chosen)


def _parameters() -> ParameterForm:
    """Lay out the hyperparameters of the default algorithm, and those that others have besides, hidden."""
    first = algorithm_of(TrainOptions().algorithm).params
    form = parameter_form(first, "train", folded=["optimizer", "lengths", "adapter", "output"])
    components = dict(form.components)
    for algorithm in algorithms().values():
        own = [name for name in algorithm.params.model_fields if name not in components]
        if own:
            with gr.Row(elem_classes="form-row"):
                components |= {name: control(algorithm.params, "train", name, visible=False) for name in own}
    return ParameterForm(first, components)


def wire(tab: TrainTab, wiring: Wiring, page: Page) -> None:
    """Connect the Train tab."""
    wiring = wiring.within(_=tab)
    looked_at = page.looks("train")
    wiring.on(page.shows(), opened, "page.project", [*CHOICES, *OPENED])
    wiring.on(page.items["train"].select, again, ["page.project", "options.dataset", "newest", "based"], CHOICES)
    wiring.on(tab.go.click, left, "page.project", "page.tabs")

    still = ("page.project", "doctor.key")
    controls = [wiring.parts[name] for name in wiring.names(INPUTS) if name not in still]
    others = [*looked_at, tab.view.ended.change, tab.examining.ended.change, page.account.change]
    checks = [*(each.change for each in controls), *others]
    wiring.on(checks, checked, INPUTS, ["check", "start", "machine", "doctor.*", *places.SHOWN], CHECK)
    places.wire(wiring, INPUTS, ["view.run", "options.project_name", *train_history.DRAWN], press=pressed, pay=paid)
    own = [f"form.{name}" for name in _own_fields()]
    wiring.on(wiring.parts["options.algorithm"].change, algorithm_chosen, "options.algorithm", own)
    wiring.on(wiring.parts["form.lora"].change, adapted, "form.lora", [f"form.{name}" for name in ADAPTER])

    run_view.wire(tab.view, wiring)
    _wire_doctor(tab, wiring)
    wiring.on(tab.view.drawn.change, drawn, "view.run", ["trained.*", *train_space.DRAWN])
    train_space.wire(wiring)
    train_history.wire(wiring)
    wiring.on(tab.trained.evaluate.click, to_evaluate, "view.run", ["page.tabs", "page.model"])


def _wire_doctor(tab: TrainTab, wiring: Wiring) -> None:
    run_view.wire(tab.examining, wiring)
    wiring.on(tab.doctor.examine.click, examine, INPUTS, ["examining.run", "doctor.examine"])
    picks = [choice.input for choice in tab.doctor.choices.values()]
    wiring.on(picks, cut_otherwise, INPUTS, ["doctor.choices.*", *(f"form.{name}" for name in train_doctor.LENGTHS)])


OPENED = ("options.project_name", "view.run", "examining.run", "hardware.where")


def opened(visit: Visit, given: Given) -> Update:
    """Show a project's choices and its latest training."""
    project = visit.project_or_none(given["page.project"])
    latest = visit.ledger.latest(project.name, "train") if project else None
    base = project.read().base_model if project else TrainOptions().base_model
    return {
        **places.allowed(visit, "train"),
        **_chosen(visit, project, base=base),
        "options.project_name": _free_name(visit, project),
        "view.run": latest.id if latest else "",
        "examining.run": train_doctor.under_way(visit, project),
    }


def again(visit: Visit, given: Given) -> Update:
    """Look again at what can be chosen, when the tab is opened."""
    if not given["page.project"]:  # the page is still loading: what opens the project must not be undone
        return {}
    project = visit.project(given["page.project"])
    base = project.read().base_model  # the Filter tab may have changed it
    other = base if base != given["based"] else None
    return _chosen(visit, project, given["options.dataset"] or "", given["newest"], other)


def left(visit: Visit, given: Given) -> Update:
    """Go to the tab where what is missing is made."""
    return {"page.tabs": gr.update(selected="export" if given["page.project"] else "dataset")}


def checked(visit: Visit, given: Given) -> Update:
    """Say what would happen, whether it can be started, and which hardware fits."""
    updates = {"machine": gr.update(value=train_check.machine_line(), visible=carrier_of(given["hardware.where"]).here)}
    idle = {**updates, "start": gr.update(interactive=False), **places.show(given, Need())}
    idle |= prefixed("doctor.", train_doctor.hidden())
    project = visit.project_or_none(given["page.project"])
    if project is None:
        return {**idle, "check": ""}
    try:
        options, params, where = _read(visit, given)
    except ValidationError as error:
        return {**idle, "check": wrong_values(error, "train")}
    except StudioError as error:
        return {**idle, "check": notices([error.message], bad=True)}
    refusal = None if where.remote else visit.refusal(COMPUTE)
    if refusal is not None:
        return {**idle, "check": notices([refusal], bad=True)}
    found = check.preflight(visit.ledger, project, options, params, where=where)
    latest = visit.ledger.latest(project.name, "train")
    queued = latest is not None and latest.active and not where.remote
    label = "train.start.job" if where.remote else "train.start.also" if queued else "train.start"
    button = gr.update(
        interactive=not found.blockers,
        value=say(label),
        # With a model there, evaluating it is what comes next.
        variant="secondary" if queued or (latest and latest.state is State.SUCCEEDED) else "primary",
    )
    fitting = places.show(given, job.need(params, found.numbers.memory))
    pairs = found.numbers.pairs + found.numbers.left_out
    report = kept.report(project, options, params) if pairs else None
    examined = train_doctor.draw(report, pairs, options, given, bool(train_doctor.under_way(visit, project)))
    shown = {"check": train_check.summary(found, params), **prefixed("doctor.", examined)}
    return {**updates, **shown, "start": button, **fitting}


def examine(visit: Visit, given: Given) -> Update:
    """Have the pairs examined, by a run: there are many."""
    project = visit.project(given["page.project"])
    options, params, _ = _read(visit, given)
    run = runs.start(visit.ledger, project, options, params)
    return {"examining.run": run.id, "doctor.examine": gr.update(visible=False)}


def cut_otherwise(visit: Visit, given: Given) -> Update:
    """Raise the lengths in the form, where that was chosen; other choices are a matter of the check."""
    project = visit.project(given["page.project"])
    options, params, _ = _read(visit, given)
    values, taken_back = train_doctor.raised(kept.report(project, options, params), given)
    if not values:
        return {}
    together = {name: values.get(name, getattr(params, name)) for name in train_doctor.LENGTHS}
    longest = together["max_prompt_length"] + together["max_completion_length"]
    together["block_size"] = max(together["block_size"], longest)
    return {**taken_back, **prefixed("form.", together)}


def pressed(visit: Visit, given: Given) -> Update:
    """Start a training, or ask first where it costs something."""
    return places.pressed(visit, given, ask, start)


def paid(visit: Visit, given: Given) -> Update:
    """Start a training that is paid for, as it was agreed to."""
    return places.paid(visit, given, ask, start)


def ask(visit: Visit, given: Given) -> Question | None:
    """Return what to ask before a run that is paid for; None for one that costs nothing, or that is running already."""
    project = visit.project(given["page.project"])
    options, params, where = _read(visit, given)
    if not where.remote or trainings.asked_already(visit.ledger, project, options, params, where):
        return None
    found = check.preflight(visit.ledger, project, options, params, where=where)
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
    shown = {say(f"train.confirm.{name}"): text for name, text in lines.items()}
    if planned.space:
        shown[say("hardware.fact.space")] = say("hardware.confirm.space_name", name=planned.space)
    return Question(planned.offer, shown, found.warnings)


def start(visit: Visit, given: Given) -> Update:
    """Start a training and show it."""
    project = visit.project(given["page.project"])
    options, params, where = _read(visit, given)
    if not where.remote:
        visit.require(COMPUTE)
    run = trainings.start(visit.ledger, project, options, params, where)
    shown = {"view.run": run.id, "options.project_name": _free_name(visit, project)}
    return shown | train_history.draw(visit, project)


def algorithm_chosen(visit: Visit, given: Given) -> Update:
    """Show the hyperparameters that the algorithm has."""
    there = algorithm_of(given["options.algorithm"]).params.model_fields
    return {f"form.{name}": gr.update(visible=name in there) for name in _own_fields()}


def _own_fields() -> list[str]:
    """Return the hyperparameters that not all algorithms have."""
    fields = [each.params.model_fields.keys() for each in algorithms().values()]
    every = dict.fromkeys(name for each in fields for name in each)
    return [name for name in every if not all(name in each for each in fields)]


def adapted(visit: Visit, given: Given) -> Update:
    """Let the adapter be set only where there is one."""
    return {f"form.{name}": gr.update(interactive=bool(given["form.lora"])) for name in ADAPTER}


def drawn(visit: Visit, given: Given) -> Update:
    """Draw what a run has besides its progress."""
    seen = look(visit.ledger, visit.run(given["view.run"]).id) if given["view.run"] else None
    return prefixed("trained.", train_result.draw(seen)) | train_space.draw(seen.run if seen else None)


def to_evaluate(visit: Visit, given: Given) -> Update:
    """Go on with the model of the run shown."""
    path = trainings.loaded_from(visit.run(given["view.run"]))
    return {"page.tabs": gr.update(selected="evaluate"), "page.model": (path, time.time())}


def _chosen(
    visit: Visit, project: Project | None, dataset: str = "", newest: str = "", base: str | None = None
) -> Update:
    """Return updates for what can be chosen, `CHOICES`: the empty state, exports, base models, history.

    Args:
        visit: Who asks.
        project: The project shown.
        dataset: The export chosen so far.
        newest: The newest export when that was chosen; a newer one is chosen now.
        base: Base model to choose; None leaves it.
    """
    exports = exported.names(project) if project else []
    if project is None or not exports:
        missing = "export" if project else "project"
        return {
            "empty": gr.update(value=escape(say(f"train.empty.{missing}")), visible=True),
            "go": gr.update(value=say("train.go.export" if project else "train.go.dataset"), visible=True),
            "body": gr.update(visible=False),
            "newest": "",
            "options.dataset": gr.update(choices=[], value=None),
            "based": "",
            **train_history.draw(visit, project),
        }
    chosen = dataset if dataset in exports and exports[0] == newest else exports[0]
    bases: dict[str, Any] = {"choices": _base_models(visit, project)} | ({} if base is None else {"value": base})
    return {
        "empty": gr.update(visible=False),
        "go": gr.update(visible=False),
        "body": gr.update(visible=True),
        "newest": exports[0],
        "options.dataset": gr.update(choices=exports, value=chosen),
        "options.base_model": gr.update(**bases),
        "based": project.read().base_model,
        **train_history.draw(visit, project),
    }


def _base_models(visit: Visit, project: Project) -> list[tuple[str, str]]:
    """Return what a training can start from without typing: the project's base model, the default, its own models."""
    names = dict.fromkeys([project.read().base_model, TrainOptions().base_model])
    # A training starts from the newest version of a model on the Hub.
    made = {model.path.partition("@")[0]: model.name for model in reversed(trainings.models(visit.ledger, project))}
    own = [(say("train.own", name=name), path) for path, name in reversed(made.items())]
    return [*((name, name) for name in names), *own]


def _free_name(visit: Visit, project: Project | None) -> str:
    """Return the default name of a model, numbered when the project has it."""
    default = TrainOptions().project_name
    if project is None:
        return default
    taken = (run for run in visit.ledger.list(project=project.name, kind="train") if run.active or run.place in RENTED)
    used = {str(spec_of(run).get("project_name")) for run in taken}
    number, name = 1, default
    while name in used or (project.models / name).exists():
        number += 1
        name = f"{default}-{number}"
    return name


def _read(visit: Visit, given: Given) -> tuple[TrainOptions, TrainParams, JobOptions]:
    """Return what a run is made of.

    Raises:
        ValidationError: A value is out of bounds.
        StudioError: The base model is a folder of somebody else.
    """
    options = TrainOptions.model_validate({name: value or "" for name, value in under(given, "options.").items()})
    options = options.model_copy(update={"remedies": train_doctor.chosen(given, options)})
    visit.model(options.base_model)
    fields = algorithm_of(options.algorithm).params
    values = {name: value for name, value in under(given, "form.").items() if name in fields.model_fields}
    return options, fields.model_validate(values), places.read(given)
