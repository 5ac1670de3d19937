"""A link by which people with a Hugging Face account come into a project's review on a Space."""

from __future__ import annotations

import time
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.hub import client, spaces
from pipeline.review import invitations
from pipeline.review.invitations import InvitationOptions
from pipeline.visit import ARGILLA, Visit
from pipeline.web.join import AT
from ui.handlers import BUSY, Given, Update, Wiring, done, under
from ui.parts.forms import ParameterForm, parameter_form
from ui.parts.notice import line, notice
from ui.review import letter, way
from ui.text import say, t

DRAWN = ("fold", "about", "make", "revoke")
SECRET = ("fresh_box", "fresh")  # where a link is shown once
_AGAIN_S = 300.0  # between two questions whether a Space is public
_seen: dict[str, tuple[float, bool | None]] = {}


@dataclass(frozen=True)
class InvitationPart:
    """The invitation to a project's review.

    Attributes:
        about: Whether there is one, and how many have come.
        fresh: What is sent to those who are invited, with the link, which is shown once.
    """

    fold: gr.Accordion
    about: gr.HTML
    form: ParameterForm
    make: gr.Button
    revoke: gr.Button
    fresh_box: gr.Column
    fresh: gr.HTML


def build() -> InvitationPart:
    """Lay out the part, hidden but on a Space."""
    with gr.Accordion(t("invitation.title"), open=True, visible=False, elem_id="review-invitation") as fold:
        gr.Markdown(t("invitation.about"))
        about = gr.HTML(elem_id="invitation-about", padding=False)
        form = parameter_form(InvitationOptions, "invitation")
        with gr.Row():
            make = gr.Button(t("invitation.make"), elem_id="invitation-make")
            revoke = gr.Button(t("invitation.revoke"), visible=False, elem_id="invitation-revoke")
        with gr.Column(visible=False, elem_id="invitation-fresh") as fresh_box:
            gr.Markdown(t("invitation.once"))
            fresh = gr.HTML(elem_id="invitation-letter", padding=False)
    return InvitationPart(fold, about, form, make, revoke, fresh_box, fresh)


def wire(part: InvitationPart, wiring: Wiring) -> None:
    """Connect the buttons."""
    wiring = wiring.within(_=part)
    wiring.on(part.make.click, make, ["page.project", "form.*"], [*DRAWN, *SECRET], BUSY)
    wiring.on(part.revoke.click, revoke, "page.project", [*DRAWN, *SECRET], BUSY)


def make(visit: Visit, given: Given) -> Update:
    """Make a link, and show it once."""
    of = visit.project(given["page.project"])
    if not way.as_themselves(visit):
        raise StudioError("invitation.only_space")
    options = InvitationOptions.model_validate(under(given, "form."))
    secret = invitations.invite(visit.home, of, options, by_visitor=ARGILLA not in visit.may)
    shown = letter.with_invitation(f"{visit.studio.settings.base}{AT}/{secret}")
    return {**draw(visit, of), "fresh_box": gr.update(visible=True), "fresh": shown}


def revoke(visit: Visit, given: Given) -> Update:
    """End the link."""
    of = visit.project(given["page.project"])
    invitations.revoke(visit.home, of)
    done("invitation.ended")
    return {**draw(visit, of), **gone()}


def gone() -> Update:
    """Return updates that show no link any more."""
    return {"fresh_box": gr.update(visible=False), "fresh": ""}


def draw(visit: Visit, of: Project) -> Update:
    """Return updates that show the invitation of a project."""
    if not way.as_themselves(visit):
        return {"fold": gr.update(visible=False)}
    now = invitations.invitation_of(of)
    if now is None:
        text = line(say("invitation.none"))
    else:
        made = now.made.strftime("%Y-%m-%d %H:%M UTC")
        text = line(say("invitation.there", made=made, count=len(now.people), limit=now.limit))
    public = _public(visit.studio.settings.space_id)
    if public is not True:
        text += notice(say("invitation.private" if public is False else "invitation.unseen"))
    return {
        "fold": gr.update(visible=True),
        "about": Markup(text),
        "make": gr.update(value=say("invitation.again" if now else "invitation.make")),
        "revoke": gr.update(visible=now is not None),
    }


def _public(space: str) -> bool | None:
    """Return whether everybody sees a Space, as somebody who is not signed in finds it; None: the Hub does not say."""
    asked, found = _seen.get(space, (float("-inf"), None))
    if time.monotonic() - asked > _AGAIN_S:
        try:
            with client.acting_as(None):
                there = spaces.look(space)
            found = there is not None and not there.private
        except StudioError:
            found = None
        _seen[space] = time.monotonic(), found
    return found
