"""The AutoTrain Space of a training that is over: offered for deletion, after one question."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from pipeline.carriers import space
from pipeline.runs.ledger import Run
from pipeline.visit import ACCOUNT, Visit
from ui.handlers import BUSY, Given, Update, Wiring
from ui.parts.notice import line
from ui.text import say, t
from ui.train import result


@dataclass(frozen=True)
class SpaceEnd:
    """The offer, and the question that it asks."""

    box: gr.Column
    about: gr.HTML
    delete: gr.Button
    now: gr.Button
    keep: gr.Button


DRAWN = tuple(f"space.{name}" for name in ("box", "about", "delete", "now", "keep"))


def build() -> SpaceEnd:
    """Lay out the offer, hidden until a Space is over."""
    with gr.Column(visible=False, elem_id="train-space") as box:
        about = gr.HTML(elem_id="train-space-about", visible=False)
        with gr.Row():
            delete = gr.Button(t("train.space.delete"), size="sm", elem_id="train-space-delete")
            keep = gr.Button(t("train.space.keep"), size="sm", visible=False, elem_id="train-space-keep")
            now = gr.Button(
                t("train.space.delete_now"), size="sm", variant="stop", visible=False, elem_id="train-space-now"
            )
    return SpaceEnd(box, about, delete, now, keep)


def wire(wiring: Wiring) -> None:
    """Connect the offer.

    Args:
        wiring: Knows the offer as `space` and the run that is shown as `view`.
    """
    parts = wiring.parts
    wiring.on(parts["space.delete"].click, asked, "view.run", DRAWN)
    wiring.on(parts["space.keep"].click, kept, "view.run", DRAWN)
    wiring.on(parts["space.now"].click, deleted, "view.run", [*DRAWN, "trained.note"], BUSY)


def draw(run: Run | None) -> Update:
    """Return updates that offer the Space of a run for deletion, by the names of `SpaceEnd`."""
    there = run.worker or {} if run is not None else {}
    name = there.get("space")
    if run is None or run.active or not name:
        return {"space.box": gr.update(visible=False)}
    gone = bool(there.get("deleted"))
    return {
        "space.box": gr.update(visible=True),
        "space.about": gr.update(value=line(say("train.space.deleted"), Markup("")), visible=gone),
        "space.delete": gr.update(visible=not gone),
        "space.now": gr.update(visible=False),
        "space.keep": gr.update(visible=False),
    }


def asked(visit: Visit, given: Given) -> Update:
    """Ask whether the Space is to be deleted."""
    name = (visit.run(given["view.run"]).worker or {}).get("space", "")
    question = line(say("train.space.question", name=name), Markup(""))
    return {
        "space.about": gr.update(value=question, visible=True),
        "space.delete": gr.update(visible=False),
        "space.now": gr.update(visible=True),
        "space.keep": gr.update(visible=True),
    }


def kept(visit: Visit, given: Given) -> Update:
    """Take the question away."""
    return draw(visit.run(given["view.run"]))


def deleted(visit: Visit, given: Given) -> Update:
    """Delete the Space."""
    visit.require(ACCOUNT)
    run = visit.run(given["view.run"])
    space.delete(visit.ledger, run)
    run = visit.run(run.id)
    return draw(run) | {"trained.note": gr.update(value=result.rented(run))}
