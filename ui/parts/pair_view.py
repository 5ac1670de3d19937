"""One pair as a reader sees it: the prompt above, chosen and rejected side by side, as conversations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.pair import Messages, Pair
from pipeline.models.tokens import PairCounts, unit_of
from ui.handlers import Update
from ui.parts.notice import notice
from ui.text import say, t

LONGEST = 20_000  # characters of one turn that are shown
LONGEST_VALUE = 300  # characters of one other column's value


@dataclass(frozen=True)
class PairView:
    """Components of one pair view."""

    head: gr.HTML
    prompt: gr.Chatbot
    chosen: gr.Chatbot
    rejected: gr.Chatbot


def build(prefix: str) -> PairView:
    """Lay out a pair view.

    Args:
        prefix: First part of the elem_ids, e.g. dataset → dataset-pair-chosen.
    """
    head = gr.HTML(elem_id=f"{prefix}-pair-head")
    prompt = _chat(f"{prefix}-pair-prompt", "pair.prompt", 320)
    with gr.Row(equal_height=False):
        chosen = _chat(f"{prefix}-pair-chosen", "pair.chosen", 520)
        rejected = _chat(f"{prefix}-pair-rejected", "pair.rejected", 520)
    return PairView(head, prompt, chosen, rejected)


def _chat(elem_id: str, label: str, height: int) -> gr.Chatbot:
    return gr.Chatbot(
        label=t(label),
        elem_id=elem_id,
        elem_classes="pair-chat",
        height=None,
        min_height=80,
        max_height=height,
        min_width=300,
        # The text of a dataset is hostile: it is shown as it is, never as Markdown or HTML.
        render_markdown=False,
        sanitize_html=True,
        allow_tags=False,
        allow_file_downloads=False,
        reasoning_tags=None,
        latex_delimiters=[],
        feedback_options=None,
        buttons=[],  # copying would give the escaped text
        autoscroll=False,
        layout="bubble",
    )


def draw(pair: Pair | None, counts: PairCounts | None = None, unit: str = "", number: int = 0) -> Update:
    """Return updates for a view's parts.

    Args:
        pair: The pair, None for none.
        counts: Lengths of its parts.
        unit: What the lengths count.
        number: Its place among the project's pairs, from 1; 0 where that says nothing.
    """
    if pair is None:
        return {"head": "", **{name: gr.update(value=[]) for name in PARTS}}
    lengths = {name: f" · {getattr(counts, name):,} {unit_name(unit)}" for name in PARTS} if counts else {}
    chats = {
        name: gr.update(value=_shown(getattr(pair, name)), label=say(f"pair.{name}") + lengths.get(name, ""))
        for name in PARTS
    }
    return {"head": _head(pair, number), **chats}


PARTS = ("prompt", "chosen", "rejected")
ROLES = {"user": "user"}  # every other on the left; Gradio 6.31 leaves system turns out, so they say what they are


def unit_name(unit: str) -> str:
    """Return the name of a counter's unit in the visitor's language."""
    return unit_of(unit).said() if unit else ""


def _shown(messages: Messages) -> list[dict[str, Any]]:
    """Return turns as Gradio's messages.

    Escaped: with render_markdown=False Gradio 6.31 puts a message into the page as sanitised HTML, and `List<String>`
    loses its `<String>`. As a list of parts: plain strings lose their indentation (they go through inspect.cleandoc).
    """
    return [
        {
            "role": ROLES.get(message.role, "assistant"),
            "content": [{"type": "text", "text": _escaped(_text(message.role, message.content))}],
        }
        for message in messages
    ]


def _escaped(text: str) -> str:
    """Escape what begins a tag or an entity; quotes begin none, and Gradio would show them as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(role: str, content: str) -> str:
    shown = content
    if len(content) > LONGEST:
        shown = content[:LONGEST] + "\n" + say("pair.more", count=f"{len(content) - LONGEST:,}")
    return f"[{say('pair.system')}]\n{shown}" if role == "system" else shown


def _head(pair: Pair, number: int) -> Markup:
    """Return where a pair comes from and its other columns."""
    values = {say("pair.source"): pair.source} if pair.source else {}
    values |= {str(name): _value(value) for name, value in pair.metadata.items()}
    item, title = Markup("<span><b>{}</b> {}</span>"), Markup("<h3>{}</h3>")
    items = Markup("").join(item.format(name, value) for name, value in values.items() if value.strip())
    named = title.format(say("pair.title", number=f"{number:,}")) if number else ""
    swapped = notice(say("pair.swapped")) if pair.swapped else ""
    return Markup('<div class="pair-head">{}{}</div>{}').format(named, items, swapped)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
