"""Loading on the Dataset tab: a run that makes a project, or that waits until somebody says which column is what."""

from __future__ import annotations

from collections.abc import Mapping as Values
from typing import Any

import gradio as gr
from markupsafe import escape

from pipeline.base.errors import StudioError
from pipeline.dataset import loads, sources
from pipeline.dataset.loads import LoadOptions, Outcome
from pipeline.dataset.recognise import Mapping
from pipeline.runs.ledger import Run
from pipeline.visit import FILES, Visit
from ui.handlers import Given, Update, under, uploaded
from ui.parts.notice import notices

ROLES = ("prompt", "chosen", "rejected", "system", "source")
STARTED = ("form.view.run", "form.problem", "form.load", "held")  # what starting one may update


def load(visit: Visit, given: Given) -> Update:
    """Load the source chosen; the sample is there at once."""
    kind, by_hand = given["form.kind"], given["form.by_hand"]
    try:
        if kind == "sample" and not by_hand:
            visit.check_room("load")
            project, _ = sources.load(visit.home, sources.sample())
            return {"page.project": project.name, "form.view.run": "", **no_problem(), **_leave()}
        return _started(loads.start(visit.ledger, _wanted(visit, given)))
    except StudioError as error:
        return {"form.problem": problem(error), **_leave()}


def _wanted(visit: Visit, given: Given) -> LoadOptions:
    by_hand = bool(given["form.by_hand"])
    match given["form.kind"]:
        case "hub":
            return _on_the_hub(under(given, "form.hub."), by_hand=by_hand)
        case "path":
            visit.require(FILES)
            return LoadOptions(kind="file", path=str(sources.path_of(given["form.path"])), by_hand=by_hand)
        case _:
            return LoadOptions(kind="sample", by_hand=by_hand)


def _on_the_hub(fields: Values[str, Any], *, by_hand: bool) -> LoadOptions:
    """Return the rows that the form stands for; pickers that belong to another dataset say nothing about this one."""
    name, limit = fields["name"].strip(), fields["limit"]
    most = int(limit) if limit and limit > 0 else None
    chosen = LoadOptions(kind="hub", name=name, limit=most, by_hand=by_hand)
    if fields["described"][0] != name:
        return chosen
    return chosen.model_copy(update={key: fields[key] or "" for key in ("config", "split", "revision")})


def upload(visit: Visit, given: Given) -> Update:
    """Load an uploaded file, of which no copy stays with Gradio."""
    if not given["form.file"]:
        return {}
    path = visit.file(loads.taken(visit.home, uploaded(given["form.file"])))
    wanted = LoadOptions(kind="upload", path=str(path), by_hand=bool(given["form.by_hand"]))
    return {**_started(loads.start(visit.ledger, wanted)), "form.file": None}


def resumed(visit: Visit, given: Given) -> Update:
    """Show a load that another page of theirs has started, or this one before it was loaded again."""
    latest = visit.ledger.latest("", "load")
    return _shown(latest) if latest is not None and latest.active else {}


def ended(visit: Visit, given: Given) -> Update:
    """Show the project that a load has made, or ask for its columns; what went wrong is said by the run's view."""
    free = {"form.load": gr.update(interactive=True)}
    if not given["form.view.ended"]:
        return {}
    run = visit.run(given["form.view.ended"])
    found = loads.outcome(run)
    if found is None:
        return free
    if found.project:
        return {**free, **_made(found)}
    return {**free, "form.view.run": "", "held": run.id, "asking": True}


def _made(found: Outcome) -> Update:
    for note in found.notes:
        gr.Warning(escape(note.said()))
    return {"page.project": found.project, "form.view.run": "", **no_problem(), **_leave()}


def use_columns(visit: Visit, given: Given) -> Update:
    """Go on with a load with the columns chosen; where that comes to nothing, others can be chosen."""
    picked = {name: given[f"columns.{name}"] or "" for name in ROLES}
    prompts = list(picked.pop("prompt"))
    try:
        if not picked["chosen"] or not picked["rejected"]:
            raise StudioError("dataset.columns.missing")
        mapping = Mapping(prompt="".join(prompts[:1]), after=tuple(prompts[1:]), **picked)
        run = loads.go_on(visit.ledger, visit.run(given["held"]), mapping)
    except StudioError as error:
        return {"form.problem": problem(error)}
    return {**_shown(run), **no_problem()}


def cancel(visit: Visit, given: Given) -> Update:
    """Choose no columns after all."""
    return {"form.view.run": "", **no_problem(), **_leave()}


def _started(run: Run) -> Update:
    return {**_shown(run), **no_problem(), **_leave()}


def _shown(run: Run) -> Update:
    return {"form.view.run": run.id, "form.load": gr.update(interactive=False)}


def _leave() -> Update:
    return {"held": ""}


def problem(error: StudioError) -> Any:
    """Return the update that shows an error at its place on the page."""
    return gr.update(value=notices([error.message], bad=True), visible=True)


def no_problem() -> Update:
    """Return the update that takes an error away."""
    return {"form.problem": gr.update(value="", visible=False)}
