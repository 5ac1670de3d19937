"""The Train tab: choose an export and a base model, see what would happen, train, watch, take the model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline import hardware, train
from pipeline.export import exported
from pipeline.preflight import Preflight, spec_of
from pipeline.project import Project, find
from pipeline.runs.ledger import Run, State
from pipeline.runs.view import look
from pipeline.studio import Studio
from pipeline.train import OrpoParams, TrainNumbers, TrainOptions
from ui import run_view, train_result
from ui.forms import ParameterForm, control, parameter_form
from ui.handlers import BUSY, QUIET, handle
from ui.notice import facts, notices, wrong_values
from ui.page import Page
from ui.run_view import RunView, duration
from ui.text import say, t

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
    machine: gr.HTML
    form: ParameterForm
    check: gr.HTML
    start: gr.Button
    view: RunView
    newest: gr.State
    based: gr.State
    drawn: gr.State
    note: gr.HTML
    curves_box: gr.Column
    curves: dict[str, gr.LinePlot]
    result_box: gr.Column
    facts: gr.HTML
    snippet: gr.Code
    evaluate: gr.Button
    history_box: gr.Column
    history: gr.Dataframe

    @property
    def inputs(self) -> list[Component]:
        """All controls of a run, options first."""
        return [*self.options.inputs, *self.form.inputs]


def build(studio: Studio) -> TrainTab:
    """Lay out the Train tab."""
    empty = gr.HTML(t("train.empty.project"), elem_id="train-empty", elem_classes="empty")
    go = gr.Button(t("train.go"), variant="primary", visible=False, elem_id="train-go")
    with gr.Column(visible=False) as body:
        gr.Markdown(t("train.intro"))
        options = _options()
        machine = gr.HTML(elem_id="train-machine")
        form = parameter_form(OrpoParams, "train", folded=["optimizer", "lengths", "adapter", "output"])
        check = gr.HTML(elem_id="train-check")
        start = gr.Button(t("train.start"), variant="primary", interactive=False, elem_id="train-start")
    view = run_view.build("train")
    note = gr.HTML(visible=False, elem_id="train-note")
    with gr.Column(visible=False, elem_id="train-curves") as curves_box:
        curves = train_result.build_curves()
    with gr.Column(visible=False, elem_id="train-result") as result_box:
        gr.Markdown(t("train.result"))
        facts = gr.HTML(elem_id="train-facts")
        evaluate = gr.Button(t("train.evaluate"), variant="primary", elem_id="train-evaluate")
        with gr.Accordion(t("train.snippet"), open=False):
            snippet = gr.Code(
                language="python",
                interactive=False,
                show_label=False,
                lines=1,
                buttons=["copy"],
                elem_id="train-snippet",
            )
    with gr.Column(visible=False) as history_box:
        gr.Markdown(t("train.history"))
        history = gr.Dataframe(
            interactive=False,
            datatype="str",
            wrap=True,
            column_widths=train_result.WIDTHS,
            buttons=[],
            elem_id="train-history",
        )
    return TrainTab(
        empty,
        go,
        body,
        options,
        machine,
        form,
        check,
        start,
        view,
        gr.State(""),
        gr.State(""),
        gr.State(""),
        note,
        curves_box,
        curves,
        result_box,
        facts,
        snippet,
        evaluate,
        history_box,
        history,
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
    _wire_form(tab, studio, page)
    _wire_run(tab, studio, page)


def _wire_form(tab: TrainTab, studio: Studio, page: Page) -> None:
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

    def checked(name: str, *values: Any) -> list[Any]:
        return _checked(studio, tab, _project(studio, name), values)

    def start(name: str, *values: Any) -> list[Any]:
        project = find(studio.home, name)
        options, params = _read(tab, values)
        run = train.start(studio.ledger, project, options, params)
        return [run.id, _free_name(studio, project), *_history(studio, project)]

    chosen = [tab.empty, tab.go, tab.body, tab.machine, tab.newest, *_pickers(tab), tab.based]
    chosen += [tab.history_box, tab.history]
    name_field = tab.options.components["project_name"]
    page.project.change(handle(opened), [page.project], [*chosen, name_field, tab.view.run], **QUIET)
    again_inputs = [page.project, tab.options.components["dataset"], tab.newest, tab.based]
    page.items["train"].select(handle(again), again_inputs, chosen, **QUIET)
    check = [tab.check, tab.start]
    everything = [page.project, *tab.inputs]
    changes = [component.change for component in tab.inputs]
    gr.on([*changes, page.items["train"].select, tab.view.ended.change], handle(checked), everything, check, **CHECK)
    tab.start.click(handle(start), everything, [tab.view.run, name_field, tab.history_box, tab.history], **BUSY)
    tab.go.click(
        handle(lambda name: gr.Tabs(selected="export" if name else "dataset")), [page.project], [page.tabs], **QUIET
    )
    adapter = [tab.form.components[field] for field in ("lora_r", "lora_alpha", "lora_dropout", "merge_adapter")]
    tab.form.components["lora"].change(
        handle(lambda on: [gr.update(interactive=bool(on))] * len(adapter)),
        [tab.form.components["lora"]],
        adapter,
        **QUIET,
    )


def _wire_run(tab: TrainTab, studio: Studio, page: Page) -> None:
    def draw(run_id: str) -> list[Any]:
        return train_result.draw(look(studio.ledger, run_id) if run_id else None)

    def listed(name: str) -> list[Any]:
        return _history(studio, _project(studio, name))

    def select(name: str, event: gr.SelectData) -> str:
        return next(run.id for run in _runs(studio, name) if str(run.number) == event.row_value[0])

    def evaluate(run_id: str) -> list[Any]:
        result = studio.ledger.get(run_id).result or {}
        return [gr.Tabs(selected="evaluate"), (str(result["model_path"]), time.time())]

    run_view.wire(tab.view, studio, also=lambda seen: [train_result.key(seen)], also_outputs=[tab.drawn])
    outputs = [
        *(tab.note, tab.curves_box, *tab.curves.values()),
        *(tab.result_box, tab.facts, tab.snippet, tab.evaluate),
    ]
    tab.drawn.change(handle(draw), [tab.view.run], outputs, **QUIET)
    tab.drawn.change(handle(listed), [page.project], [tab.history_box, tab.history], **QUIET)
    tab.history.select(handle(select), [page.project], [tab.view.run], **QUIET)
    tab.evaluate.click(handle(evaluate), [tab.view.run], [page.tabs, page.model], **QUIET)


def _pickers(tab: TrainTab) -> list[Component]:
    return [tab.options.components["dataset"], tab.options.components["base_model"]]


def _project(studio: Studio, name: str) -> Project | None:
    return find(studio.home, name) if name else None


def _runs(studio: Studio, name: str) -> list[Run]:
    return studio.ledger.list(project=name, kind="train")


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
            "",
            gr.update(choices=[], value=None),
            gr.update(),
            "",
            *_history(studio, project),
        ]
    chosen = dataset if dataset in exports and exports[0] == newest else exports[0]
    return [
        gr.update(visible=False),
        gr.update(visible=False),
        gr.update(visible=True),
        machine_line(),
        exports[0],
        gr.update(choices=exports, value=chosen),
        gr.update(choices=_base_models(studio, project), **({} if base is None else {"value": base})),
        project.read().base_model,
        *_history(studio, project),
    ]


def _base_models(studio: Studio, project: Project) -> list[tuple[str, str]]:
    """Return what a training can start from without typing: the project's base model, the default, its own models."""
    names = dict.fromkeys([project.read().base_model, TrainOptions().base_model])
    own = [(say("train.own", name=model.name), str(model.path)) for model in train.models(studio.ledger, project)]
    return [*((name, name) for name in names), *own]


