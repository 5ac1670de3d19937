"""The account: who is signed in to the Hub, what their token may do, signing in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from html import escape

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.hub.account import Account, SignInStatus, token_page
from pipeline.visit import ACCOUNT, TOKEN, Visit
from pipeline.web.space import OUT
from ui.handlers import BUSY, Given, Update, Wiring
from ui.parts.notice import facts, notice
from ui.text import say, t

DOTS = {"ready": "good", "refused": "bad", "unreachable": "bad", "checking": "busy"}
_LEAVE = f'<form method="post" action="{OUT}"><button class="account-leave">{{}}</button></form>'
CLOCK_S = 60.0  # a clock that is further off than this is mentioned


@dataclass(frozen=True)
class AccountPanel:
    """Components of the account panel.

    Attributes:
        who: State that changes with who is signed in and what they may do, "" for nobody.
    """

    who: gr.State
    open: gr.State
    box: gr.Column
    about: gr.HTML
    form: gr.Row
    token: gr.Textbox
    sign_in: gr.Button
    retry: gr.Button
    take_up: gr.Button
    sign_out: gr.Button
    deploy: gr.Button
    close: gr.Button


# What `draw` updates; never the field a token is being typed into.
DRAWN = tuple(f"account.{name}" for name in ("who", "about", "form", "retry", "take_up", "sign_out", "deploy"))
SHOWN = ("account.open", "account.box", *DRAWN)


def build() -> AccountPanel:
    """Lay out the panel, closed; the status bar's account button opens it."""
    with gr.Column(visible=False, elem_id="account-panel") as box:
        about = gr.HTML(elem_id="account-status", padding=False)
        with gr.Row(equal_height=True, elem_id="account-form") as form:
            token = gr.Textbox(
                label=t("account.token"),
                info=t("account.token.help"),
                type="password",
                scale=4,
                min_width=260,
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
                elem_id="account-token",
            )
            sign_in = gr.Button(t("account.sign_in"), variant="primary", min_width=120, elem_id="account-sign-in")
        with gr.Row(elem_id="account-buttons"):
            retry = gr.Button(t("account.retry"), size="sm", visible=False, min_width=120, elem_id="account-retry")
            take_up = gr.Button(
                t("account.take_up"), size="sm", visible=False, min_width=120, elem_id="account-take-up"
            )
            out = gr.Button(t("account.sign_out"), size="sm", visible=False, min_width=120, elem_id="account-sign-out")
            deploy = gr.Button(t("deploy.open"), size="sm", visible=False, min_width=120, elem_id="account-deploy")
            close = gr.Button(t("account.close"), size="sm", min_width=120, elem_id="account-close")
    return AccountPanel(
        gr.State(""), gr.State(False), box, about, form, token, sign_in, retry, take_up, out, deploy, close
    )


def wire(wiring: Wiring) -> None:
    """Connect the panel; how the sign-in goes on by itself comes with the bar.

    Args:
        wiring: Knows the panel as `account` and the bar as `bar`.
    """
    parts = wiring.parts
    wiring.on(parts["bar.account"].click, turned, "account.open", SHOWN)
    wiring.on(parts["account.close"].click, closed, (), SHOWN)
    # The field is emptied before the Hub is asked.
    typed = [parts["account.sign_in"].click, parts["account.token"].submit]
    wiring.on(wiring.on(typed, taken, "account.token", ["account.token", *DRAWN]), waited, (), DRAWN, BUSY)
    wiring.on(parts["account.sign_out"].click, signed_out, (), DRAWN)
    retry = [parts["account.retry"].click, parts["account.take_up"].click]
    wiring.on(wiring.on(retry, asked_again, (), DRAWN), waited, (), DRAWN, BUSY)


def turned(visit: Visit, given: Given) -> Update:
    """Open the panel, or close it."""
    return _show(visit, not given["account.open"])


def closed(visit: Visit, given: Given) -> Update:
    """Close the panel."""
    return _show(visit, False)


def _show(visit: Visit, wanted: bool) -> Update:
    return {"account.open": wanted, "account.box": gr.update(visible=wanted), **draw(visit)}


def taken(visit: Visit, given: Given) -> Update:
    """Take a token that was typed."""
    visit.require(TOKEN)
    # Not for the page to show: an event that raises leaves its outputs alone, and the field is to be cleared.
    try:
        visit.studio.person(visit.who).sign_in.use(given["account.token"])
    except StudioError as error:
        gr.Warning(escape(str(error)))
    return {"account.token": "", **draw(visit)}


def waited(visit: Visit, given: Given) -> Update:
    """Show what the Hub has said of a token."""
    visit.require(ACCOUNT)
    visit.studio.person(visit.who).sign_in.wait()
    return draw(visit)


def signed_out(visit: Visit, given: Given) -> Update:
    """Forget the token."""
    visit.require(TOKEN)
    visit.studio.person(visit.who).sign_in.sign_out()
    return draw(visit)


