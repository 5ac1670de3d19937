"""What is billing: the status bar's item, and ending all of it with one confirmation that names every Job and Space.

What other studios of the same account have started is shown apart, and ended by a button of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import gradio as gr
from markupsafe import Markup

from pipeline.carriers.billing import Billing, Left, Spend, Stopped
from pipeline.visit import ACCOUNT, Visit
from ui.handlers import BUSY, Given, Update, Wiring
from ui.parts.hardware import named
from ui.text import say, t

KINDS = {"train", "evaluate"}
_BRACKETS = re.compile(r"\s*\(.*\)", re.DOTALL)


@dataclass(frozen=True)
class SpendPanel:
    """Components of the panel in which everything is stopped."""

    box: gr.Column
    about: gr.HTML
    end: gr.Button
    others: gr.HTML
    end_others: gr.Button
    keep: gr.Button


DRAWN = tuple(f"spend.{name}" for name in ("box", "about", "end", "others", "end_others", "keep"))


def build() -> SpendPanel:
    """Lay out the panel, closed; the status bar's button opens it."""
    # Not a Group: Gradio 6.31 gives a Group's id to two elements.
    with gr.Column(visible=False, elem_id="spend-panel", elem_classes="confirm") as box:
        about = gr.HTML(elem_id="spend-about")
        with gr.Row(elem_id="spend-buttons"):
            end = gr.Button(t("spend.end"), variant="stop", min_width=140, elem_id="spend-end")
            keep = gr.Button(t("spend.keep"), min_width=140, elem_id="spend-keep")
        others = gr.HTML(elem_id="spend-others", visible=False)
        end_others = gr.Button(t("spend.end_others"), variant="stop", visible=False, elem_id="spend-end-others")
    return SpendPanel(box, about, end, others, end_others, keep)


def wire(wiring: Wiring) -> None:
    """Connect the panel.

    Args:
        wiring: Knows the panel as `spend` and the bar as `bar`.
    """
    parts = wiring.parts
    wiring.on(parts["bar.stop"].click, asked, (), DRAWN, BUSY)
    wiring.on(parts["spend.end"].click, ended, (), DRAWN, BUSY)
    wiring.on(parts["spend.end_others"].click, others_ended, (), DRAWN, BUSY)
    wiring.on(parts["spend.keep"].click, closed, (), "spend.box")


def asked(visit: Visit, given: Given) -> Update:
    """Ask whether everything is to be stopped, with what is billing now."""
    visit.require(ACCOUNT)
    now = visit.spend.check()
    return _shown(question(now), end=True, now=now)


def ended(visit: Visit, given: Given) -> Update:
    """Stop everything of this studio and say what came of it."""
    visit.require(ACCOUNT)
    stopped = visit.spend.stop_all()
    return _shown(outcome(stopped), end=False, now=visit.spend.look())


def others_ended(visit: Visit, given: Given) -> Update:
    """Stop everything of other studios of the account and say what came of it."""
    visit.require(ACCOUNT)
    stopped = visit.spend.stop_all(elsewhere=True)
    return _shown(outcome(stopped), end=False, now=visit.spend.look())


def closed(visit: Visit, given: Given) -> Update:
    """Close the panel."""
    return {"spend.box": gr.update(visible=False)}


def _shown(about: str, *, end: bool, now: Spend) -> Update:
    elsewhere = others(now)
    return {
        "spend.box": gr.update(visible=True),
        "spend.about": about,
        "spend.end": gr.update(visible=end),
        "spend.others": gr.update(value=elsewhere, visible=bool(elsewhere)),
        "spend.end_others": gr.update(visible=bool(elsewhere)),
        "spend.keep": gr.update(value=say("spend.keep" if end else "spend.close")),
    }


def can_stop(visit: Visit) -> bool:
    """Return whether there is, or may be, something to stop that the account signed in may stop."""
    if ACCOUNT not in visit.may:
        return False
    now = visit.spend.look()
    return bool(now.items) or (now.state == "unknown" and visit.sign_in.account is not None)


def item(visit: Visit) -> Markup:
    """Return the status bar's item, nothing for those who do not pay."""
    if ACCOUNT not in visit.may:
        return Markup()
    now = visit.spend.look()
    dot = {"none": "idle", "billing": "busy", "unknown": "bad", "hidden": "idle", "signed out": "bad"}[now.state]
    if now.state == "unknown" and now.problem is None:
        dot = "idle"  # being asked for the first time
    return Markup('<span id="spend-item"><span class="dot {}"></span>{}</span>').format(dot, Markup(_words(now)))


def _words(now: Spend) -> str:
    if now.state == "none":
        return escape(say("spend.none"))
    if now.state == "billing":
        return _items(now) + _unseen(now)
    if now.state == "signed out":
        return _unseen(now).lstrip()
    if now.state == "hidden":
        return escape(say("spend.hidden")) + _last(now) + _unseen(now)
    if now.problem is None:
        return escape(say("spend.asking")) + _last(now) + _unseen(now)
    since = clock(now.checked_at) if now.checked_at is not None else ""
    words = say("spend.unknown_since", since=since) if since else say("spend.unknown")
    # In the bar without what a library said (in brackets); the panel has all of it.
    why = _BRACKETS.sub("", now.problem.why or now.problem.what)
    return escape(f"{words} {why}") + _last(now) + _unseen(now)


