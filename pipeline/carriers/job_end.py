"""What a Job is to the ledger: what is known of it, what it came to, and how its run ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import JobInfo

from pipeline.base.message import Message, message
from pipeline.hub import jobs
from pipeline.hub.problems import redact
from pipeline.runs import events
from pipeline.runs.ledger import Run, State
from pipeline.runs.log import tail

Outcome = tuple[State, Message | None, dict[str, Any] | None]


def worker_of(job: JobInfo) -> dict[str, Any]:
    """Return what the ledger knows of a Job, from its own labels."""
    flavor = str(getattr(job.flavor, "value", job.flavor))
    known = labelled(job.labels or {}, job.owner.name, flavor, jobs.page(job.owner.name, job.id))
    return {"job": job.id, **known}


def labelled(labels: Mapping[str, str], namespace: str, flavor: str, url: str) -> dict[str, Any]:
    """Return what the ledger knows of rented hardware, from its labels.

    Args:
        labels: Its own.
        namespace: Who pays.
        flavor: Name of the hardware.
        url: Its page on the Hub.
    """
    return {
        "namespace": namespace,
        "flavor": flavor,
        "price_per_minute": _number(labels.get("price")) / 1e6,
        "timeout": _number(labels.get("stop")),
        "studio": labels.get("studio", ""),
        "url": url,
    }


def _number(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0


def ending(job: JobInfo, price_per_minute: float) -> dict[str, Any]:
    """Return what a Job has come to: stage, seconds billed, cost in USD."""
    seconds = float(job.durations.running_secs or 0) if job.durations else 0.0
    return {"stage": jobs.stage(job), "seconds": seconds, "cost": round(seconds / 60 * price_per_minute, 6)}


def conclude(run: Run, job: JobInfo | None, end: events.Event | None) -> Outcome:
    """Say how a run in a Job ended.

    Args:
        run: The run.
        job: The Job in a last stage; None when the Hub does not know it any more.
        end: The event with which its program ended, if it came.

    Returns:
        The state, the problem if there is one, the result if there is one.
    """
    kind = end["event"] if end else None
    if end and kind == "done":  # said only after everything is saved: what happened to the Job later changes nothing
        return State.SUCCEEDED, None, {k: v for k, v in end.items() if k not in {"ts", "event", "seq", "at"}}
    if job is None or jobs.stage(job) == "DELETED":
        if kind == "cancelled":
            return State.CANCELLED, None, None
        return State.LOST, message("job.gone"), None
    stage, said = jobs.stage(job), redact(job.status.message or "")
    if stage == "ERROR" and kind != "error" and (known := _known(run, job, said)) is not None:
        return State.FAILED, known, None
    if stage == "CANCELED" or kind == "cancelled":
        elsewhere = message("job.cancelled_saying", said=said) if said else message("job.cancelled")
        return State.CANCELLED, None if run.stop_file.exists() else elsewhere, None
    if end and kind == "error":
        return State.FAILED, message("job.reported", problem=events.said(end)), None
    why = "\n".join(part for part in (said, tail(run.log)) if part)
    return State.FAILED, message("job.failed" if stage == "ERROR" else "job.ended", detail=why), None


# What the Hub says of a Job that it ended itself; its words are not documented, so that they are taken loosely.
_REASONS = (
    (re.compile(r"time[d ]*-?out|time limit|deadline", re.I), "timeout"),
    (re.compile(r"evict|preempt|reclaim|interrupt|node (?:was )?(?:lost|shut)", re.I), "evicted"),
    (re.compile(r"credit|billing|payment|insufficient (?:fund|balance)|quota", re.I), "credit"),
    (re.compile(r"oom|out of memory|memory limit|exit(?:ed)?(?: with)?(?: code)? 137", re.I), "memory"),
)


def _known(run: Run, job: JobInfo, said: str) -> Message | None:
    """Return the problem of a Job that the Hub ended, None when it says nothing that is known."""
    reason = next((reason for pattern, reason in _REASONS if pattern.search(said)), None)
    limit = float((run.worker or {}).get("timeout") or 0)
    ran = float(job.durations.running_secs or 0) if job.durations else 0.0
    if reason is None and 0 < limit <= ran:
        reason = "timeout"
    if reason == "timeout" and limit:
        return message("job.ended_by.time_limit", minutes=f"{limit / 60:.0f}")
    return message(f"job.ended_by.{reason}", said=said) if reason else None
