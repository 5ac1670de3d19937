"""The Hub's part of the Dataset tab: search while typing, what a dataset holds, and its load while it runs."""

from __future__ import annotations

import html
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.dataset import loading
from pipeline.dataset.reading import DEFAULT_DATASET
from pipeline.hub import datasets as hub
from pipeline.hub import look
from pipeline.hub.datasets import Described, Found
from ui.handlers import QUIET, handle
from ui.parts import topic
from ui.stream import Said, Visit
from ui.text import say, t

_COLUMNS = 12  # columns of a dataset named one by one
# Asked when typing has paused, with what stands there by then: one search for a word, not one for every letter.
_PAUSED = """async (...values) => {
  await new Promise(done => setTimeout(done, 350));
  const box = document.querySelector('#dataset-hub-id textarea, #dataset-hub-id input');
  return [box ? box.value : values[0], ...values.slice(1)];
}"""


@dataclass(frozen=True)
class HubForm:
    """A dataset on the Hub.

    Attributes:
        name: Its id, or words to search for.
        hits: What was found.
        about: What it is, or why it cannot be had.
        config: Its configuration.
        split: Its split.
        revision: Its branch, tag or commit.
        limit: Rows at most.
        described: State with the id and revision that the pickers belong to.
    """

    name: gr.Textbox
    hits: gr.Radio
    about: gr.HTML
    config: gr.Dropdown
    split: gr.Dropdown
    revision: gr.Dropdown
    limit: gr.Number
    described: gr.State

    @property
    def inputs(self) -> list[Any]:
        """Components that `chosen_by` takes the values of."""
        return [self.name, self.config, self.split, self.revision, self.limit, self.described]


@dataclass(frozen=True)
class LoadView:
    """A load while it runs.

    Attributes:
        key: State with its key; see `pipeline.dataset.loading.find`.
        hear: Pressed by the page's script when the load is over.
    """

    key: gr.State
    hear: gr.Button
    box: gr.Column
    progress: gr.HTML
    stop: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """Components that `running` and `over` return updates for."""
        return [self.key, self.box, self.progress]


def build() -> HubForm:
    """Lay out the choice of a dataset on the Hub."""
    name = gr.Textbox(
        DEFAULT_DATASET, label=t("dataset.hub_id"), info=t("dataset.hub_id.help"), elem_id="dataset-hub-id", max_lines=1
    )
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
    return HubForm(name, hits, about, config, split, revision, limit, gr.State(["", ""]))


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


def build_load() -> LoadView:
    """Lay out a running load."""
    key = gr.State("")
    with gr.Column(visible=False, elem_id="dataset-loading") as box:
        progress = gr.HTML(elem_id="dataset-progress", padding=False)
        stop = gr.Button(t("dataset.stop"), elem_id="dataset-stop", elem_classes="run-stop")
        hear = topic.hearing("dataset-hear")
    return LoadView(key, hear, box, progress, stop)


def wire(form: HubForm, kind: gr.Radio) -> None:
    """Connect search, choice and pickers."""
    pickers = [form.about, form.config, form.split, form.revision, form.described]
    asked = [form.name, form.revision, form.described]

    def search(words: str, hit: str | None) -> list[Any]:
        return find(words, hit)

    def take(hit: str | None) -> list[Any]:
        return [hit or gr.skip(), gr.update(visible=False)]

    def typed(name: str, revision: str | None, before: list[str], *, request: gr.Request) -> list[Any]:
        return described(name, revision, before, request, final=False)

    def entered(name: str, revision: str | None, before: list[str], *, request: gr.Request) -> list[Any]:
        return described(name, revision, before, request, final=True)

    def opened(chosen: str, name: str, revision: str | None, before: list[str], *, request: gr.Request) -> list[Any]:
        if chosen != "hub":
            return [gr.skip()] * len(pickers)
        return described(name, revision, before, request, final=True)

    found = form.name.change(
        handle(search), [form.name, form.hits], [form.hits, form.about], js=_PAUSED, trigger_mode="always_last", **QUIET
    )
    found.then(handle(typed), asked, pickers, **QUIET)
    form.hits.input(handle(take), [form.hits], [form.name, form.hits], **QUIET)
    form.name.submit(handle(entered), asked, pickers, **QUIET)
    form.revision.input(handle(entered), asked, pickers, **QUIET)
    form.config.input(handle(splits_of), [form.name, form.revision, form.config], [form.split], **QUIET)
    kind.change(handle(opened), [kind, *asked], pickers, **QUIET)


