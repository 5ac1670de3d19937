"""What the tabs of the page share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr


@dataclass(frozen=True)
class Page:
    """What the tabs share.

    Attributes:
        project: State with the name of the project shown, "" for none; its change event redraws every tab.
        tabs: The tabs; a tab's id is its step's name.
        items: The tab of each step; its select event is where a tab looks again.
        model: State with (model folder, time of the wish): the trained model that the Evaluate tab is to show.
        account: State with the name of the account signed in to the Hub, "" for none; at its change event a tab looks
            again at what only an account can do.
        built: Events at which a tab that is built when it is first opened has come into the page.
    """

    project: gr.State
    tabs: gr.Tabs
    items: dict[str, gr.Tab]
    model: gr.State
    account: gr.State
    built: list[Any] = field(default_factory=list)

    def shows(self) -> list[Any]:
        """Return the events at which a tab draws the project: another one is shown, or the tab is new in the page."""
        return [self.project.change, *self.built]

    def looks(self, step: str) -> list[Any]:
        """Return the events at which a tab looks again: it is opened, for the first time too."""
        return [self.items[step].select, *self.built]
