"""The comparison that is agreed to before an export is published: what would change on the Hub, as HTML."""

from __future__ import annotations

from html import escape
from typing import Any

from pipeline.export.publish import Plan
from pipeline.hardware import machine
from pipeline.hub.repositories import Change
from ui.text import say

ROWS = 60  # files named in a comparison


def agreed(planned: Plan) -> dict[str, Any]:
    """Return what of a comparison the user agrees to, so that it can be compared later."""
    changes = [[change.path, change.what, change.size, change.before] for change in planned.changes]
    return {"repository": planned.repository, "head": planned.head, "private": planned.private, "changes": changes}


def draw(planned: Plan) -> str:
    """Return what publishing would do, as HTML, everything escaped."""
    kind = "new" if planned.new else "existing"
    counts = {
        what: sum(change.what == what for change in planned.changes)
        for what in ("added", "changed", "removed", "unchanged")
    }
    size = machine.size(planned.bytes)
    will = say(f"publish.will.{kind}", count=len(planned.files), head=planned.head[:12], size=size, **counts)
    title = escape(say(f"publish.confirm.{kind}", repository=planned.repository))
    return (
        f'<div class="account-head">{title}</div>{_seen(planned)}<p>{escape(will)}</p>'
        f"<p>{escape(say('publish.license.states', license=planned.license))}</p>{_table(planned.changes)}"
    )


def _seen(planned: Plan) -> str:
    """Say who can read it; where that is everybody, it stands out."""
    owner = planned.repository.split("/")[0]
    if planned.private:
        return f"<p>{escape(say('publish.seen.private', owner=owner))}</p>"
    key = "gated" if planned.gated else "new" if planned.new else "public"
    return f'<div class="notice bad"><b>{escape(say(f"publish.seen.{key}"))}</b></div>'


def _table(changes: tuple[Change, ...]) -> str:
    order = ("removed", "changed", "added", "unchanged")
    listed = sorted(changes, key=lambda change: order.index(change.what))
    head = "".join(f"<th>{escape(say(f'publish.column.{name}'))}</th>" for name in ("file", "what", "before", "size"))
    rows = "".join(_row(change) for change in listed[:ROWS])
    rest = escape(say("publish.rest", count=len(listed) - ROWS)) if len(listed) > ROWS else ""
    table = f'<table class="plain-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="table-box">{table}<div class="subdued">{rest}</div></div>'


def _row(change: Change) -> str:
    before = _size(change.before) if change.before is not None else "–"
    size = _size(change.size) if change.what != "removed" else "–"
    what = escape(say(f"publish.what.{change.what}"))
    strong = f'<b class="number">{what}</b>' if change.what in ("removed", "changed") else what
    cells = (
        escape(change.path),
        strong,
        f'<span class="number">{before}</span>',
        f'<span class="number">{size}</span>',
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _size(count: int) -> str:
    return machine.size(count) if count >= 1024 else f"{count} B"
