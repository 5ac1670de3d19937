"""How far the reviewers agree, and the pairs they dispute, which are settled in Argilla."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from pipeline.base.project import Project
from pipeline.review import disputes, joining
from pipeline.review.agreement import Agreement
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import own_plan, plan_of
from pipeline.visit import ARGILLA, Visit
from ui.handlers import BUSY, Given, Update, Wiring
from ui.parts.notice import line, notice
from ui.review import way
from ui.text import say, t

DRAWN = ("fold", "shown", "open", "link")


@dataclass(frozen=True)
class OpinionsPart:
    """What reviewers agree on.

    Attributes:
        shown: Alpha per question, each annotator against the rest, and how much is disputed.
        open: Puts the disputed pairs before the owner.
        link: Opens them in Argilla.
    """

    fold: gr.Accordion
    shown: gr.HTML
    open: gr.Button
    link: gr.HTML


def build() -> OpinionsPart:
    """Lay out the part, hidden until two people have answered."""
    with gr.Accordion(t("opinions.title"), open=True, visible=False, elem_id="filter-opinions") as fold:
        shown = gr.HTML(elem_id="filter-agreement", padding=False)
        start = gr.Button(t("opinions.open"), size="sm", visible=False, elem_id="filter-disputes")
        link = gr.HTML(elem_id="filter-disputes-link", padding=False)
    return OpinionsPart(fold, shown, start, link)


def wire(part: OpinionsPart, wiring: Wiring) -> None:
    """Connect the button."""
    wiring.within(_=part).on(part.open.click, settle, "page.project", ["open", "link"], BUSY)


def settle(visit: Visit, given: Given) -> Update:
    """Put the disputed pairs before whoever settles them in Argilla, and show the way there."""
    of, endpoint = visit.project(given["page.project"]), visit.studio.argilla.endpoint()
    oneself = way.as_themselves(visit)
    if oneself:  # on a Space everybody settles in their own workspace, under their own name
        name = visit.sign_in.account.name if visit.sign_in.account else visit.who
        settles = joining.as_themselves(visit.home, endpoint, own_plan(visit.home, of).workspace, visit.who, name)
    else:
        visit.require(ARGILLA)
        settles = endpoint
    waiting = disputes.open_disputes(of, settles)
    shown = way.into(visit, of, given["asked"].base, say("opinions.link", count=f"{waiting:,}"), drafts=True)
    return {"link": shown + line(say("opinions.link.yours" if oneself else "opinions.link.about"))}


def draw(visit: Visit, of: Project) -> Update:
    """Return updates that show how the reviewers of a project agree."""
    found, plan = disputes.opinions_of(of), plan_of(of)
    if not any(each.units for each in found.agreements):
        return {"fold": gr.update(visible=False), "open": gr.update(visible=False), "link": ""}
    waiting = len(found.disputes) - len(found.settled)
    settles = ARGILLA in visit.may or way.as_themselves(visit)
    counts = {"disputed": f"{len(found.disputes):,}", "settled": f"{len(found.settled):,}"}
    parts = [
        _alphas(found.agreements, plan),
        line(say("opinions.alpha.about")),
        _people(found.agreements, plan),
        notice(say("opinions.disputed", **counts)) if found.disputes else line(say("opinions.none")),
    ]
    return {
        "fold": gr.update(visible=True),
        "shown": Markup("").join(parts),
        "open": gr.update(visible=waiting > 0 and settles, value=say("opinions.open.count", count=f"{waiting:,}")),
        "link": "",
    }


def _title(plan: ReviewPlan, name: str) -> str:
    own = {"relevance": plan.relevance_title, "preference": plan.preference_title}
    return own.get(name) or next((each.title for each in plan.questions if each.name == name), name)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _alphas(found: tuple[Agreement, ...], plan: ReviewPlan) -> Markup:
    rows = [
        (_title(plan, each.question), say(f"opinions.scale.{each.scale}"), _number(each.alpha), f"{each.units:,}")
        for each in found
    ]
    return _table([say(f"opinions.column.{name}") for name in ("question", "scale", "alpha", "units")], rows)


def _people(found: tuple[Agreement, ...], plan: ReviewPlan) -> Markup:
    rows = [
        (
            *(each.annotator, _title(plan, question.question), f"{each.units:,}"),
            *("–" if each.same is None else f"{each.same:.0%}", _number(each.alpha)),
        )
        for question in found
        for each in question.against
    ]
    return _table([say(f"opinions.column.{name}") for name in ("who", "question", "units", "same", "alpha")], rows)


def _table(heads: list[str], rows: Sequence[Sequence[str]]) -> Markup:
    empty, cell = Markup(""), Markup("<td>{}</td>")
    lines = empty.join(Markup("<tr>{}</tr>").format(empty.join(cell.format(value) for value in row)) for row in rows)
    head = empty.join(Markup("<th>{}</th>").format(name) for name in heads)
    return Markup(
        '<div class="table-box"><table class="plain-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(head, lines)
