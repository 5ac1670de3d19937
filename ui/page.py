"""What the tabs of the page share."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    project: gr.State
    tabs: gr.Tabs
    items: dict[str, gr.Tab]
    model: gr.State
    account: gr.State
