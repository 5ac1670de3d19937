"""Shortest and longest prompt and completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, Field, model_validator
from pydantic.config import JsonDict

from pipeline.base.errors import Wrong
from pipeline.base.message import message
from pipeline.filter.rule import PARTS, Asked, Over, Part, Rule, label
from pipeline.models.tokens import unit_of

_TOKENS: JsonDict = {"group": "tokens", "unit": "tokens"}


class Lengths(BaseModel):
    """Its fields."""

    min_prompt_tokens: int = Field(0, ge=0, description="Shortest prompt, all its turns.", json_schema_extra=_TOKENS)
    max_prompt_tokens: int | None = Field(
        None, ge=0, description="Longest prompt, all its turns; empty: any.", json_schema_extra=_TOKENS
    )
    min_chosen_tokens: int = Field(10, ge=0, description="Shortest chosen completion.", json_schema_extra=_TOKENS)
    max_chosen_tokens: int | None = Field(
        None, ge=0, description="Longest chosen completion; empty: any.", json_schema_extra=_TOKENS
    )
    min_rejected_tokens: int = Field(10, ge=0, description="Shortest rejected completion.", json_schema_extra=_TOKENS)
    max_rejected_tokens: int | None = Field(
        None, ge=0, description="Longest rejected completion; empty: any.", json_schema_extra=_TOKENS
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        for part in PARTS:
            low, high = self.token_bounds(part)
            if high is not None and high < low:
                raise Wrong("filter.bounds", part=message(f"part.{part}"), high=high, low=low)
        return self

    def token_bounds(self, part: Part) -> tuple[int, int | None]:
        """Return the smallest and largest token count allowed; None is no upper bound.

        Args:
            part: The part of the pair.
        """
        return getattr(self, f"min_{part}_tokens"), getattr(self, f"max_{part}_tokens")


def _asks(wanted: Lengths, over: Over) -> Iterator[Asked]:
    unit = unit_of(over.unit)
    for part in PARTS:
        low, high = wanted.token_bounds(part)
        lengths = [getattr(count, part) for count in over.counts]
        if low:
            name = f"min_{part}_tokens"
            yield Asked(name, label(name, low, unit=unit), [length >= low for length in lengths])
        if high is not None:
            name = f"max_{part}_tokens"
            yield Asked(name, label(name, high, unit=unit), [length <= high for length in lengths])


LENGTHS = Rule("lengths", Lengths, _asks, order=50)
