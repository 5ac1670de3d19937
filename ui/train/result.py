"""What the Train tab shows of a run: curves, what its state means, the model it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from markupsafe import Markup

from pipeline.hardware import machine, remote
from pipeline.hardware.remote import money
from pipeline.runs.ledger import Run, State
from pipeline.runs.view import View
from pipeline.train import algorithm, card, trainings
from ui.handlers import Update
from ui.parts.hardware import named
from ui.parts.notice import facts, line, link, notice
from ui.parts.run_view import duration
from ui.text import has, say, t

# The metrics of each plot, of all algorithms: a run fills those of its own.
CURVES = algorithm.curves()


@dataclass(frozen=True)
class Trained:
    """What the Train tab shows of a run besides its progress.

    Attributes:
        note: What its state means.
        box: The model it made: facts, how it is loaded, and the way to evaluate it.
    """

    note: gr.HTML
    curves_box: gr.Column
    curves: dict[str, gr.LinePlot]
    box: gr.Column
    facts: gr.HTML
    snippet: gr.Code
    evaluate: gr.Button


def build() -> Trained:
    """Lay out note, curves and result, hidden until a run has them."""
    note = gr.HTML(visible=False, elem_id="train-note")
    with gr.Column(visible=False, elem_id="train-curves") as curves_box:
        curves = _curves()
    with gr.Column(visible=False, elem_id="train-result") as box:
        gr.Markdown(t("train.result"))
        about = gr.HTML(elem_id="train-facts")
        evaluate = gr.Button(t("train.evaluate"), variant="primary", elem_id="train-evaluate")
        with gr.Accordion(t("train.snippet"), open=False):
            snippet = gr.Code(
                language="python",
                interactive=False,
                show_label=False,
                lines=1,
                buttons=["copy"],
                elem_id="train-snippet",
            )
    return Trained(note, curves_box, curves, box, about, snippet, evaluate)


def _curves() -> dict[str, gr.LinePlot]:
    """Lay out the plots, two in a row."""
    names = list(CURVES)
    plots = {}
    for row in (names[place : place + 2] for place in range(0, len(names), 2)):
        with gr.Row():
            for name in row:
                plots[name] = gr.LinePlot(
                    x="step",
                    y="value",
                    color="metric" if len(CURVES[name]) > 1 else None,
                    color_title=" ",
                    y_title=" ",
                    label=t(f"train.curve.{name}") if has(f"train.curve.{name}") else name,
                    caption=t(f"train.curve.{name}.help") if has(f"train.curve.{name}.help") else None,
                    min_width=320,
                    buttons=["fullscreen"],
                    elem_id=f"train-curve-{name}",
                )
    return plots


def key(seen: View | None) -> str:
    """Return a text that changes when curves, note or result have to be drawn again."""
    if seen is None:
        return ""
    worker = bool(seen.run.worker)  # from when on a Job has a page
    return f"{seen.run.id} {seen.run.state} {seen.folded.stage} {len(seen.folded.metrics)} {worker}"


def draw(seen: View | None) -> Update:
    """Return updates for `Trained`, by its names: a run's note, curves and result."""
    if seen is None:
        hidden = gr.update(visible=False)
        return {"note": hidden, "curves_box": hidden, "box": hidden}
    words = _note(seen)
    return {
        "note": gr.update(value=words, visible=bool(words)),
        "curves_box": gr.update(visible=bool(seen.folded.metrics)),
        **{f"curves.{name}": _curve(seen.folded.metrics, name) for name in CURVES},
        **_result(seen),
    }


def _note(seen: View) -> Markup:
    """Return what a run's state means, where the state alone does not say it."""
    run, result = seen.run, seen.run.result or {}
    said = ""
    if run.state is State.WAITING:
        said = say("train.waiting", user=run.user)
    elif run.state is State.STARTING and seen.folded.stage == "install" and run.place == "local":
        said = say("train.installing")
    elif run.state is State.CANCELLED:
        said = say("train.cancelled")
    elif run.state is State.SUCCEEDED and result.get("stopped"):
        wanted = seen.folded.metrics[-1]["max_steps"] if seen.folded.metrics else "?"
        said = say("train.stopped", steps=result.get("steps"), of=wanted)
    return notice(said) + _job(run)


def _job(run: Run) -> Markup:
    """Return where a run on a Job goes on, or what it has cost: the fear to pay on is answered wherever it is seen."""
    if run.place != "job":
        return Markup("")
    job = run.worker or {}
    page = link(str(job.get("url") or ""), say("train.job.page"))
    spent = remote.spent(run)
    if run.active:
        if not job.get("job"):
            return line(say("train.job.none_yet"))
        limit = duration(float(job.get("timeout") or 0))
        price = money(60 * float(job.get("price_per_minute") or 0))
        words = say("train.job.running", flavor=named(str(job.get("flavor") or "")), price=price, time=limit)
        return line(words, page)
    if run.state is State.LOST:
        return notice(Markup("{} {}").format(say("train.job.lost"), page), "bad")
    if spent is None:  # a Job that was there may have run for a moment that nobody saw
        return line(say("train.job.ended" if job.get("job") else "train.job.free"), page)
    words = say("train.job.cost", time=duration(spent.seconds), flavor=named(spent.flavor), cost=money(spent.usd))
    return line(words, page)


def _called(metric: str) -> str:
    code = f"train.metric.{metric}"
    return say(code) if has(code) else metric


def _curve(metrics: list[dict[str, Any]], name: str) -> Any:
    """Return the update of one plot: a row per step and metric; a value that is no number is left out."""
    rows = [
        (
            entry["step"],
            float(entry[metric]),
            say(f"train.metric.{metric}") if has(f"train.metric.{metric}") else metric,
        )
        for metric in CURVES[name]
        for entry in metrics
        if isinstance(entry.get(metric), int | float)
    ]
    table = pd.DataFrame(rows, columns=["step", "value", "metric"])
    return gr.update(value=table, x_title=say("train.step"))


def _result(seen: View) -> Update:
    """Return updates for what a finished run made."""
    run, result = seen.run, seen.run.result or {}
    remote_model = run.place == "job" and bool(result.get("repo"))
    path = str(result.get("repo" if remote_model else "model_path") or "")
    if run.state is not State.SUCCEEDED or not path:
        return {"box": gr.update(visible=False)}
    loss = (result.get("metrics") or {}).get("loss")
    lines = {
        "size": machine.size(int(result.get("size_bytes") or 0)),
        "steps_done": f"{result.get('steps')}",
        "took": duration(float(result.get("seconds") or 0)),
        "loss": f"{loss:.4g}" if isinstance(loss, int | float) else "–",
    }
    spent = remote.spent(run)
    if spent is not None:
        lines["cost"] = say("train.about", time=money(spent.usd))
    if remote_model:
        lines = {"repository": path, "revision": str(result.get("revision") or ""), **lines}
        snippet = card.snippet(path, "merged" if result.get("adapter_path") else "", str(result.get("revision") or ""))
        page = link(str(result.get("url") or ""), say("train.open"))
    else:
        lines = {"path": path if Path(path).is_dir() else say("train.gone", path=path), **lines}
        if result.get("adapter_path"):
            lines["adapter"] = str(result["adapter_path"])
        snippet, page = card.snippet(path), Markup("")
    shown = facts({say(f"train.fact.{name}"): value for name, value in lines.items()})
    return {
        "box": gr.update(visible=True),
        "facts": shown + (Markup("<p>{}</p>").format(page) if page else ""),
        "snippet": snippet,
        "evaluate": gr.update(visible=trainings.loaded_from(run) is not None),
    }