def machine_line() -> str:
    """Return what this machine has, as one line of HTML."""
    machine = hardware.this_machine()
    gpus = ", ".join(f"{gpu.name} ({hardware.size(gpu.memory)})" for gpu in machine.gpus) or say("train.no_gpu")
    words = say("train.machine", cpus=machine.cpus, memory=hardware.size(machine.memory), gpus=gpus)
    return f'<div class="run-line">{escape(words)}</div>'


def _free_name(studio: Studio, project: Project | None) -> str:
    """Return the default name of a model, numbered when the project has it."""
    default = TrainOptions().project_name
    if project is None:
        return default
    used = {str(spec_of(run).get("project_name")) for run in _runs(studio, project.name) if run.active}
    number, name = 1, default
    while name in used or (project.models / name).exists():
        number += 1
        name = f"{default}-{number}"
    return name


def _read(tab: TrainTab, values: tuple[Any, ...]) -> tuple[TrainOptions, OrpoParams]:
    count = len(tab.options.components)
    given = dict(zip(tab.options.components, values[:count], strict=True))
    options = TrainOptions.model_validate({name: value or "" for name, value in given.items()})
    params = tab.form.read(values[count:])
    assert isinstance(params, OrpoParams)
    return options, params


def _checked(studio: Studio, tab: TrainTab, project: Project | None, values: tuple[Any, ...]) -> list[Any]:
    """Return the summary of what would happen, and whether it can be started."""
    if project is None:
        return ["", gr.update(interactive=False)]
    try:
        options, params = _read(tab, values)
    except ValidationError as error:
        return [wrong_values(error, "train"), gr.update(interactive=False)]
    found = train.preflight(studio.ledger, project, options, params)
    latest = studio.ledger.latest(project.name, "train")
    queued = latest is not None and latest.active
    button = gr.update(
        interactive=not found.blockers,
        value=say("train.start.also" if queued else "train.start"),
        # With a model there, evaluating it is what comes next.
        variant="secondary" if queued or (latest and latest.state is State.SUCCEEDED) else "primary",
    )
    return [_summary(found, params), button]


