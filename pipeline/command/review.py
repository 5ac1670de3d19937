"""Review: put pairs into Argilla, give annotators sign-ins, look how far they are, read their answers back."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.command import table
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import Call, Command, project_argument
from pipeline.command.options import add_options, fill, given
from pipeline.command.results import RunReport, code_of, report
from pipeline.command.runs import show_run
from pipeline.dataset.project import pairs_of
from pipeline.review import annotators, readback
from pipeline.review.plan import ReviewPlan, texts
from pipeline.review.project import own_plan, plan_of, refresh_answers, review_of, settled_of, start_import
from pipeline.review.service import Endpoint
from pipeline.review.workspace import former
from pipeline.visit import ARGILLA
from pipeline.web.annotate import annotation_link

TICK = 0.3  # seconds between two looks at a starting Argilla


class Imported(BaseModel):
    """The run that puts pairs into Argilla."""

    run: RunReport


class SignIn(BaseModel):
    """A sign-in that was made; the password is stored nowhere."""

    username: str
    password: str


class Annotators(BaseModel):
    """Who may review a project."""

    annotators: list[str] = Field(description="User names of the workspace, oldest first.")
    created: list[SignIn] = Field(description="Sign-ins made by this call; shown this once.")
    link: str = Field(description="Opens the task in Argilla; empty until pairs are imported.")


class ByAnnotator(BaseModel):
    """What one annotator has done."""

    username: str
    submitted: int
    draft: int
    discarded: int


class Progress(BaseModel):
    """How far a review is, in pairs."""

    total: int
    completed: int
    pending: int
    annotators: list[ByAnnotator]
    link: str = Field(description="Opens the task in Argilla.")


class Answers(BaseModel):
    """What was read back."""

    answers: int = Field(description="All answers there are now.")
    annotators: int = Field(description="Annotators who submitted at least one.")
    reviewed: int = Field(description="Pairs with at least one submitted answer.")


class Ended(BaseModel):
    """What became of the embedded Argilla."""

    stopped: bool


def endpoint_of(call: Call) -> Endpoint:
    """Return the review server, started if it is the embedded one; it goes on running after the command.

    Raises:
        StudioError: It does not start.
    """
    call.visit.require(ARGILLA)
    host = call.visit.studio.argilla
    host.start()
    told = ""
    while host.status.state in ("installing", "starting"):
        line = words.say(f"status.argilla.{host.status.state}")
        if host.status.message is not None:
            line = f"{line} · {host.status.message.what}"
        if line != told:
            call.tell(line)
            told = line
        time.sleep(TICK)
    return host.endpoint()


def _link(of: Project, endpoint: Endpoint) -> str:
    kept = of.read().review
    # The server's own address: nobody proxies it while no studio is open.
    return annotation_link(endpoint.url, kept.dataset_id, prefix="") if kept and kept.dataset_id else ""


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    add_detach(parser)
    add_options(parser, ReviewPlan, "review", skip=("unit", "order", "questions"))
    parser.add_argument("--questions", default="", metavar="FILE", help=words.say("command.option.questions"))


def import_pairs(call: Call) -> Imported:
    """Put a project's pairs into Argilla, or go on with it."""
    of = call.project()
    plan, kept = plan_of(of), of.read().review
    asked = given(ReviewPlan, call.given)
    if file := asked.pop("questions", ""):
        plan = ReviewPlan.model_validate({**plan.model_dump(), "questions": _read_questions(Path(file))})
    if language := asked.get("language"):
        plan = plan.model_copy(update=texts(language))
    call.given.questions = plan.questions
    if asked or file:
        if kept is not None and kept.dataset_id:
            raise StudioError("command.review.begun")
        plan = fill(ReviewPlan, call.given, **plan.model_dump())
    endpoint = endpoint_of(call)
    title = message("review.import.title", count=f"{len(pairs_of(of)):,}")
    run = start_import(call.visit.ledger, of, plan, endpoint, title)
    return Imported(run=report(carried(call, run)))


def _read_questions(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudioError("command.review.questions", file=str(file), detail=str(error)) from error


def _annotator_arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help=words.say("command.option.names"))


