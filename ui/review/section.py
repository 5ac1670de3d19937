"""The review section of the Dataset tab: the plan, the import, the annotators and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL
from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of
from pipeline.review import annotators, importing, invitations
from pipeline.review import project as review_project
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import own_plan
from pipeline.review.workspace import former, note_former
from pipeline.runs.ledger import Run
from pipeline.visit import Visit
from ui.handlers import BUSY, Given, Update, Wiring, changed, done, prefixed, under
from ui.page import Page
from ui.parts import run_view, topic
from ui.parts.forms import ParameterForm
from ui.parts.notice import notice
from ui.parts.run_view import RunView
from ui.parts.shown import loaded
from ui.parts.topic import HEAR
from ui.review import invitation as review_invitation
from ui.review import people as review_people
from ui.review import plan as review_plan
from ui.review import questions as review_questions
from ui.review.people import People
from ui.review.questions import QuestionEditor
from ui.review.topic import Phase, now_of, phase_of
from ui.text import say, t

TEXTS = ("guidelines", "relevance_title", "relevance_description", "preference_title", "preference_description")
SHOWN = (
    *("box", "plan_box", "planned", "planned_text", "reason", "start", "run.run", "result", "mark"),
    *("form.*", "questions.*", "more_box", "more"),
)
DRAWN = (*SHOWN, *(f"people.{name}" for name in review_people.DRAWN))  # what drawing the section may update
SECRET = tuple(f"people.{name}" for name in review_people.SECRET)


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
    questions: QuestionEditor
    planned: gr.Accordion
    planned_text: gr.HTML
    reason: gr.HTML
    start: gr.Button
    run: RunView
    result: gr.HTML
    people: People
    more_box: gr.Row
    more: gr.Number
    add: gr.Button
    mark: gr.HTML
    hear: gr.Button


def build() -> ReviewSection:
    """Lay out the review section."""
    with gr.Column(visible=False, elem_id="review") as box:
        gr.Markdown(t("review.title"))
        with gr.Column() as plan_box:
            gr.Markdown(t("review.plan.about"))
            form, questions = review_plan.build()
        with gr.Accordion(t("review.planned"), open=False, elem_id="review-planned") as planned:
            planned_text = gr.HTML(elem_id="review-planned-text", padding=False)
        reason = gr.HTML(elem_id="review-reason", padding=False, visible=False)
        start = gr.Button(t("review.import"), variant="primary", interactive=False, elem_id="dataset-import")
        run = run_view.build("import")
        result = gr.HTML(elem_id="review-result", padding=False, visible=False)
        people = review_people.build()
        with gr.Row(visible=False, equal_height=True) as more_box:
            more = gr.Number(label=t("review.more"), precision=0, elem_id="review-more-pairs")
            add = gr.Button(t("review.add"), elem_id="review-add")
        mark, hear = gr.HTML(elem_id="review-mark", padding=False), topic.hearing("review-hear")
    return ReviewSection(
        *(
            box,
            plan_box,
            form,
            questions,
            planned,
            planned_text,
            reason,
            start,
            run,
            result,
            people,
            more_box,
            more,
            add,
            mark,
            hear,
        )
    )


def wire(section: ReviewSection, wiring: Wiring, page: Page) -> None:
    """Connect the section."""
    people, own = section.people, wiring.within(_=section)
    own.on(page.shows(), another, "page.project", [*DRAWN, *SECRET, "people.login"])
    own.on([page.items["dataset"].select, section.run.ended.change], redraw, "page.project", DRAWN)
    own.on(section.hear.click, look, "page.project", DRAWN, HEAR)
    own.on(section.start.click, start, ["page.project", "form.*", "questions.held"], DRAWN, BUSY)
    own.on(section.add.click, add, ["page.project", "more"], DRAWN, BUSY)
    texts = [f"form.{name}" for name in TEXTS]
    own.on(changed(section.form.components["language"]), speak, ["form.language", *texts], texts)
    review_questions.wire(section.questions, wiring)
    own.on(people.create.click, create, ["page.project", "people.names"], [*DRAWN, *SECRET], BUSY)
    own.on(people.remove.click, remove, ["page.project", "people.who"], DRAWN, BUSY)
    review_people.wire(people, wiring)
    run_view.wire(section.run, wiring)


def redraw(visit: Visit, given: Given) -> Update:
    """Show where the project's review stands."""
    return _drawn(visit, given)


