"""What most reviewers must prefer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, Field

from pipeline.filter.rule import Asked, Over, Rule, label


class Preference(BaseModel):
    """Its field."""

    preference_agrees: Literal["any", "agrees", "decided"] = Field(
        "any",
        description=(
            "agrees: most reviewers prefer chosen; decided: most prefer chosen, or most prefer rejected; "
            "any: also ties, undecided pairs and those nobody compared."
        ),
        json_schema_extra={"group": "review"},
    )


def _asks(wanted: Preference, over: Over) -> Iterator[Asked]:
    asked = wanted.preference_agrees
    if asked != "any":
        sides = {"chosen"} if asked == "agrees" else {"chosen", "rejected"}
        passes = [verdict is not None and verdict.preference in sides for verdict in over.verdicts]
        yield Asked("preference_agrees", label(f"preference_agrees.{asked}"), passes)


PREFERENCE = Rule("preference", Preference, _asks, order=30)
