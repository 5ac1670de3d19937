"""The plan of a review: its form, and what it says once people review by it."""

from __future__ import annotations

import gradio as gr
from markupsafe import Markup

from pipeline.review.plan import ReviewPlan
from ui.handlers import Update
from ui.parts.forms import ParameterForm, parameter_form
from ui.text import has, say, t

FIRST = ["dataset_name", "min_submitted"]
QUESTIONS = ["relevance_title", "relevance_description", "preference_title", "preference_description"]
FORM = (*FIRST, "guidelines", *QUESTIONS, "metadata", "workspace")  # fields that have a control


def build() -> ParameterForm:
    """Lay out the form: what most people change first, the questions and the rest folded."""
    first = parameter_form(ReviewPlan, "review", only=FIRST).components
    first |= parameter_form(ReviewPlan, "review", only=["guidelines"]).components
    with gr.Accordion(t("review.group.questions"), open=False, elem_id="review-questions"):
        first |= parameter_form(ReviewPlan, "review", only=QUESTIONS).components
    with gr.Accordion(t("review.group.more"), open=False, elem_id="review-more"):
        choices = {"metadata": list(ReviewPlan.model_fields["metadata"].get_default())}
        first |= parameter_form(ReviewPlan, "review", only=["metadata", "workspace"], choices=choices).components
    return ParameterForm(ReviewPlan, first)


def show(plan: ReviewPlan) -> Update:
    """Return updates that put a plan into the form, by field."""
    updates = {name: gr.update(value=getattr(plan, name)) for name in FORM}
    choices = [(called(name), name) for name in dict.fromkeys(["source", *plan.lengths, *plan.metadata])]
    return {**updates, "metadata": gr.update(choices=choices, value=list(plan.metadata))}


def called(name: str) -> str:
    """Return what a piece of metadata is called; a column of the dataset keeps its name."""
    return say(f"review.metadata.{name}") if has(f"review.metadata.{name}") else name


def said(plan: ReviewPlan) -> Markup:
    """Return a plan as HTML."""
    items = {
        "dataset_name": plan.dataset_name,
        "workspace": plan.workspace,
        "min_submitted": str(plan.min_submitted),
        "fields": ", ".join(plan.titles.values()),
        "relevance_title": f"{plan.relevance_title} (1–5)",
        "preference_title": plan.preference_title,
        "metadata": ", ".join(map(called, plan.metadata)),
        "guidelines": plan.guidelines,
    }
    row = Markup("<dt>{}</dt><dd class='kept-lines'>{}</dd>")
    inside = Markup("").join(row.format(say(f"review.{key}"), value) for key, value in items.items())
    return Markup('<dl class="facts">{}</dl>').format(inside)
