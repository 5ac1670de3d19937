"""A rule: fields of a recipe and what they ask of a pair; one file each in `pipeline.filter.rules`, or an extension."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from pipeline.base import words
from pipeline.base.members import members
from pipeline.base.message import Message, message
from pipeline.base.pair import Pair
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

Part = Literal["prompt", "chosen", "rejected"]
PARTS: tuple[Part, ...] = ("prompt", "chosen", "rejected")
Fields = TypeVar("Fields", bound=BaseModel)


@dataclass(frozen=True)
class Over:
    """What rules look at.

    Attributes:
        pairs: All pairs.
        verdicts: What reviewers said of each; None where nobody reviewed it.
        counts: Token counts of each.
        unit: What was counted: see `pipeline.models.tokens.TokenCounter.unit`.
    """

    pairs: Sequence[Pair]
    verdicts: Sequence[Settled | None]
    counts: Sequence[PairCounts]
    unit: str = "tokens"


@dataclass(frozen=True)
class Asked:
    """What one field of a recipe asks of a pair.

    Attributes:
        field: Its name.
        label: What a kept pair satisfies.
        passes: Whether each pair does.
    """

    field: str
    label: Message
    passes: Sequence[bool]


@dataclass(frozen=True)
class Rule(Generic[Fields]):
    """One rule.

    Attributes:
        name: Its name.
        fields: Declares its fields, which become fields of the recipe: type, bounds, a default that asks for nothing,
            description, and `json_schema_extra` with group and, where it has one, unit.
        asks: Given a recipe and what it looks at, yields what the fields ask that are not left at a neutral value.
        order: Rules are applied and shown in this order.
    """

    name: str
    fields: type[Fields]
    asks: Callable[[Fields, Over], Iterator[Asked]]
    order: int = 100


def rules() -> list[Rule[Any]]:
    """Return all rules, in order."""
    return sorted(members(Rule, "pipeline.filter.rules"), key=lambda rule: rule.order)


def label(field: str, value: object = "", **values: object) -> Message:
    """Return what a kept pair satisfies: the words of `filter.rule.<field>`, else the field's name and value.

    Args:
        field: A field of the recipe, or more of a code.
        value: What it asks for.
        **values: What the words name besides.
    """
    shown = f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
    if words.has(f"filter.rule.{field}"):
        return message(f"filter.rule.{field}", value=shown, **values)
    return message("filter.rule.other", name=field.replace("_", " "), value=shown)


def either(names: Sequence[Message | str]) -> Message | str:
    """Return names as alternatives."""
    return functools.reduce(lambda one, other: message("filter.either", one=one, other=other), names)
