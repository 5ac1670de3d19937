"""Publishing a finished export on the Hub: where, the comparison that is agreed to once, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base.project import Project, find
from pipeline.export import exported, publish
from pipeline.export.exported import Published
from pipeline.export.publish import LICENSES, Plan, PublishOptions
from pipeline.hub import account
from pipeline.hub.repositories import page
from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.studio import Studio
from ui.export import comparison as publish_comparison
from ui.handlers import BUSY, QUIET, changed, handle
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control
from ui.parts.notice import notice
from ui.parts.run_view import RunView
from ui.text import say, t


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

    @property
    def drawn(self) -> list[Component | gr.blocks.BlockContext]:
        """What `_draw` returns updates for."""
        return [self.section, self.where, self.fold, self.snippet, self.note, self.look]

    @property
    def question(self) -> list[Any]:
        """What `_open` and `_close` return updates for."""
        return [self.box, self.shown, self.go, self.agreed, self.look]


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


def wire(part: PublishPart, studio: Studio, page_: Page, name: gr.State) -> None:
    """Connect the section.

    Args:
        part: Its components.
        studio: Names the home, the ledger and who is signed in.
        page_: Gives the project and the account.
        name: State with the name of the export shown, "" for none.
    """
    _wire_shown(part, studio, page_, name)
    _wire_question(part, studio, page_, name)
    run_view.wire(part.view, studio)


def _wire_shown(part: PublishPart, studio: Studio, page_: Page, name: gr.State) -> None:
    def draw(project: str, export: str) -> list[Any]:
        return _draw(studio, _project(studio, project), export)

    def show(project: str, export: str) -> list[Any]:
        of = _project(studio, project)
        latest = _latest(studio, project, export)
        return [*_draw(studio, of, export), *_close(), *_values(part.form, of, export), latest]

    def account_changed(project: str, export: str, repository: str) -> list[Any]:
        of = _project(studio, project)
        who = studio.sign_in.status.account
        mine = who is not None and repository.partition("/")[0] in (who.name, *who.organisations)
        return [*_draw(studio, of, export), gr.skip() if mine else _followed(of, export, repository) or gr.skip()]

    shown = [page_.project, name]
    fresh = [*part.drawn, *part.question, *part.form.inputs, part.view.run]
    name.change(handle(show), shown, fresh, **QUIET)
    repository = part.form.components["repository"]
    page_.account.change(handle(account_changed), [*shown, repository], [*part.drawn, repository], **QUIET)
    part.view.ended.change(handle(draw), shown, part.drawn, **QUIET)


def _wire_question(part: PublishPart, studio: Studio, page_: Page, name: gr.State) -> None:
    def look(project: str, export: str, *values: Any) -> list[Any]:
        of = find(studio.home, project)
        planned = publish.plan(of, export, _options(part.form, values))
        if not planned.nothing:
            return [*_open(planned), gr.skip(), ""]
        publish.found(of, export, planned)
        return [*_close(), _where(exported.published(of, export)), notice(say("publish.same"), "good")]

    def go(project: str, export: str, agreed: dict[str, Any], *values: Any) -> list[Any]:
        options = _options(part.form, values)
        planned = publish.plan(find(studio.home, project), export, options)
        if not agreed or publish_comparison.agreed(planned) != agreed:
            return [*_open(planned), notice(say("publish.moved")), gr.skip()]
        spec: dict[str, object] = {
            "name": export,
            "user": account.require_write().name,
            "options": options.model_dump(mode="json"),
            "agreed": {"head": planned.head, "private": planned.private},
        }
        title = say("publish.run", name=export, repository=planned.repository)
        run = launch.start(studio.ledger, "publish", project, title, spec)
        return [*_close()[:-1], gr.update(visible=False), "", run.id]

    asked = [page_.project, name, *part.form.inputs]
    part.look.click(handle(look), asked, [*part.question, part.where, part.note], **BUSY)
    confirmed = [page_.project, name, part.agreed, *part.form.inputs]
    part.go.click(handle(go), confirmed, [*part.question, part.note, part.view.run], **BUSY)
    part.back.click(handle(_close), None, part.question, **QUIET)
    for component in part.form.inputs:  # what was agreed to is no longer what is asked for
        changed(component)(handle(_close), None, part.question, **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    return find(studio.home, name) if name else None


def _options(form: ParameterForm, values: tuple[Any, ...]) -> PublishOptions:
    filled = dict(zip(form.components, values, strict=True))
    filled["license"] = filled["license"] or ""
    return PublishOptions.model_validate(filled)


def _values(form: ParameterForm, project: Project | None, name: str) -> list[Any]:
    """Return updates for the form: where the export was published, else where it would go."""
    if project is None or not name:
        return [gr.skip()] * len(form.inputs)
    there = exported.published(project, name)
    repository = there.repository if there else publish.default_repository(name)
    values = {"repository": repository, "private": True, "license": "", "message": "", "existing": "update"}
    return [values[field] for field in form.components]


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


def _latest(studio: Studio, project: str, name: str) -> str:
    """Return the last publication of this export that still has something to say, "" for none."""
    runs = studio.ledger.list(project=project, kind="publish") if project and name else []
    latest = max((run for run in runs if spec_of(run).get("name") == name), key=lambda run: run.number, default=None)
    return latest.id if latest and latest.state is not State.SUCCEEDED else ""


def _draw(studio: Studio, project: Project | None, name: str) -> list[Any]:
    """Return updates for `PublishPart.drawn`."""
    if project is None or not name:
        return [gr.update(visible=False), *[gr.skip()] * 5]
    there, problem = exported.published(project, name), _problem(studio)
    snippet = exported.snippet(there.repository, there.revision) if there else ""
    label = say("publish.look.again" if there else "publish.look")
    busy = bool(studio.ledger.list(project=project.name, kind="publish", active=True))
    return [
        gr.update(visible=True),
        _where(there),
        gr.update(visible=there is not None),
        snippet,
        notice(problem),
        gr.update(value=label, interactive=not problem, visible=not busy),
    ]


def _problem(studio: Studio) -> str:
    """Return why nothing can be published now, "" where it can."""
    now = studio.sign_in.status
    if now.state != "ready" or now.account is None:
        return say(f"publish.{now.state}")
    return "" if now.account.may_write else say("publish.read_only", name=now.account.name)


def _where(there: Published | None) -> str:
    """Return where an export was published, as HTML."""
    if there is None:
        return f'<div class="subdued">{escape(say("publish.about"))}</div>'
    when = datetime.fromisoformat(there.when).astimezone().strftime("%Y-%m-%d %H:%M")
    lines = {
        "repository": _link(page(there.repository, "dataset"), there.repository),
        "commit": _link(there.url, there.revision[:12]),
        "seen": escape(say(f"publish.fact.seen.{'private' if there.private else 'public'}")),
        "when": escape(when),
        "by": escape(there.by),
    }
    inside = "".join(f"<dt>{escape(say(f'publish.fact.{key}'))}</dt><dd>{value}</dd>" for key, value in lines.items())
    return f'<dl class="facts">{inside}</dl>'


def _link(address: str, text: str) -> str:
    if not address.startswith(("https://", "http://")):
        return escape(text)
    return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(text)}</a>'


def _open(planned: Plan) -> list[Any]:
    label = say("publish.go.private" if planned.private else "publish.go.public")
    return [
        gr.update(visible=True),
        publish_comparison.draw(planned),
        gr.update(value=label),
        publish_comparison.agreed(planned),
        gr.update(visible=False),
    ]


def _close() -> list[Any]:
    return [gr.update(visible=False), "", gr.update(), None, gr.update(visible=True)]