def _last(now: Spend) -> str:
    return f" {escape(say('spend.last_seen'))} {_items(now)}" if now.items else ""


def _items(now: Spend) -> str:
    if len(now.items) == 1:
        return f"{escape(sentence(now.items[0]))} {_links(now.items[0])}"
    stops = [one.stops_at for one in now.items if one.stops_at is not None]
    words = say("spend.several", count=len(now.items), cost=money(now.total), rate=f"US${now.price_per_hour:,.2f}") + (
        say("spend.last_stop", stop=clock(max(stops))) if stops else ""
    )
    return escape(words)


def _unseen(now: Spend) -> str:
    found = []
    for run in now.unseen:
        url = str((run.worker or {}).get("url") or "")
        words = say("spend.unseen", title=run.title, user=run.user)
        found.append(f" {escape(words)} {_link(url, run.place)}" if url.startswith("http") else f" {escape(words)}")
    return "".join(found)


def _links(one: Billing) -> str:
    """Return links to the page of a Job or Space, and to its run here."""
    here = f'<a href="?run={escape(one.run_id)}">{escape(say("spend.show"))}</a> ' if one.known else ""
    return here + _link(one.url, one.place)


def _link(url: str, place: str) -> str:
    words = say("spend.page.space" if place == "space" else "spend.page")
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(words)}</a>'


def sentence(one: Billing) -> str:
    """Return what one Job or Space is, since when it runs, what it has cost and when it stops."""
    values = {"flavor": hardware(one), "title": title(one), "kind": say(f"spend.place.{one.place}")}
    if one.since is None:
        return say("spend.waiting", **values)
    cost = money(one.cost) if one.price_per_hour is not None else say("spend.no_price")
    words = say("spend.one", **values, since=clock(one.since), cost=cost)
    return words + (say("spend.stop_at", stop=clock(one.stops_at)) if one.stops_at is not None else "")


def title(one: Billing) -> str:
    """Return what people call a Job's run."""
    if one.title:
        return one.title
    kind = say(f"spend.kind.{one.kind}") if one.kind in KINDS else one.kind
    return f"{kind} {one.project}".strip() or one.job_id


def hardware(one: Billing) -> str:
    """Return what people call a Job's hardware."""
    return named(one.flavor)


def money(usd: float) -> str:
    """Return an amount that has been spent so far in US dollars: “about US$0.36”, “less than US$0.01”."""
    return say("spend.less") if 0 < usd < 0.005 else say("spend.about", cost=f"US${usd:,.2f}")


def clock(at: float | None) -> str:
    """Return a time of this machine's clock, with its date unless it is today."""
    moment, today = time.localtime(at), time.localtime()
    same = (moment.tm_year, moment.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", moment)


def question(now: Spend) -> str:
    """Return what the confirmation says: every Job and Space that would end."""
    head = f'<div class="spend-head">{escape(say("spend.question"))}</div>'
    parts = [head]
    if now.problem is not None:
        problem = now.problem
        parts.append(_notice(" ".join(filter(None, (problem.what, problem.why, problem.next))), "bad"))
    mine = [one for one in now.items if not one.elsewhere]
    if mine:
        parts += [_list(mine), f'<div class="subdued">{escape(say("spend.means"))}</div>']
    elif now.problem is None:
        parts.append(f"<p>{escape(say('spend.nothing'))}</p>")
    return "".join(parts)


def others(now: Spend) -> str:
    """Return what other studios of the account have started, "" for nothing."""
    theirs = [one for one in now.items if one.elsewhere]
    if not theirs:
        return ""
    head, means = escape(say("spend.others")), escape(say("spend.others.means"))
    return f'<div class="spend-head">{head}</div>{_list(theirs)}<div class="subdued">{means}</div>'


def _list(items: Sequence[Billing]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence(one))} {_links(one)}</li>' for one in items)}</ul>"


def outcome(stopped: Stopped) -> str:
    """Return what came of stopping everything."""
    parts = []
    if stopped.ended:
        names = say("spend.comma").join(title(one) for one in stopped.ended)
        parts.append(_notice(say("spend.ended", count=len(stopped.ended), titles=names), "good"))
    if stopped.left:
        lines = "".join(_left(one) for one in stopped.left)
        parts.append(_notice(say("spend.left"), "bad") + f"<ul>{lines}</ul>")
    return "".join(parts) or f"<p>{escape(say('spend.nothing'))}</p>"


def _notice(text: str, style: str) -> str:
    return f'<div class="notice {style}">{escape(text)}</div>'


def _left(one: Left) -> str:
    why, page = escape(one.why or say("spend.still")), _link(one.item.url, one.item.place)
    return f"<li>{escape(title(one.item))}: {why} {page}</li>"