def another(visit: Visit, given: Given) -> Update:
    """Show another project; passwords that stood here are gone."""
    hidden = gr.update(visible=False)
    secrets = {"fresh_box": hidden, "fresh": "", "login": gr.update(visible=False, value="")}
    secrets |= prefixed("invitation.", review_invitation.gone())
    return {**_drawn(visit, given), **prefixed("people.", secrets)}


def look(visit: Visit, given: Given) -> Update:
    """Show what has changed by itself."""
    return _live(visit, loaded(visit, given))


def start(visit: Visit, given: Given) -> Update:
    """Start a project's import with the plan in the form, or go on with the one it was begun with."""
    of, endpoint = visit.project(given["page.project"]), visit.studio.argilla.endpoint()
    plan = own_plan(visit.home, of)
    if phase_of(of, visit.ledger.latest(of.name, "import")) == "plan":
        plan = ReviewPlan.model_validate(
            {**under(given, "form."), "questions": given["questions.held"], "unit": plan.unit, **_fixed(visit, plan)}
        )
    title = message("review.import.title", count=f"{review_project.reviewed_number(of, plan):,}")
    run = review_project.start_import(visit.ledger, of, plan, endpoint, title)
    return {**_drawn(visit, given), "run.run": run.id}


def _fixed(visit: Visit, plan: ReviewPlan) -> dict[str, str]:
    """Return what of a plan is not theirs to choose: everybody's workspace but the local person's."""
    return {} if visit.who == LOCAL else {"workspace": plan.workspace}


def add(visit: Visit, given: Given) -> Update:
    """Put more of a project's pairs before the annotators."""
    of, endpoint = visit.project(given["page.project"]), visit.studio.argilla.endpoint()
    before = own_plan(visit.home, of)
    now, there = int(given["more"] or 0), review_project.reviewed_number(of, before)
    if not there < now <= len(pairs_of(of)):
        raise StudioError("review.more.not", there=f"{there:,}", all=f"{len(pairs_of(of)):,}")
    plan = before.model_copy(update={"pairs": now})
    title = message("review.import.title", count=f"{now - there:,}")
    run = review_project.start_import(visit.ledger, of, plan, endpoint, title)
    return {**_drawn(visit, given), "run.run": run.id}


def speak(visit: Visit, given: Given) -> Update:
    """Say guidelines and questions in the language chosen, where nobody has worded them anew."""
    texts = {name: given[f"form.{name}"] for name in TEXTS}
    return prefixed("form.", review_plan.spoken(given["form.language"] or "", texts))


def create(visit: Visit, given: Given) -> Update:
    """Make accounts for annotators, and show their passwords once."""
    of, endpoint = visit.project(given["page.project"]), visit.studio.argilla.endpoint()
    names, link = review_people.names_in(given["people.names"]), review_people.link_of(visit, of, given["asked"].base)
    workspace = own_plan(visit.home, of).workspace
    made = annotators.create_annotators(endpoint, workspace, names, former=former(visit.home))
    return {**_drawn(visit, given), **prefixed("people.", review_people.sign_ins(made, link))}


def remove(visit: Visit, given: Given) -> Update:
    """Take an annotator out of the review; their answers stay."""
    of, endpoint, who = visit.project(given["page.project"]), visit.studio.argilla.endpoint(), given["people.who"] or ""
    note_former(visit.home, annotators.remove_annotator(endpoint, own_plan(visit.home, of).workspace, who))
    invitations.shut_out(visit.home, who)
    done("review.removed", name=who)
    return _drawn(visit, given)


