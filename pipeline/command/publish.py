"""Publish: a finished export goes to a dataset repository on the Hub."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.command import table
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import Call, Command, always, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.results import RunReport, code_of, report
from pipeline.command.runs import show_run
from pipeline.export import exported, publish
from pipeline.export.publish import Plan, PublishOptions
from pipeline.hub import account
from pipeline.runs import launch


class FileChange(BaseModel):
    """What becomes of one file."""

    path: str
    what: str = Field(description="added, changed, removed or unchanged.")
    size: int = Field(description="Bytes afterwards.")


class Publication(BaseModel):
    """What publishing changes, and where the export is then."""

    repository: str
    new: bool = Field(description="Whether the repository was yet to be made.")
    private: bool
    license: str = Field(description="What the card states.")
    changes: list[FileChange]
    url: str = Field(description="Address of the commit that holds the export; empty where it was only compared.")
    revision: str = Field(description="That commit; empty as well.")
    run: RunReport | None = Field(description="The run that publishes it; null where nothing had to change.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--export", metavar="EXPORT", help=words.say("command.option.export"))
    parser.add_argument("--check", action="store_true", help=words.say("command.option.check"))
    add_detach(parser)
    add_options(parser, PublishOptions, "publish", filled={"repository": "command.default.repository"})


def newest_export(call: Call, project: Project) -> str:
    """Return the export that a call names, else the newest.

    Raises:
        StudioError: There is none.
    """
    name = getattr(call.given, "export", None) or next(iter(exported.names(project)), "")
    if not name:
        raise StudioError("command.export.none")
    return str(name)


def run(call: Call) -> Publication:
    """Compare an export with a repository, and change that once it is agreed to."""
    project = call.project()
    name = newest_export(call, project)
    if not getattr(call.given, "repository", ""):
        account.require_write()  # says what is missing; without an account there is no name to propose
    options = fill(PublishOptions, call.given, repository=publish.default_repository(name))
    planned = publish.plan(project, name, options)
    if planned.nothing:
        there = publish.found(project, name, planned)
        return _publication(planned, there.url, there.revision, None)
    if getattr(call.given, "check", False):
        return _publication(planned, "", "", None)
    call.agree(_described(planned), words.say("command.publish.question"))
    spec: dict[str, Any] = {
        "name": name,
        "user": account.require_write().name,
        "options": options.model_dump(mode="json"),
        "agreed": {"head": planned.head, "private": planned.private},
    }
    title = message("publish.run", name=name, repository=planned.repository)
    done = carried(call, launch.start(call.visit.ledger, "publish", project.name, title, spec))
    result = done.result or {}
    return _publication(planned, str(result.get("url", "")), str(result.get("revision", "")), report(done))


def _publication(planned: Plan, url: str, revision: str, run: RunReport | None) -> Publication:
    return Publication(
        repository=planned.repository,
        new=planned.new,
        private=planned.private,
        license=planned.license,
        changes=[FileChange(path=each.path, what=each.what, size=each.size) for each in planned.changes],
        url=url,
        revision=revision,
        run=run,
    )


def _described(planned: Plan) -> str:
    """Return what would be done and who would see it."""
    question = "publish.confirm.new" if planned.new else "publish.confirm.existing"
    owner = planned.repository.partition("/")[0]
    public = "gated" if planned.gated else "new" if planned.new else "public"
    seen = words.say("publish.seen.private", owner=owner) if planned.private else words.say(f"publish.seen.{public}")
    states = words.say("publish.license.states", license=planned.license)
    return "\n".join([words.say(question, repository=planned.repository), seen, states, _files(planned)])


def _files(planned: Plan) -> str:
    rows = [(words.say(f"publish.what.{each.what}"), each.path, each.size) for each in planned.changes]
    return table.aligned(rows, right=(2,))


def _show(found: Publication) -> str:
    facts: dict[str, object] = {
        words.say("command.fact.repository"): found.repository,
        words.say("command.fact.license"): found.license,
        words.say("publish.fact.commit"): found.url,
    }
    rows = [(words.say(f"publish.what.{each.what}"), each.path, each.size) for each in found.changes]
    parts = [table.pairs(facts)]
    if found.run is None:
        parts.append(words.say("publish.same") if found.url else table.aligned(rows, right=(2,)))
    elif not found.url:
        parts.append(show_run(found.run))
    return "\n".join(parts)


PUBLISH = Command("publish", Publication, run, _show, _arguments, lambda found: code_of(found.run), hub=always)
