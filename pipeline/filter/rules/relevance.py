"""A smallest mean rating."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from pipeline.filter.rule import Asked, Over, Rule, label


class Relevance(BaseModel):
    """Its field."""

    min_relevance: float | None = Field(
        None,
        ge=1,
        le=5,
        description="Smallest mean rating by the reviewers; pairs without a rating are removed. Empty: any.",
        json_schema_extra={**{"group": "review"}, "unit": "1–5"},
    )


def _asks(wanted: Relevance, over: Over) -> Iterator[Asked]:
    least = wanted.min_relevance
    if least is not None:
        ratings = (None if verdict is None else verdict.relevance for verdict in over.verdicts)
        passes = [rating is not None and rating >= least for rating in ratings]
        yield Asked("min_relevance", label("min_relevance", float(least)), passes)


RELEVANCE = Rule("relevance", Relevance, _asks, order=20)
