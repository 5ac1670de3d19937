"""What a Space is to the ledger: what is known of it, what it came to, and how its run ended."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from pipeline.base.message import Message, message
from pipeline.carriers.job_end import Outcome, labelled
from pipeline.hub import spaces
from pipeline.hub.spaces import Space
from pipeline.runs import events
from pipeline.runs.ledger import Run, State
from pipeline.runs.log import tail

PAUSE_S = 30.0  # between the run's last word and the pause, about
_MEMORY = re.compile(r"oom|out of memory|memory limit|code:? 137", re.I)
_CREDIT = re.compile(r"credit|billing|payment|quota", re.I)


def worker_of(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return what the ledger knows of a Space, from its own labels."""
    known = labelled(labels, name.partition("/")[0], labels.get("flavor", ""), spaces.page(name))
    return {"space": name, **known}


def ending(seen: Space, worker: Mapping[str, Any], end: events.Event | None, price_per_minute: float) -> dict[str, Any]:
    """Return what a Space has come to: stage, seconds billed, cost in USD; the Hub tells neither, so it is about so.

    Args:
        seen: The Space.
        worker: What the ledger knows of it: `began`, since when it was seen to start.
        end: The event with which its program ended, if it came.
        price_per_minute: In USD.
    """
    began = float(worker.get("began") or 0)
    over = min(time.time(), float(end["ts"]) + PAUSE_S) if end else time.time()
    seconds = max(0.0, over - began) if began else 0.0
    cost = round(seconds / 60 * price_per_minute, 6)
    return {"stage": seen.stage, "seconds": seconds, "cost": cost, "paused": seen.over}


def conclude(run: Run, seen: Space | None, end: events.Event | None, *, late: bool = False) -> Outcome:
    """Say how a run in a Space ended.

    Args:
        run: The run.
        seen: The Space, in which nothing runs any more; None when the Hub does not know it any more.
        end: The event with which its program ended, if it came.
        late: Whether it was paused from here because its time was over.

    Returns:
        The state, the problem if there is one, the result if there is one.
    """
    kind = end["event"] if end else None
    if end and kind == "done":  # said only after everything is saved: what happened to the Space later changes nothing
        return State.SUCCEEDED, None, {k: v for k, v in end.items() if k not in {"ts", "event", "seq", "at"}}
    if end and kind == "error":
        return State.FAILED, message("job.reported", problem=events.said(end)), None
    stopped = run.stop_file.exists() or run.kill_file.exists()
    if kind == "cancelled" or (stopped and not late):
        return State.CANCELLED, None, None
    if seen is None:
        return State.LOST, message("space.gone"), None
    return _unsaid(run, seen, late)


def _unsaid(run: Run, seen: Space, late: bool) -> Outcome:
    """Say how a run ended whose program could not say it."""
    if late:
        minutes = float((run.worker or {}).get("timeout") or 0) / 60
        return State.FAILED, message("space.time_limit", minutes=f"{minutes:.0f}"), None
    if seen.stage == "PAUSED" and not _CREDIT.search(seen.said):
        return State.CANCELLED, message("space.paused_elsewhere"), None
    return State.FAILED, _problem(run, seen), None


def _problem(run: Run, seen: Space) -> Message:
    why = "\n".join(part for part in (seen.said, tail(run.log)) if part)
    if seen.stage in ("BUILD_ERROR", "CONFIG_ERROR", "NO_APP_FILE"):
        return message("space.not_built", detail=why)
    if _CREDIT.search(seen.said):
        return message("space.credit", said=seen.said)
    if seen.stage in ("SLEEPING", "STOPPED"):
        return message("space.slept")
    return message("space.memory" if _MEMORY.search(seen.said) else "space.crashed", detail=why)