def find(words: str, hit: str | None) -> list[Any]:
    """Return updates for the hits and the line about them.

    Args:
        words: What stands in the box.
        hit: The hit chosen last: then nothing is searched for.
    """
    if hit and hit == words:
        return [gr.update(visible=False), gr.skip()]
    try:
        hits = hub.search(words)
    except StudioError as error:
        return [_no_hits(), problem(error)]
    if not hits:
        text = html.escape(say("dataset.hub.none", words=words.strip()))
        return [_no_hits(), f'<div class="subdued" role="status">{text}</div>']
    choices = [(_line(each), each.name) for each in hits]
    exact = next((each.name for each in hits if each.name == words.strip()), None)
    return [gr.update(choices=choices, value=exact, visible=exact is None or len(hits) > 1), gr.skip() if exact else ""]


def _no_hits() -> Any:
    return gr.update(choices=[], value=None, visible=False)


def _line(found: Found) -> str:
    marks = [say(f"dataset.hub.{mark}") for mark in ("preference", "private", "gated") if getattr(found, mark)]
    counts = say("dataset.hub.counts", downloads=f"{found.downloads:,}", likes=f"{found.likes:,}")
    return " · ".join([found.name, *marks, counts])


# The dataset each page asked for last, by Gradio's session: an answer that comes after a newer question is not shown.
_asked: OrderedDict[str, tuple[str, str]] = OrderedDict()


def described(name: str, revision: str | None, before: list[str], request: gr.Request, *, final: bool) -> list[Any]:
    """Return updates for what a dataset is and for its pickers.

    Args:
        name: Its id as it stands in the box.
        revision: The revision in its picker.
        before: Id and revision that the pickers belong to.
        request: Tells the page.
        final: Whether the id is meant as it is; while typing, half a name is no mistake.
    """
    wanted = name.strip()
    revised = (revision or "").strip() if before[0] == wanted else ""
    session, question = str(request.session_hash), (wanted, revised)
    _asked[session] = question
    _asked.move_to_end(session)
    while len(_asked) > 1000:
        _asked.popitem(last=False)
    nothing = [gr.skip()] * 5
    # The pickers of another dataset say nothing of this one.
    emptied = [*(gr.update(choices=[], value="") for _ in range(3)), ["", ""]]
    if not final and (wanted.count("/") != 1 or not all(wanted.split("/"))):
        return [gr.skip(), *emptied] if before[0] else nothing
    try:
        found = hub.describe(wanted, revised)
    except StudioError as error:
        if _asked.get(session) != question:
            return nothing
        half = not final and look.at("dataset", wanted, revised).state == "missing"
        said = gr.skip() if half else problem(error, wanted)
        return [said, *nothing[1:]] if revised else [said, *emptied]
    return nothing if _asked.get(session) != question else _pickers(found, revised)


def _pickers(found: Described, revised: str) -> list[Any]:
    first = found.config("")
    splits = list(first.splits) if first else []
    kept = "train" if "train" in splits else next(iter(splits), None)
    revisions = [*found.branches, *found.tags, *found.copies]
    value = revised or ("main" if "main" in revisions else next(iter(revisions), found.sha))
    return [
        _about(found),
        gr.update(choices=[each.name for each in found.configs], value=first.name if first else None),
        gr.update(choices=splits, value=kept),
        gr.update(choices=revisions if value in revisions else [*revisions, value], value=value),
        [found.name, value],
    ]


