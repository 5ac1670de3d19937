"""The people of a review: the link for them, their accounts, and how far they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.review import annotators, readback
from pipeline.review.project import own_plan
from pipeline.visit import ARGILLA, Visit
from pipeline.web.annotate import annotation_link, shareable_base
from ui.handlers import BUSY, Given, Update, Wiring, prefixed
from ui.parts.notice import line
from ui.review import invitation as review_invitation
from ui.review import letter, way
from ui.review.invitation import InvitationPart
from ui.text import say, t


@dataclass(frozen=True)
class People:
    """Who reviews a project, and how they get there.

    Attributes:
        link: For the annotators; `open` is for this browser.
        reach: From where the link can be used.
        fresh: What new annotators are sent, with their passwords, which are shown once.
        forgot: A new password for the one chosen in `who`, or no access any more.
        owner: The owner's own name and password, in `login` once asked for.
    """

    box: gr.Column
    progress: gr.HTML
    link: gr.Textbox
    open: gr.HTML
    reach: gr.HTML
    invitation: InvitationPart
    names: gr.Textbox
    create: gr.Button
    fresh_box: gr.Column
    fresh: gr.HTML
    forgot: gr.Accordion
    who: gr.Dropdown
    renew: gr.Button
    remove: gr.Button
    owner: gr.Accordion
    reveal: gr.Button
    login: gr.Textbox


# What drawing the section may update, and where new passwords are shown.
DRAWN = (
    *("box", "progress", "link", "reach", "open", "names", "create", "forgot", "who", "owner"),
    *(f"invitation.{name}" for name in review_invitation.DRAWN),
)
SECRET = ("fresh_box", "fresh", *(f"invitation.{name}" for name in review_invitation.SECRET))


def build() -> People:
    """Lay out the people, hidden until there is something to review."""
    with gr.Column(visible=False, elem_id="review-people") as box:
        progress = gr.HTML(elem_id="review-progress", padding=False)
        link, opened, reach = _link()
        invited = review_invitation.build()
        parts = _accounts()
    return People(box, progress, link, opened, reach, invited, *parts)


def _link() -> tuple[gr.Textbox, gr.HTML, gr.HTML]:
    with gr.Row(equal_height=True, elem_classes="form-row"):
        link = gr.Textbox(
            label=t("review.link"),
            interactive=False,
            buttons=["copy"],
            scale=4,
            min_width=320,
            elem_id="review-link",
        )
        opened = gr.HTML(elem_id="review-open", min_width=160, padding=False)
    reach = gr.HTML(elem_id="review-reach", padding=False)
    return link, opened, reach


def _accounts() -> list[Any]:
    with gr.Group(elem_id="review-annotators"):
        names = gr.Textbox(label=t("review.names"), info=t("review.names.help"), elem_id="review-names")
        create = gr.Button(t("review.create"), elem_id="review-create")
    with gr.Column(visible=False, elem_id="review-fresh") as fresh_box:
        gr.Markdown(t("review.fresh.about"))
        fresh = gr.HTML(elem_id="review-letters", padding=False)
    with gr.Accordion(t("review.forgot"), open=False, visible=False, elem_id="review-forgot") as forgot:
        with gr.Row(equal_height=True):
            who = gr.Dropdown([], label=t("review.who"), elem_id="review-who")
            renew = gr.Button(t("review.renew"), elem_id="review-renew")
            remove = gr.Button(t("review.remove"), elem_id="review-remove")
    with gr.Accordion(t("review.owner"), open=False, elem_id="review-owner") as owner:
        gr.Markdown(t("review.owner.about"))
        reveal = gr.Button(t("review.reveal"), size="sm", elem_id="review-reveal")
        login = gr.Textbox(
            label=t("review.login"), lines=2, interactive=False, visible=False, buttons=["copy"], elem_id="review-login"
        )
    return [names, create, fresh_box, fresh, forgot, who, renew, remove, owner, reveal, login]


def wire(people: People, wiring: Wiring) -> None:
    """Connect what shows passwords again; new accounts are made where the whole section is drawn."""
    wiring = wiring.within(_=people)
    wiring.on(people.renew.click, renew, ["page.project", "who"], SECRET, BUSY)
    wiring.on(people.reveal.click, reveal, (), "login")
    review_invitation.wire(people.invitation, wiring)


def renew(visit: Visit, given: Given) -> Update:
    """Give an annotator a new password."""
    of, endpoint, who = visit.project(given["page.project"]), visit.studio.argilla.endpoint(), given["who"] or ""
    workspace = own_plan(visit.home, of).workspace
    made = annotators.reset_password(endpoint, workspace, who, anybodys=ARGILLA in visit.may)
    return sign_ins([made], link_of(visit, of, given["asked"].base))


def reveal(visit: Visit, given: Given) -> Update:
    """Show the owner's own name and password."""
    visit.require(ARGILLA)
    user, password = visit.studio.argilla.owner_login()
    return {"login": gr.update(visible=True, value=f"{user}\n{password}")}


