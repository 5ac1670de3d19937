"""What is kept: how old the last snapshot is, in the bar, and a banner where nothing would survive a restart."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from markupsafe import Markup

from pipeline.base.message import message
from pipeline.visit import COMPUTE, Visit
from ui.parts.notice import notice, notices
from ui.text import say

DOTS = {"unkept": "bad", "failed": "bad", "saved": "good"}


def item(visit: Visit) -> tuple[str, str] | None:
    """Return the dot and the words of the status bar's item, None where nobody asked for snapshots."""
    now = visit.studio.snapshots.status
    if now.state == "off":
        return None
    age = _age(now.at) if now.at is not None else ""
    words = say(f"snapshot.bar.{now.state}", files=now.progress.files, age=age)
    if now.state == "saved" and now.left_out:
        words += say("snapshot.bar.left_out", count=len(now.left_out))
    elif now.state != "saved" and age:
        words += say("snapshot.bar.last", age=age)
    return DOTS.get(now.state, "busy"), words


def _age(at: float) -> str:
    """Return how old a snapshot is."""
    minutes = int(max(0.0, time.time() - at) // 60)
    if minutes < 1:
        return say("snapshot.age.now")
    return (
        say("snapshot.age.minutes", count=minutes) if minutes < 120 else say("snapshot.age.hours", count=minutes // 60)
    )


def shape(visit: Visit) -> str:
    """Return a text that changes when the banner does."""
    now = visit.studio.snapshots.status
    return f"{now.state == 'unkept'} {now.problem.message.code if now.problem else ''}"


def banner(visit: Visit) -> Markup:
    """Return what everybody must know before they work here, nothing where all is kept."""
    now = visit.studio.snapshots.status
    found = []
    if now.state == "unkept":
        space, folder = visit.studio.settings.space_id, str(visit.studio.settings.snapshots or "/data")
        command = f"make deploy SPACE={space}"
        found.append(notices([message("snapshot.unkept", space=space, folder=folder, command=command)], bad=True))
    if now.problem is not None:
        # What the system says names folders: for whom this machine is.
        owner = COMPUTE in visit.may
        found.append(notices([now.problem.message], bad=True) if owner else notice(now.problem.what, "bad"))
    if now.restored is not None and now.restored.passed_over:
        at = now.restored.at
        code = "snapshot.passed_over" if at is not None else "snapshot.none_whole"
        when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" if at is not None else ""
        found.append(notices([message(code, count=now.restored.passed_over, at=when)], bad=at is None))
    return Markup("").join(found)