def _about(found: Described) -> str:
    first = found.config("")
    marks = [say(f"dataset.hub.{mark}") for mark in ("private", "gated") if getattr(found, mark)]
    parts = [*marks, say("dataset.hub.counts", downloads=f"{found.downloads:,}", likes=f"{found.likes:,}")]
    parts.append(say("dataset.hub.commit", sha=found.sha[:8]))
    if first and first.rows:
        parts.append(", ".join(say("dataset.hub.rows", split=name, rows=f"{n:,}") for name, n in first.rows.items()))
    lines = [" · ".join(parts)]
    if first and first.columns:
        more = "…" if len(first.columns) > _COLUMNS else ""
        lines.append(say("dataset.hub.columns", names=", ".join(first.columns[:_COLUMNS]) + more))
    inside = "<br>".join(html.escape(line) for line in lines)
    return f'<div class="subdued" role="status"><b>{html.escape(found.name)}</b> {_link(found.name)}<br>{inside}</div>'


def _link(name: str) -> str:
    address = html.escape(hub.page(name), quote=True)
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">{html.escape(say("dataset.hub.page"))}</a>'


def problem(error: StudioError, name: str = "") -> str:
    """Return an error as HTML, with the link to the dataset's page where it has a name.

    Args:
        error: What went wrong.
        name: The dataset.
    """
    parts = [html.escape(part) for part in (error.why, error.next) if part]
    if name.count("/") == 1 and all(name.split("/")):
        parts.append(_link(name))
    what = html.escape(error.what)
    return f'<div class="notice bad" role="alert"><b>{what}</b><br>{"<br>".join(parts)}</div>'


def splits_of(name: str, revision: str | None, config: str | None) -> Any:
    """Return the update of the splits for another configuration."""
    try:
        found = hub.describe(name, revision or "").config(config or "")
    except StudioError:
        return gr.skip()
    splits = list(found.splits) if found else []
    return gr.update(choices=splits, value="train" if "train" in splits else next(iter(splits), None))


def chosen_by(
    name: str, config: str | None, split: str | None, revision: str | None, limit: float | None, before: list[str]
) -> hub.Chosen:
    """Return the rows that the form stands for, the rest filled in from the Hub.

    Args:
        name: The dataset's id.
        config: Its configuration.
        split: Its split.
        revision: Its branch, tag or commit.
        limit: Rows at most; 0: all.
        before: Id and revision that the pickers belong to; those of another dataset say nothing about this one.

    Raises:
        StudioError: As `pipeline.hub.datasets.choose`.
    """
    most = int(limit) if limit and limit > 0 else None
    if before[0] != name.strip():
        return hub.choose(name, limit=most)
    return hub.choose(name, config or "", split or "", revision or "", most)


def running(key: str, state: loading.State) -> list[Any]:
    """Return updates that show a load that runs."""
    name = f"load:{key}"
    shown = topic.place(name, _progress(state), more=topic.mark(name, "going on", "dataset-hear"))
    return [key, gr.update(visible=True), shown]


def over() -> list[Any]:
    """Return updates that take a load away that is over."""
    return ["", gr.update(visible=False), ""]


class LoadTopic:
    """What the stream says of a load; its key is known to the page that started it, and to nobody else."""

    every, slow = 0.5, False

    def admit(self, visit: Visit, name: str) -> None:
        """Let whoever knows the key watch it; one that is forgotten is over."""

    def look(self, visit: Visit, name: str) -> Said:
        """Return how far a load is; being looked at keeps it going."""
        found = loading.find(name)
        state = found.state() if found else loading.State("stopped")
        return Said({"html": _progress(state), "shape": "over" if state.over else "going on"}, last=state.over)


def _progress(state: loading.State) -> str:
    said = say(f"dataset.loading.{state.stage}")
    if state.stage == "reading":
        counted = "of" if state.total else "rows"
        said += " " + say(f"dataset.loading.{counted}", done=f"{state.done:,}", total=f"{state.total or 0:,}")
    share = min(100, round(100 * state.done / state.total)) if state.total else 0
    bar = f'<div class="run-bar"><div style="width: {share}%"></div></div>' if state.total else ""
    time = say("dataset.loading.seconds", seconds=f"{state.seconds:.0f}") if state.seconds >= 1 else ""
    line = html.escape(" · ".join(part for part in (said, time) if part))
    return f'<div role="status"><div class="run-line">{line}</div>{bar}</div>'
