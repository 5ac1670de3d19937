"""Arguments of a command line made from the same declarations as the forms."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipeline.base import words
from pipeline.base.options import allowed, readable
from pipeline.command.frame import Misuse

Model = TypeVar("Model", bound=BaseModel)
_NOTHING = ("", "none")


def flag(name: str) -> str:
    """Return what a field is called on a command line."""
    return f"--{name.replace('_', '-')}"


def add_options(
    parser: argparse.ArgumentParser,
    model: type[BaseModel],
    step: str,
    skip: Iterable[str] = (),
    filled: Mapping[str, str] | None = None,
) -> None:
    """Add one option per field; values are read as text, for the model checks them.

    Args:
        parser: Where they are added, in a group of their own.
        model: Declares the fields.
        step: First part of the catalogue keys of its fields, e.g. train.
        skip: Fields that are no options here.
        filled: Fields that the command fills in where they are not given, and the code of the words for with what.
    """
    title = f"command.group.{model.__name__}"
    group = parser.add_argument_group(words.say(title) if words.has(title) else model.__name__)
    for name, info in model.model_fields.items():
        if name in skip:
            continue
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        text = _help(name, info, step, default, (filled or {}).get(name, "")).replace("%", "%%")
        if info.annotation is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(flag(name), action=action, default=argparse.SUPPRESS, help=text)
        elif isinstance(default, list):
            group.add_argument(flag(name), nargs="*", default=argparse.SUPPRESS, help=text, metavar="NAME")
        else:
            group.add_argument(flag(name), default=argparse.SUPPRESS, help=text, metavar="VALUE")


def _help(name: str, info: FieldInfo, step: str, default: object, filled: str) -> str:
    """Return what an option does: its declaration in English, the page's words in other languages."""
    said = info.description or ""
    if words.spoken() != words.ENGLISH and words.has(f"{step}.{name}"):
        label = words.say(f"{step}.{name}")
        said = label + (f"：{words.say(f'{step}.{name}.help')}" if words.has(f"{step}.{name}.help") else "")
    limits = allowed(info)
    unset = default is None or default == "" or default == []
    after = "" if unset else words.say("command.default", value=_plain(default))
    after = words.say("command.default", value=words.say(filled)) if filled else after
    return " ".join(part for part in (said, f"[{limits}]" if limits else "", after) if part)


def _plain(default: object) -> str:
    if isinstance(default, bool):
        return words.say("command.on" if default else "command.off")
    return " ".join(map(str, default)) if isinstance(default, list) else str(default)


def given(model: type[BaseModel], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a model that were given; `none` or nothing empties one that may be empty."""
    found = {name: value for name, value in vars(arguments).items() if name in model.model_fields}
    for name, value in found.items():
        if value in _NOTHING and NoneType in get_args(model.model_fields[name].annotation):
            found[name] = None
    return found


def fill(model: type[Model], arguments: argparse.Namespace, **others: Any) -> Model:
    """Return a model filled with the options that were given.

    Args:
        model: Declares the fields.
        arguments: What argparse read.
        **others: Fields that hold unless they were given.

    Raises:
        Misuse: A value cannot be used.
    """
    try:
        return model(**{**others, **given(model, arguments)})
    except ValidationError as error:
        raise Misuse(readable(error).message) from error
