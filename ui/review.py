"""The review section of the Dataset tab: the plan, the import, the annotators and how far they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, get_args

import gradio as gr
from gradio.components import Component

from pipeline import project as projects
from pipeline import review, workbench
from pipeline.engines.argilla_server.service import Endpoint
from pipeline.errors import StudioError
from pipeline.project import Project
from pipeline.review.api import Refused, ReviewError
from pipeline.review.plan import FIELDS, Metadata, ReviewPlan
from pipeline.runs.ledger import Run, State
from pipeline.studio import Studio
from pipeline.web.annotate import annotation_link, shareable_base
from ui import run_view
from ui.forms import ParameterForm, parameter_form
from ui.handlers import BUSY, QUIET, handle
from ui.run_view import RunView
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
    people: gr.Column
    progress: gr.HTML
    link: gr.Textbox
    reach: gr.HTML
    open: gr.HTML
    names: gr.Textbox
    create: gr.Button
    fresh_box: gr.Column
    fresh: gr.Dataframe
    forgot: gr.Accordion
    who: gr.Dropdown
    renew: gr.Button
    owner: gr.Accordion
    reveal: gr.Button
    login: gr.Textbox
    timer: gr.Timer
    seen: gr.State

    @property
    def drawn(self) -> list[Component]:
        """Components that `draw` may update."""
        return [
            *(self.box, self.plan_box, self.planned, self.planned_text, self.reason, self.start, self.run.run),
            *(self.result, self.people, self.progress, self.link, self.reach, self.open, self.names, self.create),
            *(self.forgot, self.who, self.owner, self.timer, *self.form.inputs),
        ]


def build(studio: Studio) -> ReviewSection:
    """Lay out the review section."""
    with gr.Column(visible=False, elem_id="review") as box:
        gr.Markdown(t("review.title"))
        with gr.Column() as plan_box:
            gr.Markdown(t("review.plan.about"))
            form = _plan_form()
        with gr.Accordion(t("review.planned"), open=False, elem_id="review-planned") as planned:
            planned_text = gr.HTML(elem_id="review-planned-text", padding=False)
        reason = gr.HTML(elem_id="review-reason", padding=False, visible=False)
        start = gr.Button(t("review.import"), variant="primary", interactive=False, elem_id="dataset-import")
        run = run_view.build("import")
        result = gr.HTML(elem_id="review-result", padding=False, visible=False)
        with gr.Column(visible=False, elem_id="review-people") as people:
            progress = gr.HTML(elem_id="review-progress", padding=False)
            with gr.Row(equal_height=True, elem_classes="form-row"):
                link = gr.Textbox(
                    label=t("review.link"),
                    interactive=False,
                    buttons=["copy"],
                    scale=4,
                    min_width=320,
                    elem_id="review-link",
                )
                opened = gr.HTML(elem_id="review-open", min_width=160, padding=False)
            reach = gr.HTML(elem_id="review-reach", padding=False)
            parts = _people()
    return ReviewSection(
        *(box, plan_box, form, planned, planned_text, reason, start, run, result, people, progress, link, reach),
        *(opened, *parts, gr.Timer(REVIEWING, active=False), gr.State(True)),
    )


def _plan_form() -> ParameterForm:
    """Lay out the plan: what most people change first, the questions and the rest folded."""
    first = parameter_form(ReviewPlan, "review", only=["dataset_name", "min_submitted"]).components
    first |= parameter_form(ReviewPlan, "review", only=["guidelines"]).components
    with gr.Accordion(t("review.group.questions"), open=False, elem_id="review-questions"):
        titles = ["relevance_title", "relevance_description", "preference_title", "preference_description"]
        first |= parameter_form(ReviewPlan, "review", only=titles).components
    with gr.Accordion(t("review.group.more"), open=False, elem_id="review-more"):
        choices = {"metadata": list(get_args(Metadata))}
        first |= parameter_form(ReviewPlan, "review", only=["metadata", "workspace"], choices=choices).components
    return ParameterForm(ReviewPlan, first)


def _people() -> list[Any]:
    with gr.Group(elem_id="review-annotators"):
        names = gr.Textbox(label=t("review.names"), info=t("review.names.help"), elem_id="review-names")
        create = gr.Button(t("review.create"), elem_id="review-create")
    with gr.Column(visible=False, elem_id="review-fresh") as fresh_box:
        gr.Markdown(t("review.fresh.about"))
        fresh = gr.Dataframe(
            datatype="str",
            type="array",
            interactive=False,
            show_label=False,
            wrap=True,
            buttons=["copy"],
            elem_id="review-fresh-table",
        )
    with gr.Accordion(t("review.forgot"), open=False, visible=False, elem_id="review-forgot") as forgot:
        with gr.Row(equal_height=True):
            who = gr.Dropdown([], label=t("review.who"), elem_id="review-who")
            renew = gr.Button(t("review.renew"), elem_id="review-renew")
    with gr.Accordion(t("review.owner"), open=False, elem_id="review-owner") as owner:
        gr.Markdown(t("review.owner.about"))
        reveal = gr.Button(t("review.reveal"), size="sm", elem_id="review-reveal")
        login = gr.Textbox(
            label=t("review.login"), lines=2, interactive=False, visible=False, buttons=["copy"], elem_id="review-login"
        )
    return [names, create, fresh_box, fresh, forgot, who, renew, owner, reveal, login]


def wire(section: ReviewSection, studio: Studio, page: Any) -> None:
    """Connect the section."""

    def redraw(name: str, *, request: gr.Request) -> dict[Component, Any]:
        return draw(section, studio, name, f"http://{request.headers.get('host', '')}")

    def changed(name: str, *, request: gr.Request) -> dict[Component, Any]:
        hidden = {section.fresh_box: gr.update(visible=False), section.fresh: None}
        return {**redraw(name, request=request), **hidden, section.login: gr.update(visible=False, value="")}

    def start(name: str, *values: Any, request: gr.Request) -> dict[Component, Any]:
        run = start_import(section, studio, name, values)
        return {**redraw(name, request=request), section.run.run: run.id}

    def look(name: str, seen: bool) -> dict[Component, Any]:
        return live(section, studio, name) if seen else {section.timer: gr.Timer(active=False)}

    def create(name: str, names: str, *, request: gr.Request) -> dict[Component, Any]:
        of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
        made = review.create_annotators(endpoint, workbench.plan_of(of), names_in(names))
        return {**redraw(name, request=request), **_sign_ins(section, made)}

    def renew(name: str, who: str | None) -> dict[Component, Any]:
        of, endpoint = projects.find(studio.home, name), studio.argilla.endpoint()
        return _sign_ins(section, [review.reset_password(endpoint, workbench.plan_of(of), who or "")])

    def reveal() -> Any:
        user, password = studio.argilla.owner_login()
        return gr.update(visible=True, value=f"{user}\n{password}")

    secret: list[Component] = [section.fresh_box, section.fresh]
    page.project.change(handle(changed), [page.project], [*section.drawn, *secret, section.login], **QUIET)
    page.items["dataset"].select(handle(redraw), [page.project], section.drawn, **QUIET)
    section.run.ended.change(handle(redraw), [page.project], section.drawn, **QUIET)
    for step, item in page.items.items():  # on another tab nobody sees it: no looks at the server
        item.select(_always(step == "dataset"), None, [section.seen], **QUIET)
    section.timer.tick(handle(look), [page.project, section.seen], section.drawn, **QUIET)
    section.start.click(handle(start), [page.project, *section.form.inputs], section.drawn, **BUSY)
    section.create.click(handle(create), [page.project, section.names], [*section.drawn, *secret], **BUSY)
    section.renew.click(handle(renew), [page.project, section.who], secret, **BUSY)
    section.reveal.click(handle(reveal), None, [section.login], **QUIET)
    run_view.wire(section.run, studio)


def _always(value: bool) -> Callable[[], bool]:
    return lambda: value


def names_in(text: str) -> list[str]:
    """Return the names in a text, separated by commas (Chinese ones too), semicolons or line ends."""
    names = [name.strip() for name in re.split(r"[,，、;；\n]", text) if name.strip()]
    if not names:
        raise StudioError(say("review.names.none"), "", say("review.names.none.next"))
    return names


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
    plan = workbench.plan_of(of)
    if phase_of(of, studio.ledger.latest(name, "import")) == "plan":
        form = section.form.read(values, unit=plan.unit)
        assert isinstance(form, ReviewPlan)
        plan = form
    title = say("review.import.title", count=f"{len(workbench.pairs_of(of)):,}")
    return workbench.start_import(studio.ledger, of, plan, endpoint, title)


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
    plan = workbench.plan_of(of)
    return _merged(
        {
            section.box: gr.update(visible=True),
            section.plan_box: gr.update(visible=phase == "plan"),
            section.planned: gr.update(visible=phase != "plan"),
            section.planned_text: planned(plan),
            section.result: _shown(_result(run) if phase == "review" else ""),
            section.run.run: run.id if run else "",
            section.people: gr.update(visible=phase in ("stopped", "review")),
            section.start: gr.update(visible=phase in ("plan", "stopped"), value=_start_label(of, phase)),
        },
        _filled(section, plan),
        _links(section, studio, of, base),
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
    return say("review.import.count", count=f"{len(workbench.pairs_of(of)):,}")


def _filled(section: ReviewSection, plan: ReviewPlan) -> dict[Component, Any]:
    updates = dict(zip(section.form.inputs, section.form.show(plan), strict=True))
    choices = [(say(f"review.metadata.{name}"), name) for name in get_args(Metadata)]
    updates[section.form.components["metadata"]] = gr.update(choices=choices, value=list(plan.metadata))
    return updates


def _links(section: ReviewSection, studio: Studio, of: Project, base: str) -> dict[Component, Any]:
    """Return the link to share, who can use it, and the one for the owner's own browser."""
    kept = of.read().review
    if kept is None or not kept.dataset_id:
        return {}
    shared, reach = shareable_base(studio.settings, base)
    if studio.argilla.embedded:
        links = [annotation_link(root, kept.dataset_id) for root in (shared, base)]
        reach_text = say("review.reach.network" if reach == "network" else "review.reach.local")
    else:
        links = [annotation_link(studio.settings.argilla_api_url, kept.dataset_id, prefix="")] * 2
        reach_text = ""
    anchor = f'<a class="link-button" href="{escape(links[1])}" target="_blank" rel="noopener">'
    return {
        section.link: links[0],
        section.reach: f'<div class="subdued">{escape(reach_text)}</div>' if reach_text else "",
        section.open: f"{anchor}{escape(say('review.open'))}</a>",
        section.owner: gr.update(visible=studio.argilla.embedded),
    }


