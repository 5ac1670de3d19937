"""Deploy: this program becomes a Space, or the Space is brought up to date."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.message import message
from pipeline.command import table
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import Call, Command, always
from pipeline.command.options import add_options, fill
from pipeline.command.results import RunReport, Said, all_said, code_of, report
from pipeline.command.runs import show_run
from pipeline.deploy.options import DeployOptions
from pipeline.deploy.plan import Plan, plan
from pipeline.deploy.words import facts
from pipeline.hub import account
from pipeline.hub.spaces import page
from pipeline.runs import launch


class Deployment(BaseModel):
    """What deploying does, and where the studio is then."""

    space: str
    url: str
    new: bool = Field(description="Whether the Space was yet to be made.")
    private: bool
    hardware: str
    usd_per_hour: float | None = Field(description="While it runs; null where the Hub does not say.")
    bucket: str = Field(description="What is mounted at /data; empty: nothing survives a restart.")
    commit: str = Field(description="The commit of this program that is deployed.")
    files: int
    variables: dict[str, str] = Field(description="What the Space gets of them.")
    secrets: list[str] = Field(description="Names of the secrets it gets.")
    warnings: list[Said]
    run: RunReport | None = Field(description="The run that deploys; null where it was only looked at.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="OWNER/NAME", help=words.say("command.option.space"))
    parser.add_argument("--check", action="store_true", help=words.say("command.option.check"))
    add_detach(parser)
    add_options(parser, DeployOptions, "deploy", skip=("space",))


def run(call: Call) -> Deployment:
    """Say what deploying does and costs, and do it once it is agreed to."""
    options = fill(DeployOptions, call.given)
    planned = plan(options)
    warned = [words.say("command.warning", what=str(each)) for each in planned.warnings]
    described = "\n".join([table.pairs(facts(planned)), *warned])
    if getattr(call.given, "check", False):
        call.tell(described)
        return _deployment(planned, None)
    call.agree(described, words.say("command.deploy.question"))
    spec = {
        "user": account.require_write().name,
        "options": options.model_dump(mode="json"),
        "agreed": asdict(planned.agreed()),
    }
    title = message("deploy.run", space=options.space)
    return _deployment(planned, report(carried(call, launch.start(call.visit.ledger, "deploy", "", title, spec))))


def _deployment(planned: Plan, run: RunReport | None) -> Deployment:
    wanted = planned.wanted
    return Deployment(
        space=wanted.name,
        url=page(wanted.name),
        new=planned.new,
        private=wanted.private,
        hardware=wanted.hardware,
        usd_per_hour=planned.price,
        bucket=planned.bucket,
        commit=planned.code.commit,
        files=len(planned.code.files),
        variables=dict(wanted.variables),
        secrets=sorted(wanted.secrets),
        warnings=all_said(planned.warnings),
        run=run,
    )


def _show(found: Deployment) -> str:
    parts = [table.pairs({words.say("deploy.fact.space"): found.url})]
    if found.run is not None:
        parts.append(show_run(found.run))
    return "\n".join(parts)


DEPLOY = Command("deploy", Deployment, run, _show, _arguments, lambda found: code_of(found.run), hub=always)