def asked_again(visit: Visit, given: Given) -> Update:
    """Ask the Hub again, or take up a token of this machine."""
    visit.require(TOKEN)
    visit.studio.person(visit.who).sign_in.start()
    return draw(visit)


def item(visit: Visit) -> tuple[str, str]:
    """Return the dot and the words of the status bar's account item."""
    now = visit.sign_in
    dot = DOTS.get(now.state, "idle")
    if now.state != "ready" or now.account is None:
        return dot, say(f"account.bar.{now.state}")
    if now.account.may_write:
        return dot, now.account.name
    return "busy", say("account.bar.may_not_write", name=now.account.name)


def who(visit: Visit) -> str:
    """Return a text that changes with who is signed in and what they may do, "" for nobody.

    Another token of the same account counts: between the two the page may not have seen anybody else.
    """
    now = visit.sign_in
    if now.state != "ready" or now.account is None:
        return ""
    return f"{hash(replace(now.account, clock_offset=0.0)):x}"  # the offset is measured anew at each look


def draw(visit: Visit) -> Update:
    """Return what the panel shows: updates of `DRAWN`."""
    now, typed = visit.sign_in, TOKEN in visit.may
    return {
        "account.who": who(visit),
        "account.about": about(now, typed=typed),
        "account.form": gr.update(visible=typed),
        "account.retry": gr.update(visible=typed and now.state in ("refused", "unreachable")),
        "account.take_up": gr.update(visible=typed and now.state == "none" and bool(now.aside)),
        "account.sign_out": gr.update(visible=typed and now.state != "none"),
        "account.deploy": gr.update(visible=typed and now.account is not None and now.account.may_write),
    }


def about(now: SignInStatus, *, typed: bool = True) -> str:
    """Return how the sign-in is, as HTML, everything escaped.

    Args:
        now: The sign-in.
        typed: Whether tokens are typed here; else the way out is the browser's session.
    """
    name = now.account.name if now.account else ""
    head = f'<span class="dot {DOTS.get(now.state, "idle")}"></span>{escape(say(f"account.{now.state}", name=name))}'
    parts = [f'<div class="account-head">{head}</div>', *_explained(now)]
    if now.account is not None and now.state == "ready":
        parts += [*map(notice, _warnings(now.account)), facts(_facts(now.account, now.source))]
    if not typed:
        return "".join([*parts, _LEAVE.format(escape(say("account.leave")))])
    link = f'<a href="{escape(token_page())}" target="_blank" rel="noopener">{escape(say("account.page"))}</a>'
    parts.append(f'<div class="subdued">{link} {escape(say("account.page.tick"))}</div>')
    return "".join(parts)


def _explained(now: SignInStatus) -> list[str]:
    """Return what a state means and what to do about it."""
    lines = {
        "none": [say("account.none.means"), say("account.aside", source=_source(now.aside)) if now.aside else ""],
        "refused": [say("account.refused.next", source=_source(now.source))],
        "unreachable": [now.problem.why if now.problem else "", say("account.unreachable.next")],
    }
    return [f"<p>{escape(line)}</p>" for line in lines.get(now.state, []) if line]


def _warnings(account: Account) -> list[str]:
    """Return what will not work with this token, before anybody tries."""
    found = []
    if account.kind == "read":
        found.append(say("account.warn.read_only"))
    elif not account.may_write:
        found.append(say("account.warn.no_write"))
    elif not account.may_run_jobs:
        found.append(say("account.warn.no_jobs"))
    if account.can_pay is False:
        found.append(say("account.warn.no_payment"))
    if abs(account.clock_offset) > CLOCK_S:
        found.append(say("account.warn.clock", minutes=round(abs(account.clock_offset) / 60, 1)))
    return found


def _facts(account: Account, source: str) -> dict[str, str]:
    """Return names and values of what is known of the account."""
    permissions = {
        "private": account.may_read_private,
        "gated": account.may_read_gated,
        "write": account.may_write,
        "jobs": account.may_run_jobs,
    }
    comma = say("account.comma")
    may = comma.join(say(f"account.may.{name}") for name, granted in permissions.items() if granted)
    may_not = comma.join(say(f"account.may.{name}") for name, granted in permissions.items() if not granted)
    expires = (
        f"{account.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if account.expires else say("account.expires.unknown")
    )
    lines = {
        "name": account.name if account.fullname == account.name else f"{account.name} ({account.fullname})",
        "organisations": comma.join(account.organisations),
        "token": say(f"account.kind.{account.kind}"),
        "source": _source(source),
        "may": may,
        "may_not": may_not,
        "expires": expires,
    }
    return {say(f"account.fact.{name}"): value for name, value in lines.items() if value}


def _source(source: str) -> str:
    return say(f"account.source.{source}") if source else ""
