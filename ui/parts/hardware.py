"""Where a run goes and what it costs: the picker and the confirmation that Train and Evaluate share.

A tab calls the picker `hardware`, the confirmation `confirm` and the button before it `start`: those are the names in
what is given and updated here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup, escape

from pipeline.base.errors import StudioError
from pipeline.base.message import Message
from pipeline.hardware import flavors, pricing
from pipeline.hardware.flavors import Flavor, Listing, Misfit, Need
from pipeline.hardware.pricing import RENTED, JobOptions, Quote
from pipeline.hub import account
from pipeline.runs import places
from pipeline.visit import COMPUTE, Visit
from ui.handlers import BUSY, Given, Handler, Update, Wiring
from ui.parts.notice import facts, notice, notices
from ui.parts.run_view import rough
from ui.text import has, say, t


@dataclass(frozen=True)
class HardwarePicker:
    """The controls of `JobOptions`.

    Attributes:
        box: What belongs to rented hardware alone; hidden while the run stays here.
        note: What is to be known of a Space.
        namespace: Who pays; hidden for an account without organisations.
        unfit: The hardware that is not for this run, each with its reason.
        prices: Where the prices come from.
    """

    where: gr.Radio
    box: gr.Column
    note: gr.HTML
    flavor: gr.Radio
    unfit: gr.HTML
    prices: gr.HTML
    budget: gr.Number
    namespace: gr.Dropdown


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


INPUTS = ("hardware.where", "hardware.flavor", "hardware.budget", "hardware.namespace")  # what `read` reads
SHOWN = tuple(f"hardware.{name}" for name in ("box", "note", "flavor", "unfit", "prices", "namespace"))  # of `show`
PANEL = ("confirm.box", "confirm.shown", "confirm.pay", "confirm.agreed", "start")  # what asking and answering update


@dataclass(frozen=True)
class Question:
    """What is asked before hardware is rented.

    Attributes:
        offer: Hardware, price, hard stop, estimate.
        lines: What else is shown: names and values, in the visitor's language.
        beware: Warnings.
    """

    offer: Quote
    lines: Mapping[str, str]
    beware: Sequence[Message] = ()


def build(prefix: str) -> HardwarePicker:
    """Lay out the picker; it begins with this machine.

    Args:
        prefix: First part of each control's elem_id: the kind of the runs that are placed.
    """
    where = gr.Radio(
        [(t(each.title) if has(each.title) else each.title, each.name) for each in places.offered(prefix)],
        value=places.LOCAL,
        label=t("hardware.where"),
        info=None if any(each.name == "space" for each in places.offered(prefix)) else t("hardware.where.no_space"),
        elem_id=f"{prefix}-where",
    )
    with gr.Column(visible=False, elem_id=f"{prefix}-hardware") as box, gr.Group():
        note = gr.HTML(elem_id=f"{prefix}-space-note", padding=False, elem_classes="picker-note", visible=False)
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
        with gr.Row(elem_classes="form-row"):
            budget = gr.Number(
                JobOptions().budget,
                label=t("hardware.budget"),
                info=t("hardware.budget.help"),
                elem_id=f"{prefix}-budget",
                min_width=220,
            )
            namespace = gr.Dropdown(
                [(t("hardware.namespace.self"), "")],
                value="",
                label=t("hardware.namespace"),
                info=t("hardware.namespace.help"),
                elem_id=f"{prefix}-namespace",
                visible=False,
                min_width=220,
            )
    return HardwarePicker(where, box, note, flavor, unfit, prices, budget, namespace)


def allowed(visit: Visit, prefix: str) -> Update:
    """Return an update that offers a visitor what is theirs to use: this machine is its owner's.

    Args:
        visit: Who asks.
        prefix: Kind of the runs that are placed.
    """
    if COMPUTE in visit.may:
        return {}
    found = [each for each in places.offered(prefix) if not each.here]
    choices = [(say(each.title) if has(each.title) else each.title, each.name) for each in found]
    return {"hardware.where": gr.update(choices=choices, value=found[0].name)}


def read(given: Given) -> JobOptions:
    """Return what is chosen; what belongs to rented hardware does not count while the run stays here.

    Args:
        given: Holds `INPUTS`.

    Raises:
        ValidationError: The budget is out of bounds.
    """
    where = given["hardware.where"]
    if where not in RENTED:
        return JobOptions(where=where)
    flavor, payer = given["hardware.flavor"] or flavors.DEFAULT, given["hardware.namespace"] or ""
    return JobOptions(where=where, flavor=flavor, budget=given["hardware.budget"], namespace=payer)


def show(given: Given, need: Need) -> Update:
    """Return updates that show what fits a run: of `SHOWN`.

    Args:
        given: Holds the place, and the hardware chosen so far; another one is chosen where it does not fit.
        need: What the run asks of it.
    """
    where = given["hardware.where"]
    if where not in RENTED:  # the Hub is not asked before it matters
        return {"hardware.box": gr.update(visible=False)}
    listing = flavors.listing("space" if where == "space" else "job")
    checked = [(one, flavors.fits(one, need)) for one in listing.flavors]
    fitting = [(_label(one), one.name) for one, misfit in checked if misfit is None]
    chosen = flavors.suggested(listing.flavors, need, given["hardware.flavor"] or "") or None
    return {
        "hardware.box": gr.update(visible=True),
        "hardware.note": gr.update(value=_subdued(say("hardware.space")), visible=where == "space"),
        "hardware.namespace": _payers(given["hardware.namespace"] or ""),
        "hardware.flavor": gr.update(choices=fitting, value=chosen, visible=bool(fitting)),
        "hardware.unfit": _unfit([(one, misfit) for one, misfit in checked if misfit is not None]),
        "hardware.prices": _source(listing),
    }


def _payers(chosen: str) -> object:
    """Return an update with who can pay: the account signed in and its organisations, where it has any."""
    try:
        who = account.current()
    except StudioError:
        who = None
    if who is None or not who.organisations:
        return gr.update(choices=[(say("hardware.namespace.self"), "")], value="", visible=False)
    there = [(f"{who.name} ({say('hardware.namespace.self')})", ""), *((name, name) for name in who.organisations)]
    return gr.update(choices=there, value=chosen if chosen in who.organisations else "", visible=True)


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
    return f"{flavor.label}{size}{memory} · {pricing.money(flavor.price_per_hour)}/h"


def _unfit(found: Sequence[tuple[Flavor, Misfit]]) -> Markup:
    if not found:
        return Markup("")
    row = Markup('<li><label aria-disabled="true"><input type="radio" disabled> {}</label> <span>{}</span></li>')
    rows = Markup("").join(row.format(_label(flavor), pricing.reason(misfit, flavor).what) for flavor, misfit in found)
    whole = Markup('<details class="unfit"><summary>{}</summary><ul>{}</ul></details>')
    return whole.format(say("hardware.unfit", count=len(found)), rows)


def _source(listing: Listing) -> Markup:
    """Say where the prices come from; those of the program's own list are old, and that stands out."""
    if listing.live:
        return _subdued(say("hardware.prices.live"))
    return notice(say("hardware.prices.snapshot", date=listing.date))


