"""What the handlers of several tabs share: the project that is shown, the look at a tab, the way to another."""

from __future__ import annotations

import time

import gradio as gr

from pipeline.base.project import Project
from pipeline.visit import Visit
from ui.handlers import Given, Update


def loaded(visit: Visit, given: Given) -> Project | None:
    """Return the visitor's project that the page shows, None for none and for one without a dataset.

    Raises:
        StudioError: They have none of that name.
    """
    project = visit.project_or_none(given["page.project"])
    return project if project and project.read().dataset else None


def looked(visit: Visit, given: Given) -> Update:
    """Note that somebody looks at the tab; the change of the time draws it."""
    return {"looked": time.time()}


def drawn_again(visit: Visit, given: Given) -> Update:
    """Have all of a tab drawn again that has been looked at before."""
    # Never the 0.0 it was given: the tab may have been selected meanwhile, and its time would be lost.
    return {"looked": time.time()} if given["looked"] else {}


def to_dataset(visit: Visit, given: Given) -> Update:
    """Go to the Dataset tab."""
    return {"page.tabs": gr.Tabs(selected="dataset")}


def to_filter(visit: Visit, given: Given) -> Update:
    """Go to the Filter tab."""
    return {"page.tabs": gr.Tabs(selected="filter")}


def to_train(visit: Visit, given: Given) -> Update:
    """Go to the Train tab."""
    return {"page.tabs": gr.Tabs(selected="train")}
