"""What the tabs of the page share, and parts of the page that are built when they are first wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.components import Component
from gradio.context import get_blocks_context

from ui.handlers import Wiring, said_to
from ui.text import spoken


@dataclass(frozen=True)
class Page:
    """What the tabs share.

    Attributes:
        root: The page itself.
        project: State with the name of the project shown, "" for none; its change event redraws every tab.
        tabs: The tabs; a tab's id is its step's name.
        items: The tab of each step; its select event is where a tab looks again.
        model: State with (model folder, time of the wish): the trained model that the Evaluate tab is to show.
        account: State that changes with the account signed in to the Hub and what it may do, "" for none; at its change
            event a tab looks again at what only an account can do.
        built: Events at which a part that is built `later` has come into the page; empty in what was there at once.
    """

    root: gr.Blocks
    project: gr.State
    tabs: gr.Tabs
    items: dict[str, gr.Tab]
    model: gr.State
    account: gr.State
    built: list[Any] = field(default_factory=list)

    def shows(self) -> list[Any]:
        """Return the events at which a part draws the project: another one is shown, or the part is new in the page."""
        return [self.project.change, *self.built]

    def looks(self, step: str) -> list[Any]:
        """Return the events at which a tab looks again: it is opened, for the first time too."""
        return [self.items[step].select, *self.built]


def later(wanted: gr.State, wiring: Wiring, page: Page, build: Callable[[Wiring, Page], None]) -> None:
    """Build a part of the page, here, when it is first wanted; what was built stays.

    A browser takes as long to open a page as the page has components and events, seen or not.

    Args:
        wanted: State that an event sets when the part is wanted.
        wiring: Connects the part; one that wants the page whole builds the part at once.
        page: What the parts share.
        build: Lays the part out and connects it.
    """
    if wiring.whole:
        build(wiring, page)
        return

    @gr.render(triggers=[wanted.change], show_progress="hidden")  # type: ignore[untyped-decorator]
    def part(request: gr.Request) -> None:
        with said_to(request), spoken():
            # Its handlers are connected for this one page: nobody needs a list of them.
            build(replace(wiring, wired=[]), replace(page, built=[page.root.load]))
            _complete(_blocks())

    assert wiring.anchor is not None
    list(_blocks().fns.values())[-1].show_progress_on = [wiring.anchor]


def _blocks() -> BlocksConfig:
    """Return what is being laid out."""
    context = get_blocks_context()
    assert context is not None
    return context


def _complete(blocks: BlocksConfig) -> None:
    """Say of components that are built later what Gradio 6.31 finds out by itself of those that are there at once."""
    events = blocks.fns.values()
    asked = {part for event in events for part in event.inputs}
    changed = {part for event in events for part in event.outputs}
    for block in blocks.blocks.values():
        if block.rendered_in is None or not isinstance(block, Component):
            continue
        # What is None is left out of what is sent, but of a component with a key, and a browser takes a number without
        # a value for 0.
        if isinstance(block, gr.Number):
            block.key = block.key or block._id
        # A control that an event updates is read-only in the browser unless it is known to be asked for.
        if getattr(block, "interactive", True) is None:
            block.interactive = block in asked or block not in changed
