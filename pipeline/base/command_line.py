"""Options of a command line made from the same declarations as the forms."""

from __future__ import annotations

import argparse
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.options import allowed, readable
from pipeline.base.preflight import Preflight

Model = TypeVar("Model", bound=BaseModel)


def add_options(parser: argparse.ArgumentParser, model: type[BaseModel]) -> None:
    """Add one option per field; values are read as text, for the model checks them.

    Args:
        parser: Where they are added, in a group titled by the model's first sentence.
        model: Declares the fields.
    """
    group = parser.add_argument_group((model.__doc__ or model.__name__).strip().splitlines()[0].rstrip("."))
    for name, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        limits = allowed(info)
        text = f"{info.description or ''}{f' [{limits}]' if limits else ''} Default: {default}".replace("%", "%%")
        option = f"--{name.replace('_', '-')}"
        if info.annotation is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(option, action=action, default=argparse.SUPPRESS, help=text)
        elif isinstance(default, list):
            group.add_argument(option, nargs="*", default=argparse.SUPPRESS, help=text, metavar="NAME")
        else:
            group.add_argument(option, default=argparse.SUPPRESS, help=text, metavar="VALUE")


def fill(model: type[Model], arguments: argparse.Namespace) -> Model:
    """Return a model filled with the options that were given.

    Args:
        model: Declares the fields.
        arguments: What argparse read.

    Raises:
        StudioError: A value cannot be used.
    """
    given = {name: value for name, value in vars(arguments).items() if name in model.model_fields}
    try:
        return model(**given)
    except ValidationError as error:
        raise readable(error) from error


def show(found: Preflight[Any]) -> int:
    """Print a check's numbers, warnings and blockers; return the exit code: 1 when something stops the run."""
    for name, value in vars(found.numbers).items():
        print(f"{name}: {'unknown' if value is None else value}")
    for word, notices in (("warning", found.warnings), ("stops the run", found.blockers)):
        for notice in notices:
            print(" ".join(part for part in (f"{word}:", notice.what, notice.why, notice.next) if part))
    return 1 if found.blockers else 0


def tell(error: StudioError) -> str:
    """Return an error as lines for a terminal."""
    return "\n".join(part for part in (f"error: {error.what}", error.why, error.next) if part)
