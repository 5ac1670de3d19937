"""The plan of a review: its form, and what it says once people review by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import gradio as gr
from markupsafe import Markup

from pipeline.base import words
from pipeline.review.plan import ReviewPlan, texts
from ui.handlers import Update
from ui.parts.forms import ParameterForm, parameter_form
from ui.review import questions as review_questions
from ui.review.questions import QuestionEditor
from ui.text import has, say, t

FIRST = ["dataset_name", "min_submitted", "pairs"]
SEEN = ["layout", "language"]
QUESTIONS = ["relevance", "relevance_title", "relevance_description", "preference_title", "preference_description"]
FORM = (*FIRST, *SEEN, "guidelines", *QUESTIONS, "columns", "metadata", "workspace")  # fields that have a control


def build() -> tuple[ParameterForm, QuestionEditor]:
    """Lay out the form: what most people change first, the questions and the rest folded."""
    first = parameter_form(ReviewPlan, "review", only=FIRST).components
    choices = {"language": words.languages()}
    first |= parameter_form(ReviewPlan, "review", only=SEEN, choices=choices).components
    first |= parameter_form(ReviewPlan, "review", only=["guidelines"]).components
    with gr.Accordion(t("review.group.questions"), open=False, elem_id="review-questions"):
        first |= parameter_form(ReviewPlan, "review", only=QUESTIONS).components
        gr.Markdown(t("question.about"))
        editor = review_questions.build()
    with gr.Accordion(t("review.group.more"), open=False, elem_id="review-more"):
        choices = {"metadata": list(ReviewPlan.model_fields["metadata"].get_default()), "columns": []}
        rest = ["columns", "metadata", "workspace"]
        first |= parameter_form(ReviewPlan, "review", only=rest, choices=choices).components
    return ParameterForm(ReviewPlan, first), editor


def show(plan: ReviewPlan, columns: Iterable[str]) -> Update:
    """Return updates that put a plan into the form, by field.

    Args:
        plan: The plan.
        columns: The dataset's other columns.
    """
    updates = {name: gr.update(value=getattr(plan, name)) for name in FORM}
    names = dict.fromkeys(["source", *plan.lengths, *columns, *plan.metadata])
    return {
        **updates,
        "metadata": gr.update(choices=[(called(name), name) for name in names], value=list(plan.metadata)),
        "columns": gr.update(choices=list(dict.fromkeys([*columns, *plan.columns])), value=list(plan.columns)),
    }


def spoken(language: str, shown: Mapping[str, str]) -> Update:
    """Return updates that say in another language what nobody has worded anew.

    Args:
        language: The language chosen.
        shown: Guidelines and question texts as they stand in the form.
    """
    ours = {name: {texts(each)[name] for each in words.languages()} for name in shown}
    fresh = texts(language) if language in words.languages() else {}
    return {name: text for name, text in fresh.items() if shown.get(name) in ours.get(name, ())}


def called(name: str) -> str:
    """Return what a piece of metadata is called; a column of the dataset keeps its name."""
    return say(f"review.metadata.{name}") if has(f"review.metadata.{name}") else name


def said(plan: ReviewPlan) -> Markup:
    """Return a plan as HTML."""
    items = {
        "dataset_name": plan.dataset_name,
        "workspace": plan.workspace,
        "min_submitted": str(plan.min_submitted),
        "fields": ", ".join([*plan.titles.values(), *plan.columns]),
        "layout": say(f"review.layout.{plan.layout}"),
        "relevance_title": f"{plan.relevance_title} (1–5) · {say(f'review.relevance.{plan.relevance}')}",
        "preference_title": plan.preference_title,
        "metadata": ", ".join(map(called, plan.metadata)),
        "guidelines": plan.guidelines,
    }
    row = Markup("<dt>{}</dt><dd class='kept-lines'>{}</dd>")
    inside = Markup("").join(row.format(say(f"review.{key}"), value) for key, value in items.items())
    if plan.questions:
        inside += row.format(say("question.more"), review_questions.said(plan.questions))
    return Markup('<dl class="facts">{}</dl>').format(inside)
