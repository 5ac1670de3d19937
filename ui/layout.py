"""The page: status bar, five tabs in the order of the work, and which project it shows."""

from __future__ import annotations

import html

import gradio as gr
from gradio.components import Component

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.dataset import loads
from pipeline.runs.kinds import kind_of
from pipeline.studio import Studio
from pipeline.visit import visit_of
from ui import handlers
from ui.bar import account, spend
from ui.bar import status as status_bar
from ui.dataset import tab as dataset
from ui.evaluate import tab as evaluate
from ui.export import tab as export
from ui.filter import tab as filter
from ui.handlers import QUIET, Wiring, handle
from ui.page import Page
from ui.text import say, t
from ui.train import tab as train

STEPS = {"dataset": dataset, "filter": filter, "export": export, "train": train, "evaluate": evaluate}


def build(studio: Studio, wiring: Wiring | None = None) -> gr.Blocks:
    """Return the studio's page.

    Args:
        studio: The services behind it.
        wiring: Says whose visit a request is, and gets what is connected; the one person of this machine by default.
    """
    wiring = wiring or Wiring(lambda request: visit_of(studio, request.headers))
    handlers.identify = lambda request: studio.sign_in.token  # one trusted person: whoever reaches the page
    with gr.Blocks(title="Align Studio", analytics_enabled=False, fill_width=True) as demo:
        project = gr.State("")
        bar = status_bar.build()
        spending = spend.build()
        signed_in = account.build()
        items, built = {}, {}
        with gr.Tabs() as tabs:
            for name, step in STEPS.items():
                with gr.Tab(t(f"tab.{name}"), id=name, elem_id=f"tab-{name}") as items[name]:
                    built[name] = step.build()
        page = Page(project, tabs, items, gr.State(None), signed_in.name)
        status_bar.wire(bar, studio, project, signed_in)
        account.wire(signed_in, studio, bar.account)
        spend.wire(spending, studio, bar.stop)
        for name, step in STEPS.items():
            step.wire(built[name], wiring.within(page=page), page)

        def opened(*, request: gr.Request) -> list[object]:
            name, step = asked_for(studio, dict(request.query_params))
            choices = gr.update(choices=projects.names(studio.home), value=name or None)
            return [name, status_bar.items(studio), choices, gr.Tabs(selected=step) if step else gr.skip()]

        demo.load(handle(opened), None, [project, bar.items, bar.project, tabs], **QUIET)
        quieten(demo, bar.hear)
    demo.queue(default_concurrency_limit=8)
    # Gradio 6.31 looks for events a thousand times a second, which alone takes 4 % of a core; twenty times, as on
    # Windows, a person does not notice.
    demo._queue.sleep_when_free = 0.05
    return demo


def quieten(demo: gr.Blocks, anchor: Component) -> None:
    """Tell Gradio that events which show no progress have it in one place only.

    Gradio 6.31 keeps a loading state for every output that any event has had, and at each step of each event (pending,
    running, done) copies all of them into their components: with 150 components that have been drawn once, a single
    event keeps the page busy for a second.

    Args:
        demo: The page, with all its events.
        anchor: A component nobody sees.
    """
    for event in demo.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [anchor]


def asked_for(studio: Studio, query: dict[str, str]) -> tuple[str, str]:
    """Return the project and the tab that an address asks for: `?project=NAME` or `?run=ID`.

    Args:
        studio: Names the home.
        query: The address's query.

    Returns:
        The project's name, the latest by default, "" when there is none; and the tab, "" for none in particular.
    """
    step = ""
    try:
        if run_id := query.get("run"):
            run = studio.ledger.get(run_id)
            step = kind_of(run.kind).tab
            if name := run.project or loads.made(run):  # a load makes its project
                return projects.find(studio.home, name).name, step
        elif name := query.get("project"):
            return projects.find(studio.home, name).name, ""
    except KeyError:
        gr.Warning(say("open.no_run"))
    except StudioError as error:
        gr.Warning(html.escape(error.what))
    latest = projects.latest(studio.home)
    return latest.name if latest else "", step
