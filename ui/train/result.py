"""What the Train tab shows of a run: curves, what its state means, the model it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from markupsafe import Markup

from pipeline.hardware import machine, pricing
from pipeline.hardware.pricing import RENTED, money
from pipeline.runs.ledger import Run, State
from pipeline.runs.view import View
from pipeline.train import algorithm, card, trainings
from ui.handlers import Update
from ui.parts import curves
from ui.parts.hardware import named
from ui.parts.notice import facts, line, link, notice
from ui.parts.run_view import duration
from ui.text import has, say, t

# The metrics of each plot, of all algorithms: a run fills those of its own.
CURVES = algorithm.curves()
METRICS = tuple(dict.fromkeys(metric for metrics in CURVES.values() for metric in metrics))


@dataclass(frozen=True)
class Trained:
    """What the Train tab shows of a run besides its progress.

    Attributes:
        note: What its state means.
        box: The model it made: facts, how it is loaded, and the way to evaluate it.
    """

    note: gr.HTML
    curves: gr.HTML
    box: gr.Column
    facts: gr.HTML
    snippet: gr.Code
    evaluate: gr.Button


def build() -> Trained:
    """Lay out note, curves and result, hidden until a run has them."""
    note = gr.HTML(visible=False, elem_id="train-note")
    plots = gr.HTML(visible=False, elem_id="train-curves", padding=False)
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
    return Trained(note, plots, box, about, snippet, evaluate)


def draw(seen: View | None) -> Update:
    """Return updates for `Trained`, by its names: a run's note, curves and result."""
    if seen is None:
        hidden = gr.update(visible=False)
        return {"note": hidden, "curves": hidden, "box": hidden}
    words = _note(seen)
    return {
        "note": gr.update(value=words, visible=bool(words)),
        "curves": gr.update(value=_curves(seen.run), visible=bool(seen.folded.metrics)),
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
    return notice(said) + rented(run)


def rented(run: Run) -> Markup:
    """Return where a run on rented hardware goes on, or what it cost: the fear to pay on is answered here."""
    if run.place not in RENTED:
        return Markup("")
    there, said = run.worker or {}, f"train.{run.place}"
    page = Markup("") if there.get("deleted") else link(str(there.get("url") or ""), say(f"{said}.page"))
    spent = pricing.spent(run)
    if run.active:
        if not there.get(run.place):
            return line(say(f"{said}.none_yet"))
        limit = duration(float(there.get("timeout") or 0))
        price = money(60 * float(there.get("price_per_minute") or 0))
        words = say(f"{said}.running", flavor=named(str(there.get("flavor") or "")), price=price, time=limit)
        return line(words, page)
    if there.get("paused") is False:
        return notice(Markup("{} {}").format(say("train.space.not_paused"), page), "bad")
    if run.state is State.LOST:
        return notice(Markup("{} {}").format(say(f"{said}.lost"), page), "bad")
    if spent is None or not spent.seconds:  # what was there may have run for a moment that nobody saw
        return line(say(f"{said}.ended" if there.get(run.place) else f"{said}.free"), page)
    over = run.place == "space" and there.get("stage") != "PAUSED"
    words = say(
        "train.space.cost_over" if over else f"{said}.cost",
        time=duration(spent.seconds),
        flavor=named(spent.flavor),
        cost=money(spent.usd),
    )
    return line(words, page)


def _said(code: str, otherwise: str) -> str:
    """Return the words of a code; an algorithm of an extension may have none."""
    return say(code) if has(code) else otherwise


def _curves(run: Run) -> Markup:
    """Return the places of a run's curves, which the page draws from the stream."""
    figures = [
        curves.figure(
            f"train-curve-{name}",
            f"run:{run.id}",
            {metric: _said(f"train.metric.{metric}", metric) for metric in metrics},
            title=_said(f"train.curve.{name}", name),
            about=_said(f"train.curve.{name}.help", ""),
            x=say("train.step"),
        )
        for name, metrics in CURVES.items()
    ]
    return Markup('<div class="curves">{}</div>').format(Markup("").join(figures))


def _result(seen: View) -> Update:
    """Return updates for what a finished run made."""
    run, result = seen.run, seen.run.result or {}
    remote_model = run.place in RENTED and bool(result.get("repo"))
    path = str(result.get("repo" if remote_model else "model_path") or "")
    if run.state is not State.SUCCEEDED or not path:
        return {"box": gr.update(visible=False)}
    loss = (result.get("metrics") or {}).get("loss")
    lines = {
        "size": machine.size(int(result.get("size_bytes") or 0)),
        "steps_done": f"{result.get('steps')}",
        **({"seen": f"{result['pairs_seen']:,}"} if "pairs_seen" in result else {}),
        "took": duration(float(result.get("seconds") or 0)),
        "loss": f"{loss:.4g}" if isinstance(loss, int | float) else "–",
    }
    spent = pricing.spent(run)
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
