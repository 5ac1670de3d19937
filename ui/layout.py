"""The page: status bar, five tabs in the order of the work, and which project it shows."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pipeline import project as projects
from pipeline.errors import StudioError
from pipeline.studio import Studio
from ui import dataset, evaluate, export, filter, status_bar, train
from ui.handlers import QUIET, handle
from ui.text import t

STEPS = {"dataset": dataset, "filter": filter, "export": export, "train": train, "evaluate": evaluate}


@dataclass(frozen=True)
class Page:
    """What the tabs share.

    Attributes:
        project: State with the name of the project shown, "" for none; its change event redraws every tab.
        tabs: The tabs; a tab's id is its step's name.
        items: The tab of each step; its select event is where a tab looks again.
        model: State with (model folder, time of the wish): the trained model that the Evaluate tab is to show.
    """

    project: gr.State
    tabs: gr.Tabs
    items: dict[str, gr.Tab]
    model: gr.State


def build(studio: Studio) -> gr.Blocks:
    """Return the studio's page.

    Args:
        studio: The services behind it.
    """
    with gr.Blocks(title="Align Studio", analytics_enabled=False, fill_width=True) as demo:
        project = gr.State("")
        bar = status_bar.build()
        items, built = {}, {}
        with gr.Tabs() as tabs:
            for name, step in STEPS.items():
                with gr.Tab(t(f"tab.{name}"), id=name, elem_id=f"tab-{name}") as items[name]:
                    built[name] = step.build(studio)
        page = Page(project, tabs, items, gr.State(None))
        status_bar.wire(bar, studio, project)
        for name, step in STEPS.items():
            step.wire(built[name], studio, page)

        def opened(*, request: gr.Request) -> list[object]:
            wanted = request.query_params.get("project", "")
            try:
                found = projects.find(studio.home, wanted) if wanted else projects.latest(studio.home)
            except StudioError as error:
                gr.Warning(error.what)
                found = projects.latest(studio.home)
            name = found.name if found else ""
            return [name, status_bar.items(studio), gr.update(choices=projects.names(studio.home), value=name or None)]

        demo.load(handle(opened), None, [project, bar.items, bar.project], **QUIET)
    demo.queue(default_concurrency_limit=8)
    return demo
