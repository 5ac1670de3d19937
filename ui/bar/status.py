"""The slim bar above the tabs: project, account, Argilla, what is running, what is billed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.visit import ACCOUNT, ARGILLA, Visit
from ui.bar import account, spend, storage
from ui.handlers import Given, Update, Wiring
from ui.parts import topic
from ui.parts.topic import HEAR
from ui.stream import Said
from ui.text import say, t


@dataclass(frozen=True)
class StatusBar:
    """Components of the status bar.

    Attributes:
        banner: What everybody must know before they work here; not there where there is nothing.
        hear: Pressed by the page's script when what stands beside the items has to be drawn again.
    """

    banner: gr.HTML
    project: gr.Dropdown
    items: gr.HTML
    retry: gr.Button
    account: gr.Button
    stop: gr.Button
    hear: gr.Button


DRAWN = ("bar.banner", "bar.items", "bar.retry", "bar.account", "bar.stop", *account.DRAWN)


def build() -> StatusBar:
    """Lay out the status bar."""
    banner = gr.HTML(elem_id="storage-banner", visible=False, padding=False)
    with gr.Row(elem_id="status-bar", equal_height=True):
        gr.HTML('<span class="brand">Align Studio</span>', elem_id="status-brand", min_width=120)
        project = gr.Dropdown(
            [], label=t("status.project"), container=False, elem_id="status-project", scale=1, min_width=200
        )
        items = gr.HTML(elem_id="status-items", scale=4)
        retry = gr.Button(t("status.retry"), size="sm", visible=False, elem_id="status-retry", min_width=90)
        stop = gr.Button(t("spend.stop"), size="sm", variant="stop", visible=False, elem_id="spend-stop", min_width=90)
        open_account = gr.Button(t("account.open"), size="sm", elem_id="status-account", min_width=90)
    return StatusBar(banner, project, items, retry, open_account, stop, topic.hearing("status-hear"))


def wire(wiring: Wiring) -> None:
    """Keep the bar true: what runs, how Argilla is, which projects there are.

    Args:
        wiring: Knows the bar as `bar`, the account's panel as `account`, and the page.
    """
    parts = wiring.parts
    wiring.on(parts["bar.hear"].click, redrawn, (), DRAWN, HEAR)
    wiring.on(parts["bar.retry"].click, argilla_again, (), DRAWN)
    wiring.on(parts["page.project"].change, offered, "page.project", "bar.project")
    wiring.on(parts["bar.project"].input, chosen, "bar.project", "page.project")


def redrawn(visit: Visit, given: Given) -> Update:
    """Draw everything the bar and the account's panel tell."""
    stop = gr.update(visible=spend.can_stop(visit))
    shown = {"bar.items": items(visit), "bar.retry": _retry(visit), "bar.account": account_button(visit)}
    return {**shown, "bar.banner": banner(visit), "bar.stop": stop, **account.draw(visit)}


def argilla_again(visit: Visit, given: Given) -> Update:
    """Start Argilla again."""
    visit.require(ARGILLA)
    visit.studio.argilla.start()
    return redrawn(visit, given)


def offered(visit: Visit, given: Given) -> Update:
    """Offer the projects there are."""
    return {"bar.project": gr.update(choices=visit.projects(), value=given["page.project"] or None)}


def chosen(visit: Visit, given: Given) -> Update:
    """Show the project that was chosen."""
    return {"page.project": given["bar.project"] or ""}


def banner(visit: Visit) -> Any:
    """Return the update of the banner."""
    found = storage.banner(visit)
    return gr.update(value=found, visible=bool(found))


def account_button(visit: Visit) -> Any:
    """Return the update of the button that opens the account's panel: it is there for whose account it is."""
    return gr.update(visible=ACCOUNT in visit.may)


def _retry(visit: Visit) -> Any:
    return gr.update(visible=visit.studio.argilla.status.state == "failed" and ARGILLA in visit.may)


class BarTopic:
    """What the stream says of the bar."""

    every, slow = 1.0, False

    def admit(self, visit: Visit, name: str) -> None:
        """Let every visitor watch it."""

    def look(self, visit: Visit, name: str) -> Said:
        """Return the items as they are now."""
        return Said({"html": inside(visit), "shape": shape(visit)})


def items(visit: Visit) -> str:
    """Return the bar's items as HTML."""
    return topic.place("bar:", inside(visit), "status-items", topic.mark("bar:", shape(visit), "status-hear"))


def shape(visit: Visit) -> str:
    """Return a text that changes when buttons of the bar or the account's panel have to be drawn again."""
    now = visit.sign_in
    failed, stop = visit.studio.argilla.status.state == "failed", spend.can_stop(visit)
    return f"{failed} {stop} {now.state} {account.who(visit)} {bool(now.aside)} {storage.shape(visit)}"


def inside(visit: Visit) -> Markup:
    """Return what the items say: the account, Argilla, the visitor's own runs, what is saved and what is billed."""
    argilla = visit.studio.argilla.status
    dots = {"ready": "good", "failed": "bad"}
    words = say(f"status.argilla.{argilla.state}")
    if argilla.problem is not None:
        words += f": {argilla.problem}"
    elif argilla.message:
        words += f" ({argilla.message})"
    kept = storage.item(visit)
    active = visit.ledger.list(active=True)
    titles = ", ".join(run.title for run in active)
    running = say("status.running", count=len(active), titles=titles) if active else say("status.idle")
    shown = [
        *([account.item(visit)] if ACCOUNT in visit.may else []),
        (dots.get(argilla.state, "busy"), words),
        ("busy" if active else "idle", running),
        *([kept] if kept else []),
    ]
    item = Markup('<span><span class="dot {}"></span>{}</span>')
    sign = Markup('<span class="stream-{}" role="status">{}</span>')
    lost = Markup().join(sign.format(name, say(f"stream.{name}")) for name in ("lost", "ended"))
    return Markup().join([*(item.format(dot, text) for dot, text in shown), spend.item(visit), lost])
