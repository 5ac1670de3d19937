"""The review section of the Dataset tab: the plan, the import, the annotators and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base import project as projects
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of
from pipeline.review import annotators
from pipeline.review import project as review_project
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import plan_of
from pipeline.runs.ledger import Run
from pipeline.studio import Studio
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.parts import run_view, topic
from ui.parts.forms import ParameterForm
from ui.parts.notice import notice
from ui.parts.run_view import RunView
from ui.parts.topic import HEAR
from ui.review import people as review_people
from ui.review import plan as review_plan
from ui.review.people import People
from ui.review.topic import Phase, now_of, phase_of
from ui.text import say, t


@dataclass(frozen=True)
class ReviewSection:
    """Components of the review section.

    Attributes:
        mark: Says what is watched; nobody sees it.
        hear: Pressed by the page's script when more has changed than it can draw itself.
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
    mark: gr.HTML
    hear: gr.Button

    @property
    def drawn(self) -> list[Component]:
        """Components that `draw` may update."""
        return [
            *(self.box, self.plan_box, self.planned, self.planned_text, self.reason, self.start, self.run.run),
            *(self.result, *self.people.drawn, self.mark, *self.form.inputs),
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
        mark, hear = gr.HTML(elem_id="review-mark", padding=False), topic.hearing("review-hear")
    return ReviewSection(*(box, plan_box, form, planned, planned_text, reason, start, run, result, people, mark, hear))


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

    def look(name: str) -> dict[Component, Any]:
        return live(section, studio, name)

    def create(name: str, names: str, *, request: gr.Request) -> dict[Component, Any]:
        of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
        made = annotators.create_annotators(endpoint, plan_of(of), review_people.names_in(names))
        return {**redraw(name, request=request), **review_people.sign_ins(people, made)}

    page.project.change(handle(changed), [page.project], [*section.drawn, *people.secret, people.login], **QUIET)
    page.items["dataset"].select(handle(redraw), [page.project], section.drawn, **QUIET)
    section.run.ended.change(handle(redraw), [page.project], section.drawn, **QUIET)
    section.hear.click(handle(look), [page.project], section.drawn, **HEAR)
    section.start.click(handle(start), [page.project, *section.form.inputs], section.drawn, **BUSY)
    people.create.click(handle(create), [page.project, people.names], [*section.drawn, *people.secret], **BUSY)
    review_people.wire(people, studio, page)
    run_view.wire(section.run, studio)


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
        return {section.box: gr.update(visible=False), section.run.run: "", section.mark: ""}
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
    now = now_of(studio, of)
    if of is None or now.phase == "none":
        return {section.reason: _shown(""), section.mark: ""}
    watched = f"review:{of.name}"
    updates: dict[Component, Any] = {
        section.reason: _shown(notice(now.waiting)),
        section.mark: f"<span {topic.mark(watched, now.shape, 'review-hear', seen_only=True)}></span>",
    }
    if now.phase == "importing":
        return updates
    updates[section.people.progress] = topic.place(watched, now.progress)
    if now.waiting:
        return {**updates, section.start: gr.update(interactive=False)}
    if now.again:
        again = gr.update(visible=True, interactive=True, value=say("review.import.again"))
        return {**updates, section.start: again}
    updates[section.start] = gr.update(interactive=True, visible=now.phase != "review")
    if first and now.names is not None:
        suggested = review_people.suggested(section.people, now.names, asked=now.phase == "review")
        return _merged(updates, suggested)
    return updates


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
