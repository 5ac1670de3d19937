"""Runs: what was started, here or on the page; follow, stop, read the log."""

from __future__ import annotations

import argparse
from collections import deque
from datetime import datetime

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.command import table
from pipeline.command.follow import follow, state_words
from pipeline.command.frame import Call, Command, always
from pipeline.command.results import RunReport, code_of, lines_of, report
from pipeline.runs import launch
from pipeline.runs.kinds import kinds
from pipeline.runs.ledger import Run, State


class RunList(BaseModel):
    """Runs, newest first."""

    runs: list[RunReport]


class Log(BaseModel):
    """The end of what a run's program printed."""

    run: str
    lines: list[str] = Field(description="Oldest first.")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="PROJECT", help=words.say("command.option.of_project"))
    parser.add_argument("--kind", choices=sorted(kinds()), help=words.say("command.option.kind"))
    parser.add_argument("--active", action="store_true", help=words.say("command.option.active"))


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=words.say("command.option.run"))


def _stop_arguments(parser: argparse.ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("--now", action="store_true", help=words.say("command.option.now"))
    parser.add_argument("--wait", action="store_true", help=words.say("command.option.wait"))


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    _run_argument(parser)
    parser.add_argument("--lines", type=int, default=200, metavar="COUNT", help=words.say("command.option.lines"))


def list_runs(call: Call) -> RunList:
    """List runs."""
    given = vars(call.given)
    project = call.visit.project(given["project"]).name if given.get("project") else None
    found = call.visit.ledger.list(project=project, kind=given.get("kind"), active=given.get("active", False))
    return RunList(runs=[report(run) for run in found])


def _run(call: Call) -> Run:
    return call.visit.run(call.given.run)


def stop(call: Call) -> RunReport:
    """Ask a run to stop and keep what it has; with --now, end it at once."""
    run = _run(call)
    if run.active:
        launch.stop(run)
        if getattr(call.given, "now", False):
            run.kill_file.touch()
        launch.supervise(call.visit.ledger.home, run)  # somebody must be there to obey
    return report(follow(call, run) if getattr(call.given, "wait", False) else call.visit.run(run.id))


def log(call: Call) -> Log:
    """Return the end of a run's log."""
    run = _run(call)
    try:
        with run.log.open(encoding="utf-8", errors="replace") as file:
            lines = deque((line.rstrip("\n") for line in file), maxlen=max(0, call.given.lines))
    except FileNotFoundError:
        lines = deque()
    return Log(run=run.id, lines=list(lines))


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _follow(call: Call) -> RunReport:
    return report(follow(call, _run(call)))


def show_run(found: RunReport) -> str:
    """Return a run for people."""
    seconds = (found.ended - found.created).total_seconds() if found.ended else None
    facts: dict[str, object] = {
        words.say("command.fact.run"): found.id,
        words.say("command.fact.title"): found.title,
        words.say("command.fact.state"): state_words(State(found.state)),
        words.say("command.fact.created"): _when(found.created),
        words.say("command.fact.took"): f"{seconds:.0f} s" if seconds is not None else "",
        words.say("command.fact.problem"): lines_of(found.problem) if found.problem else "",
        words.say("command.fact.folder"): found.folder,
    }
    return table.pairs(facts)


def _show_list(found: RunList) -> str:
    if not found.runs:
        return words.say("command.runs.none")
    head = [words.say(f"command.fact.{name}") for name in ("run", "state", "created", "title")]
    head.insert(1, words.say("status.project"))
    rows = [
        (
            each.id,
            each.project,
            state_words(State(each.state)),
            _when(each.created),
            each.title,
        )
        for each in found.runs
    ]
    return table.aligned(rows, head)


LIST = Command("runs list", RunList, list_runs, _show_list, _list_arguments)
SHOW = Command("runs show", RunReport, lambda call: report(_run(call)), show_run, _run_argument)
FOLLOW = Command(
    "runs follow",
    RunReport,
    _follow,
    show_run,
    _run_argument,
    code_of,
    hub=always,
)
STOP = Command("runs stop", RunReport, stop, show_run, _stop_arguments, hub=always)
LOG = Command("runs log", Log, log, lambda found: "\n".join(found.lines), _log_arguments)
