"""The column pickers of the Dataset tab: a person says which column is what where the layout does not tell."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pipeline.dataset.loads import Outcome
from ui.dataset.facts import short
from ui.dataset.preview import table
from ui.handlers import Update
from ui.parts.notice import notices
from ui.text import say, t

CUT = 100  # characters of a value shown
ASKED = (
    "box",
    "held",
    "why",
    "raw",
    "prompt",
    "chosen",
    "rejected",
    "system",
    "source",
)  # what `ask` and `leave` may update


@dataclass(frozen=True)
class ColumnPickers:
    """Which column is what, where a person has to say so.

    Attributes:
        held: State with the id of the load that waits; see `pipeline.dataset.loads.go_on`.
        why: Why its layout is not recognised.
        raw: Its first rows.
    """

    box: gr.Column
    held: gr.State
    why: gr.HTML
    raw: gr.Dataframe
    prompt: gr.Dropdown
    chosen: gr.Dropdown
    rejected: gr.Dropdown
    system: gr.Dropdown
    source: gr.Dropdown
    use: gr.Button
    cancel: gr.Button


def build() -> ColumnPickers:
    """Lay out the column pickers, hidden until they are needed."""
    held = gr.State("")
    with gr.Column(visible=False, elem_id="dataset-columns") as box:
        gr.Markdown(t("dataset.columns.about"))
        why = gr.HTML(elem_id="dataset-columns-why", padding=False, visible=False)
        raw = table("dataset-raw", t("dataset.columns.raw"))
        with gr.Row(elem_classes="form-row"):
            prompt, chosen, rejected = _picker("prompt", several=True), _picker("chosen"), _picker("rejected")
        with gr.Row(elem_classes="form-row"):
            system, source = _picker("system"), _picker("source")
        with gr.Row():
            use = gr.Button(t("dataset.columns.use"), variant="primary", elem_id="dataset-columns-use")
            cancel = gr.Button(t("dataset.columns.cancel"), elem_id="dataset-columns-cancel")
    return ColumnPickers(box, held, why, raw, prompt, chosen, rejected, system, source, use, cancel)


def _picker(name: str, several: bool = False) -> gr.Dropdown:
    return gr.Dropdown(
        [],
        multiselect=several or None,
        label=t(f"dataset.columns.{name}"),
        info=t(f"dataset.columns.{name}.help"),
        elem_id=f"dataset-column-{name}",
        min_width=220,
    )


def ask(run: str, found: Outcome) -> Update:
    """Return updates that ask for the columns of what was loaded, with a guess where there is one.

    Args:
        run: Id of the load.
        found: What became of it.
    """
    names, guess = list(found.columns), found.guess
    columns = [(name, name) for name in names]
    none = [(say("dataset.columns.none"), "")]
    return {
        "box": gr.update(visible=True),
        "held": run,
        "why": gr.update(value=notices([found.why]) if found.why else "", visible=found.why is not None),
        "raw": gr.update(value={"headers": names, "data": _raw(found)}, column_widths=_even(len(names))),
        "prompt": gr.update(choices=columns, value=list(guess.prompts) if guess else []),
        "chosen": gr.update(choices=names, value=guess.chosen if guess else None),
        "rejected": gr.update(choices=names, value=guess.rejected if guess else None),
        "system": gr.update(choices=none + columns, value=guess.system if guess else ""),
        "source": gr.update(choices=none + columns, value=guess.source if guess else ""),
    }


def leave() -> Update:
    """Return updates for when no source waits for its columns."""
    return {"box": gr.update(visible=False), "held": ""}


def _even(columns: int) -> list[str]:
    """Return widths that fill the table, or for many columns leave each readable and let it scroll."""
    return [f"{100 / columns:.2f}%" if columns <= 6 else "200px"] * columns


def _raw(found: Outcome) -> list[list[str]]:
    return [[short(value, CUT) for value in row] for row in found.first]
