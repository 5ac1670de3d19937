"""What every step says about its options: errors in plain words, and the table that documents them."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.base.errors import StudioError

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no option here",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_pattern_mismatch": "has characters or a form that is not allowed (it must match {pattern})",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "path_type": "must be a path",
}


def readable(error: ValidationError) -> StudioError:
    """Turn a validation error into one that names each field in plain words.

    Args:
        error: What pydantic raised.

    Returns:
        An error whose `why` holds one sentence per wrong field.
    """
    details = error.errors(include_url=False)
    names = ", ".join(dict.fromkeys(_field(detail) for detail in details if detail["loc"]))
    what = f"{len(details)} values cannot be used." if len(details) > 1 else "A value cannot be used."
    after = f"Change {names}, then try again." if names else "Change them, then try again."
    return StudioError(what, " ".join(_sentence(detail) for detail in details), after)


def _field(detail: ErrorDetails) -> str:
    return str(detail["loc"][0])


def _sentence(detail: ErrorDetails) -> str:
    """Return one sentence: the field, what is wrong with it, and what it holds."""
    context = detail.get("ctx") or {}
    if detail["type"] in ("value_error", "assertion_error"):
        said = str(context.get("error") or detail["msg"]).rstrip(".")
        return f"{_field(detail)}: {said}." if detail["loc"] else f"{said}."
    pattern = _WORDS.get(detail["type"])
    context = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    said = pattern.format(**context) if pattern else detail["msg"][:1].lower() + detail["msg"][1:]
    found = "" if detail["type"] in ("missing", "extra_forbidden") else f"; it is {_shown(detail['input'])}"
    return f"{_field(detail) if detail['loc'] else 'The whole'} {said}{found}."


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    text = f"“{value}”" if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def table(model: type[BaseModel]) -> str:
    """Return the Markdown table of a model's options, for a document that must not differ from the program.

    Args:
        model: Declares the options: default, bounds and description of each field, unit in `json_schema_extra`.
    """
    rows = ["| Option | Default | Allowed | Unit | Meaning |", "|---|---|---|---|---|"]
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        cells = [f"`{name}`", _default(info), allowed(info), str(extra.get("unit", "")), info.description or ""]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "(none)"
    value = info.get_default(call_default_factory=True)
    if value is None or value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def allowed(info: FieldInfo) -> str:
    """Return a field's bounds or choices in words, "" where there are none."""
    for annotation in (info.annotation, *get_args(info.annotation)):
        if get_origin(annotation) is Literal:
            return ", ".join(map(str, get_args(annotation)))
    signs = {"gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ "}
    bounds = [
        f"{sign}{getattr(bound, name):g}"
        for bound in info.metadata
        for name, sign in signs.items()
        if getattr(bound, name, None) is not None
    ]
    return ", ".join(bounds)
