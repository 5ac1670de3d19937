"""What the page's script needs to find in the page to draw a topic of the stream (`ui/static/stream.js`)."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from ui.handlers import QUIET

# The event of a button that the script presses: what changes while it runs is drawn after it.
HEAR: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}


def hearing(elem_id: str) -> gr.Button:
    """Lay out the button that the script presses when Gradio has to draw more than the script can; nobody sees it."""
    # Hidden by its class: Gradio 6.31 shows a button of visible="hidden" once what it stands in is shown.
    return gr.Button("", elem_id=elem_id, elem_classes="hearing")


def mark(topic: str, shape: str, hear: str, *, seen_only: bool = False) -> Markup:
    """Return the attributes of an element that stands for a topic: while it is in the page the topic is watched.

    Args:
        topic: kind:name.
        shape: What of it Gradio has drawn; the script presses the button when the stream says another one.
        hear: That button's elem_id.
        seen_only: Whether it is watched only while it can be seen.
    """
    marks = Markup('data-topic="{}" data-shape="{}" data-hear="{}"').format(topic, shape, hear)
    return marks + Markup(" data-seen-only") if seen_only else marks


def place(topic: str, inside: str, style: str = "", more: str = "") -> Markup:
    """Return the HTML of a place in which the script draws a topic's `html`.

    Args:
        topic: kind:name.
        inside: What it shows now; escaped unless it is Markup.
        style: CSS class.
        more: Further attributes: a `mark`, where the place stands for the topic itself.
    """
    return Markup('<div class="{}" data-draw="{}" {}>{}</div>').format(style, topic, more, inside)
