"""Only some of the sources."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from pipeline.base.message import message
from pipeline.filter.rule import Asked, Over, Rule, either, label


class Sources(BaseModel):
    """Its field."""

    sources: list[str] = Field(
        default_factory=list,
        description="Sources to keep; empty: all.",
        json_schema_extra={"group": "source"},
    )


def _asks(wanted: Sources, over: Over) -> Iterator[Asked]:
    if wanted.sources:
        names = either([source or message("filter.no_source") for source in wanted.sources])
        kept = set(wanted.sources)
        yield Asked("sources", label("sources", names), [pair.source in kept for pair in over.pairs])


SOURCES = Rule("sources", Sources, _asks, order=40)
