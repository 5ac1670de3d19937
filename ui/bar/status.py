"""The slim bar above the tabs: project, account, Argilla, what is running, what is billed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipeline.base import project as projects
from pipeline.runs import launch
from pipeline.studio import Studio
from ui.bar import account, spend
from ui.handlers import QUIET, handle
from ui.text import say, t


@dataclass(frozen=True)
class StatusBar:
    """Components of the status bar."""

    project: gr.Dropdown
    items: gr.HTML
    retry: gr.Button
    account: gr.Button
    stop: gr.Button
    timer: gr.Timer


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
    return StatusBar(project, items, retry, open_account, stop, gr.Timer(2.0))


def wire(bar: StatusBar, studio: Studio, project: gr.State) -> None:
    """Keep the bar true: what runs, how Argilla is, which projects there are."""

    def tick() -> list[Any]:
        failed = studio.argilla.status.state == "failed"
        return [items(studio), gr.update(visible=failed), gr.update(visible=spend.can_stop(studio))]

    def choices(name: str) -> Any:
        return gr.update(choices=projects.names(studio.home), value=name or None)

    def again() -> list[Any]:
        studio.argilla.start()
        return tick()

    drawn = [bar.items, bar.retry, bar.stop]
    bar.timer.tick(handle(tick), None, drawn, **QUIET)
    bar.retry.click(handle(again), None, drawn, **QUIET)
    project.change(handle(choices), [project], [bar.project], **QUIET)
    bar.project.input(lambda name: name or "", [bar.project], [project], **QUIET)


def items(studio: Studio) -> str:
    """Return the bar's items as HTML, everything escaped."""
    argilla = studio.argilla.status
    dots = {"ready": "good", "failed": "bad"}
    words = say(f"status.argilla.{argilla.state}")
    if argilla.problem is not None:
        words += f": {argilla.problem}"
    elif argilla.message:
        words += f" ({argilla.message})"
    active = launch.tend(studio.ledger)
    titles = ", ".join(run.title for run in active)
    running = say("status.running", count=len(active), titles=titles) if active else say("status.idle")
    shown = [
        account.item(studio),
        (dots.get(argilla.state, "busy"), words),
        ("busy" if active else "idle", running),
    ]
    inside = "".join(f'<span><span class="dot {dot}"></span>{escape(text)}</span>' for dot, text in shown)
    inside += spend.item(studio)
    return f'<div class="status-items">{inside}</div>'
