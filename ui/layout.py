"""The page: status bar, five tabs in the order of the work, and which project it shows."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping

import gradio as gr

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.dataset import loads
from pipeline.runs.kinds import kind_of
from pipeline.studio import Studio
from pipeline.visit import Visit, visit_of
from ui.bar import account, deploy, spend
from ui.bar import status as status_bar
from ui.dataset import tab as dataset
from ui.evaluate import tab as evaluate
from ui.export import tab as export
from ui.filter import tab as filter
from ui.handlers import Given, Update, Wiring, scope_of
from ui.page import Page, later
from ui.parts import more_runs
from ui.text import t
from ui.train import tab as train

FIRST = "dataset"
STEPS = {"dataset": dataset, "filter": filter, "export": export, "train": train, "evaluate": evaluate}


def build(studio: Studio, wiring: Wiring | None = None, *, whole: bool = False) -> gr.Blocks:
    """Return the studio's page.

    The first tab is built with it, the others when they are opened.

    Args:
        studio: The services behind it.
        wiring: Says whose visit a request is, and gets what is connected; whoever signed in by default.
        whole: Whether everything is built at once.
    """
    wiring = wiring or Wiring(lambda request: visit_of(studio, request.headers, scope_of(request)), whole=whole)
    demo = gr.Blocks(title="Align Studio", analytics_enabled=False, fill_width=True)
    with demo:
        project = gr.State("")
        bar, spending, signed_in = status_bar.build(), spend.build(), account.build()
        deploying, items = gr.State(0), {}
        deploy_at = gr.Column()
        with gr.Tabs() as tabs:
            for name in STEPS:
                items[name] = gr.Tab(t(f"tab.{name}"), id=name, elem_id=f"tab-{name}")
        page = Page(demo, project, tabs, items, gr.State(None), signed_in.who)
        wiring = dataclasses.replace(wiring.within(page=page), anchor=bar.hear)
        above = wiring.within(bar=bar, spend=spending, account=signed_in)
        for part in (status_bar, account, spend):
            part.wire(above)
        _furnish_deploy(above, page, deploying, deploy_at)
        owns = {name: dataclasses.replace(page, project=gr.State(""), account=gr.State("")) for name in STEPS}
        for name in STEPS:
            with items[name]:
                _furnish(name, wiring, page if name == FIRST else owns[name])
        _pass_on(wiring, page, [owns[name] for name in STEPS if name != FIRST])
        shown = ["bar.banner", "bar.items", "bar.account", "bar.project"]
        above.on(demo.load, arrived, (), ["page.project", "page.tabs", *shown])
    demo.queue(default_concurrency_limit=8)
    # Gradio 6.31 looks for events a thousand times a second, and a hundred times for progress, which alone takes 4 % of
    # a core; twenty times, as on Windows, a person does not notice, and nothing here uses its progress.
    demo._queue.sleep_when_free = 0.05
    demo._queue.progress_update_sleep_when_free = 1.0
    return demo


def _pass_on(wiring: Wiring, page: Page, owns: list[Page]) -> None:
    """Tell each tab that is built later of another project and account by States of its own.

    What is built later takes the events of a component from whoever listened to them before (Gradio 6.31): no two
    parts may listen to the same State.
    """
    for what in ("project", "account"):
        copies = {f"{what}{number}": getattr(own, what) for number, own in enumerate(owns)}
        passing = wiring.within(own=copies)
        passing.on(getattr(page, what).change, PASSED[what], f"page.{what}", "own.*")


def _furnish(name: str, wiring: Wiring, page: Page) -> None:
    """Build the inside of a tab, at once or when it is opened."""
    step, wiring = STEPS[name], wiring.within(page=page)

    def inside(wiring: Wiring, page: Page) -> None:
        tab, more = step.build(), more_runs.build(name)
        step.wire(tab, wiring, page)
        more_runs.wire(more, wiring, page, name)

    if name == FIRST:
        inside(wiring, page)
        return
    wanted = gr.State(False)
    wiring.within(_={"wanted": wanted}).on(page.items[name].select, opened, (), "wanted")
    later(wanted, wiring, page, inside)


def _furnish_deploy(wiring: Wiring, page: Page, wanted: gr.State, place: gr.Column) -> None:
    """Build the panel in which this program is deployed, above the tabs, when it is opened."""
    wiring.within(_={"deploying": wanted}).on(
        wiring.parts["account.deploy"].click, deploy.wanted_again, "deploying", "deploying"
    )
    with place:
        later(wanted, wiring, page, lambda wiring, page: deploy.wire(deploy.build(), wiring, page, wanted))


def opened(visit: Visit, given: Given) -> Update:
    """Let a tab be built."""
    return {"wanted": True}


def project_passed(visit: Visit, given: Given) -> Update:
    """Tell the tabs which project is shown."""
    return {f"own.project{number}": given["page.project"] for number in range(len(STEPS) - 1)}


def account_passed(visit: Visit, given: Given) -> Update:
    """Tell the tabs who is signed in."""
    return {f"own.account{number}": given["page.account"] for number in range(len(STEPS) - 1)}


PASSED = {"project": project_passed, "account": account_passed}


def arrived(visit: Visit, given: Given) -> Update:
    """Open the project and the tab that the address asks for."""
    name, step = asked_for(visit, given["asked"].query)
    tab = {"page.tabs": gr.Tabs(selected=step)} if step else {}
    choices = gr.update(choices=visit.projects(), value=name or None)
    bar = {
        "bar.banner": status_bar.banner(visit),
        "bar.items": status_bar.items(visit),
        "bar.account": status_bar.account_button(visit),
        "bar.project": choices,
    }
    return {"page.project": name, **bar, **tab}


def asked_for(visit: Visit, query: Mapping[str, str]) -> tuple[str, str]:
    """Return the project and the tab that an address asks for: `?project=NAME` or `?run=ID`.

    Args:
        visit: Who asks.
        query: The address's query.

    Returns:
        The project's name, the latest by default, "" when there is none; and the tab, "" for none in particular.
    """
    step = ""
    try:
        if run_id := query.get("run"):
            run = visit.run(run_id)
            step = kind_of(run.kind).tab
            if made := run.project or loads.made(run):  # a load makes its project
                return visit.project(made).name, step
        elif name := query.get("project"):
            return visit.project(name).name, ""
    except StudioError as error:
        gr.Warning(html.escape(error.what))
    latest = projects.latest(visit.home)
    return latest.name if latest else "", step
