"""The Evaluate tab: base and trained model on the same tasks, what the scores say, and both answering one prompt."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.evaluate import check as evaluate_check
from pipeline.evaluate import evaluations
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import tasks
from pipeline.evaluate.tasks.reviewed_pairs import REVIEWED
from pipeline.evaluate.tasks.truthfulqa import TRUTHFULQA
from pipeline.export import exported
from pipeline.hardware.flavors import Need
from pipeline.hardware.pricing import JobOptions, user
from pipeline.hub import store
from pipeline.runs.ledger import Run, State
from pipeline.visit import COMPUTE, Visit
from ui.evaluate import answer
from ui.evaluate import card as evaluate_card
from ui.evaluate import check as evaluate_summary
from ui.evaluate import models as evaluate_models
from ui.evaluate import result as evaluate_result
from ui.evaluate.answer import AnswerBox
from ui.evaluate.card import CardBox
from ui.evaluate.models import ModelPickers
from ui.evaluate.table import SAMPLE
from ui.handlers import BUSY, CHECK, Given, Update, Wiring, under, uploaded
from ui.page import Page
from ui.parts import hardware, run_view
from ui.parts.forms import ParameterForm, parameter_form
from ui.parts.hardware import Confirmation, HardwarePicker, Question
from ui.parts.notice import notice, notices, wrong_values
from ui.parts.run_view import RunView
from ui.text import say, t

HUB, FILE, BUNDLED = "hub", "file", "bundled"
SPEED = ["max_samples", "batch_size", "dtype"]
TASKS = ("reviewed", "dataset", "truthful", "more", "source", "file")
INPUTS = ("page.project", "models.*", *TASKS, "form.*", *hardware.INPUTS)  # what an evaluation is made of


@dataclass(frozen=True)
class EvaluateTab:
    """Components of the Evaluate tab."""

    empty: gr.HTML
    body: gr.Column
    models: ModelPickers
    reviewed: gr.Checkbox
    dataset: gr.Dropdown
    truthful: gr.Checkbox
    source: gr.Radio
    more: gr.CheckboxGroup
    file_box: gr.Row
    file: gr.Textbox
    upload: gr.UploadButton
    form: ParameterForm
    hardware: HardwarePicker
    check: gr.HTML
    start: gr.Button
    confirm: Confirmation
    view: RunView
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


def build() -> EvaluateTab:
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
        box = answer.build()
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
                    label=t("evaluate.upload"),  # type: ignore[arg-type]  # translated as every other button's
                    file_types=[".parquet", ".jsonl", ".json", ".csv"],
                    size="sm",
                    scale=1,
                    min_width=120,
                    elem_id="evaluate-upload",
                )
    others = [(task.called, name) for name, task in tasks().items() if task not in (REVIEWED, TRUTHFULQA)]
    parts["more"] = gr.CheckboxGroup(
        others, value=[], label=t("evaluate.more"), visible=bool(others), elem_id="evaluate-more"
    )
    return parts


def wire(tab: EvaluateTab, wiring: Wiring, page: Page) -> None:
    """Connect the Evaluate tab."""
    wiring = wiring.within(_=tab)
    _wire_choice(tab, wiring, page)
    looks = [*page.looks("evaluate"), page.account.change, tab.view.run.change, tab.view.ended.change]
    controls = [wiring.parts[name] for name in wiring.names(INPUTS) if name != "page.project"]
    checks = [*(each.change for each in controls), *looks]
    wiring.on(checks, checked, INPUTS, ["check", "start", *hardware.SHOWN], CHECK)
    hardware.wire(wiring, INPUTS, ["view.run"], press=pressed, pay=paid)
    wiring.on(tab.upload.upload, taken, ["page.project", "upload"], "file", BUSY)

    run_view.wire(tab.view, wiring)
    results = [*evaluate_result.DRAWN, *evaluate_card.DRAWN, *evaluate_result.PAST]
    wiring.on(tab.view.drawn.change, drawn, ["page.project", "view.run"], results)
    evaluate_card.wire(wiring)
    wiring.on(tab.history.select, selected, "page.project", "view.run", event=gr.SelectData)
    answer.wire(tab.answer, wiring, page)


def _wire_choice(tab: EvaluateTab, wiring: Wiring, page: Page) -> None:
    pickers = evaluate_models.CHOICES
    fresh = ["empty", "body", *pickers, "view.run", *evaluate_result.PAST, "hardware.where"]
    wiring.on(page.project.change, opened, "page.project", fresh)
    chosen = ["page.project", "models.tuned"]
    wiring.on(page.items["evaluate"].select, again, chosen, pickers)
    wish = ["page.project", "page.model"]
    wiring.on(page.model.change, wanted, wish, pickers)
    if page.built:  # the wish may be what the tab was opened with
        wiring.on(wiring.on(page.built, opened, "page.project", fresh), wanted, wish, pickers)
    wiring.on(tab.models.tuned.input, picked, chosen, [name for name in pickers if name != "models.tuned"])
    evaluate_models.wire(wiring)
    wiring.on(tab.source.change, source_chosen, "source", "file_box")
    wiring.on([tab.reviewed.change, tab.truthful.change], toggled, ["reviewed", "truthful"], ["dataset", "source"])


def opened(visit: Visit, given: Given) -> Update:
    """Show a project's choices and its latest evaluation."""
    project = visit.project_or_none(given["page.project"])
    latest = visit.ledger.latest(project.name, "evaluate") if project else None
    return {
        **hardware.allowed(visit, "evaluate"),
        "empty": gr.update(visible=project is None),
        "body": gr.update(visible=project is not None),
        **evaluate_models.choices(visit, project),
        "view.run": latest.id if latest else "",
        **_history(visit, project),
    }


