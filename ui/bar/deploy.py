"""Deploying this program as a Space: where, what it would do and cost, one confirmation, and the run that does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import gradio as gr

from pipeline.base.message import message
from pipeline.deploy.options import DeployOptions
from pipeline.deploy.plan import Plan, plan
from pipeline.deploy.words import facts
from pipeline.hardware import flavors
from pipeline.hub import account
from pipeline.runs import launch
from pipeline.visit import TOKEN, Visit
from ui.handlers import BUSY, Given, Update, Wiring, changed, under
from ui.page import Page
from ui.parts import notice, run_view
from ui.parts.forms import ParameterForm, control
from ui.parts.run_view import RunView
from ui.text import t

SHOWN = ("space", "hardware", "bucket", "visibility", "visitors")  # the command line has the others
QUESTION = ("shown", "agreed", "look", "go", "back")


@dataclass(frozen=True)
class DeployPanel:
    """Components of the panel; it is built when it is first wanted.

    Attributes:
        shown: What deploying would do and cost, as HTML.
        agreed: State with what was shown; None: nothing was.
    """

    box: gr.Column
    form: ParameterForm
    shown: gr.HTML
    look: gr.Button
    go: gr.Button
    back: gr.Button
    close: gr.Button
    agreed: gr.State
    view: RunView


def build() -> DeployPanel:
    """Lay out the panel."""
    with gr.Column(elem_id="deploy-panel", elem_classes="confirm") as box:
        gr.Markdown(t("deploy.title"))
        gr.HTML(t("deploy.about"), padding=False)
        controls = {}
        for row in (SHOWN[:3], SHOWN[3:]):
            with gr.Row(elem_classes="form-row"):
                for name in row:
                    listed = [""] if name == "hardware" else None
                    controls[name] = control(DeployOptions, "deploy", name, listed)
        shown = gr.HTML(elem_id="deploy-shown", padding=False)
        with gr.Row():
            close = gr.Button(t("account.close"), elem_id="deploy-close")
            back = gr.Button(t("deploy.back"), visible=False, elem_id="deploy-back")
            look = gr.Button(t("deploy.look"), variant="primary", elem_id="deploy-look")
            go = gr.Button(t("deploy.go"), variant="primary", visible=False, elem_id="deploy-go")
        view = run_view.build("deploy")
    form = ParameterForm(DeployOptions, controls)
    return DeployPanel(box, form, shown, look, go, back, close, gr.State(None), view)


def wire(panel: DeployPanel, wiring: Wiring, page: Page, wanted: gr.State) -> None:
    """Connect the panel.

    Args:
        panel: Its components.
        wiring: Says whose visit a request is.
        page: Says when the panel has come into the page.
        wanted: State that says that it is wanted.
    """
    wiring = wiring.within(_=panel)
    wiring.on(page.built or wanted.change, drawn, (), ["box", "form.space", "form.hardware", "view.run"])
    wiring.on(panel.look.click, looked, "form.*", QUESTION, BUSY)
    wiring.on(panel.go.click, gone, ["agreed", "form.*"], [*QUESTION, "view.run"], BUSY)
    # What was agreed to is no longer what is asked for once the form changes.
    changes = [changed(component) for component in panel.form.inputs]
    wiring.on([panel.back.click, *changes], back, (), QUESTION)
    wiring.on(panel.close.click, closed, (), "box")
    run_view.wire(panel.view, wiring)


def wanted_again(visit: Visit, given: Given) -> Update:
    """Open the panel."""
    visit.require(TOKEN)
    return {"deploying": given["deploying"] + 1}


def drawn(visit: Visit, given: Given) -> Update:
    """Propose a name, offer the hardware there is, and show the last deployment that is still going on."""
    if TOKEN not in visit.may:
        return {"box": gr.update(visible=False)}
    who = visit.sign_in.account
    names = [("", ""), *((flavor.name, flavor.name) for flavor in flavors.listing("space").flavors)]
    active = next(iter(visit.ledger.list(kind="deploy", active=True)), None)
    return {
        "form.space": f"{who.name}/align-studio" if who else "",
        "form.hardware": gr.update(choices=names),
        "view.run": active.id if active else "",
    }


def looked(visit: Visit, given: Given) -> Update:
    """Say what deploying would do and cost."""
    visit.require(TOKEN)
    return _open(plan(_options(given)))


def gone(visit: Visit, given: Given) -> Update:
    """Deploy what was shown; the run looks again and does nothing else."""
    visit.require(TOKEN)
    options = _options(given)
    if not given["agreed"] or given["agreed"]["space"] != options.space:
        return _open(plan(options))
    spec: dict[str, object] = {
        "user": account.require_write().name,
        "options": options.model_dump(mode="json"),
        "agreed": given["agreed"],
    }
    run = launch.start(visit.ledger, "deploy", "", message("deploy.run", space=options.space), spec)
    return {**_close(), "view.run": run.id}


def back(visit: Visit, given: Given) -> Update:
    """Take the question away."""
    return _close()


def closed(visit: Visit, given: Given) -> Update:
    """Close the panel."""
    return {"box": gr.update(visible=False)}


def _options(given: Given) -> DeployOptions:
    fields = under(given, "form.")
    return DeployOptions.model_validate({name: value or "" for name, value in fields.items()})


def _open(planned: Plan) -> Update:
    lines = {name: str(value) for name, value in facts(planned).items()}
    return {
        "shown": notice.facts(lines) + notice.notices(planned.warnings),
        "agreed": asdict(planned.agreed()),
        "look": gr.update(visible=False),
        "go": gr.update(visible=True),
        "back": gr.update(visible=True),
    }


def _close() -> Update:
    hidden = gr.update(visible=False)
    return {"shown": "", "agreed": None, "look": gr.update(visible=True), "go": hidden, "back": hidden}
