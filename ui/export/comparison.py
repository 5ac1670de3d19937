"""The comparison that is agreed to before an export is published: what would change on the Hub, as HTML."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.export.publish import Plan
from pipeline.hardware import machine
from pipeline.hub.repositories import Change
from ui.parts.notice import notice
from ui.text import say

ROWS = 60  # files named in a comparison


def agreed(planned: Plan) -> dict[str, Any]:
    """Return what of a comparison the user agrees to, so that it can be compared later."""
    changes = [[change.path, change.what, change.size, change.before] for change in planned.changes]
    return {"repository": planned.repository, "head": planned.head, "private": planned.private, "changes": changes}


def draw(planned: Plan) -> Markup:
    """Return what publishing would do, as HTML."""
    kind = "new" if planned.new else "existing"
    counts = {
        what: sum(change.what == what for change in planned.changes)
        for what in ("added", "changed", "removed", "unchanged")
    }
    size = machine.size(planned.bytes)
    will = say(f"publish.will.{kind}", count=len(planned.files), head=planned.head[:12], size=size, **counts)
    return Markup('<div class="account-head">{}</div>{}<p>{}</p><p>{}</p>{}').format(
        say(f"publish.confirm.{kind}", repository=planned.repository),
        _seen(planned),
        will,
        say("publish.license.states", license=planned.license),
        _table(planned.changes),
    )


def _seen(planned: Plan) -> Markup:
    """Say who can read it; where that is everybody, it stands out."""
    owner = planned.repository.split("/")[0]
    if planned.private:
        return Markup("<p>{}</p>").format(say("publish.seen.private", owner=owner))
    key = "gated" if planned.gated else "new" if planned.new else "public"
    return notice(Markup("<b>{}</b>").format(say(f"publish.seen.{key}")), "bad")


def _table(changes: tuple[Change, ...]) -> Markup:
    order = ("removed", "changed", "added", "unchanged")
    listed = sorted(changes, key=lambda change: order.index(change.what))
    names = ("file", "what", "before", "size")
    heads = Markup("").join(Markup("<th>{}</th>").format(say(f"publish.column.{name}")) for name in names)
    rows = Markup("").join(_row(change) for change in listed[:ROWS])
    rest = say("publish.rest", count=len(listed) - ROWS) if len(listed) > ROWS else ""
    return Markup(
        '<div class="table-box"><table class="plain-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
        '<div class="subdued">{}</div></div>'
    ).format(heads, rows, rest)


def _row(change: Change) -> Markup:
    before = _size(change.before) if change.before is not None else "–"
    size = _size(change.size) if change.what != "removed" else "–"
    what = say(f"publish.what.{change.what}")
    if change.what in ("removed", "changed"):
        what = Markup('<b class="number">{}</b>').format(what)
    number = Markup('<td><span class="number">{}</span></td>')
    return Markup("<tr><td>{}</td><td>{}</td>{}{}</tr>").format(
        change.path, what, number.format(before), number.format(size)
    )


def _size(count: int) -> str:
    return machine.size(count) if count >= 1024 else f"{count} B"
