"""The people of a review: the link for them, their accounts, and how far they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.review import annotators, readback
from pipeline.review.project import plan_of
from pipeline.studio import Studio
from pipeline.web.annotate import annotation_link, shareable_base
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.text import say, t


@dataclass(frozen=True)
class People:
    """Who reviews a project, and how they get there.

    Attributes:
        link: For the annotators; `open` is for this browser.
        reach: From where the link can be used.
        fresh: New accounts with their passwords, which are shown once.
        forgot: A new password for the one chosen in `who`.
        owner: The owner's own name and password, in `login` once asked for.
    """

    box: gr.Column
    progress: gr.HTML
    link: gr.Textbox
    open: gr.HTML
    reach: gr.HTML
    names: gr.Textbox
    create: gr.Button
    fresh_box: gr.Column
    fresh: gr.Dataframe
    forgot: gr.Accordion
    who: gr.Dropdown
    renew: gr.Button
    owner: gr.Accordion
    reveal: gr.Button
    login: gr.Textbox

    @property
    def drawn(self) -> list[Any]:
        """Components that drawing the section may update."""
        return [
            *(self.box, self.progress, self.link, self.reach, self.open, self.names, self.create),
            *(self.forgot, self.who, self.owner),
        ]

    @property
    def secret(self) -> list[Any]:
        """Components that `sign_ins` returns updates for."""
        return [self.fresh_box, self.fresh]


def build() -> People:
    """Lay out the people, hidden until there is something to review."""
    with gr.Column(visible=False, elem_id="review-people") as box:
        progress = gr.HTML(elem_id="review-progress", padding=False)
        link, opened, reach = _link()
        parts = _accounts()
    return People(box, progress, link, opened, reach, *parts)


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
        fresh = gr.Dataframe(
            datatype="str",
            type="array",
            interactive=False,
            show_label=False,
            wrap=True,
            buttons=["copy"],
            elem_id="review-fresh-table",
        )
    with gr.Accordion(t("review.forgot"), open=False, visible=False, elem_id="review-forgot") as forgot:
        with gr.Row(equal_height=True):
            who = gr.Dropdown([], label=t("review.who"), elem_id="review-who")
            renew = gr.Button(t("review.renew"), elem_id="review-renew")
    with gr.Accordion(t("review.owner"), open=False, elem_id="review-owner") as owner:
        gr.Markdown(t("review.owner.about"))
        reveal = gr.Button(t("review.reveal"), size="sm", elem_id="review-reveal")
        login = gr.Textbox(
            label=t("review.login"), lines=2, interactive=False, visible=False, buttons=["copy"], elem_id="review-login"
        )
    return [names, create, fresh_box, fresh, forgot, who, renew, owner, reveal, login]


def wire(people: People, studio: Studio, page: Page) -> None:
    """Connect what shows passwords again; new accounts are made where the whole section is drawn."""

    def renew(name: str, who: str | None) -> dict[Component, Any]:
        of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
        return sign_ins(people, [annotators.reset_password(endpoint, plan_of(of), who or "")])

    def reveal() -> Any:
        user, password = studio.argilla.owner_login()
        return gr.update(visible=True, value=f"{user}\n{password}")

    people.renew.click(handle(renew), [page.project, people.who], people.secret, **BUSY)
    people.reveal.click(handle(reveal), None, [people.login], **QUIET)


def names_in(text: str) -> list[str]:
    """Return the names in a text, separated by commas (Chinese ones too), semicolons or line ends."""
    names = [name.strip() for name in re.split(r"[,，、;；\n]", text) if name.strip()]
    if not names:
        raise StudioError(say("review.names.none"), "", say("review.names.none.next"))
    return names


def links(people: People, studio: Studio, of: Project, base: str) -> dict[Component, Any]:
    """Return the link to share, who can use it, and the one for the owner's own browser.

    Args:
        people: The components.
        studio: Settings and Argilla.
        of: The project.
        base: Scheme and host the page was asked by.
    """
    kept = of.read().review
    if kept is None or not kept.dataset_id:
        return {}
    shared, reach = shareable_base(studio.settings, base)
    if studio.argilla.embedded:
        found = [annotation_link(root, kept.dataset_id) for root in (shared, base)]
        reach_text = say("review.reach.network" if reach == "network" else "review.reach.local")
    else:
        found = [annotation_link(studio.settings.argilla_api_url, kept.dataset_id, prefix="")] * 2
        reach_text = ""
    anchor = f'<a class="link-button" href="{escape(found[1])}" target="_blank" rel="noopener">'
    return {
        people.link: found[0],
        people.reach: f'<div class="subdued">{escape(reach_text)}</div>' if reach_text else "",
        people.open: f"{anchor}{escape(say('review.open'))}</a>",
        people.owner: gr.update(visible=studio.argilla.embedded),
    }


def suggested(people: People, names: list[str], *, asked: bool) -> dict[Component, Any]:
    """Return updates for who has an account, and what is suggested where nobody has.

    Args:
        people: The components.
        names: Who has an account.
        asked: Whether making accounts is what comes next where there are none.
    """
    return {
        people.names: gr.update(value="" if names else "annotator1, annotator2"),
        people.create: gr.update(variant="primary" if asked and not names else "secondary"),
        people.forgot: gr.update(visible=bool(names)),
        people.who: gr.update(choices=names, value=names[0] if names else None),
    }


def progress(state: readback.Progress, names: list[str], needed: int) -> str:
    """Return how far a review is as HTML: a bar, and a line for each annotator."""
    share = state.completed / state.total if state.total else 0.0
    line = say("review.progress", completed=f"{state.completed:,}", total=f"{state.total:,}")
    rest = say("review.pending", pending=f"{state.pending:,}")
    rule = say("review.needed.one" if needed == 1 else "review.needed", count=needed)
    done_by = {each.username: (each.submitted, each.draft, each.discarded) for each in state.per_annotator}
    rows = [(name, *done_by.get(name, (0, 0, 0))) for name in dict.fromkeys([*names, *done_by])]
    return (
        f'<div class="run-card" id="review-card"><div class="run-head"><span class="big-count">{escape(line)}</span>'
        f"<span>{escape(rest)}</span></div>"
        f'<div class="run-bar"><div style="width:{share:.1%}"></div></div>'
        f'<div class="run-line">{escape(rule)}</div>{_table(rows)}</div>'
    )


def _table(rows: list[tuple[str, int, int, int]]) -> str:
    if not rows:
        return f'<div class="run-line">{escape(say("review.nobody"))}</div>'
    heads = "".join(
        f"<th>{escape(say(f'review.column.{key}'))}</th>" for key in ("name", "submitted", "draft", "discarded")
    )
    lines = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{count:,}</td>" for count in counts) + "</tr>"
        for name, *counts in rows
    )
    table = f'<table class="plain-table"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="table-box">{table}</div>'


def sign_ins(people: People, made: list[annotators.NewAnnotator]) -> dict[Component, Any]:
    """Return updates that show new passwords."""
    headers = [say("review.column.name"), say("review.column.password")]
    return {
        people.fresh_box: gr.update(visible=True),
        people.fresh: gr.update(value={"headers": headers, "data": [list(each) for each in made]}),
    }