def _summary(found: Preflight[TrainNumbers], params: OrpoParams) -> str:
    """Return what a check found as HTML: numbers, what stops the run, what to beware of."""
    numbers = found.numbers
    unit = say(f"train.unit.{'tokens' if numbers.unit == 'tokens' else 'words'}")
    step = params.batch_size * params.gradient_accumulation
    cuts = [
        say(f"train.cut.{name}", count=count, share=f"{count / numbers.pairs:.0%}")
        for name in ("prompts", "completions", "sequences")
        if (count := getattr(numbers, f"{name}_cut"))
    ]
    memory = say("train.memory.unknown")
    if numbers.memory is not None:
        total = hardware.size(hardware.this_machine().training_memory)
        memory = say("train.memory.about", need=hardware.size(numbers.memory), total=total)
    lines = {
        "pairs": f"{numbers.pairs:,}",
        "steps": say("train.steps.of", steps=f"{numbers.steps:,}", pairs=step, epochs=params.epochs)
        + (say("train.steps.unused", count=numbers.unused) if numbers.unused else ""),
        "longest": f"{numbers.longest:,} {unit}",
        "cuts": say("train.comma").join(cuts) or say("train.cut.none"),
        "memory": memory,
        "seconds": say("train.about", time=duration(numbers.seconds)) if numbers.seconds else say("train.time.unknown"),
    }
    shown = facts({say(f"train.fact.{name}"): value for name, value in lines.items()}) if numbers.pairs else ""
    return notices(found.blockers, "train", bad=True) + shown + notices(found.warnings, "train")


def _history(studio: Studio, project: Project | None) -> list[Any]:
    return train_result.history(_runs(studio, project.name) if project else [])
