"""Answer: base and trained model answer one prompt, side by side."""

from __future__ import annotations

import argparse

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.command.evaluate import chosen_models
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import Call, Command, always, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.results import RunReport, code_of, report
from pipeline.command.runs import show_run
from pipeline.evaluate import evaluations
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.options import AnswerOptions
from pipeline.runs import events
from pipeline.visit import COMPUTE


class ModelAnswer(BaseModel):
    """What one model answered."""

    role: str = Field(description="base or tuned.")
    name: str = Field(description="Name of the model.")
    text: str
    tokens: int
    seconds: float


class Answered(BaseModel):
    """The answers to a prompt."""

    answers: list[ModelAnswer] = Field(description="Empty until there are any.")
    run: RunReport


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("prompt", metavar="PROMPT", help=words.say("command.option.asked"))
    parser.add_argument("--tuned", metavar="MODEL", help=words.say("command.option.tuned"))
    parser.add_argument("--base", metavar="MODEL", help=words.say("command.option.base"))
    add_detach(parser)
    add_options(parser, AnswerOptions, "answer")


def answer(call: Call) -> Answered:
    """Let both models answer a prompt."""
    project = call.project()
    call.visit.require(COMPUTE)
    base, tuned = chosen_models(call, project)
    models = ({BASE: call.visit.model(base)} if base else {}) | {TUNED: call.visit.model(tuned)}
    options = fill(AnswerOptions, call.given)
    run = carried(call, evaluations.answer(call.visit.ledger, project, models, call.given.prompt, options))
    told = [event for event in events.read(run.events).events if event["event"] == "result"]
    answers = [ModelAnswer(**{name: event[name] for name in ModelAnswer.model_fields}) for event in told]
    return Answered(answers=answers, run=report(run))


def _show(found: Answered) -> str:
    parts = [f"{each.name}:\n{each.text}" for each in found.answers]
    return "\n\n".join(parts) if parts else show_run(found.run)


ANSWER = Command("answer", Answered, answer, _show, _arguments, lambda found: code_of(found.run), hub=always)
