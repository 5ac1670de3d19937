"""The review section of the Dataset tab: the plan, the import, the annotators and how far they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of
from pipeline.review import annotators, readback
from pipeline.review import project as review_project
from pipeline.review.api import Refused, ReviewError
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import plan_of, review_of
from pipeline.review.service import Endpoint
from pipeline.runs.ledger import Run, State
from pipeline.studio import Studio
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm
from ui.parts.notice import notice
from ui.parts.run_view import RunView
from ui.review import people as review_people
from ui.review import plan as review_plan
from ui.review.people import People
from ui.text import say, t

WAITING, REVIEWING = 2.0, 5.0  # seconds between looks: while Argilla starts, while people review
Phase = Literal["none", "plan", "importing", "stopped", "review"]


@dataclass(frozen=True)
class ReviewSection:
    """Components of the review section.

    Attributes:
        seen: State that says whether the Dataset tab is the one on the page.
    """

    box: gr.Column
    plan_box: gr.Column
    form: ParameterForm
    planned: gr.Accordion
    planned_text: gr.HTML
    reason: gr.HTML
    start: gr.Button
    run: RunView
    result: gr.HTML
    people: People
    timer: gr.Timer
    seen: gr.State

    @property
    def drawn(self) -> list[Component]:
        """Components that `draw` may update."""
        return [
            *(self.box, self.plan_box, self.planned, self.planned_text, self.reason, self.start, self.run.run),
            *(self.result, *self.people.drawn, self.timer, *self.form.inputs),
        ]


def build(studio: Studio) -> ReviewSection:
    """Lay out the review section."""
    with gr.Column(visible=False, elem_id="review") as box:
        gr.Markdown(t("review.title"))
        with gr.Column() as plan_box:
            gr.Markdown(t("review.plan.about"))
            form = review_plan.build()
        with gr.Accordion(t("review.planned"), open=False, elem_id="review-planned") as planned:
            planned_text = gr.HTML(elem_id="review-planned-text", padding=False)
        reason = gr.HTML(elem_id="review-reason", padding=False, visible=False)
        start = gr.Button(t("review.import"), variant="primary", interactive=False, elem_id="dataset-import")
        run = run_view.build("import")
        result = gr.HTML(elem_id="review-result", padding=False, visible=False)
        people = review_people.build()
    return ReviewSection(
        *(box, plan_box, form, planned, planned_text, reason, start, run, result, people),
        *(gr.Timer(REVIEWING, active=False), gr.State(True)),
    )


def wire(section: ReviewSection, studio: Studio, page: Page) -> None:
    """Connect the section."""
    people = section.people

    def redraw(name: str, *, request: gr.Request) -> dict[Component, Any]:
        return draw(section, studio, name, f"http://{request.headers.get('host', '')}")

    def changed(name: str, *, request: gr.Request) -> dict[Component, Any]:
        hidden = {people.fresh_box: gr.update(visible=False), people.fresh: None}
        return {**redraw(name, request=request), **hidden, people.login: gr.update(visible=False, value="")}

    def start(name: str, *values: Any, request: gr.Request) -> dict[Component, Any]:
        run = start_import(section, studio, name, values)
        return {**redraw(name, request=request), section.run.run: run.id}

    def look(name: str, seen: bool) -> dict[Component, Any]:
        return live(section, studio, name) if seen else {section.timer: gr.Timer(active=False)}

    def create(name: str, names: str, *, request: gr.Request) -> dict[Component, Any]:
        of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
        made = annotators.create_annotators(endpoint, plan_of(of), review_people.names_in(names))
        return {**redraw(name, request=request), **review_people.sign_ins(people, made)}

    page.project.change(handle(changed), [page.project], [*section.drawn, *people.secret, people.login], **QUIET)
    page.items["dataset"].select(handle(redraw), [page.project], section.drawn, **QUIET)
    section.run.ended.change(handle(redraw), [page.project], section.drawn, **QUIET)
    for step, item in page.items.items():  # on another tab nobody sees it: no looks at the server
        item.select(_always(step == "dataset"), None, [section.seen], **QUIET)
    section.timer.tick(handle(look), [page.project, section.seen], section.drawn, **QUIET)
    section.start.click(handle(start), [page.project, *section.form.inputs], section.drawn, **BUSY)
    people.create.click(handle(create), [page.project, people.names], [*section.drawn, *people.secret], **BUSY)
    review_people.wire(people, studio, page)
    run_view.wire(section.run, studio)


def _always(value: bool) -> Callable[[], bool]:
    return lambda: value


def phase_of(of: Project | None, run: Run | None) -> Phase:
    """Return how far a project's way into Argilla is."""
    if of is None or of.read().dataset is None:
        return "none"
    if run is not None and run.active:
        return "importing"
    kept = of.read().review
    if kept is None or not kept.dataset_id:
        return "plan"
    return "review" if run is None or run.state is State.SUCCEEDED else "stopped"


def start_import(section: ReviewSection, studio: Studio, name: str, values: tuple[Any, ...]) -> Run:
    """Start a project's import with the plan in the form, or go on with the one it was begun with."""
    of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
    plan = plan_of(of)
    if phase_of(of, studio.ledger.latest(name, "import")) == "plan":
        form = section.form.read(values, unit=plan.unit)
        assert isinstance(form, ReviewPlan)
        plan = form
    title = say("review.import.title", count=f"{len(pairs_of(of)):,}")
    return review_project.start_import(studio.ledger, of, plan, endpoint, title)


