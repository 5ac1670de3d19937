"""Where a run goes and what it costs: the picker and the confirmation that Train and Evaluate share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base.preflight import Notice
from pipeline.hardware import flavors, remote
from pipeline.hardware.flavors import Flavor, Listing, Misfit, Need
from pipeline.hardware.remote import JobOptions, Quote
from ui.handlers import BUSY, QUIET, handle
from ui.parts.notice import facts, notices
from ui.parts.run_view import rough
from ui.text import say, t


@dataclass(frozen=True)
class HardwarePicker:
    """The controls of `JobOptions`.

    Attributes:
        box: What belongs to a Job alone; hidden while the run stays here.
        unfit: The hardware that is not for this run, each with its reason.
        prices: Where the prices come from.
    """

    where: gr.Radio
    box: gr.Column
    flavor: gr.Radio
    unfit: gr.HTML
    prices: gr.HTML
    budget: gr.Number

    @property
    def inputs(self) -> list[Component]:
        """The controls, in the order that `read` takes their values."""
        return [self.where, self.flavor, self.budget]

    @property
    def outputs(self) -> list[Any]:
        """What `show` returns updates for."""
        return [self.box, self.flavor, self.unfit, self.prices]


@dataclass(frozen=True)
class Confirmation:
    """The one question before money is spent.

    Attributes:
        agreed: State with what was shown; what is paid for must still be the same.
    """

    box: gr.Column
    shown: gr.HTML
    pay: gr.Button
    back: gr.Button
    agreed: gr.State

    @property
    def outputs(self) -> list[Any]:
        """What opening and closing return updates for."""
        return [self.box, self.shown, self.pay, self.agreed]


@dataclass(frozen=True)
class Question:
    """What is asked before a Job is started.

    Attributes:
        offer: Hardware, price, hard stop, estimate.
        lines: What else is shown: names and values, in the visitor's language.
        beware: Warnings.
        prefix: First part of the catalogue keys of the controls that warnings name.
    """

    offer: Quote
    lines: Mapping[str, str]
    beware: Sequence[Notice] = ()
    prefix: str = field(default="train")


def build(prefix: str) -> HardwarePicker:
    """Lay out the picker; it begins with this machine.

    Args:
        prefix: First part of each control's elem_id.
    """
    where = gr.Radio(
        [(t("hardware.where.local"), "local"), (t("hardware.where.job"), "job")],
        value="local",
        label=t("hardware.where"),
        elem_id=f"{prefix}-where",
    )
    with gr.Column(visible=False, elem_id=f"{prefix}-hardware") as box, gr.Group():
        listing = flavors.snapshot()
        flavor = gr.Radio(
            [(_label(one), one.name) for one in listing.flavors if flavors.fits(one, Need()) is None],
            value=flavors.DEFAULT,
            label=t("hardware.flavor"),
            info=t("hardware.flavor.help"),
            elem_id=f"{prefix}-flavor",
        )
        prices = gr.HTML(elem_id=f"{prefix}-prices", padding=False, elem_classes="picker-note")
        unfit = gr.HTML(elem_id=f"{prefix}-unfit", padding=False, elem_classes="picker-note")
        budget = gr.Number(
            JobOptions().budget,
            label=t("hardware.budget"),
            info=t("hardware.budget.help"),
            elem_id=f"{prefix}-budget",
            min_width=220,
        )
    return HardwarePicker(where, box, flavor, unfit, prices, budget)


def read(values: Sequence[Any]) -> JobOptions:
    """Return what is chosen; what belongs to a Job does not count while the run stays here.

    Args:
        values: Of `HardwarePicker.inputs`, in order.

    Raises:
        ValidationError: The budget is out of bounds.
    """
    where, flavor, budget = values
    if where != "job":
        return JobOptions()
    return JobOptions(where="job", flavor=flavor or flavors.DEFAULT, budget=budget)


def show(where: str, flavor: str | None, need: Need) -> list[Any]:
    """Return updates that show what fits a run, for `HardwarePicker.outputs`.

    Args:
        where: The place chosen.
        flavor: The hardware chosen so far; another one is chosen where it does not fit.
        need: What the run asks of it.
    """
    if where != "job":  # the Hub is not asked before it matters
        return [gr.update(visible=False), gr.update(), gr.update(), gr.update()]
    listing = flavors.listing()
    checked = [(one, flavors.fits(one, need)) for one in listing.flavors]
    fitting = [(_label(one), one.name) for one, misfit in checked if misfit is None]
    chosen = flavors.suggested(listing.flavors, need, flavor or "") or None
    return [
        gr.update(visible=True),
        gr.update(choices=fitting, value=chosen, visible=bool(fitting)),
        _unfit([(one, misfit) for one, misfit in checked if misfit is not None]),
        _source(listing),
    ]


def named(flavor: str) -> str:
    """Return what people call hardware: L40S for l40sx1."""
    found = _known().find(flavor)
    return found.label if found else flavor


@functools.cache
def _known() -> Listing:
    return flavors.snapshot()


def _label(flavor: Flavor) -> str:
    """Return hardware in a few signs, the same in all languages: GPU, memory, price; the size where names differ."""
    size = f" ({flavor.name.rsplit('-', 1)[1]})" if flavor.name.endswith(("-small", "-medium")) else ""
    memory = f" · {flavor.memory / 1e9:.0f} GB" if flavor.memory else ""
    return f"{flavor.label}{size}{memory} · {remote.money(flavor.price_per_hour)}/h"


def _unfit(found: Sequence[tuple[Flavor, Misfit]]) -> str:
    if not found:
        return ""
    lines = "".join(
        f'<li><label aria-disabled="true"><input type="radio" disabled> {escape(_label(flavor))}</label> '
        f"<span>{escape(_why(flavor, misfit))}</span></li>"
        for flavor, misfit in found
    )
    title = escape(say("hardware.unfit", count=len(found)))
    return f'<details class="unfit"><summary>{title}</summary><ul>{lines}</ul></details>'


def _why(flavor: Flavor, misfit: Misfit) -> str:
    sizes = {"need": f"{misfit.need / 1e9:.1f} GB", "has": f"{misfit.has / 1e9:.0f} GB"}
    return say(f"hardware.why.{misfit.why}", gpu=flavor.gpu, gpus=flavor.gpus, **sizes)


def _source(listing: Listing) -> str:
    """Say where the prices come from; those of the program's own list are old, and that stands out."""
    if listing.live:
        return f'<div class="subdued">{escape(say("hardware.prices.live"))}</div>'
    return f'<div class="notice">{escape(say("hardware.prices.snapshot", date=listing.date))}</div>'


