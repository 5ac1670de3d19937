"""The answer box of the Evaluate tab: one typed prompt, answered by the base and the trained model side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base.project import find
from pipeline.evaluate import evaluations
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.options import AnswerOptions
from pipeline.runs.spec import spec_of
from pipeline.runs.view import View
from pipeline.studio import Studio
from ui.handlers import BUSY, QUIET, handle
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


def build(studio: Studio) -> AnswerBox:
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


def wire(box: AnswerBox, studio: Studio, page: Page, models: dict[str, Component]) -> None:
    """Connect the answer box.

    Args:
        box: Its components.
        studio: Names the ledger.
        page: Gives the project.
        models: The control that holds each role's model.
    """

    def ask(name: str, prompt: str, base: str | None, tuned: str | None, *values: Any) -> str:
        options = box.form.read(values)
        assert isinstance(options, AnswerOptions)
        asked = ({BASE: base} if base else {}) | {TUNED: tuned or ""}
        return evaluations.answer(studio.ledger, find(studio.home, name), asked, prompt or "", options).id

    def opened(name: str) -> str:
        latest = studio.ledger.latest(name, "answer") if name else None
        return latest.id if latest else ""

    inputs = [page.project, box.prompt, models[BASE], models[TUNED], *box.form.inputs]
    box.ask.click(handle(ask), inputs, [box.view.run], **BUSY)
    page.project.change(handle(opened), [page.project], [box.view.run], **QUIET)
    run_view.wire(box.view, studio, also=_draw, also_outputs=[box.asked, *box.answers.values()])


def _draw(seen: View | None) -> list[Any]:
    """Return updates for the prompt asked and the answers so far."""
    if seen is None:
        return [gr.update(visible=False)] * (1 + len(ROLES))
    asked = spec_of(seen.run)
    prompt = "\n\n".join(message["content"] for message in asked.get("messages", []))
    names = {model["role"]: model["name"] for model in asked.get("models", [])}
    found = {result["role"]: result for result in seen.folded.results}
    return [
        gr.update(value=prompt, visible=True),
        *(
            _answer(seen, role, names[role], found.get(role)) if role in names else gr.update(visible=False)
            for role in ROLES
        ),
    ]


def _answer(seen: View, role: str, name: str, result: dict[str, Any] | None) -> Any:
    if result is None:
        words = say("answer.waiting" if seen.run.active else "answer.none")
        return gr.update(value=words, label=say(f"answer.{role}.of", name=name), visible=True)
    label = say(f"answer.{role}.done", name=name, tokens=result["tokens"], seconds=f"{float(result['seconds']):.1f}")
    return gr.update(value=str(result["text"]) or say("answer.empty"), label=label, visible=True)