def again(visit: Visit, given: Given) -> Update:
    """Look again at what can be chosen, when the tab is opened."""
    if not given["page.project"]:  # the page is still loading: what opens the project must not be undone
        return {}
    tuned = given["models.tuned"]
    updates = evaluate_models.choices(visit, visit.project(given["page.project"]), tuned or "")
    model = updates["models.tuned"]
    if model["value"] in (None, tuned):  # nothing new to choose: what is being typed now stays
        del model["value"]
    return updates


def wanted(visit: Visit, given: Given) -> Update:
    """Choose the model that another tab asked for."""
    if not given["page.model"]:
        return {}
    path, project = given["page.model"][0], visit.project_or_none(given["page.project"])
    return evaluate_models.choices(visit, project, visit.model(path or ""), change=True)


def picked(visit: Visit, given: Given) -> Update:
    """Let base model and export follow the trained model."""
    project = visit.project_or_none(given["page.project"])
    updates = evaluate_models.choices(visit, project, given["models.tuned"] or "", change=True)
    return {name: update for name, update in updates.items() if name != "models.tuned"}


def source_chosen(visit: Visit, given: Given) -> Update:
    """Ask for a file where the questions come from one."""
    return {"file_box": gr.update(visible=given["source"] == FILE)}


def toggled(visit: Visit, given: Given) -> Update:
    """Let a task be set only where it is chosen."""
    return {
        "dataset": gr.update(interactive=bool(given["reviewed"])),
        "source": gr.update(interactive=bool(given["truthful"])),
    }


def checked(visit: Visit, given: Given) -> Update:
    """Say what would be scored, whether it can be started, and which hardware fits."""
    idle = {"start": gr.update(interactive=False), **hardware.show(given, Need(gpu=False))}
    project = visit.project_or_none(given["page.project"])
    if project is None:
        return {**idle, "check": ""}
    if not given["reviewed"] and not given["truthful"] and not given["more"]:
        return {**idle, "check": notice(say("evaluate.no_task"))}
    if given["truthful"] and given["source"] == FILE and not given["file"]:
        return {**idle, "check": notice(say("evaluate.no_file"))}
    try:
        options, place = _read(visit, given)
    except ValidationError as error:
        return {**idle, "check": wrong_values(error, "evaluate")}
    except StudioError as error:
        return {**idle, "check": notices([error.message], bad=True)}
    refusal = None if place.remote else visit.refusal(COMPUTE)
    if refusal is not None:
        return {**idle, "check": notices([refusal], bad=True)}
    found = evaluate_check.preflight(visit.ledger, project, options, where=place)
    queued = bool(visit.ledger.list(project=project.name, kind="evaluate", active=True))
    latest = visit.ledger.latest(project.name, "evaluate")
    done_once = queued or (latest is not None and latest.state is State.SUCCEEDED)
    label = "evaluate.start.job" if place.remote else "evaluate.start.also" if queued else "evaluate.start"
    button = gr.update(
        interactive=not found.blockers,
        value=say(label),
        variant="secondary" if done_once else "primary",
    )
    fitting = hardware.show(given, found.numbers.need or Need(gpu=False))
    return {"check": evaluate_summary.summary(found, options), "start": button, **fitting}