def build_confirmation(prefix: str) -> Confirmation:
    """Lay out the question, hidden.

    Args:
        prefix: First part of each elem_id.
    """
    with gr.Column(visible=False, elem_id=f"{prefix}-confirm", elem_classes="confirm") as box:
        gr.Markdown(t("hardware.confirm"))
        shown = gr.HTML(elem_id=f"{prefix}-confirm-facts")
        with gr.Row():
            back = gr.Button(t("hardware.back"), elem_id=f"{prefix}-back")
            pay = gr.Button(t("hardware.pay.none"), variant="primary", elem_id=f"{prefix}-pay")
    return Confirmation(box, shown, pay, back, gr.State(""))


def wire(
    confirmation: Confirmation,
    start: gr.Button,
    inputs: list[Component],
    outputs: list[Component],
    *,
    ask: Callable[..., Question | None],
    go: Callable[..., list[Any]],
) -> None:
    """Ask once before a run that costs money is started; one that costs nothing is started at once.

    Args:
        confirmation: The question.
        start: The button that begins it all; hidden while it is asked.
        inputs: What `ask` and `go` are called with.
        outputs: What `go` returns updates for.
        ask: Checks the run, raises what stops it, and returns what to ask; None: there is nothing to pay.
        go: Starts the run. Asked twice it must start one run.
    """
    panel = [*confirmation.outputs, start]
    kept = [gr.skip()] * len(outputs)

    def press(*values: Any) -> list[Any]:
        question = ask(*values)
        if question is not None:
            return [*_open(question), *kept]
        return [*_close(), *go(*values)]

    def pay(agreed: str, *values: Any) -> list[Any]:
        question = ask(*values)
        if question is not None and _shown(question) != agreed:
            gr.Warning(escape(say("hardware.changed")))
            return [*_open(question), *kept]
        return [*_close(), *go(*values)]

    start.click(handle(press), inputs, [*panel, *outputs], **BUSY)
    confirmation.pay.click(handle(pay), [confirmation.agreed, *inputs], [*panel, *outputs], **BUSY)
    confirmation.back.click(handle(_close), None, panel, **QUIET)


def _open(question: Question) -> list[Any]:
    shown = _shown(question)
    pay = say("hardware.pay", most=remote.money(question.offer.at_most))
    return [gr.update(visible=True), shown, gr.update(value=pay), shown, gr.update(visible=False)]


def _close() -> list[Any]:
    return [gr.update(visible=False), "", gr.update(), "", gr.update(visible=True)]


def _shown(question: Question) -> str:
    """Return the question as HTML; it holds nothing that changes by the clock, so that it can be compared."""
    offer = question.offer
    lines = {
        "hardware": say("hardware.confirm.hardware", pretty=offer.flavor.pretty, name=offer.flavor.name),
        "price": say("hardware.confirm.price", price=remote.money(offer.flavor.price_per_hour)),
        "time": _time(offer),
        "stop": say("hardware.confirm.stop", time=rough(offer.hard_stop), soft=rough(offer.soft_stop)),
        "most": remote.money(offer.at_most),
    }
    told = {say(f"hardware.fact.{name}"): value for name, value in lines.items()} | dict(question.lines)
    token = f'<div class="subdued">{escape(say("hardware.token"))}</div>'
    return facts(told) + notices(question.beware, question.prefix) + token


def _time(offer: Quote) -> str:
    if offer.estimate is None or offer.cost is None:
        return say("hardware.time.unknown")
    about = {"time": rough(offer.estimate.seconds), "cost": remote.money(offer.cost)}
    return say(f"hardware.time.{offer.estimate.source}", **about)
