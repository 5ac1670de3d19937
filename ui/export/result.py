"""A finished export on the Export tab: its numbers, its files, how to load them, and its card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import gradio as gr
from markupsafe import Markup

from pipeline.export.exported import Exported, snippet
from pipeline.export.options import ExportPlan
from pipeline.hardware import machine
from ui.downloads import links
from ui.handlers import Update
from ui.parts.notice import facts
from ui.text import say, t

VERDICTS = ("too_few", "undecided", "ties", "rejected_better")
DRAWN = ("box", "title", "facts", "files", "downloads", "snippet", "card")  # what `draw` may update


@dataclass(frozen=True)
class Result:
    """A finished export.

    Attributes:
        name: State with its name, "" for none; its change event draws it.
    """

    name: gr.State
    box: gr.Column
    title: gr.Markdown
    facts: gr.HTML
    train: gr.Button
    files: gr.Dataframe
    downloads: gr.HTML
    snippet: gr.Code
    card: gr.Textbox


def build() -> Result:
    """Lay out a finished export, hidden until there is one."""
    name = gr.State("")
    with gr.Column(visible=False, elem_id="export-result") as box:
        title = gr.Markdown()
        shown = gr.HTML(elem_id="export-facts", padding=False)
        train = gr.Button(t("export.train"), variant="primary", elem_id="export-train")
        files = gr.Dataframe(
            type="array",
            interactive=False,
            datatype="str",
            wrap=True,
            buttons=[],
            label=t("export.files"),
            elem_id="export-files",
        )
        downloads = gr.HTML(elem_id="export-downloads", padding=False)
        with gr.Accordion(t("export.snippet"), open=False):
            code = gr.Code(
                language="python", interactive=False, show_label=False, buttons=["copy"], elem_id="export-snippet"
            )
        with gr.Accordion(t("export.card"), open=False, elem_id="export-card-fold"):
            # A text box, not Markdown: names in it come from the dataset.
            card = gr.Textbox(
                show_label=False,
                lines=20,
                max_lines=20,
                interactive=False,
                container=False,
                elem_classes="run-log",
                elem_id="export-card-text",
            )
    return Result(name, box, title, shown, train, files, downloads, code, card)


def counts(plan: ExportPlan) -> Markup:
    """Return a plan's numbers as HTML."""
    big = Markup('<div class="big-count">{}</div>').format(say("export.big", count=f"{plan.kept:,}"))
    return big + facts(_lines(plan))


def _lines(plan: ExportPlan) -> dict[str, str]:
    share = {name: f"{getattr(plan, name) / max(plan.kept, 1):.1%}" for name in ("train", "test")}
    lines = {"total": f"{plan.total:,}"}
    lines |= {
        name: f"{plan.dropped.get(name, 0):,}" for name in VERDICTS if name != "too_few" or plan.dropped.get(name)
    }
    lines["swapped"] = f"{plan.swapped:,}"
    for name in ("train", "test"):
        lines[name] = say("export.share", count=f"{getattr(plan, name):,}", share=share[name])
    lines["prompts"] = f"{plan.prompts:,}"
    return {say(f"export.fact.{name}"): value for name, value in lines.items()}


def draw(project: str, found: Exported) -> Update:
    """Return updates for the parts of `Result`.

    Args:
        project: Name of the project.
        found: The export.
    """
    lines = {
        say("export.fact.folder"): str(found.folder),
        say("export.fact.created"): when(found.created),
        **_lines(found.plan),
    }
    headers = [say(f"export.column.{name}") for name in ("file", "size", "rows")]
    files = [
        [file.path, machine.size(file.bytes), f"{file.rows:,}" if file.rows is not None else "–"]
        for file in found.files
    ]
    return {
        "box": gr.update(visible=True),
        "title": say("export.result", name=found.name),
        "facts": facts(lines),
        "files": gr.update(value={"headers": headers, "data": files}),
        "downloads": say("export.downloads") + " " + links(project, found.name, [file.path for file in found.files]),
        "snippet": snippet(found.folder),
        "card": found.card,
    }


def when(created: str) -> str:
    """Return a time of ISO 8601 as people read it, theirs."""
    return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
