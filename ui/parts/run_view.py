"""The one way to show a run: state, progress, problem, log and stop, wherever it appears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.view import Progress, View, look
from pipeline.studio import Studio
from ui.handlers import QUIET, handle
from ui.parts import topic
from ui.parts.topic import HEAR
from ui.text import say, t


@dataclass(frozen=True)
class RunView:
    """Components of one run view.

    Attributes:
        kind: Kind of the runs shown.
        run: State that holds the id of the run shown, "" for none. Setting it shows that run.
        ended: State that holds the id of the last run seen to end here; its change event is where a tab refreshes.
        box: The group that is hidden while there is no run.
        hear: Pressed by the page's script when more has changed than it can draw itself.
    """

    kind: str
    run: gr.State
    ended: gr.State
    box: gr.Group
    card: gr.HTML
    stop: gr.Button
    log: gr.HTML
    hear: gr.Button

    @property
    def outputs(self) -> list[Component]:
        """Components that `draw` returns updates for."""
        return [self.box, self.card, self.stop, self.log, self.ended]


def build(kind: str) -> RunView:
    """Lay out the view of the latest run of a kind."""
    run, ended = gr.State(""), gr.State("")
    with gr.Group(visible=False, elem_id=f"{kind}-run") as box:
        card = gr.HTML(elem_id=f"{kind}-card", padding=True)
        stop = gr.Button(t("run.stop"), size="sm", visible=False, elem_id=f"{kind}-stop", elem_classes="run-stop")
        with gr.Accordion(t("run.log"), open=False):
            log = gr.HTML(elem_id=f"{kind}-log", padding=True)
        hear = topic.hearing(f"{kind}-hear")
    return RunView(kind, run, ended, box, card, stop, log, hear)


def wire(
    view: RunView,
    studio: Studio,
    *,
    also: Callable[[View | None], list[Any]] | None = None,
    also_outputs: list[Component] | None = None,
) -> None:
    """Connect a run view: the page's script draws what goes on, an event what a run's next state changes.

    Args:
        view: The view.
        studio: Names the ledger.
        also: Draws what a tab shows besides (curves, results) from the same look, for `also_outputs`.
        also_outputs: Components `also` returns updates for.
    """
    outputs = [*view.outputs, *(also_outputs or [])]

    def show(run_id: str, ended: str) -> list[Any]:
        seen = look(studio.ledger, run_id) if run_id else None
        return [*draw(seen, ended, view.kind), *(also(seen) if also else [])]

    def press(run_id: str, ended: str) -> list[Any]:
        launch.stop(studio.ledger.get(run_id))
        return show(run_id, ended)

    for event in (view.hear.click, view.run.change):
        event(handle(show), [view.run, view.ended], outputs, **HEAR)
    view.stop.click(handle(press), [view.run, view.ended], outputs, **QUIET)


def draw(seen: View | None, ended: str, kind: str) -> list[Any]:
    """Return updates for a view's outputs.

    Args:
        seen: What there is to show, or None.
        ended: Id of the run last seen to end.
        kind: Kind of the view.
    """
    if seen is None:
        return [gr.update(visible=False), "", gr.update(visible=False), "", ended]
    run = seen.run
    stopping = run.stop_file.exists()
    stop = gr.update(visible=run.active, value=say("run.stop_now" if stopping else "run.stop"))
    end = ended if run.active else run.id
    name = f"run:{run.id}"
    about = topic.place(name, Markup(inside(seen)), "run-card", topic.mark(name, shape(seen), f"{kind}-hear"))
    log = f'<pre class="run-log" tabindex="0" data-lines="{escape(name)}">{escape(seen.log)}</pre>'
    return [gr.update(visible=True), about, stop, log, end]


def shape(seen: View) -> str:
    """Return a text that changes when a tab has to draw more of a run than its progress, log and curves."""
    run, folded = seen.run, seen.folded
    job = (run.worker or {}).get("job") or bool(run.worker)
    stopping, installing = run.stop_file.exists(), folded.stage == "install"
    return f"{run.state.name} {stopping} {installing} {job} {bool(folded.metrics)} {len(folded.results)}"


def inside(seen: View) -> str:
    """Return a run's state, progress and problem as HTML; every text in it is escaped."""
    run, folded = seen.run, seen.folded
    state = escape(say(f"run.state.{run.state.value.split()[0]}"))
    head = (
        f'<div class="run-head"><span class="state {run.state.value.split()[0]}">{state}</span>'
        f"<span>{escape(run.title)}</span><span class='time'>{escape(duration(seen.seconds))}</span></div>"
    )
    parts = [head]
    if run.active:
        share = folded.progress.share if folded.progress else 0.0
        parts.append(f'<div class="run-bar"><div style="width:{share:.1%}"></div></div>')
        parts.append(f'<div class="run-line">{escape(_line(seen))}</div>')
    parts += [f'<div class="notice">{escape(str(warning))}</div>' for warning in folded.warnings]
    if seen.problem:
        lines = [escape(text) for text in (seen.problem.why, seen.problem.next) if text]
        parts.append(f'<div class="run-problem"><b>{escape(seen.problem.what)}</b>{"<br>".join(lines)}</div>')
    return "".join(parts)


def _line(seen: View) -> str:
    if seen.run.state is State.QUEUED and seen.run.takes_turns:
        return say("run.waiting")
    progress = seen.folded.progress
    return " · ".join(part for part in (seen.folded.message, counted(progress) if progress else "") if part)


def counted(progress: Progress) -> str:
    """Return progress in words: done of total, rate, time left."""
    parts = [f"{progress.done:,} / {progress.total:,} {progress.counted}"]
    if progress.rate:
        slow = progress.rate < 1
        rate = (
            say("run.each", seconds=f"{1 / progress.rate:.1f}")
            if slow
            else say("run.rate", rate=f"{progress.rate:,.0f}")
        )
        parts.append(rate)
    if progress.left is not None:
        parts.append(say("run.left", time=duration(progress.left)))
    return " · ".join(parts)


def rough(seconds: float) -> str:
    """Return a time that is not known to the second as 4 min or 2 h 05 min."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def duration(seconds: float) -> str:
    """Return seconds as 8 s, 3 min 20 s or 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