def _subdued(text: str) -> Markup:
    return Markup('<div class="subdued">{}</div>').format(text)


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


def wire(wiring: Wiring, inputs: Sequence[str], outputs: Sequence[str], *, press: Handler, pay: Handler) -> None:
    """Ask once before a run that costs money is started; one that costs nothing is started at once.

    Args:
        wiring: Knows the tab's parts.
        inputs: Names of what both handlers are given.
        outputs: Names of what starting a run updates.
        press: Called at the start button: `pressed` with the tab's `ask` and `go`.
        pay: Called at the button that agrees: `paid` with the same.
    """
    changed = [*PANEL, *outputs]
    wiring.on(wiring.parts["start"].click, press, inputs, changed, BUSY)
    wiring.on(wiring.parts["confirm.pay"].click, pay, ["confirm.agreed", *inputs], changed, BUSY)
    wiring.on(wiring.parts["confirm.back"].click, back, (), PANEL)


Ask = Callable[[Visit, Given], Question | None]


def pressed(visit: Visit, given: Given, ask: Ask, go: Handler) -> Update:
    """Ask before a run that costs money, or start one that costs nothing.

    Args:
        visit: Who asks.
        given: What `ask` and `go` are given.
        ask: Checks the run, raises what stops it, and returns what to ask; None: there is nothing to pay.
        go: Starts the run. Asked twice it must start one run.
    """
    question = ask(visit, given)
    return _closed() | go(visit, given) if question is None else _opened(question)


def paid(visit: Visit, given: Given, ask: Ask, go: Handler) -> Update:
    """Start a run that costs what was agreed to, or ask again where that has changed; see `pressed`."""
    question = ask(visit, given)
    if question is not None and _shown(question) != given["confirm.agreed"]:
        gr.Warning(escape(say("hardware.changed")))
        return _opened(question)
    return _closed() | go(visit, given)


def back(visit: Visit, given: Given) -> Update:
    """Take the question away."""
    return _closed()


def _opened(question: Question) -> Update:
    shown = _shown(question)
    pay = say("hardware.pay", most=pricing.money(question.offer.at_most))
    return {
        "confirm.box": gr.update(visible=True),
        "confirm.shown": shown,
        "confirm.pay": gr.update(value=pay),
        "confirm.agreed": str(shown),
        "start": gr.update(visible=False),
    }


def _closed() -> Update:
    return {
        "confirm.box": gr.update(visible=False),
        "confirm.shown": "",
        "confirm.agreed": "",
        "start": gr.update(visible=True),
    }


def _shown(question: Question) -> Markup:
    """Return the question as HTML; it holds nothing that changes by the clock, so that it can be compared."""
    offer, space = question.offer, question.offer.where == "space"
    times = {"time": rough(offer.hard_stop), "soft": rough(offer.soft_stop)}
    what = {"pretty": offer.flavor.pretty, "name": offer.flavor.name}
    lines = {
        "hardware": say("hardware.confirm.space" if space else "hardware.confirm.hardware", **what),
        "price": say("hardware.confirm.price", price=pricing.money(offer.flavor.price_per_hour)),
        **({"namespace": offer.namespace} if offer.namespace else {}),
        "time": _time(offer),
        "stop": say("hardware.confirm.space_stop" if space else "hardware.confirm.stop", **times),
    }
    most = pricing.money(offer.at_most)
    if not space:
        lines["most"] = most
    else:
        lines["most_space"] = say("hardware.confirm.space_most", most=most)
        worst = {"worst": pricing.money(offer.worst), "time": rough(offer.sleep)}
        lines["worst"] = say("hardware.confirm.space_worst", **worst)
    told = {say(f"hardware.fact.{name}"): value for name, value in lines.items()} | dict(question.lines)
    return facts(told) + notices(question.beware) + _subdued(say("hardware.token_space" if space else "hardware.token"))


def _time(offer: Quote) -> str:
    if offer.estimate is None or offer.cost is None:
        return say("hardware.time.unknown")
    about = {"time": rough(offer.estimate.seconds), "cost": pricing.money(offer.cost)}
    return say(f"hardware.time.{offer.estimate.source}", **about)