def names_in(text: str) -> list[str]:
    """Return the names in a text, separated by commas (Chinese ones too), semicolons or line ends.

    Raises:
        StudioError: There is none.
    """
    names = [name.strip() for name in re.split(r"[,，、;；\n]", text) if name.strip()]
    if not names:
        raise StudioError("review.names.none")
    return names


def link_of(visit: Visit, of: Project, base: str) -> str:
    """Return the link to share that opens a project's task in Argilla, "" where nothing is imported.

    Args:
        visit: Gives settings and Argilla.
        of: The project.
        base: Scheme and host the page was asked by.
    """
    kept, studio = of.read().review, visit.studio
    if kept is None or not kept.dataset_id:
        return ""
    if not studio.argilla.embedded:
        return annotation_link(studio.settings.argilla_api_url, kept.dataset_id, prefix="")
    return annotation_link(shareable_base(studio.settings, base)[0], kept.dataset_id)


def links(visit: Visit, of: Project, base: str) -> Update:
    """Return the link to share, who can use it, and the one for the owner's own browser; see `link_of`."""
    studio, shared = visit.studio, link_of(visit, of, base)
    if not shared:
        return {}
    reach_text = ""
    if studio.argilla.embedded:
        reach = shareable_base(studio.settings, base)[1]
        where = "space" if studio.settings.space_id else "network" if reach == "network" else "local"
        reach_text = say(f"review.reach.{where}")
    return {
        "link": shared,
        "reach": Markup('<div class="subdued">{}</div>').format(reach_text) if reach_text else "",
        "open": way.into(visit, of, base, say("review.open")),
        "owner": gr.update(visible=studio.argilla.embedded and ARGILLA in visit.may),
        **prefixed("invitation.", review_invitation.draw(visit, of)),
    }


def suggested(names: list[str], *, asked: bool) -> Update:
    """Return updates for who has an account, and what is suggested where nobody has.

    Args:
        names: Who has an account.
        asked: Whether making accounts is what comes next where there are none.
    """
    return {
        "names": gr.update(value="" if names else "annotator1, annotator2"),
        "create": gr.update(variant="primary" if asked and not names else "secondary"),
        "forgot": gr.update(visible=bool(names)),
        "who": gr.update(choices=names, value=names[0] if names else None),
    }


def progress(state: readback.Progress, names: list[str], needed: int) -> Markup:
    """Return how far a review is as HTML: a bar, and a line for each annotator."""
    share = state.completed / state.total if state.total else 0.0
    rule = say("review.needed.one" if needed == 1 else "review.needed", count=needed)
    done_by = {each.username: (each.submitted, each.draft, each.discarded) for each in state.per_annotator}
    rows = [(name, *done_by.get(name, (0, 0, 0))) for name in dict.fromkeys([*names, *done_by])]
    return Markup(
        '<div class="run-card" id="review-card"><div class="run-head"><span class="big-count">{}</span>'
        '<span>{}</span></div><div class="run-bar"><div style="width:{}"></div></div>{}{}</div>'
    ).format(
        say("review.progress", completed=f"{state.completed:,}", total=f"{state.total:,}"),
        say("review.pending", pending=f"{state.pending:,}"),
        f"{share:.1%}",
        line(rule),
        _table(rows),
    )


def _table(rows: list[tuple[str, int, int, int]]) -> Markup:
    if not rows:
        return line(say("review.nobody"))
    names, empty = ("name", "submitted", "draft", "discarded"), Markup("")
    heads = empty.join(Markup("<th>{}</th>").format(say(f"review.column.{key}")) for key in names)
    cell = Markup("<td>{}</td>")
    lines = empty.join(
        Markup("<tr>{}{}</tr>").format(cell.format(name), empty.join(cell.format(f"{count:,}") for count in counts))
        for name, *counts in rows
    )
    return Markup(
        '<div class="table-box"><table class="plain-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(heads, lines)


def sign_ins(made: list[annotators.NewAnnotator], link: str) -> Update:
    """Return updates that show what new annotators are sent.

    Args:
        made: Names and passwords.
        link: Opens their task.
    """
    return {"fresh_box": gr.update(visible=True), "fresh": letter.with_passwords(made, link)}
