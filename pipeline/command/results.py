"""What several commands print with --json: things said, runs, failures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from pipeline.base.errors import StudioError
from pipeline.base.message import Message
from pipeline.command.frame import CANCELLED, DONE, FAILED, Blocked
from pipeline.runs.ledger import Run, State


class Said(BaseModel):
    """A message: its code and values for programs, its words for people."""

    code: str = Field(description="Key of its words; verbatim where the words are another program's.")
    values: dict[str, Any] = Field(description="What the words name.")
    what: str = Field(description="What happened.")
    why: str = Field(description="Why; empty where it is not known.")
    next: str = Field(description="What to do now; empty where there is nothing.")


class Failure(BaseModel):
    """What every command prints when it fails; the exit code is 1, or 2 where the command line cannot be used."""

    error: Said
    blockers: list[Said] = Field([], description="All that stops a run, the error first; empty without a check.")
    warnings: list[Said] = Field([], description="What the check found besides.")


class RunReport(BaseModel):
    """A run, as the ledger has it."""

    id: str
    kind: str = Field(
        description="load, import, export, publish, train, evaluate, answer, deploy, or one of an extension."
    )
    project: str
    title: str
    state: str = Field(
        description="queued, waiting for sign-in, starting, running, stopping, succeeded, failed, cancelled or lost."
    )
    place: str = Field(description="local, job for a Hugging Face Job, or the name of an extension's carrier.")
    created: datetime
    started: datetime | None
    ended: datetime | None
    problem: Said | None = Field(description="Why it did not succeed.")
    result: dict[str, Any] | None = Field(description="What it made; its form is the kind's.")
    folder: str = Field(description="Holds spec.json, events.jsonl and log.txt.")


def said(message: Message) -> Said:
    """Return a message for the output."""
    values = message.as_dict()["values"]
    return Said(code=message.code, values=values, what=message.what, why=message.why, next=message.next)


def failure(error: StudioError) -> Failure:
    """Return an error for the output."""
    if isinstance(error, Blocked):
        return Failure(error=said(error.message), blockers=all_said(error.blockers), warnings=all_said(error.warnings))
    return Failure(error=said(error.message))


def all_said(messages: Iterable[Message]) -> list[Said]:
    """Return messages for the output."""
    return [said(each) for each in messages]


def lines_of(message: Said) -> str:
    """Return a message for people, on one line."""
    return " ".join(part for part in (message.what, message.why, message.next) if part)


def report(run: Run) -> RunReport:
    """Return a run for the output."""
    return RunReport(
        id=run.id,
        kind=run.kind,
        project=run.project,
        title=run.title,
        state=run.state.value,
        place=run.place,
        created=_time(run.created),
        started=_time(run.started) if run.started else None,
        ended=_time(run.ended) if run.ended else None,
        problem=said(run.problem) if run.problem else None,
        result=run.result,
        folder=str(run.folder),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def code_of(run: RunReport | None) -> int:
    """Return the exit code of a run: 0 as long as nothing went wrong, 1 when it failed, 130 when it was cancelled."""
    if run is None:
        return DONE
    return {State.FAILED: FAILED, State.LOST: FAILED, State.CANCELLED: CANCELLED}.get(State(run.state), DONE)
