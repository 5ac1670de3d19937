"""The plan of a review: its form, and what it says once people review by it."""

from __future__ import annotations

from html import escape
from typing import Any, get_args

import gradio as gr
from gradio.components import Component

from pipeline.review.plan import FIELDS, Metadata, ReviewPlan
from ui.parts.forms import ParameterForm, parameter_form
from ui.text import say, t


def build() -> ParameterForm:
    """Lay out the form: what most people change first, the questions and the rest folded."""
    first = parameter_form(ReviewPlan, "review", only=["dataset_name", "min_submitted"]).components
    first |= parameter_form(ReviewPlan, "review", only=["guidelines"]).components
    with gr.Accordion(t("review.group.questions"), open=False, elem_id="review-questions"):
        titles = ["relevance_title", "relevance_description", "preference_title", "preference_description"]
        first |= parameter_form(ReviewPlan, "review", only=titles).components
    with gr.Accordion(t("review.group.more"), open=False, elem_id="review-more"):
        choices = {"metadata": list(get_args(Metadata))}
        first |= parameter_form(ReviewPlan, "review", only=["metadata", "workspace"], choices=choices).components
    return ParameterForm(ReviewPlan, first)


def show(form: ParameterForm, plan: ReviewPlan) -> dict[Component, Any]:
    """Return updates that put a plan into the form."""
    updates = dict(zip(form.inputs, form.show(plan), strict=True))
    choices = [(say(f"review.metadata.{name}"), name) for name in get_args(Metadata)]
    updates[form.components["metadata"]] = gr.update(choices=choices, value=list(plan.metadata))
    return updates


def said(plan: ReviewPlan) -> str:
    """Return a plan as HTML, everything escaped."""
    items = {
        "dataset_name": plan.dataset_name,
        "workspace": plan.workspace,
        "min_submitted": str(plan.min_submitted),
        "fields": ", ".join(FIELDS.values()),
        "relevance_title": f"{plan.relevance_title} (1–5)",
        "preference_title": plan.preference_title,
        "metadata": ", ".join(say(f"review.metadata.{name}") for name in plan.metadata),
        "guidelines": plan.guidelines,
    }
    inside = "".join(
        f"<dt>{escape(say(f'review.{key}'))}</dt><dd class='kept-lines'>{escape(value)}</dd>"
        for key, value in items.items()
    )
    return f'<dl class="facts">{inside}</dl>'
