"""The slim bar above the tabs: project, account, Argilla, what is running, what is billed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base import project as projects
from pipeline.studio import Studio
from pipeline.visit import Visit
from ui.bar import account, spend
from ui.handlers import QUIET, handle
from ui.parts import topic
from ui.parts.topic import HEAR
from ui.stream import Said
from ui.text import say, t


@dataclass(frozen=True)
class StatusBar:
    """Components of the status bar.

    Attributes:
        hear: Pressed by the page's script when what stands beside the items has to be drawn again.
    """

    project: gr.Dropdown
    items: gr.HTML
    retry: gr.Button
    account: gr.Button
    stop: gr.Button
    hear: gr.Button


def build() -> StatusBar:
    """Lay out the status bar."""
    with gr.Row(elem_id="status-bar", equal_height=True):
        gr.HTML('<span class="brand">Align Studio</span>', elem_id="status-brand", min_width=120)
        project = gr.Dropdown(
            [], label=t("status.project"), container=False, elem_id="status-project", scale=1, min_width=200
        )
        items = gr.HTML(elem_id="status-items", scale=4)
        retry = gr.Button(t("status.retry"), size="sm", visible=False, elem_id="status-retry", min_width=90)
        stop = gr.Button(t("spend.stop"), size="sm", variant="stop", visible=False, elem_id="spend-stop", min_width=90)
        open_account = gr.Button(t("account.open"), size="sm", elem_id="status-account", min_width=90)
    return StatusBar(project, items, retry, open_account, stop, topic.hearing("status-hear"))


def wire(bar: StatusBar, studio: Studio, project: gr.State, panel: account.AccountPanel) -> None:
    """Keep the bar true: what runs, how Argilla is, which projects there are.

    Args:
        bar: The bar.
        studio: What it tells of.
        project: State with the project shown.
        panel: The account's panel: it tells of the same sign-in.
    """

    def draw() -> list[Any]:
        failed = studio.argilla.status.state == "failed"
        shown = [gr.update(visible=failed), gr.update(visible=spend.can_stop(studio))]
        return [items(studio), *shown, *account.draw(studio)]

    def choices(name: str) -> Any:
        return gr.update(choices=projects.names(studio.home), value=name or None)

    def again() -> list[Any]:
        studio.argilla.start()
        return draw()

    drawn = [bar.items, bar.retry, bar.stop, *panel.drawn]
    bar.hear.click(handle(draw), None, drawn, **HEAR)
    bar.retry.click(handle(again), None, drawn, **QUIET)
    project.change(handle(choices), [project], [bar.project], **QUIET)
    bar.project.input(lambda name: name or "", [bar.project], [project], **QUIET)


class BarTopic:
    """What the stream says of the bar."""

    every, slow = 1.0, False

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def admit(self, visit: Visit, name: str) -> None:
        """Let every visitor watch it."""

    def look(self, visit: Visit, name: str) -> Said:
        """Return the items as they are now."""
        return Said({"html": inside(self._studio), "shape": shape(self._studio)})


def items(studio: Studio) -> str:
    """Return the bar's items as HTML, everything escaped."""
    return topic.place("bar:", Markup(inside(studio)), "status-items", topic.mark("bar:", shape(studio), "status-hear"))


def shape(studio: Studio) -> str:
    """Return a text that changes when buttons of the bar or the account's panel have to be drawn again."""
    sign_in = studio.sign_in.status
    failed, stop = studio.argilla.status.state == "failed", spend.can_stop(studio)
    return f"{failed} {stop} {sign_in.state} {account.name_of(studio)} {bool(sign_in.aside)}"


def inside(studio: Studio) -> str:
    """Return what the items say, as HTML."""
    argilla = studio.argilla.status
    dots = {"ready": "good", "failed": "bad"}
    words = say(f"status.argilla.{argilla.state}")
    if argilla.problem is not None:
        words += f": {argilla.problem}"
    elif argilla.message:
        words += f" ({argilla.message})"
    active = studio.ledger.list(active=True)
    titles = ", ".join(run.title for run in active)
    running = say("status.running", count=len(active), titles=titles) if active else say("status.idle")
    shown = [
        account.item(studio),
        (dots.get(argilla.state, "busy"), words),
        ("busy" if active else "idle", running),
    ]
    parts = [f'<span><span class="dot {dot}"></span>{escape(text)}</span>' for dot, text in shown]
    lost = f'<span class="stream-lost" role="status">{escape(say("stream.lost"))}</span>'
    return "".join([*parts, spend.item(studio), lost])
