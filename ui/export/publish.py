"""Publishing a finished export on the Hub: where, the comparison that is agreed to once, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import gradio as gr
from markupsafe import Markup

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.export import exported, publish
from pipeline.export.exported import Published
from pipeline.export.publish import LICENSES, Plan, PublishOptions
from pipeline.hub import account
from pipeline.hub.repositories import page
from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.visit import Visit
from ui.export import comparison as publish_comparison
from ui.handlers import BUSY, Given, Update, Wiring, changed, prefixed, under
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control
from ui.parts.notice import facts, link, notice
from ui.parts.run_view import RunView
from ui.text import say, t

DRAWN = ("section", "where", "fold", "snippet", "note", "look")  # what `_draw` may update
QUESTION = ("box", "shown", "go", "agreed", "look")  # what `_open` and `_close` may update


@dataclass(frozen=True)
class PublishPart:
    """The section of the Export tab that publishes the export shown.

    Attributes:
        where: Where the export was published, as HTML.
        note: What stands in the way, or what came of a comparison.
        box: The one question before anything is changed.
        agreed: State with what was shown in it.
    """

    section: gr.Column
    where: gr.HTML
    fold: gr.Accordion
    snippet: gr.Code
    form: ParameterForm
    note: gr.HTML
    look: gr.Button
    box: gr.Column
    shown: gr.HTML
    back: gr.Button
    go: gr.Button
    agreed: gr.State
    view: RunView


def build() -> PublishPart:
    """Lay out the section, hidden until an export is shown."""
    with gr.Column(visible=False, elem_id="export-publish") as section:
        gr.Markdown(t("publish.title"))
        where = gr.HTML(elem_id="publish-where", padding=False)
        with gr.Accordion(t("publish.snippet"), open=False, visible=False) as fold:
            snippet = gr.Code(
                language="python", interactive=False, show_label=False, buttons=["copy"], elem_id="publish-snippet"
            )
        with gr.Row(elem_classes="form-row"):
            controls = {name: control(PublishOptions, "publish", name) for name in ("repository", "private")}
        with gr.Accordion(t("publish.more"), open=False, elem_id="publish-more"):
            with gr.Row(elem_classes="form-row"):
                controls["license"] = control(PublishOptions, "publish", "license", ["", *LICENSES])
                controls["message"] = control(PublishOptions, "publish", "message")
            controls["existing"] = control(PublishOptions, "publish", "existing")
        note = gr.HTML(elem_id="publish-note", padding=False)
        look = gr.Button(t("publish.look"), interactive=False, elem_id="publish-look")
        with gr.Column(visible=False, elem_id="publish-confirm", elem_classes="confirm") as box:
            shown = gr.HTML(elem_id="publish-comparison", padding=False)
            with gr.Row():
                back = gr.Button(t("publish.back"), elem_id="publish-back")
                go = gr.Button(t("publish.go"), variant="primary", elem_id="publish-go")
        view = run_view.build("publish")
    form = ParameterForm(PublishOptions, controls)
    return PublishPart(section, where, fold, snippet, form, note, look, box, shown, back, go, gr.State(None), view)


def wire(part: PublishPart, wiring: Wiring, page_: Page, name: gr.State) -> None:
    """Connect the section.

    Args:
        part: Its components.
        wiring: Knows the page.
        page_: Gives the account.
        name: State with the name of the export shown, "" for none.
    """
    wiring = wiring.within(_=part, export={"name": name})
    shown = ["page.project", "export.name"]
    wiring.on(name.change, show, shown, [*DRAWN, *QUESTION, "form.*", "view.run"])
    by_account = [*shown, "form.repository"]
    wiring.on(page_.account.change, account_changed, by_account, [*DRAWN, "form.repository"])
    wiring.on(part.view.ended.change, draw, shown, DRAWN)
    wiring.on(part.look.click, look, [*shown, "form.*"], [*QUESTION, "where", "note"], BUSY)
    wiring.on(part.go.click, go, [*shown, "agreed", "form.*"], [*QUESTION, "note", "view.run"], BUSY)
    # What was agreed to is no longer what is asked for once the form changes.
    changes = [changed(component) for component in part.form.inputs]
    wiring.on([part.back.click, *changes], back, (), QUESTION)
    run_view.wire(part.view, wiring)


def draw(visit: Visit, given: Given) -> Update:
    """Show where the export shown was published, and whether it can be."""
    return _draw(visit, visit.project_or_none(given["page.project"]), given["export.name"])


def show(visit: Visit, given: Given) -> Update:
    """Show another export."""
    project, name = visit.project_or_none(given["page.project"]), given["export.name"]
    drawn = _draw(visit, project, name)
    return {**_close(), **drawn, **_values(project, name), "view.run": _latest(visit, project, name)}


def account_changed(visit: Visit, given: Given) -> Update:
    """Say what can be done now, and where the account that signed in would publish."""
    project, name = visit.project_or_none(given["page.project"]), given["export.name"]
    who, repository = visit.sign_in.account, given["form.repository"]
    mine = who is not None and repository.partition("/")[0] in (who.name, *who.organisations)
    followed = "" if mine else _followed(project, name, repository)
    return {**_draw(visit, project, name), **({"form.repository": followed} if followed else {})}


def look(visit: Visit, given: Given) -> Update:
    """Compare the export with what is on the Hub, and ask whether that is wanted."""
    project, name = _export(visit, given)
    planned = publish.plan(project, name, _options(given))
    if not planned.nothing:
        return {**_open(planned), "note": ""}
    publish.found(project, name, planned)
    same = notice(say("publish.same"), "good")
    return {**_close(), "where": _where(exported.published(project, name)), "note": same}


def go(visit: Visit, given: Given) -> Update:
    """Publish, if all is as it was agreed to."""
    project, name = _export(visit, given)
    options = _options(given)
    planned = publish.plan(project, name, options)
    if not given["agreed"] or publish_comparison.agreed(planned) != given["agreed"]:
        return {**_open(planned), "note": notice(say("publish.moved"))}
    spec: dict[str, object] = {
        "name": name,
        "user": account.require_write().name,
        "options": options.model_dump(mode="json"),
        "agreed": {"head": planned.head, "private": planned.private},
    }
    title = message("publish.run", name=name, repository=planned.repository)
    run = launch.start(visit.ledger, "publish", project.name, title, spec)
    return {**_close(), "look": gr.update(visible=False), "note": "", "view.run": run.id}


def back(visit: Visit, given: Given) -> Update:
    """Take the question away."""
    return _close()


def _export(visit: Visit, given: Given) -> tuple[Project, str]:
    """Return the project shown and the name of its export that is.

    Raises:
        StudioError: They have no such project, or it has no such export.
    """
    project, name = visit.project(given["page.project"]), given["export.name"]
    if name not in exported.names(project):
        raise StudioError("export.none", name=name)
    return project, name


def _options(given: Given) -> PublishOptions:
    fields = under(given, "form.")
    return PublishOptions.model_validate({**fields, "license": fields["license"] or ""})


def _values(project: Project | None, name: str) -> Update:
    """Return updates for the form: where the export was published, else where it would go."""
    if project is None or not name:
        return {}
    there = exported.published(project, name)
    repository = there.repository if there else publish.default_repository(name)
    values = {"repository": repository, "private": True, "license": "", "message": "", "existing": "update"}
    return prefixed("form.", values)


def _followed(project: Project | None, name: str, repository: str) -> str:
    """Return where the account that signed in now would publish, "" to leave what is there.

    Args:
        project: The project shown.
        name: The export shown.
        repository: What stands in the field: a name made for the account before is replaced, a typed one is not.
    """
    if project is None or not name:
        return ""
    there = exported.published(project, name)
    made = repository.partition("/")[2] == name and not (there and there.repository == repository)
    return publish.default_repository(name) if made or not repository else ""


def _latest(visit: Visit, project: Project | None, name: str) -> str:
    """Return the last publication of this export that still has something to say, "" for none."""
    runs = visit.ledger.list(project=project.name, kind="publish") if project and name else []
    latest = max((run for run in runs if spec_of(run).get("name") == name), key=lambda run: run.number, default=None)
    return latest.id if latest and latest.state is not State.SUCCEEDED else ""


def _draw(visit: Visit, project: Project | None, name: str) -> Update:
    if project is None or not name:
        return {"section": gr.update(visible=False)}
    there, problem = exported.published(project, name), _problem(visit)
    busy = bool(visit.ledger.list(project=project.name, kind="publish", active=True))
    label = say("publish.look.again" if there else "publish.look")
    return {
        "section": gr.update(visible=True),
        "where": _where(there),
        "fold": gr.update(visible=there is not None),
        "snippet": exported.snippet(there.repository, there.revision) if there else "",
        "note": notice(problem),
        "look": gr.update(value=label, interactive=not problem, visible=not busy),
    }


def _problem(visit: Visit) -> str:
    """Return why nothing can be published now, "" where it can."""
    now = visit.sign_in
    if now.state != "ready" or now.account is None:
        return say(f"publish.{now.state}")
    return "" if now.account.may_write else say("publish.read_only", name=now.account.name)


def _where(there: Published | None) -> Markup:
    """Return where an export was published, as HTML."""
    if there is None:
        return Markup('<div class="subdued">{}</div>').format(say("publish.about"))
    when = datetime.fromisoformat(there.when).astimezone().strftime("%Y-%m-%d %H:%M")
    lines = {
        "repository": link(page(there.repository, "dataset"), there.repository) or there.repository,
        "commit": link(there.url, there.revision[:12]) or there.revision[:12],
        "seen": say(f"publish.fact.seen.{'private' if there.private else 'public'}"),
        "when": when,
        "by": there.by,
    }
    return facts({say(f"publish.fact.{key}"): value for key, value in lines.items()})


def _open(planned: Plan) -> Update:
    label = say("publish.go.private" if planned.private else "publish.go.public")
    return {
        "box": gr.update(visible=True),
        "shown": publish_comparison.draw(planned),
        "go": gr.update(value=label),
        "agreed": publish_comparison.agreed(planned),
        "look": gr.update(visible=False),
    }


def _close() -> Update:
    return {"box": gr.update(visible=False), "shown": "", "agreed": None, "look": gr.update(visible=True)}