def pressed(visit: Visit, given: Given) -> Update:
    """Start an evaluation, or ask first where it costs something."""
    return hardware.pressed(visit, given, ask, start)


def paid(visit: Visit, given: Given) -> Update:
    """Start an evaluation on a Job, as it was agreed to."""
    return hardware.paid(visit, given, ask, start)


def ask(visit: Visit, given: Given) -> Question | None:
    """Return what to ask before an evaluation on a Job; None for one that costs nothing."""
    project = visit.project(given["page.project"])
    options, where = _read(visit, given)
    found = evaluate_check.preflight(visit.ledger, project, options, where=where)
    found.stop_if_blocked()
    if found.numbers.offer is None:
        return None
    return Question(found.numbers.offer, _question(project, options), found.warnings)


def start(visit: Visit, given: Given) -> Update:
    """Start an evaluation and show it."""
    project = visit.project(given["page.project"])
    options, where = _read(visit, given)
    if not where.remote:
        visit.require(COMPUTE)
    return {"view.run": evaluations.start(visit.ledger, project, options, where).id}


def taken(visit: Visit, given: Given) -> Update:
    """Move an uploaded file out of the web server's folder into the project's, where later runs find it."""
    folder = visit.project(given["page.project"]).folder / "truthfulqa"
    cached = uploaded(given["upload"])
    folder.mkdir(mode=0o700, exist_ok=True)
    return {"file": str(shutil.move(cached, folder / cached.name))}


def drawn(visit: Visit, given: Given) -> Update:
    """Draw what a run has found so far."""
    run = visit.run(given["view.run"]) if given["view.run"] else None
    past = _history(visit, visit.project_or_none(given["page.project"]))
    return {**evaluate_result.draw(run), **evaluate_card.draw(run), **past}


def selected(visit: Visit, given: Given) -> Update:
    """Show the evaluation that was clicked on."""
    number = str(given["event"].row_value[0])
    run = next((run for run in _runs(visit, visit.project(given["page.project"])) if str(run.number) == number), None)
    if run is None:
        raise StudioError("run.none", run=number)
    return {"view.run": run.id}


def _runs(visit: Visit, project: Project) -> list[Run]:
    return visit.ledger.list(project=project.name, kind="evaluate")


def _history(visit: Visit, project: Project | None) -> Update:
    return evaluate_result.history(_runs(visit, project) if project else [])


def _read(visit: Visit, given: Given) -> tuple[EvaluateOptions, JobOptions]:
    """Return what an evaluation is made of.

    Raises:
        ValidationError: A value is out of bounds.
        StudioError: A model or the file with questions is somebody else's.
    """
    file = {HUB: None, FILE: given["file"], BUNDLED: str(SAMPLE)}[given["source"]]
    own = ((REVIEWED.name, given["reviewed"]), (TRUTHFULQA.name, given["truthful"]))
    chosen = [*(name for name, on in own if on), *(given["more"] or [])]
    models = under(given, "models.")
    options = EvaluateOptions.model_validate(
        {
            **under(given, "form."),
            "tuned": models["tuned"] or "",
            "base": models["base"] or "",
            "further": models["further"] or [],
            "tasks": chosen,
            "dataset": given["dataset"] or "",
            "truthfulqa_data": file if given["truthful"] else None,
        }
    )
    for name in options.models.values():
        visit.model(name)
    if options.truthfulqa_data is not None and given["source"] == FILE:
        visit.named_file(options.truthfulqa_data)
    return options, hardware.read(given)


def _question(project: Project, options: EvaluateOptions) -> dict[str, str]:
    """Return what a Job would read and where its results go, for the question before it is paid."""
    lines = {say("evaluate.confirm.models"): say("evaluate.comma").join(options.models.values())}
    data = []
    there = exported.published(project, options.dataset) if REVIEWED.name in options.tasks else None
    if there is not None:
        data.append(f"{there.repository}@{there.revision[:8]}")
    data += [task.repository for name, task in tasks().items() if name in options.tasks and task.reads_hub(options)]
    lines[say("evaluate.confirm.data")] = say("evaluate.comma").join(data)
    lines[say("evaluate.confirm.results")] = say("evaluate.confirm.store", name=store.name(user()))
    return lines