def planned(plan: ReviewPlan) -> str:
    """Return a plan as HTML, everything escaped."""
    items = {
        "dataset_name": plan.dataset_name,
        "workspace": plan.workspace,
        "min_submitted": str(plan.min_submitted),
        "fields": ", ".join(FIELDS.values()),
        "relevance_title": f"{plan.relevance_title} (1–5)",
        "preference_title": plan.preference_title,
        "metadata": ", ".join(say(f"review.metadata.{name}") for name in plan.metadata),
        "guidelines": plan.guidelines,
    }
    inside = "".join(
        f"<dt>{escape(say(f'review.{key}'))}</dt><dd class='kept-lines'>{escape(value)}</dd>"
        for key, value in items.items()
    )
    return f'<dl class="facts">{inside}</dl>'


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
            section.reason: _shown(_notice(waiting)),
            section.start: gr.update(interactive=False),
            section.progress: "",
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
    plan = workbench.plan_of(of)
    try:
        kept = workbench.review_of(of, endpoint)
        names = review.list_annotators(endpoint, plan)
        state = review.progress(endpoint, kept.dataset_id)
    except Refused as error:
        problem = say("review.gone") if error.status == 404 else str(error)
        return _again(section, problem)
    except StudioError as error:
        if isinstance(error, ReviewError):
            return {section.progress: _notice(str(error))}
        return _again(section, str(error))
    updates: dict[Component, Any] = {section.progress: progress(state, names, plan.min_submitted)}
    if first:
        updates |= {
            section.names: gr.update(value="" if names else "annotator1, annotator2"),
            section.create: gr.update(variant="primary" if phase == "review" and not names else "secondary"),
            section.forgot: gr.update(visible=bool(names)),
            section.who: gr.update(choices=names, value=names[0] if names else None),
        }
    return updates


