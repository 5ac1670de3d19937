"""Runs of the kinds that extensions add: no part of a tab shows them by itself."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pipeline.runs.kinds import added
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring, prefixed, under
from ui.page import Page
from ui.parts import run_view
from ui.parts.run_view import RunView

RUNS = "more.runs."


@dataclass(frozen=True)
class MoreRuns:
    """The views, by kind.

    Attributes:
        runs: The state of each view that holds which run it shows.
    """

    views: dict[str, RunView]
    runs: dict[str, gr.State]


def build(step: str) -> MoreRuns:
    """Lay out a view of the latest run of each such kind that names a step's tab."""
    views = {name: run_view.build(name) for name, kind in added().items() if kind.tab == step}
    return MoreRuns(views, {name: view.run for name, view in views.items()})


def wire(more: MoreRuns, wiring: Wiring, page: Page, step: str) -> None:
    """Show a project's latest run of each kind when the project is shown and when the tab is opened."""
    for view in more.views.values():
        run_view.wire(view, wiring)
    if more.views:
        looks = [page.project.change, *page.looks(step)]
        wiring.within(more=more).on(looks, latest, ["page.project", f"{RUNS}*"], f"{RUNS}*")


def latest(visit: Visit, given: Given) -> Update:
    """Show the latest run of each kind."""
    project = visit.project_or_none(given["page.project"])
    found = {kind: visit.ledger.latest(project.name, kind) if project else None for kind in under(given, RUNS)}
    return prefixed(RUNS, {kind: run.id if run else "" for kind, run in found.items()})
