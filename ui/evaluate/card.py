"""Scores on the model's card: what would be written is shown, one confirmation writes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.evaluate import evaluations, publish
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.publish import CardPlan
from pipeline.models import reference
from pipeline.runs.ledger import Run
from pipeline.studio import Studio
from ui.handlers import BUSY, QUIET, done, handle
from ui.parts.notice import facts, notice
from ui.parts.run_view import RunView
from ui.text import say, t


@dataclass(frozen=True)
class CardBox:
    """Components of the section.

    Attributes:
        agreed: State with what was shown; only that is written.
    """

    box: gr.Accordion
    role: gr.Radio
    ask: gr.Button
    shown: gr.HTML
    answers: gr.Row
    write: gr.Button
    back: gr.Button
    written: gr.HTML
    agreed: gr.State

    @property
    def question(self) -> list[Any]:
        """What asking and answering return updates for."""
        return [self.ask, self.shown, self.answers, self.agreed, self.written]

    @property
    def outputs(self) -> list[Any]:
        """What `draw` returns updates for."""
        return [self.box, self.role, *self.question]


def build() -> CardBox:
    """Lay out the section, hidden."""
    with gr.Accordion(t("evaluate.card"), open=False, visible=False, elem_id="evaluate-card-box") as box:
        gr.Markdown(t("evaluate.card.help"))
        role = gr.Radio([], label=t("evaluate.card.model"), visible=False, elem_id="evaluate-card-model")
        ask = gr.Button(t("evaluate.card.ask"), elem_id="evaluate-card-ask")
        shown = gr.HTML(elem_id="evaluate-card-shown")
        with gr.Row(visible=False) as answers:
            back = gr.Button(t("evaluate.card.back"), elem_id="evaluate-card-back")
            write = gr.Button(t("evaluate.card.write"), variant="primary", elem_id="evaluate-card-write")
        written = gr.HTML(elem_id="evaluate-card-written")
    return CardBox(box, role, ask, shown, answers, write, back, written, gr.State(""))


def wire(box: CardBox, studio: Studio, view: RunView) -> None:
    """Connect the section.

    Args:
        box: Its components.
        studio: Names the ledger.
        view: Gives the run shown.
    """

    def ask(run_id: str, role: str) -> list[Any]:
        return _asked(publish.plan(_found(studio, run_id), role))

    def write(run_id: str, role: str, agreed: str) -> list[Any]:
        plan = publish.plan(_found(studio, run_id), role)
        if _key(plan) != agreed:
            gr.Warning(escape(say("evaluate.card.changed")))
            return _asked(plan)
        url = publish.write(plan)
        done("evaluate.card.done", name=plan.repository)
        return [*_closed(), _link(plan, url)]

    def back() -> list[Any]:
        return [*_closed(), gr.update()]

    box.ask.click(handle(ask), [view.run, box.role], box.question, **BUSY)
    box.write.click(handle(write), [view.run, box.role, box.agreed], box.question, **BUSY)
    box.back.click(handle(back), None, box.question, **QUIET)
    box.role.input(handle(back), None, box.question, **QUIET)


def draw(run: Run | None) -> list[Any]:
    """Return updates for the section: it is there once a run with a model of the Hub has ended with results."""
    found = evaluations.result(run) if run is not None and not run.active else None
    roles = hub_roles(found) if found is not None and found.results else []
    if found is None or not roles:
        return [gr.update(visible=False), gr.update(choices=[], value=None), *_closed(), ""]
    choices = [(found.name(role), role) for role in roles]
    return [
        gr.update(visible=True),
        gr.update(choices=choices, value=roles[0], visible=len(roles) > 1),
        *_closed(),
        "",
    ]


def hub_roles(found: Evaluation) -> list[str]:
    """Return the roles whose models are repositories on the Hub, but for the base model's."""
    return [role for role in found.compared if reference.refer(str(found.models[role].get("path", ""))).on_hub]


def _found(studio: Studio, run_id: str) -> Evaluation:
    found = evaluations.result(studio.ledger.get(run_id)) if run_id else None
    if found is None:
        raise StudioError(say("evaluate.card.gone"))
    return found


def _asked(plan: CardPlan) -> list[Any]:
    lines = {say("evaluate.card.repository"): plan.repository, **dict(plan.results)}
    said = [say("evaluate.card.left_out", what=what) for what in plan.left_out]
    if plan.moved:
        said.append(say("evaluate.card.moved", scored=plan.evaluated[:8], head=plan.head[:8]))
    if plan.unchanged:
        said.append(say("evaluate.card.unchanged"))
    note = f'<div class="subdued">{escape(say("evaluate.card.how"))}</div>'
    shown = facts(lines) + "".join(notice(text) for text in said) + note
    hidden = gr.update(visible=plan.unchanged)
    return [hidden, shown, gr.update(visible=not plan.unchanged), _key(plan), ""]


def _closed() -> list[Any]:
    return [gr.update(visible=True), "", gr.update(visible=False), ""]


def _key(plan: CardPlan) -> str:
    return hashlib.sha256(f"{plan.repository}\n{plan.head}\n{plan.text}".encode()).hexdigest()


def _link(plan: CardPlan, url: str) -> str:
    words = escape(say("evaluate.card.written", name=plan.repository))
    if not url.startswith(("https://", "http://")):
        return f'<div class="notice good">{words}</div>'
    link = (
        f'<a href="{escape(url, quote=True)}" target="_blank" rel="noopener">{escape(say("evaluate.card.commit"))}</a>'
    )
    return f'<div class="notice good">{words} {link}</div>'
