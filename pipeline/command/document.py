"""The commands as Markdown, for a document that must not differ from the program."""

from __future__ import annotations

import argparse
import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.base import words
from pipeline.command import main
from pipeline.command.results import Failure, RunReport, Said

_SHARED = ("help", "home", "json", "lang", "yes", "command")


def commands() -> str:
    """Return each command with what it does, its arguments, and the fields of its output."""
    with words.speaking(words.ENGLISH, flags=True):
        parsers = _parsers(main.build())
        parts = [_command(command, parsers[command.name]) for command in main.commands()]
    return "\n\n".join(parts)


def shared() -> str:
    """Return the options that every command has."""
    with words.speaking(words.ENGLISH, flags=True):
        parser = main.build()
        return _arguments([each for each in parser._actions if each.dest in _SHARED])


def parts() -> str:
    """Return the objects that outputs are made of: errors, messages, runs."""
    return "\n\n".join(
        f"### {model.__name__}\n\n{_about(model)}\n\n{fields(model)}" for model in (Failure, Said, RunReport)
    )


def _parsers(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    found = {name: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                found |= _parsers(inner, f"{name} {word}".strip())
    return found


def _command(command: Any, parser: argparse.ArgumentParser) -> str:
    own = [action for action in parser._actions if action.dest not in _SHARED]
    model: type[BaseModel] = command.output
    lines = [f"### `{command.name}`", command.about.what]
    if own:
        lines.append(_arguments(own))
    lines.append(f"Prints {_about(model)[:1].lower()}{_about(model)[1:]}")
    lines.append(fields(model))
    inner = [each for each in _inside(model) if each not in (Said, RunReport)]
    lines += [f"`{each.__name__}`: {_about(each)[:1].lower()}{_about(each)[1:]}\n\n{fields(each)}" for each in inner]
    return "\n\n".join(lines)


def _arguments(actions: list[argparse.Action]) -> str:
    rows = ["| Argument | Meaning |", "|---|---|"]
    for action in actions:
        value = f" {action.metavar}" if action.metavar else ""
        name = ", ".join(action.option_strings) + value if action.option_strings else str(action.metavar)
        text = (action.help or "").replace("%%", "%")
        rows.append(f"| `{name}` | {text} |".replace("\n", " "))
    return "\n".join(rows)


def fields(model: type[BaseModel]) -> str:
    """Return the table of a model's fields: name, type, meaning."""
    rows = ["| Field | Type | Meaning |", "|---|---|---|"]
    for name, info in model.model_fields.items():
        kind = _type(info.annotation).replace("|", "\\|")
        rows.append(f"| `{info.alias or name}` | {kind} | {info.description or ''} |")
    return "\n".join(rows)


def _about(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _type(annotation: Any) -> str:
    """Return what JSON calls a type; objects by the name of their declaration."""
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(_type(each) for each in inside)
    if origin is list:
        return f"array of {_type(inside[0])}"
    if origin is dict:
        return "object" if inside[1] is Any else f"object of {_type(inside[1])}"
    if origin is Literal:
        return "string"
    if annotation in plain:
        return plain[annotation]
    return f"`{annotation.__name__}`" if issubclass(annotation, BaseModel) else "string"


def _inside(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the declarations that a model's fields refer to, once each, in their order."""
    found: dict[type[BaseModel], None] = {}
    for info in model.model_fields.values():
        for each in _models(info.annotation):
            found |= dict.fromkeys([each, *_inside(each)])
    return list(found)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models(each)]
