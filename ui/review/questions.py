"""The editor of a review's own questions: label, multi-label, rating, ranking, text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup
from pydantic import ValidationError

from pipeline.review.plan import ReviewPlan
from pipeline.review.questions import Question, free_name
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring
from ui.parts.forms import control
from ui.parts.notice import line, wrong_values
from ui.text import say, t

FIELDS = ("kind", "title", "description", "points", "required")
NEW = ""


@dataclass(frozen=True)
class QuestionEditor:
    """The editor.

    Attributes:
        held: State with the questions there are, as the plan has them.
        which: The one in the fields; `NEW` for one more.
        options: One on each line.
    """

    held: gr.State
    shown: gr.HTML
    which: gr.Dropdown
    fields: dict[str, Component]
    options: gr.Textbox
    put: gr.Button
    remove: gr.Button
    problem: gr.HTML


DRAWN = ("held", "shown", "which", "fields.*", "options", "problem")


def build() -> QuestionEditor:
    """Lay out the editor."""
    held = gr.State([])
    shown = gr.HTML(elem_id="question-list", padding=False)
    which = gr.Dropdown([], label=t("question.which"), elem_id="question-which")
    fields = {name: control(Question, "question", name) for name in FIELDS}
    options = gr.Textbox(label=t("question.options.label"), info=t("question.options.help"), lines=3, max_lines=12)
    options.elem_id = "question-options"
    problem = gr.HTML(elem_id="question-problem", padding=False)
    with gr.Row():
        put = gr.Button(t("question.put"), size="sm", elem_id="question-put")
        remove = gr.Button(t("question.remove"), size="sm", elem_id="question-remove")
    return QuestionEditor(held, shown, which, fields, options, put, remove, problem)


def wire(editor: QuestionEditor, wiring: Wiring) -> None:
    """Connect the editor."""
    own = wiring.within(_=editor)
    known = ["held", "which", "fields.*", "options"]
    own.on(editor.put.click, put, known, DRAWN)
    own.on(editor.remove.click, remove, ["held", "which"], DRAWN)
    own.on(editor.which.input, choose, ["held", "which"], DRAWN)


def put(visit: Visit, given: Given) -> Update:
    """Put what the fields hold among the questions: as one more, or in place of the one chosen."""
    held = _questions(given)
    values: dict[str, Any] = {name: given[f"fields.{name}"] for name in FIELDS}
    values["options"] = str(given["options"] or "").splitlines()
    if values["kind"] in ("rating", "text"):
        values["options"] = []
    name = given["which"] or free_name(values["title"] or "", [each.name for each in held])
    try:
        question = Question.model_validate({**values, "name": name})
        there = {each.name: each for each in held} | {name: question}
        return _drawn(list(there.values()), NEW)
    except ValidationError as error:
        return {"problem": wrong_values(error, "question")}


def remove(visit: Visit, given: Given) -> Update:
    """Take the chosen question away."""
    return _drawn([each for each in _questions(given) if each.name != given["which"]], NEW)


def choose(visit: Visit, given: Given) -> Update:
    """Put the chosen question into the fields."""
    return _drawn(_questions(given), given["which"] or NEW)


def show(plan: ReviewPlan) -> Update:
    """Return updates that show a plan's questions."""
    return _drawn(plan.questions, NEW)


def _questions(given: Given) -> list[Question]:
    return [Question.model_validate(each) for each in given["held"]]


def _drawn(questions: list[Question], which: str) -> Update:
    """Return updates that show the questions, one of them in the fields."""
    chosen = next((each for each in questions if each.name == which), None)
    blank = {name: Question.model_fields[name].get_default() for name in FIELDS} | {"title": ""}
    values = {name: getattr(chosen, name) for name in FIELDS} if chosen else blank
    choices = [(say("question.new"), NEW), *((each.title, each.name) for each in questions)]
    return {
        "held": [each.model_dump(mode="json") for each in questions],
        "shown": said(questions),
        "which": gr.update(choices=choices, value=which),
        **{f"fields.{name}": gr.update(value=value) for name, value in values.items()},
        "options": "\n".join(chosen.options) if chosen else "",
        "problem": "",
    }


def said(questions: list[Question]) -> Markup:
    """Return questions as HTML."""
    if not questions:
        return line(say("question.none"))
    item = Markup("<li><b>{}</b> · {}{}{}</li>")
    items = Markup("").join(
        item.format(
            each.title,
            say(f"question.kind.{each.kind}"),
            f": {', '.join(each.options)}" if each.options else f" 1–{each.points}" if each.kind == "rating" else "",
            "" if each.required else f" · {say('question.optional')}",
        )
        for each in questions
    )
    return Markup("<ul>{}</ul>").format(items)
