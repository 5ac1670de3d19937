"""Scores on the model's card: what would be written is shown, one confirmation writes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup, escape

from pipeline.base.errors import StudioError
from pipeline.evaluate import evaluations, publish
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.publish import CardPlan
from pipeline.models import reference
from pipeline.runs.ledger import Run
from pipeline.visit import Visit
from ui.handlers import BUSY, Given, Update, Wiring, done
from ui.parts.notice import facts, link, notice
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


QUESTION = ("card.ask", "card.shown", "card.answers", "card.agreed", "card.written")  # what asking updates
DRAWN = ("card.box", "card.role", *QUESTION)  # what `draw` updates


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


def wire(wiring: Wiring) -> None:
    """Connect the section, which the tab calls `card`.

    Args:
        wiring: Knows the tab's parts.
    """
    of = ["view.run", "card.role"]
    wiring.on(wiring.parts["card.ask"].click, ask, of, QUESTION, BUSY)
    wiring.on(wiring.parts["card.write"].click, write, [*of, "card.agreed"], QUESTION, BUSY)
    wiring.on([wiring.parts["card.back"].click, wiring.parts["card.role"].input], back, (), QUESTION)


def ask(visit: Visit, given: Given) -> Update:
    """Show what would be written on the model's card."""
    return _asked(publish.plan(_found(visit, given), given["card.role"]))


def write(visit: Visit, given: Given) -> Update:
    """Write what was shown, or show it again where it has changed."""
    plan = publish.plan(_found(visit, given), given["card.role"])
    if _key(plan) != given["card.agreed"]:
        gr.Warning(escape(say("evaluate.card.changed")))
        return _asked(plan)
    url = publish.write(plan)
    done("evaluate.card.done", name=plan.repository)
    words = say("evaluate.card.written", name=plan.repository)
    written = notice(Markup("{} {}").format(words, link(url, say("evaluate.card.commit"))), "good")
    return {**_closed(), "card.written": written}


def back(visit: Visit, given: Given) -> Update:
    """Take the question away."""
    return _closed()


def draw(run: Run | None) -> Update:
    """Return updates for `DRAWN`: it is there once a run with a model of the Hub has ended with results."""
    found = evaluations.result(run) if run is not None and not run.active else None
    roles = hub_roles(found) if found is not None and found.results else []
    closed = {**_closed(), "card.written": ""}
    if found is None or not roles:
        return {**closed, "card.box": gr.update(visible=False), "card.role": gr.update(choices=[], value=None)}
    choices = [(found.name(role), role) for role in roles]
    role = gr.update(choices=choices, value=roles[0], visible=len(roles) > 1)
    return {**closed, "card.box": gr.update(visible=True), "card.role": role}


def hub_roles(found: Evaluation) -> list[str]:
    """Return the roles whose models are repositories on the Hub, but for the base model's."""
    return [role for role in found.compared if reference.refer(str(found.models[role].get("path", ""))).on_hub]


def _found(visit: Visit, given: Given) -> Evaluation:
    found = evaluations.result(visit.run(given["view.run"])) if given["view.run"] else None
    if found is None:
        raise StudioError("evaluate.card.gone")
    return found


def _asked(plan: CardPlan) -> Update:
    lines = {say("evaluate.card.repository"): plan.repository, **dict(plan.results)}
    said = [say("evaluate.card.left_out", what=what) for what in plan.left_out]
    if plan.moved:
        said.append(say("evaluate.card.moved", scored=plan.evaluated[:8], head=plan.head[:8]))
    if plan.unchanged:
        said.append(say("evaluate.card.unchanged"))
    how = Markup('<div class="subdued">{}</div>').format(say("evaluate.card.how"))
    return {
        "card.ask": gr.update(visible=plan.unchanged),
        "card.shown": facts(lines) + Markup("").join(map(notice, said)) + how,
        "card.answers": gr.update(visible=not plan.unchanged),
        "card.agreed": _key(plan),
        "card.written": "",
    }


def _closed() -> Update:
    hidden, shown = gr.update(visible=False), gr.update(visible=True)
    return {"card.ask": shown, "card.shown": "", "card.answers": hidden, "card.agreed": ""}


def _key(plan: CardPlan) -> str:
    return hashlib.sha256(f"{plan.repository}\n{plan.head}\n{plan.text}".encode()).hexdigest()
