"""Reads the command line, does what it says, prints what came of it, and returns a true exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.members import members
from pipeline.base.plain import json_text, plain
from pipeline.command import results
from pipeline.command.arguments import Parser, arguments_speak
from pipeline.command.follow import Left
from pipeline.command.frame import CANCELLED, DONE, FAILED, MISUSED, Command, Misuse
from pipeline.command.session import session

PROGRAM = "python -m pipeline"
# In the order of the work.
STEPS = (
    "dataset", "review", "filter", "export", "publish", "doctor", "train", "evaluate", "answer", "runs", "deploy",
    "schema",
)  # fmt: skip


def commands() -> list[Command[Any]]:
    """Return all commands, in the order of the work; those of extensions last."""
    found = members(Command, "pipeline.command")
    place = {step: number for number, step in enumerate(STEPS)}
    return sorted(found, key=lambda command: place.get(command.name.split()[0], len(place)))


def build() -> argparse.ArgumentParser:
    """Return the parser of the whole command line, in the present language."""
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_shared(shared)
    parser = Parser(prog=PROGRAM, description=words.say("command.about"), parents=[shared])
    steps = parser.add_subparsers(title=words.say("command.steps"), metavar="STEP", required=True)
    within: dict[str, Any] = {}
    for command in commands():
        step, _, rest = command.name.partition(" ")
        options: dict[str, Any] = {"parents": [shared], "argument_default": argparse.SUPPRESS}
        if rest:
            if step not in within:
                text = words.say(f"command.{step}") if words.has(f"command.{step}") else ""
                own = steps.add_parser(step, help=text, description=text, **options)
                within[step] = own.add_subparsers(title=words.say("command.commands"), metavar="COMMAND", required=True)
            steps_of, name = within[step], rest
        else:
            steps_of, name = steps, step
        text = command.about.what
        parser_of = steps_of.add_parser(name, help=text, description=text, **options)
        command.arguments(parser_of)
        parser_of.set_defaults(command=command)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(words.say("command.shared"))
    group.add_argument("-h", "--help", action="help", help=words.say("command.option.help"))
    group.add_argument("--home", metavar="FOLDER", help=words.say("command.option.home"))
    group.add_argument("--json", action="store_true", help=words.say("command.option.json"))
    group.add_argument("--lang", metavar="LANGUAGE", help=words.say("command.option.lang"))
    group.add_argument("--yes", action="store_true", help=words.say("command.option.yes"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says; return the exit code.

    Args:
        arguments: What follows the program's name; that of the process by default.

    Returns:
        0 done; 1 failed, blocked or a failed run; 2 the command line cannot be used; 130 interrupted or a cancelled
        run.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--lang", nargs="?")
    early.add_argument("--json", action="store_true")
    known, _ = early.parse_known_args(given)
    with words.speaking(known.lang or words.of_the_terminal(), flags=True):
        try:
            return _perform(given, known.json)
        except BrokenPipeError:  # whoever read the output has gone, e.g. head
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Python flushes it once more at the end
            return FAILED


def _perform(arguments: list[str], as_json: bool) -> int:
    try:
        with arguments_speak():
            given = build().parse_args(arguments)
        command: Command[Any] = given.command
        with session(given, hub=command.hub(given)) as call:
            found = command.run(call)
            _print(found, command.show(found), as_json)
            return command.code(found)
    except SystemExit as end:  # --help
        return end.code if isinstance(end.code, int) else DONE
    except Left as left:
        print(words.say("command.left", run=left.run.id), file=sys.stderr)
        report = results.report(left.run)
        _print(report, "", as_json)
        return CANCELLED
    except KeyboardInterrupt:
        return CANCELLED
    except Misuse as error:
        return _failed(error, as_json, MISUSED)
    except StudioError as error:
        return _failed(error, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that went away: somebody can do something about it
        return _failed(StudioError("command.system", detail=str(error)), as_json)
    except Exception as error:  # a program that reads the output gets JSON whatever happens
        traceback.print_exc()
        return _failed(StudioError("command.crashed", detail=repr(error)), as_json)


def _failed(error: StudioError, as_json: bool, code: int = FAILED) -> int:
    found = results.failure(error)
    if as_json:
        _print(found, "", as_json=True)
        return code
    first = found.error
    print(plain(words.say("command.error", what=first.what)), file=sys.stderr)
    for line in (first.why, first.next):
        if line:
            print(plain(line), file=sys.stderr)
    for notice in found.blockers[1:]:
        print(words.say("command.error", what=results.lines_of(notice)), file=sys.stderr)
    for notice in found.warnings:
        print(words.say("command.warning", what=results.lines_of(notice)), file=sys.stderr)
    return code


def _print(found: BaseModel, text: str, as_json: bool) -> None:
    if as_json:
        print(json_text(found.model_dump_json(indent=2, by_alias=True)))
    elif text:
        print(plain(text))
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
