"""One of several equal pairs."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from pipeline.filter.rule import Asked, Over, Rule, label


class Duplicates(BaseModel):
    """Its field."""

    drop_duplicates: bool = Field(
        True,
        description="Keep one of several pairs with equal prompt, chosen and rejected: a reviewed one if there is one.",
        json_schema_extra={"group": "quality"},
    )


def _asks(wanted: Duplicates, over: Over) -> Iterator[Asked]:
    if wanted.drop_duplicates:
        yield Asked("drop_duplicates", label("drop_duplicates"), _first_of_duplicates(over))


def _first_of_duplicates(over: Over) -> list[bool]:
    """Return for each pair whether it is the one to keep of its exact duplicates: the first reviewed, else the first.

    Exact duplicates share the id up to the occurrence number; see `pipeline.base.pair.identify`.
    """
    keep: dict[str, tuple[bool, int]] = {}
    for index, (pair, verdict) in enumerate(zip(over.pairs, over.verdicts, strict=True)):
        candidate = (verdict is None, index)
        digest = pair.record_id.partition("-")[0]
        keep[digest] = min(keep.get(digest, candidate), candidate)
    first = {index for _, index in keep.values()}
    return [index in first for index in range(len(over.pairs))]


DUPLICATES = Rule("duplicates", Duplicates, _asks, order=90)
