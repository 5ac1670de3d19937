"""Forms derived from a declaration: one pydantic field is one control, with its bounds, default, unit and help."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
from gradio.components import Component
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.base.options import extras
from ui.text import has, t


@dataclass(frozen=True)
class ParameterForm:
    """The controls of one model, by field name, in the order of the declaration."""

    model: type[BaseModel]
    components: dict[str, Component]

    @property
    def inputs(self) -> list[Component]:
        """The controls in order, for an event's inputs."""
        return list(self.components.values())


def parameter_form(
    model: type[BaseModel],
    prefix: str,
    *,
    only: list[str] | None = None,
    folded: list[str] | None = None,
    choices: dict[str, list[str]] | None = None,
) -> ParameterForm:
    """Lay out the controls of a model.

    Args:
        model: Declares the fields; `json_schema_extra` may hold unit and group.
        prefix: First part of each control's elem_id and catalogue key, e.g. train → train-learning-rate.
        only: Fields to show; all by default.
        folded: Groups laid out in a closed accordion each, titled by the key <prefix>.group.<group>.
        choices: Choices of list fields, by name.
    """
    names = only or list(model.model_fields)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_extra(model.model_fields[name], "group"), []).append(name)
    components: dict[str, Component] = {}
    for group, members in groups.items():
        if folded and group in folded:
            with gr.Accordion(t(f"{prefix}.group.{group}"), open=False):
                components |= _rows(model, prefix, members, choices or {})
        else:
            components |= _rows(model, prefix, members, choices or {})
    return ParameterForm(model, {name: components[name] for name in names})


def _rows(model: type[BaseModel], prefix: str, names: list[str], choices: dict[str, list[str]]) -> dict[str, Component]:
    with gr.Row(elem_classes="form-row"):
        return {name: control(model, prefix, name, choices.get(name)) for name in names}


def control(
    model: type[BaseModel], prefix: str, name: str, choices: list[str] | None = None, visible: bool = True
) -> Component:
    """Return the control of one field; its help is the catalogue's <prefix>.<field>.help, else its description.

    Args:
        model: Declares the field.
        prefix: See `parameter_form`.
        name: The field.
        choices: Choices, where the declaration cannot know them.
        visible: Whether it is shown at first.
    """
    info = model.model_fields[name]
    kind = _kind(info.annotation)
    empty = "" if kind is str else None  # pydantic has a marker instead of a default where a value is required
    common: dict[str, Any] = {
        "label": _words(f"{prefix}.{name}", name),
        "info": t(f"{prefix}.{name}.help") if has(f"{prefix}.{name}.help") else _help(info),
        "elem_id": f"{prefix}-{name.replace('_', '-')}",
        "value": empty if info.is_required() else info.get_default(call_default_factory=True),
        "min_width": 220,
        "visible": visible,
    }
    if get_origin(kind) is Literal:
        options = [(_words(f"{prefix}.{name}.{choice}", choice), choice) for choice in get_args(kind)]
        return gr.Radio(choices=options, **common)
    if kind is bool:
        return gr.Checkbox(**common)
    if kind in (int, float):
        # Without minimum and maximum: Gradio 6.31 checks them at each key ("Value 5 is less than minimum value 16" on
        # the way to 512) and does not name the field; validation does.
        return gr.Number(precision=0 if kind is int else None, **common)
    if get_origin(kind) is list:
        return gr.Dropdown(choices=choices or [], multiselect=True, **common)
    if choices is not None:
        return gr.Dropdown(choices=choices, allow_custom_value=True, **common)
    lines = int(_extra(info, "lines") or 1)
    return gr.Textbox(lines=lines, max_lines=max(lines, 12), **common)


def _words(key: str, name: str) -> Any:
    """Return the words of a label; what an extension brings without words is called by its name."""
    return t(key) if has(key) else name.replace("_", " ").capitalize()


def _help(info: FieldInfo) -> str:
    unit = _extra(info, "unit")
    return f"{info.description or ''} [{unit}]" if unit else info.description or ""


def _extra(info: FieldInfo, key: str) -> str:
    return str(extras(info).get(key, ""))


def _kind(annotation: Any) -> Any:
    """Return the annotation without its `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(argument for argument in get_args(annotation) if argument is not type(None))
    return annotation