def draw(section: ReviewSection, studio: Studio, name: str, base: str) -> dict[Component, Any]:
    """Return updates that show where a project stands.

    Args:
        section: The section.
        studio: Home, ledger and Argilla.
        name: The project; "" for none.
        base: Scheme and host the page was asked by.
    """
    of = projects.find(studio.home, name) if name else None
    run = studio.ledger.latest(name, "import") if of else None
    phase = phase_of(of, run)
    if of is None or phase == "none":
        return {section.box: gr.update(visible=False), section.run.run: "", section.timer: gr.Timer(active=False)}
    plan = plan_of(of)
    return _merged(
        {
            section.box: gr.update(visible=True),
            section.plan_box: gr.update(visible=phase == "plan"),
            section.planned: gr.update(visible=phase != "plan"),
            section.planned_text: review_plan.said(plan),
            section.result: _shown(_result(run) if phase == "review" else ""),
            section.run.run: run.id if run else "",
            section.people.box: gr.update(visible=phase in ("stopped", "review")),
            section.start: gr.update(visible=phase in ("plan", "stopped"), value=_start_label(of, phase)),
        },
        review_plan.show(section.form, plan),
        review_people.links(section.people, studio, of, base),
        live(section, studio, name, first=True),
    )


def _merged(*parts: dict[Component, Any]) -> dict[Component, Any]:
    """Return updates of the same component as one; where they disagree, the later counts."""
    whole: dict[Component, Any] = {}
    for component, update in (item for part in parts for item in part.items()):
        before = whole.get(component)
        both = isinstance(before, dict) and isinstance(update, dict)
        whole[component] = before | update if both else update
    return whole


def _start_label(of: Project, phase: Phase) -> str:
    if phase == "stopped":
        return say("review.import.continue")
    return say("review.import.count", count=f"{len(pairs_of(of)):,}")


def live(section: ReviewSection, studio: Studio, name: str, *, first: bool = False) -> dict[Component, Any]:
    """Return updates for what changes by itself: whether Argilla is ready, and how far the annotators are.

    Args:
        section: The section.
        studio: Home, ledger and Argilla.
        name: The project; "" for none.
        first: Whether the list of annotators and what is suggested for it are drawn too.
    """
    of = projects.find(studio.home, name) if name else None
    phase = phase_of(of, studio.ledger.latest(name, "import") if of else None)
    if of is None or phase in ("none", "importing"):
        return {section.reason: _shown(""), section.timer: gr.Timer(active=False)}
    try:
        endpoint = studio.argilla.endpoint()
    except StudioError as error:
        waiting = say("review.waiting") if studio.argilla.status.state != "failed" else str(error)
        return {
            section.reason: _shown(notice(waiting)),
            section.start: gr.update(interactive=False),
            section.people.progress: "",
            section.timer: gr.Timer(WAITING, active=True),
        }
    ready: dict[Component, Any] = {
        section.reason: _shown(""),
        section.start: gr.update(interactive=True, visible=phase != "review"),
    }
    if phase == "plan":
        return {**ready, section.timer: gr.Timer(active=False)}
    ready[section.timer] = gr.Timer(REVIEWING, active=True)
    return _merged(ready, _reviewing(section, of, endpoint, phase, first))


def _reviewing(
    section: ReviewSection, of: Project, endpoint: Endpoint, phase: Phase, first: bool
) -> dict[Component, Any]:
    """Return how far the annotators are; where the dataset is gone or elsewhere, that it can be imported again."""
    plan = plan_of(of)
    try:
        kept = review_of(of, endpoint)
        names = annotators.list_annotators(endpoint, plan)
        state = readback.progress(endpoint, kept.dataset_id)
    except Refused as error:
        problem = say("review.gone") if error.status == 404 else str(error)
        return _again(section, problem)
    except StudioError as error:
        if isinstance(error, ReviewError):
            return {section.people.progress: notice(str(error))}
        return _again(section, str(error))
    shown = review_people.progress(state, names, plan.min_submitted)
    updates: dict[Component, Any] = {section.people.progress: shown}
    if first:
        updates |= review_people.suggested(section.people, names, asked=phase == "review")
    return updates


def _again(section: ReviewSection, problem: str) -> dict[Component, Any]:
    return {
        section.people.progress: notice(problem),
        section.start: gr.update(visible=True, interactive=True, value=say("review.import.again")),
    }


def _result(run: Run | None) -> str:
    """Return what an import did as HTML, and which pairs it left out and why."""
    found = run.result if run else None
    if not found:
        return ""
    parts = [say("review.result", added=f"{found['added']:,}", total=f"{found['total']:,}")]
    if found["already_there"]:
        parts.append(say("review.result.there", count=f"{found['already_there']:,}"))
    if found["altered"]:
        parts.append(say("review.result.altered", count=f"{found['altered']:,}"))
    text = f'<div class="notice good">{escape(" ".join(parts))}</div>'
    if found["skipped"]:
        reasons = "".join(
            f"<li>{escape(say('pair.title', number=each['number']))}: {escape(each['reason'])}</li>"
            for each in found["first_skipped"]
        )
        head = escape(say("review.result.skipped", count=f"{found['skipped']:,}"))
        text += f'<details class="notice"><summary>{head}</summary><ul>{reasons}</ul></details>'
    return text


def _shown(text: str) -> Any:
    """Return the update of a place that takes no room while it is empty."""
    return gr.update(value=text, visible=bool(text))