def _drawn(visit: Visit, given: Given) -> Update:
    """Return updates that show where a project stands."""
    of = loaded(visit, given)
    run = visit.ledger.latest(of.name, "import") if of else None
    phase = phase_of(of, run)
    if of is None:
        return {"box": gr.update(visible=False), "run.run": "", "mark": ""}
    plan = own_plan(visit.home, of)
    return _merged(
        {
            "box": gr.update(visible=True),
            "plan_box": gr.update(visible=phase == "plan"),
            "planned": gr.update(visible=phase != "plan"),
            "planned_text": review_plan.said(plan),
            "result": _shown(_result(run) if phase == "review" else ""),
            "run.run": run.id if run else "",
            "people.box": gr.update(visible=phase in ("stopped", "review")),
            "start": gr.update(visible=phase in ("plan", "stopped"), value=_start_label(of, plan, phase)),
        },
        prefixed("form.", review_plan.show(plan, review_project.columns(of))),
        {"form.workspace": gr.update(visible=not _fixed(visit, plan))},
        prefixed("questions.", review_questions.show(plan)),
        _more(of, plan, phase),
        prefixed("people.", review_people.links(visit, of, given["asked"].base)),
        _live(visit, of, first=True),
    )


def _more(of: Project, plan: ReviewPlan, phase: Phase) -> Update:
    """Return updates for adding pairs to a review that does not have all of them."""
    there, whole = review_project.reviewed_number(of, plan), len(pairs_of(of))
    shown = phase == "review" and there < whole
    info = say("review.more.help", there=f"{there:,}", all=f"{whole:,}")
    return {"more_box": gr.update(visible=shown), "more": gr.update(value=whole, info=info)}


def _merged(*updates: Update) -> Update:
    """Return updates of the same part as one; where they disagree, the later counts."""
    whole: Update = {}
    for name, update in (item for each in updates for item in each.items()):
        before = whole.get(name)
        both = isinstance(before, dict) and isinstance(update, dict)
        whole[name] = before | update if both else update
    return whole


def _start_label(of: Project, plan: ReviewPlan, phase: Phase) -> str:
    if phase == "stopped":
        return say("review.import.continue")
    return say("review.import.count", count=f"{review_project.reviewed_number(of, plan):,}")


def _live(visit: Visit, of: Project | None, *, first: bool = False) -> Update:
    """Return updates for what changes by itself: whether Argilla is ready, and how far the annotators are.

    Args:
        visit: Gives Argilla and the ledger.
        of: The project.
        first: Whether the list of annotators and what is suggested for it are drawn too.
    """
    now = now_of(visit, of)
    if of is None or now.phase == "none":
        return {"reason": _shown(""), "mark": ""}
    watched = f"review:{of.name}"
    mark = Markup("<span {}></span>").format(topic.mark(watched, now.shape, "review-hear", seen_only=True))
    updates: Update = {"reason": _shown(notice(now.waiting)), "mark": mark}
    if now.phase == "importing":
        return updates
    updates["people.progress"] = topic.place(watched, now.progress)
    if now.waiting:
        return {**updates, "start": gr.update(interactive=False)}
    if now.again:
        again = gr.update(visible=True, interactive=True, value=say("review.import.again"))
        return {**updates, "start": again}
    updates["start"] = gr.update(interactive=True, visible=now.phase != "review")
    if first and now.names is not None:
        suggested = review_people.suggested(now.names, asked=now.phase == "review")
        return _merged(updates, prefixed("people.", suggested))
    return updates


def _result(run: Run | None) -> Markup:
    """Return what an import did as HTML, and which pairs it left out and why."""
    found = run.result if run else None
    if not found:
        return Markup("")
    parts = [say("review.result", added=f"{found['added']:,}", total=f"{found['total']:,}")]
    if found["already_there"]:
        parts.append(say("review.result.there", count=f"{found['already_there']:,}"))
    if found["altered"]:
        parts.append(say("review.result.altered", count=f"{found['altered']:,}"))
    text = notice(" ".join(parts), "good")
    if not found["skipped"]:
        return text
    reasons = Markup("").join(
        Markup("<li>{}: {}</li>").format(say("pair.title", number=each["number"]), importing.reason_of(each).said())
        for each in found["first_skipped"]
    )
    head = say("review.result.skipped", count=f"{found['skipped']:,}")
    fold = Markup('<details class="notice"><summary>{}</summary><ul>{}</ul></details>')
    return text + fold.format(head, reasons)


def _shown(text: str) -> Any:
    """Return the update of a place that takes no room while it is empty."""
    return gr.update(value=text, visible=bool(text))
