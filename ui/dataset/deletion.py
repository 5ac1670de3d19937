"""Deleting the project that is shown: what goes with it, and one confirmation."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from pipeline.base import project as projects
from pipeline.hardware import machine
from pipeline.runs import deletion
from pipeline.visit import Visit
from ui.handlers import BUSY, Given, Update, Wiring, done
from ui.page import Page
from ui.text import say, t


@dataclass(frozen=True)
class Deletion:
    """Components of a project's deletion."""

    wish: gr.Button
    box: gr.Column
    about: gr.HTML
    yes: gr.Button
    no: gr.Button


def build() -> Deletion:
    """Lay out the button, and the confirmation, closed."""
    wish = gr.Button(t("project.delete"), size="sm", min_width=140, elem_id="project-delete")
    with gr.Column(visible=False, elem_id="project-delete-panel", elem_classes="confirm") as box:
        about = gr.HTML(elem_id="project-delete-about", padding=False)
        with gr.Row():
            yes = gr.Button(t("project.delete.yes"), variant="stop", min_width=140, elem_id="project-delete-yes")
            no = gr.Button(t("project.delete.no"), min_width=140, elem_id="project-delete-no")
    return Deletion(wish, box, about, yes, no)


def wire(part: Deletion, wiring: Wiring, page: Page) -> None:
    """Connect the deletion.

    Args:
        part: The components.
        wiring: Knows the State of the whole page's project as `shown.project`, besides the page.
        page: What the parts share.
    """
    within = wiring.within(delete=part)
    within.on(part.wish.click, asked, "page.project", ["delete.box", "delete.about"], BUSY)
    within.on(part.no.click, closed, (), "delete.box")
    within.on(page.shows(), closed, (), "delete.box")
    within.on(part.yes.click, deleted, "page.project", ["delete.box", "shown.project"], BUSY)


def asked(visit: Visit, given: Given) -> Update:
    """Say what would be deleted."""
    of = visit.project(given["page.project"])
    goes = deletion.belongings(visit.ledger, of)
    values = {
        "exports": goes.exports,
        "models": goes.models,
        "runs": goes.runs,
        "size": machine.size(goes.bytes),
    }
    head = f'<div class="spend-head">{escape(say("project.delete.question", name=of.name))}</div>'
    lines = (say("project.delete.goes", **values), say("project.delete.stays"))
    return {
        "delete.box": gr.update(visible=True),
        "delete.about": head + "".join(f"<p>{escape(line)}</p>" for line in lines),
    }


def closed(visit: Visit, given: Given) -> Update:
    """Close the confirmation."""
    return {"delete.box": gr.update(visible=False)}


def deleted(visit: Visit, given: Given) -> Update:
    """Delete the project and show the one worked on before it."""
    of = visit.project(given["page.project"])
    deletion.delete(visit.ledger, of)
    done("project.deleted", name=of.name)
    latest = projects.latest(visit.home)
    return {"delete.box": gr.update(visible=False), "shown.project": latest.name if latest else ""}
