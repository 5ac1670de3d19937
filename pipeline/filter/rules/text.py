"""Text that a pair contains, or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, Field

from pipeline.base.pair import Pair
from pipeline.filter.rule import PARTS, Asked, Over, Rule, label


class Text(BaseModel):
    """Its fields."""

    contains: str = Field(
        "",
        max_length=1000,
        description="Text that some turn contains, upper and lower case alike; empty: any.",
        json_schema_extra={"group": "text"},
    )
    contains_not: str = Field(
        "",
        max_length=1000,
        description="Text that no turn contains, upper and lower case alike; empty: any.",
        json_schema_extra={"group": "text"},
    )


def _asks(wanted: Text, over: Over) -> Iterator[Asked]:
    if wanted.contains.strip():
        yield Asked("contains", label("contains", wanted.contains), _contains(over.pairs, wanted.contains))
    if wanted.contains_not.strip():
        hits = _contains(over.pairs, wanted.contains_not)
        yield Asked("contains_not", label("contains_not", wanted.contains_not), [not hit for hit in hits])


def _contains(pairs: Sequence[Pair], text: str) -> list[bool]:
    """Return for each pair whether one of its turns contains the text, regardless of case."""
    needle = text.casefold()
    return [any(needle in turn.content.casefold() for part in PARTS for turn in getattr(pair, part)) for pair in pairs]


TEXT = Rule("text", Text, _asks, order=60)
