"""A layout: a shape that preference data comes in; one file each in `pipeline.dataset.layouts`, or an extension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.base import message as said
from pipeline.base import words
from pipeline.base.members import members
from pipeline.base.message import message
from pipeline.base.pair import Message
from pipeline.dataset.rows import Row, Rows
from pipeline.dataset.turns import Parts, Unusable, check_answer, from_json, is_sharegpt, split, turns_of

CHOSEN = ("chosen", "chosen_response", "response_chosen", "preferred", "accepted")
REJECTED = ("rejected", "rejected_response", "response_rejected", "dispreferred")
PROMPT = ("prompt", "question", "instruction", "query", "conversations", "conversation")
BY_HAND = "columns"  # name of the layout of columns that a person chose
_LOOK_AT = 200  # rows that decide about a layout


class Mapping(BaseModel):
    """Which column holds what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: str = Field(min_length=1, description="Column of the preferred answer.")
    rejected: str = Field(min_length=1, description="Column of the other answer.")
    prompt: str = Field("", description="Column of the prompt; empty: chosen and rejected hold whole conversations.")
    system: str = Field("", description="Column of a system turn to put first; empty: none.")
    source: str = Field("", description="Column that says where a pair comes from; empty: none.")
    layout: str = Field("columns", description="Layout recognised, or columns where a person chose them.")

    @property
    def sentence(self) -> said.Message:
        """How the data is read."""
        return layout_of(self).said(self)


class Look:
    """What a layout is recognised by: the columns' names and the first values.

    Args:
        rows: Rows as read.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._kinds: dict[str, str] = {}

    def column(self, names: Iterable[str]) -> str:
        """Return the first column of one of these names, whatever its capitals, or ""."""
        by_lower = {column.strip().lower(): column for column in reversed(self._rows.columns)}
        return next((by_lower[name] for name in names if name in by_lower), "")

    @cached_property
    def first(self) -> list[Row]:
        """The rows that decide."""
        return list(self._rows.rows[:_LOOK_AT])

    def values(self, column: str) -> list[Any]:
        """Return what the first rows hold in a column, nulls left out."""
        return [row[column] for row in self.first if row.get(column) is not None]

    def fills(self, name: str) -> bool:
        """Return whether a column of this name exists and says something."""
        column = self.column((name,))
        return bool(column) and any(str(value).strip() for value in self.values(column))

    def kind(self, column: str) -> str:
        """Return what most values of a column are: "conversation", "answer", "transcript", "text" or "other"."""
        if column not in self._kinds:
            kinds = Counter(_kind_of(value) for value in self.values(column))
            self._kinds[column] = kinds.most_common(1)[0][0] if kinds else "other"
        return self._kinds[column]

    def sharegpt(self, column: str) -> bool:
        """Return whether a column holds turns as ShareGPT writes them."""
        for value in self.values(column):
            turns = value
            if isinstance(value, str):
                try:
                    turns = from_json(value, "")
                except Unusable:
                    continue  # one broken value does not decide about the layout; its row is reported
            return is_sharegpt(turns[0] if isinstance(turns, list) and turns else turns)
        return False

    @cached_property
    def sides(self) -> Mapping | None:
        """The columns of chosen, rejected and source by their usual names; None where both sides are not alike."""
        chosen, rejected = self.column(CHOSEN), self.column(REJECTED)
        if not chosen or not rejected or self.kind(chosen) != self.kind(rejected) or self.kind(chosen) == "other":
            return None
        return Mapping(chosen=chosen, rejected=rejected, source=self.column(("source",)))

    def is_of(self, *kinds: str) -> bool:
        """Return whether both sides are known and hold values of one of these kinds."""
        return self.sides is not None and self.kind(self.sides.chosen) in kinds

    @cached_property
    def prompt(self) -> str:
        """The column of the prompt by its usual names, "" where none holds one."""
        column = self.column(PROMPT)
        # Alpaca's `input` completes its `instruction`: the prompt is not in one column.
        return column if column and self.kind(column) != "other" and not self.fills("input") else ""


def pair_of(row: Row, mapping: Mapping) -> Parts:
    """Return prompt, chosen and rejected of a row: texts, turns, whole conversations or transcripts.

    Args:
        row: The row.
        mapping: Which column is what.

    Raises:
        Unusable: They cannot be told.
    """
    bare = not mapping.prompt
    chosen = turns_of(row.get(mapping.chosen), "assistant", "chosen", bare)
    rejected = turns_of(row.get(mapping.rejected), "assistant", "rejected", bare)
    check_answer(chosen, "chosen")
    check_answer(rejected, "rejected")
    if chosen[0].role != "assistant" and rejected[0].role != "assistant":  # both are whole conversations
        prompt, chosen, rejected = split(chosen, rejected)
    elif bare:
        raise Unusable("row.no_prompt")
    else:
        prompt = turns_of(row.get(mapping.prompt), "user", "prompt", False)
    system = row.get(mapping.system) if mapping.system else None
    if isinstance(system, str) and system.strip() and prompt[0].role != "system":
        prompt = (Message("system", system), *prompt)
    return prompt, chosen, rejected


@dataclass(frozen=True)
class Layout:
    """One layout.

    Attributes:
        name: Its name, kept in a mapping.
        sure: Given the columns and first values, how sure it is that they are laid out so, 0 (not at all) to 1, and
            which column is what; the surest layout is taken.
        pair: Returns prompt, chosen and rejected of one row, or raises `Unusable`; they are checked afterwards.
        title: Code of the sentence that says how the data is read; it may name prompt, chosen and rejected. Without
            words for it the layout's name is said.
    """

    name: str
    sure: Callable[[Look], tuple[float, Mapping] | None]
    pair: Callable[[Row, Mapping], Parts] = pair_of
    title: str = ""

    def said(self, mapping: Mapping) -> said.Message:
        """Return how data is read with a mapping."""
        whole = not mapping.prompt and self.name in (BY_HAND, "sharegpt")
        code = "layout.whole" if whole else self.title or f"layout.{self.name}"
        values = {"prompt": mapping.prompt, "chosen": mapping.chosen, "rejected": mapping.rejected}
        return message(code, **values) if words.has(code) else message("layout.other", name=self.name, **values)


def layouts() -> list[Layout]:
    """Return all layouts, those of this program first."""
    return members(Layout, "pipeline.dataset.layouts")


def layout_of(mapping: Mapping) -> Layout:
    """Return the layout of a mapping; one that is not there any more is read as columns chosen by hand."""
    found = {layout.name: layout for layout in layouts()}
    return found.get(mapping.layout) or found[BY_HAND]


def _kind_of(value: Any) -> str:
    try:
        value = from_json(value, "") if isinstance(value, str) else value
        if isinstance(value, str):
            text = value.lstrip()
            return "transcript" if text.startswith("Human:") and "\nAssistant:" in text else "text"
        turns = turns_of(value, "", "", False)
    except Unusable:
        return "other"
    return "answer" if turns[0].role == "assistant" else "conversation"
