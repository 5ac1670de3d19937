"""The Hub's part of the Dataset tab: search while typing, what a dataset holds, and its load while it runs."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.errors import StudioError
from pipeline.dataset.reading import DEFAULT_DATASET
from pipeline.hub import datasets as hub
from pipeline.hub import look
from pipeline.hub.datasets import Described, Found
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring
from ui.parts.notice import link
from ui.parts.topic import HEAR, hearing
from ui.text import say, t

PICKERS = ("about", "config", "split", "revision", "described")  # what describing a dataset may update
_COLUMNS = 12  # columns of a dataset named one by one
# Presses the button that searches when typing has paused: one search for a word, not one for every letter.
_PAUSED = """() => {
  clearTimeout(window.alignStudioTyping);
  const button = document.getElementById("dataset-hub-search");
  window.alignStudioTyping = setTimeout(() => (button.querySelector("button") ?? button).click(), 350);
}"""


@dataclass(frozen=True)
class HubForm:
    """A dataset on the Hub.

    Attributes:
        name: Its id, or words to search for.
        search: Pressed by the page when typing has paused; nobody sees it.
        hits: What was found.
        about: What it is, or why it cannot be had.
        config: Its configuration.
        split: Its split.
        revision: Its branch, tag or commit.
        limit: Rows at most.
        described: State with the id and revision that the pickers belong to.
    """

    name: gr.Textbox
    search: gr.Button
    hits: gr.Radio
    about: gr.HTML
    config: gr.Dropdown
    split: gr.Dropdown
    revision: gr.Dropdown
    limit: gr.Number
    described: gr.State


def build() -> HubForm:
    """Lay out the choice of a dataset on the Hub."""
    name = gr.Textbox(
        DEFAULT_DATASET, label=t("dataset.hub_id"), info=t("dataset.hub_id.help"), elem_id="dataset-hub-id", max_lines=1
    )
    look = hearing("dataset-hub-search")
    hits = gr.Radio([], label=t("dataset.hub.hits"), elem_id="dataset-hub-hits", visible=False)
    about = gr.HTML(elem_id="dataset-hub-about", padding=False)
    with gr.Row(elem_classes="form-row"):
        config, split, revision = _picker("config"), _picker("split"), _picker("revision")
        limit = gr.Number(
            1000,
            precision=0,
            minimum=0,
            label=t("dataset.limit"),
            info=t("dataset.limit.help"),
            elem_id="dataset-limit",
            min_width=180,
        )
    return HubForm(name, look, hits, about, config, split, revision, limit, gr.State(["", ""]))


def _picker(name: str) -> gr.Dropdown:
    # Any value is taken, and checked with the Hub: Gradio 6.31 checks a value against the choices before the last.
    return gr.Dropdown(
        [],
        label=t(f"dataset.{name}"),
        info=t(f"dataset.{name}.help"),
        elem_id=f"dataset-{name}",
        min_width=180,
        allow_custom_value=True,
    )


def wire(form: HubForm, kind: gr.Radio, wiring: Wiring) -> None:
    """Connect search, choice and pickers.

    Args:
        form: The components.
        kind: The kind of source that is chosen.
        wiring: Knows the page.
    """
    wiring = wiring.within(_=form, form={"kind": kind})
    asked = ["name", "revision", "described"]
    form.name.change(None, js=_PAUSED, api_visibility="private")
    found = wiring.on(form.search.click, search, ["name", "hits"], ["hits", "about"], HEAR)
    wiring.on(found, typed, asked, PICKERS)
    wiring.on(form.hits.input, take, "hits", ["name", "hits"])
    wiring.on([form.name.submit, form.revision.input], entered, asked, PICKERS)
    wiring.on(form.config.input, splits, ["name", "revision", "config"], "split")
    wiring.on(kind.change, opened, ["form.kind", *asked], PICKERS)


def search(visit: Visit, given: Given) -> Update:
    """Search the Hub for what stands in the box, unless that is a hit already."""
    words, hit = given["name"], given["hits"]
    if hit and hit == words:
        return {"hits": gr.update(visible=False)}
    try:
        hits = hub.search(words)
    except StudioError as error:
        return {"hits": _no_hits(), "about": problem(error)}
    if not hits:
        return {"hits": _no_hits(), "about": _subdued(say("dataset.hub.none", words=words.strip()))}
    choices = [(_line(each), each.name) for each in hits]
    exact = next((each.name for each in hits if each.name == words.strip()), None)
    shown = {"hits": gr.update(choices=choices, value=exact, visible=exact is None or len(hits) > 1)}
    return shown if exact else {**shown, "about": ""}


def take(visit: Visit, given: Given) -> Update:
    """Put the hit that is chosen into the box."""
    away = {"hits": gr.update(visible=False)}
    return {**away, "name": given["hits"]} if given["hits"] else away


def typed(visit: Visit, given: Given) -> Update:
    """Describe what is being typed: half a name is no mistake."""
    return _described(given, final=False)


def entered(visit: Visit, given: Given) -> Update:
    """Describe what was entered."""
    return _described(given, final=True)


def opened(visit: Visit, given: Given) -> Update:
    """Describe what stands in the box when the Hub is chosen."""
    return _described(given, final=True) if given["form.kind"] == "hub" else {}


def splits(visit: Visit, given: Given) -> Update:
    """Offer the splits of another configuration."""
    try:
        found = hub.describe(given["name"], given["revision"] or "").config(given["config"] or "")
    except StudioError:
        return {}
    names = list(found.splits) if found else []
    return {"split": gr.update(choices=names, value="train" if "train" in names else next(iter(names), None))}


def _subdued(text: str) -> Markup:
    return Markup('<div class="subdued" role="status">{}</div>').format(text)


def _no_hits() -> Any:
    return gr.update(choices=[], value=None, visible=False)


def _line(found: Found) -> str:
    marks = [say(f"dataset.hub.{mark}") for mark in ("preference", "private", "gated") if getattr(found, mark)]
    counts = say("dataset.hub.counts", downloads=f"{found.downloads:,}", likes=f"{found.likes:,}")
    return " · ".join([found.name, *marks, counts])


# The dataset each page asked for last: an answer that comes after a newer question is not shown.
_asked: OrderedDict[str, tuple[str, str]] = OrderedDict()


def _described(given: Given, *, final: bool) -> Update:
    """Return updates for what a dataset is and for its pickers.

    Args:
        given: The box, the revision in its picker, and id and revision that the pickers belong to.
        final: Whether the id is meant as it is; while typing, half a name is no mistake.
    """
    wanted, before = given["name"].strip(), given["described"]
    revised = (given["revision"] or "").strip() if before[0] == wanted else ""
    page, question = given["asked"].page, (wanted, revised)
    _ask(page, question)
    # The pickers of another dataset say nothing of this one.
    emptied: Update = {name: gr.update(choices=[], value="") for name in ("config", "split", "revision")}
    emptied["described"] = ["", ""]
    if not final and (wanted.count("/") != 1 or not all(wanted.split("/"))):
        return emptied if before[0] else {}
    try:
        found = hub.describe(wanted, revised)
    except StudioError as error:
        if _asked.get(page) != question:
            return {}
        half = not final and look.at("dataset", wanted, revised).state == "missing"
        said = {} if half else {"about": problem(error, wanted)}
        return said if revised else {**said, **emptied}
    return _pickers(found, revised) if _asked.get(page) == question else {}


def _ask(page: str, question: tuple[str, str]) -> None:
    _asked[page] = question
    _asked.move_to_end(page)
    while len(_asked) > 1000:
        _asked.popitem(last=False)


def _pickers(found: Described, revised: str) -> Update:
    first = found.config("")
    names = list(first.splits) if first else []
    kept = "train" if "train" in names else next(iter(names), None)
    revisions = [*found.branches, *found.tags, *found.copies]
    value = revised or ("main" if "main" in revisions else next(iter(revisions), found.sha))
    return {
        "about": _about(found),
        "config": gr.update(choices=[each.name for each in found.configs], value=first.name if first else None),
        "split": gr.update(choices=names, value=kept),
        "revision": gr.update(choices=revisions if value in revisions else [*revisions, value], value=value),
        "described": [found.name, value],
    }


def _about(found: Described) -> Markup:
    first = found.config("")
    marks = [say(f"dataset.hub.{mark}") for mark in ("private", "gated") if getattr(found, mark)]
    parts = [*marks, say("dataset.hub.counts", downloads=f"{found.downloads:,}", likes=f"{found.likes:,}")]
    parts.append(say("dataset.hub.commit", sha=found.sha[:8]))
    if first and first.rows:
        parts.append(", ".join(say("dataset.hub.rows", split=name, rows=f"{n:,}") for name, n in first.rows.items()))
    lines: list[str] = [" · ".join(parts)]
    if first and first.columns:
        more = "…" if len(first.columns) > _COLUMNS else ""
        lines.append(say("dataset.hub.columns", names=", ".join(first.columns[:_COLUMNS]) + more))
    inside = Markup("<br>").join(lines)
    return _subdued(Markup("<b>{}</b> {}<br>{}").format(found.name, _link(found.name), inside))


def _link(name: str) -> Markup:
    return link(hub.page(name), say("dataset.hub.page"))


def problem(error: StudioError, name: str = "") -> Markup:
    """Return an error as HTML, with the link to the dataset's page where it has a name.

    Args:
        error: What went wrong.
        name: The dataset.
    """
    parts = [part for part in (error.why, error.next) if part]
    if name.count("/") == 1 and all(name.split("/")):
        parts.append(_link(name))
    return Markup('<div class="notice bad" role="alert"><b>{}</b><br>{}</div>').format(
        error.what, Markup("<br>").join(parts)
    )
