"""The one way to show a run: state, progress, problem, log and stop, wherever it appears."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.view import Progress, View, look
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring
from ui.parts import topic
from ui.parts.notice import notice
from ui.parts.topic import HEAR
from ui.text import say, t


@dataclass(frozen=True)
class RunView:
    """Components of one run view.

    Attributes:
        kind: Kind of the runs shown.
        run: State that holds the id of the run shown, "" for none. Setting it shows that run.
        ended: State that holds the id of the last run seen to end here; its change event is where a tab refreshes.
        drawn: State that holds what of the run a tab has to draw besides; its change event is where it does.
        box: The group that is hidden while there is no run.
        hear: Pressed by the page's script when more has changed than it can draw itself.
    """

    kind: str
    run: gr.State
    ended: gr.State
    drawn: gr.State
    box: gr.Group
    card: gr.HTML
    stop: gr.Button
    log: gr.HTML
    hear: gr.Button


DRAWN = ("box", "card", "stop", "log", "ended", "drawn")  # what `draw` updates


def build(kind: str) -> RunView:
    """Lay out the view of the latest run of a kind."""
    run, ended, drawn = gr.State(""), gr.State(""), gr.State("")
    with gr.Group(visible=False, elem_id=f"{kind}-run") as box:
        card = gr.HTML(elem_id=f"{kind}-card", padding=True)
        stop = gr.Button(t("run.stop"), size="sm", visible=False, elem_id=f"{kind}-stop", elem_classes="run-stop")
        with gr.Accordion(t("run.log"), open=False):
            log = gr.HTML(elem_id=f"{kind}-log", padding=True)
        hear = topic.hearing(f"{kind}-hear")
    return RunView(kind, run, ended, drawn, box, card, stop, log, hear)


def wire(view: RunView, wiring: Wiring) -> None:
    """Connect a run view: the page's script draws what goes on, an event what a run's next state changes.

    Args:
        view: The view.
        wiring: Says whose visit a request is.
    """
    wiring = wiring.within(_=view)
    wiring.on([view.hear.click, view.run.change], shown, ["run", "ended"], DRAWN, HEAR)
    wiring.on(view.stop.click, stopped, ["run", "ended"], DRAWN)


def shown(visit: Visit, given: Given) -> Update:
    """Show a run as it is now."""
    return draw(look(visit.ledger, given["run"]) if given["run"] else None, given["ended"])


def stopped(visit: Visit, given: Given) -> Update:
    """Ask a run to stop; asked again, end it."""
    launch.stop(visit.run(given["run"]))
    return shown(visit, given)


def draw(seen: View | None, ended: str) -> Update:
    """Return updates for a view, `DRAWN`.

    Args:
        seen: What there is to show, or None.
        ended: Id of the run last seen to end.
    """
    if seen is None:
        hidden = gr.update(visible=False)
        return {"box": hidden, "card": "", "stop": hidden, "log": "", "drawn": ""}
    run, now = seen.run, shape(seen)
    name = f"run:{run.id}"
    log = Markup('<pre class="run-log" tabindex="0" data-lines="{}">{}</pre>')
    return {
        "box": gr.update(visible=True),
        "card": topic.place(name, inside(seen), "run-card", topic.mark(name, now, f"{run.kind}-hear")),
        "stop": gr.update(visible=run.active, value=say("run.stop_now" if run.stop_file.exists() else "run.stop")),
        "log": log.format(name, seen.log),
        "ended": ended if run.active else run.id,
        "drawn": f"{run.id} {now}",
    }


def shape(seen: View) -> str:
    """Return a text that changes when a tab has to draw more of a run than its progress, log and curves."""
    run, folded = seen.run, seen.folded
    worker = run.worker or {}
    job = worker.get("job") or worker.get("space") or bool(worker)
    stopping, installing = run.stop_file.exists(), folded.stage == "install"
    return f"{run.state.name} {stopping} {installing} {job} {bool(folded.metrics)} {len(folded.results)}"


def inside(seen: View) -> Markup:
    """Return a run's state, progress and problem as HTML."""
    run, folded = seen.run, seen.folded
    state = run.state.value.split()[0]
    head = Markup(
        '<div class="run-head"><span class="state {}">{}</span><span>{}</span><span class="time">{}</span></div>'
    )
    parts = [head.format(state, say(f"run.state.{state}"), run.title, duration(seen.seconds))]
    if run.active:
        share = folded.progress.share if folded.progress else 0.0
        bar = Markup('<div class="run-bar"><div style="width:{}"></div></div><div class="run-line">{}</div>')
        parts.append(bar.format(f"{share:.1%}", _line(seen)))
    parts += [notice(str(warning)) for warning in folded.warnings]
    if seen.problem:
        lines = Markup("<br>").join(text for text in (seen.problem.why, seen.problem.next) if text)
        parts.append(Markup('<div class="run-problem"><b>{}</b>{}</div>').format(seen.problem.what, lines))
    return Markup("").join(parts)


def _line(seen: View) -> str:
    if seen.run.state is State.QUEUED and seen.run.takes_turns:
        return say("run.waiting")
    progress = seen.folded.progress
    return " · ".join(part for part in (seen.folded.message, counted(progress) if progress else "") if part)


def counted(progress: Progress) -> str:
    """Return progress in words: how much is done, rate, time left."""
    parts = [progress.amount]
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
