"""Places of curves, which the page draws from the rows of a topic (`ui/static/curves.js`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from markupsafe import Markup

from ui.text import say

CORNERS = Markup(
    '<svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" stroke-width="1.5" '
    'aria-hidden="true">'
    '<path d="M1 5V1h4M9 1h4v4M13 9v4H9M5 13H1V9"/></svg>'
)


def figure(elem_id: str, topic: str, metrics: Mapping[str, str], *, title: str, about: str, x: str) -> Markup:
    """Return the HTML of one plot.

    Args:
        elem_id: Its id.
        topic: Whose rows are drawn.
        metrics: Columns drawn, each with the word people read.
        title: What it shows.
        about: How to read it.
        x: What the rows are counted in.
    """
    words = say("curve.words", title=title, points="{points}", step="{step}", last="{last}")
    data = {"curve": topic, "metrics": json.dumps(list(metrics.items()), ensure_ascii=False), "x": x, "words": words}
    marks = Markup(" ").join(Markup('data-{}="{}"').format(name, value) for name, value in data.items())
    full = Markup('<button type="button" class="curve-full" aria-label="{}">{}</button>').format(
        say("curve.full"), CORNERS
    )
    return Markup(
        '<div class="curve" id="{}" {}><div class="curve-title">{}{}</div>'
        '<div class="curve-plot" role="img" aria-label="{}"></div><div class="subdued">{}</div></div>'
    ).format(elem_id, marks, title, full, title, about)
