"""Only what somebody has reviewed."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from pipeline.filter.rule import Asked, Over, Rule, label


class Reviewed(BaseModel):
    """Its field."""

    only_reviewed: bool = Field(
        False,
        description="Keep only pairs with at least one submitted answer; off, so that one can go on without review.",
        json_schema_extra={"group": "review"},
    )


def _asks(wanted: Reviewed, over: Over) -> Iterator[Asked]:
    if wanted.only_reviewed:
        yield Asked("only_reviewed", label("only_reviewed"), [verdict is not None for verdict in over.verdicts])


REVIEWED = Rule("reviewed", Reviewed, _asks, order=10)