def people(call: Call) -> Annotators:
    """List a project's annotators, and give sign-ins to those named."""
    of, endpoint = call.project(), endpoint_of(call)
    workspace, names = own_plan(call.visit.home, of).workspace, call.given.names
    known = former(call.visit.home)
    made = annotators.create_annotators(endpoint, workspace, names, former=known) if names else []
    return Annotators(
        annotators=annotators.list_annotators(endpoint, workspace),
        created=[SignIn(username=each.username, password=each.password) for each in made],
        link=_link(of, endpoint),
    )


def _password_arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("name", metavar="NAME", help=words.say("command.option.annotator"))


def password(call: Call) -> SignIn:
    """Give an annotator a new password."""
    workspace = own_plan(call.visit.home, call.project()).workspace
    mays = ARGILLA in call.visit.may
    made = annotators.reset_password(endpoint_of(call), workspace, call.given.name, anybodys=mays)
    return SignIn(username=made.username, password=made.password)


def status(call: Call) -> Progress:
    """Say how far a review is."""
    of, endpoint = call.project(), endpoint_of(call)
    found = readback.progress(endpoint, review_of(of, endpoint).dataset_id)
    return Progress(
        total=found.total,
        completed=found.completed,
        pending=found.pending,
        annotators=[ByAnnotator(**each._asdict()) for each in found.per_annotator],
        link=_link(of, endpoint),
    )


def read(call: Call) -> Answers:
    """Read back what annotators have answered since the last time."""
    of = call.project()
    found = refresh_answers(of, endpoint_of(call))
    submitted = [answer for answer in found if answer.status == "submitted"]
    return Answers(
        answers=len(found),
        annotators=len({answer.annotator for answer in submitted}),
        reviewed=len(settled_of(of)),
    )


def stop(call: Call) -> Ended:
    """Stop the embedded Argilla, unless an import needs it."""
    call.visit.require(ARGILLA)
    if any(run.kind == "import" for run in call.visit.studio.ledger.list(active=True)):
        raise StudioError("command.review.needed")
    call.visit.studio.argilla.stop()
    return Ended(stopped=call.visit.studio.argilla.embedded)


def _show_people(found: Annotators) -> str:
    parts = ["\n".join(found.annotators) or words.say("command.review.nobody")]
    if found.created:
        head = (words.say("review.column.name"), words.say("review.column.password"))
        parts.append(table.aligned([(each.username, each.password) for each in found.created], head))
        parts.append(words.say("command.review.once"))
    return "\n".join([*parts, *([found.link] if found.link else [])])


def _show_progress(found: Progress) -> str:
    head = [words.say(f"review.column.{name}") for name in ("name", "submitted", "draft", "discarded")]
    rows = [(each.username, each.submitted, each.draft, each.discarded) for each in found.annotators]
    line = words.say("review.progress", completed=f"{found.completed:,}", total=f"{found.total:,}")
    return "\n".join([line, *([table.aligned(rows, head, right=(1, 2, 3))] if rows else []), found.link])


def _show_answers(found: Answers) -> str:
    return words.say(
        "command.review.answers", answers=found.answers, annotators=found.annotators, reviewed=found.reviewed
    )


def _show_sign_in(found: SignIn) -> str:
    return f"{found.username}  {found.password}\n{words.say('command.review.once')}"


def _show_end(found: Ended) -> str:
    return words.say("command.review.stopped" if found.stopped else "command.review.foreign")


IMPORT = Command(
    "review import",
    Imported,
    import_pairs,
    lambda found: show_run(found.run),
    _import_arguments,
    lambda found: code_of(found.run),
)
ANNOTATORS = Command("review annotators", Annotators, people, _show_people, _annotator_arguments)
PASSWORD = Command("review password", SignIn, password, _show_sign_in, _password_arguments)
STATUS = Command("review status", Progress, status, _show_progress, project_argument)
READ = Command("review read", Answers, read, _show_answers, project_argument)
STOP = Command("review stop", Ended, stop, _show_end)
