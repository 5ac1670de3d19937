"""What every step says about its options: errors in plain words, and the table that documents them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.base.errors import StudioError, Wrong
from pipeline.base.message import Message, Option, message

_LIMITS = frozenset(
    ("missing", "extra_forbidden", "greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")
    + ("finite_number", "string_type", "string_too_long", "string_too_short", "string_pattern_mismatch")
    + ("literal_error", "list_type", "too_short", "too_long", "path_type")
)
_SAME = {  # kinds of errors that people need not tell apart
    "int_parsing": "whole_number",
    "int_type": "whole_number",
    "int_from_float": "whole_number",
    "float_parsing": "number",
    "float_type": "number",
    "bool_parsing": "bool_type",
    "bool_type": "bool_type",
}
Named = Option | Message | str


def readable(error: ValidationError, step: str = "") -> StudioError:
    """Turn a validation error into one that names each option in plain words.

    Args:
        error: What pydantic raised. A validator of ours raises `Wrong`.
        step: First part of the options' catalogue keys, e.g. train; "": they are called by their fields' names.

    Returns:
        An error whose `why` holds one sentence per wrong option.
    """
    details = error.errors(include_url=False)
    names = list(dict.fromkeys(_field(detail, step) for detail in details if detail["loc"]))
    said = [_sentence(detail, step) for detail in details]
    return StudioError("value.wrong" if names else "value.wrong_together", count=len(said), names=names, said=said)


def _field(detail: ErrorDetails, step: str) -> Named:
    if not detail["loc"]:
        return message("value.whole")
    name = str(detail["loc"][0])
    return Option(name, step) if step else name


def _sentence(detail: ErrorDetails, step: str) -> Message:
    """Return one sentence: the option, what is wrong with it, and what it holds."""
    context, kind, field = detail.get("ctx") or {}, str(detail["type"]), _field(detail, step)
    if kind in ("value_error", "assertion_error"):
        return message("value.said" if detail["loc"] else "value.said_together", field=field, said=_said(detail))
    values = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    found = _shown(detail["input"])
    if kind not in _LIMITS and kind not in _SAME:
        return message("value.other", field=field, said=detail["msg"][:1].lower() + detail["msg"][1:], found=found)
    return message(f"value.{_SAME.get(kind, kind)}", field=field, found=found, **values)


def _said(detail: ErrorDetails) -> Message | str:
    """Return what a validator of ours said."""
    error = (detail.get("ctx") or {}).get("error")
    if isinstance(error, Wrong):
        return error.message
    return f"{str(error or detail['msg']).rstrip('.')}."


def _shown(value: Any) -> Message | str:
    if value is None or value == "":
        return message("value.empty")
    text = f"“{value}”" if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def table(model: type[BaseModel]) -> str:
    """Return the Markdown table of a model's options, for a document that must not differ from the program.

    Args:
        model: Declares the options: default, bounds and description of each field, unit in `json_schema_extra`.
    """
    rows = ["| Option | Default | Allowed | Unit | Meaning |", "|---|---|---|---|---|"]
    for name, info in model.model_fields.items():
        extra = extras(info)
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


def extras(info: FieldInfo) -> JsonDict:
    """Return what a field's declaration says besides: group, unit, choices."""
    extra = info.json_schema_extra or {}
    if not callable(extra):
        return extra
    found: JsonDict = {}
    extra(found)
    return found


def choices(names: Callable[[], Iterable[str]]) -> Callable[[JsonDict], None]:
    """Return the `json_schema_extra` of a field whose choices are known only once extensions are loaded.

    Args:
        names: Returns them.
    """

    def fill(extra: JsonDict) -> None:
        extra["choices"] = list(names())

    return fill


def allowed(info: FieldInfo) -> str:
    """Return a field's bounds or choices in words, "" where there are none."""
    if isinstance(names := extras(info).get("choices"), list):
        return ", ".join(map(str, names))
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
