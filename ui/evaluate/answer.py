"""The answer box of the Evaluate tab: one typed prompt, answered by the base and the trained model side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipeline.evaluate import evaluations
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.options import AnswerOptions
from pipeline.runs.ledger import Run
from pipeline.runs.spec import spec_of
from pipeline.runs.view import fold
from pipeline.visit import COMPUTE, Visit
from ui.handlers import BUSY, Given, Update, Wiring, under
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm, parameter_form
from ui.parts.run_view import RunView
from ui.text import say, t

ROLES = (BASE, TUNED)


@dataclass(frozen=True)
class AnswerBox:
    """Components of the answer box.

    Attributes:
        answers: One text box per role.
    """

    prompt: gr.Textbox
    form: ParameterForm
    ask: gr.Button
    view: RunView
    asked: gr.Textbox
    answers: dict[str, gr.Textbox]


def build() -> AnswerBox:
    """Lay out the answer box."""
    gr.Markdown(t("answer.title"))
    prompt = gr.Textbox(
        label=t("answer.prompt"),
        placeholder=t("answer.placeholder"),
        lines=3,
        max_lines=12,
        elem_id="answer-prompt",
    )
    with gr.Accordion(t("answer.settings"), open=False):
        form = parameter_form(AnswerOptions, "answer", only=["max_new_tokens", "temperature"])
    ask = gr.Button(t("answer.ask"), elem_id="answer-ask")
    view = run_view.build("answer")
    asked = gr.Textbox(label=t("answer.asked"), interactive=False, visible=False, max_lines=6, elem_id="answer-asked")
    answers = {}
    with gr.Row():
        for role in ROLES:
            answers[role] = gr.Textbox(
                label=t(f"answer.{role}"),
                lines=6,
                max_lines=16,
                interactive=False,
                visible=False,
                min_width=320,
                buttons=["copy"],
                elem_id=f"answer-{role}",
            )
    return AnswerBox(prompt, form, ask, view, asked, answers)


def wire(box: AnswerBox, wiring: Wiring, page: Page) -> None:
    """Connect the answer box, which the tab calls `answer`.

    Args:
        box: Its components.
        wiring: Knows the tab's parts.
        page: Says when a project is shown.
    """
    inputs = ["page.project", "answer.prompt", "models.base", "models.tuned", "answer.form.*"]
    wiring.on(box.ask.click, asked, inputs, "answer.view.run", BUSY)
    wiring.on(page.shows(), opened, "page.project", ["answer.view.run", "answer.prompt", "answer.ask"])
    run_view.wire(box.view, wiring)
    wiring.on(box.view.drawn.change, drawn, "answer.view.run", ["answer.asked", "answer.answers.*"])


def asked(visit: Visit, given: Given) -> Update:
    """Let both models answer the prompt."""
    project = visit.project(given["page.project"])
    options = AnswerOptions.model_validate(under(given, "answer.form."))
    base, tuned = given["models.base"], given["models.tuned"] or ""
    models = ({BASE: visit.model(base)} if base else {}) | {TUNED: visit.model(tuned)}
    visit.require(COMPUTE)
    run = evaluations.answer(visit.ledger, project, models, given["answer.prompt"] or "", options)
    return {"answer.view.run": run.id}


def opened(visit: Visit, given: Given) -> Update:
    """Show a project's latest answers."""
    project = visit.project_or_none(given["page.project"])
    latest = visit.ledger.latest(project.name, "answer") if project else None
    shown = {"answer.view.run": latest.id if latest else ""}
    refusal = visit.refusal(COMPUTE)
    if refusal is None:
        return shown
    return {**shown, "answer.prompt": gr.update(info=str(refusal)), "answer.ask": gr.update(interactive=False)}


def drawn(visit: Visit, given: Given) -> Update:
    """Draw the prompt asked and the answers so far."""
    if not given["answer.view.run"]:
        hidden = gr.update(visible=False)
        return {"answer.asked": hidden, **{f"answer.answers.{role}": hidden for role in ROLES}}
    run = visit.run(given["answer.view.run"])
    spec, folded = spec_of(run), fold(run)
    prompt = "\n\n".join(message["content"] for message in spec.get("messages", []))
    names = {model["role"]: model["name"] for model in spec.get("models", [])}
    found = {result["role"]: result for result in folded.results}
    return {
        "answer.asked": gr.update(value=prompt, visible=True),
        **{
            f"answer.answers.{role}": _answer(run, role, names[role], found.get(role))
            if role in names
            else gr.update(visible=False)
            for role in ROLES
        },
    }


def _answer(run: Run, role: str, name: str, result: dict[str, Any] | None) -> Any:
    if result is None:
        words = say("answer.waiting" if run.active else "answer.none")
        return gr.update(value=words, label=say(f"answer.{role}.of", name=name), visible=True)
    label = say(f"answer.{role}.done", name=name, tokens=result["tokens"], seconds=f"{float(result['seconds']):.1f}")
    return gr.update(value=str(result["text"]) or say("answer.empty"), label=label, visible=True)