def _again(section: ReviewSection, problem: str) -> dict[Component, Any]:
    return {
        section.progress: _notice(problem),
        section.start: gr.update(visible=True, interactive=True, value=say("review.import.again")),
    }


def progress(state: review.Progress, names: list[str], needed: int) -> str:
    """Return how far a review is as HTML: a bar, and a line for each annotator."""
    share = state.completed / state.total if state.total else 0.0
    line = say("review.progress", completed=f"{state.completed:,}", total=f"{state.total:,}")
    rest = say("review.pending", pending=f"{state.pending:,}")
    rule = say("review.needed.one" if needed == 1 else "review.needed", count=needed)
    done_by = {each.username: (each.submitted, each.draft, each.discarded) for each in state.per_annotator}
    rows = [(name, *done_by.get(name, (0, 0, 0))) for name in dict.fromkeys([*names, *done_by])]
    return (
        f'<div class="run-card" id="review-card"><div class="run-head"><span class="big-count">{escape(line)}</span>'
        f"<span>{escape(rest)}</span></div>"
        f'<div class="run-bar"><div style="width:{share:.1%}"></div></div>'
        f'<div class="run-line">{escape(rule)}</div>{_people_table(rows)}</div>'
    )


def _people_table(rows: list[tuple[str, int, int, int]]) -> str:
    if not rows:
        return f'<div class="run-line">{escape(say("review.nobody"))}</div>'
    heads = "".join(
        f"<th>{escape(say(f'review.column.{key}'))}</th>" for key in ("name", "submitted", "draft", "discarded")
    )
    lines = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{count:,}</td>" for count in counts) + "</tr>"
        for name, *counts in rows
    )
    table = f'<table class="plain-table"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="table-box">{table}</div>'


def _sign_ins(section: ReviewSection, made: list[review.NewAnnotator]) -> dict[Component, Any]:
    headers = [say("review.column.name"), say("review.column.password")]
    return {
        section.fresh_box: gr.update(visible=True),
        section.fresh: gr.update(value={"headers": headers, "data": [list(each) for each in made]}),
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


def _notice(text: str) -> str:
    return f'<div class="notice">{escape(text)}</div>'
