"""The schema of what `--json` prints, from the declarations of all commands."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from pipeline.base import words
from pipeline.command import main
from pipeline.command.frame import Call, Command
from pipeline.command.results import Failure


class Schemas(BaseModel):
    """JSON Schemas (2020-12) by command."""

    commands: dict[str, Any] = Field(description="Schema of each command's output.")
    error: dict[str, Any] = Field(description="Schema of what every command prints when it fails.")
    definitions: dict[str, Any] = Field(alias="$defs", description="What the others refer to.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("command_names", nargs="*", default=[], metavar="STEP", help=words.say("command.option.step"))


def schemas(names: list[str] | None = None) -> Schemas:
    """Return the schemas of commands.

    Args:
        names: First words of the commands; none: all.
    """
    wanted = [command for command in main.commands() if not names or command.name.split()[0] in names]
    models = [(command.output, "serialization") for command in wanted] + [(Failure, "serialization")]
    by_model, whole = models_json_schema(list(dict.fromkeys(models)))  # type: ignore[arg-type]
    return Schemas(
        **{
            "commands": {command.name: by_model[command.output, "serialization"] for command in wanted},
            "error": by_model[Failure, "serialization"],
            "$defs": whole.get("$defs", {}),
        }
    )


def _schema(call: Call) -> Schemas:
    return schemas(call.given.command_names)


def _show(found: Schemas) -> str:
    return json.dumps(found.model_dump(by_alias=True), ensure_ascii=False, indent=2)


SCHEMA = Command("schema", Schemas, _schema, _show, _arguments)
