"""A layout: a shape that preference data comes in; one file each in `pipeline.dataset.layouts`, or an extension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.base import message as said
from pipeline.base import words
from pipeline.base.members import members
from pipeline.base.message import message
from pipeline.dataset import names, transcript
from pipeline.dataset.prompts import exchanges, joined, with_system
from pipeline.dataset.rows import Row, Rows
from pipeline.dataset.turns import (
    Parts,
    Unusable,
    check_answer,
    from_text,
    is_sharegpt,
    looks_like_turns,
    split,
    text_key,
    turns_of,
)
from pipeline.dataset.values import blank

BY_HAND = "columns"  # name of the layout of columns that a person chose
_LOOK_AT = 200  # rows that decide about a layout


class Mapping(BaseModel):
    """Which column holds what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: str = Field(min_length=1, description="Column of the preferred answer.")
    rejected: str = Field(min_length=1, description="Column of the other answer.")
    prompt: str = Field("", description="Column of the prompt; empty: chosen and rejected hold whole conversations.")
    before: tuple[str, ...] = Field((), description="Columns put in front of the prompt: history, context.")
    after: tuple[str, ...] = Field((), description="Columns put after the prompt: its input.")
    system: str = Field("", description="Column of a system turn to put first; empty: none.")
    source: str = Field("", description="Column that says where a pair comes from; empty: none.")
    decides: tuple[str, ...] = Field((), description="Columns that say which answer is the better one.")
    better: tuple[str, ...] = Field((), description="How they say so; see the layout.")
    layout: str = Field("columns", description="Layout recognised, or columns where a person chose them.")

    @property
    def sentence(self) -> said.Message:
        """How the data is read."""
        return layout_of(self).said(self)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The columns that the prompt is made of, in order."""
        return (*self.before, *((self.prompt,) if self.prompt else ()), *self.after)

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that a pair is made of."""
        named = (*self.prompts, self.chosen, self.rejected, self.system, self.source, *self.decides)
        return tuple(dict.fromkeys(name for name in named if name))


class Look:
    """What a layout is recognised by: the columns' names and the first values.

    Args:
        rows: Rows as read.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._kinds: dict[str, Counter[str]] = {}
        self._by_name = {names.plain(column): column for column in reversed(rows.columns)}

    def column(self, wanted: Iterable[str]) -> str:
        """Return the first column of one of these names, whatever its capitals, or ""."""
        return next((self._by_name[name] for name in wanted if name in self._by_name), "")

    def readable(self, wanted: Iterable[str], lists: bool = False) -> list[str]:
        """Return the columns of these names with text or turns in them somewhere, or with nothing yet.

        Args:
            wanted: Names.
            lists: Whether lists of several texts can be read too.
        """
        unread = {"other"} if lists else {"other", "list"}
        there = [self._by_name[name] for name in wanted if name in self._by_name]
        return [name for name in there if not self.filled(name) or self._counted(name).keys() - unread]

    @cached_property
    def first(self) -> list[Row]:
        """The rows that decide."""
        return list(self.rows.rows[:_LOOK_AT])

    def values(self, column: str) -> list[Any]:
        """Return what the first rows hold in a column, nulls left out."""
        return [row[column] for row in self.first if row.get(column) is not None]

    def filled(self, column: str) -> list[Any]:
        """Return what the first rows hold in a column, empty values left out."""
        return [value for value in self.values(column) if not blank(value)]

    def every(self, column: str) -> Iterator[Any]:
        """Yield what all rows hold in a column, nulls left out."""
        return (row[column] for row in self.rows.rows if row.get(column) is not None)

    def kind(self, column: str) -> str:
        """Return what most values of a column are.

        They are "conversation", "answer", "transcript", "text", "history" (pairs of question and answer), "list" (of
        several texts) or "other"; of two as frequent, what can be read.
        """
        kinds = self._counted(column)
        return max(kinds, key=lambda kind: (kinds[kind], kind != "other"), default="other")

    def _counted(self, column: str) -> Counter[str]:
        """Return how many values of a column are of each kind."""
        if column not in self._kinds:
            self._kinds[column] = Counter(_kind_of(value) for value in self.filled(column))
        return self._kinds[column]

    def sharegpt(self, column: str) -> bool:
        """Return whether a column holds turns as ShareGPT writes them."""
        for value in self.values(column):
            turns = value
            if isinstance(value, str):
                try:
                    turns = from_text(value, "")
                except Unusable:
                    continue  # one broken value does not decide about the layout; its row is reported
            return is_sharegpt(turns[0] if isinstance(turns, list) and turns else turns)
        return False

    @cached_property
    def context(self) -> Mapping:
        """The columns that every layout has in common: system, source, history and context."""
        system = next(iter(self.readable(names.SYSTEM)), "")
        before = (*self.readable(names.HISTORY, lists=True), *self.readable(names.CONTEXT, lists=True))
        return Mapping(chosen="?", rejected="?", system=system, before=before, source=self.column(names.SOURCE))

    @cached_property
    def sides(self) -> Mapping | None:
        """The columns of chosen and rejected by their usual names; None where both sides are not alike."""
        chosen, rejected = self.column(names.CHOSEN), self.column(names.REJECTED)
        if not chosen or not rejected:
            return None
        kinds = {_ALIKE.get(kind, kind) for kind in (self.kind(chosen), self.kind(rejected))}
        if len(kinds) > 1 or kinds == {"other"}:
            return None
        return self.context.model_copy(update={"chosen": chosen, "rejected": rejected})

    def is_of(self, *kinds: str) -> bool:
        """Return whether both sides are known and hold values of one of these kinds."""
        if self.sides is None:
            return False
        kind = self.kind(self.sides.chosen)
        return kind in kinds or _ALIKE.get(kind) in kinds

    @cached_property
    def prompt(self) -> str:
        """The column of the prompt by its usual names, "" where none holds one."""
        wanted = (*names.PROMPT, *names.HISTORY, *names.CONTEXT)  # the last two where nothing else is asked
        there = [self._by_name[name] for name in wanted if name in self._by_name]
        usual = (name for name in there if self.kind(name) not in ("other", "list", "history"))
        found = next(usual, "")
        if names.plain(found) in names.PROMPT:
            return found
        # A few texts among what cannot be read: those rows are asked there, and not in their context.
        some = (
            name for name in there if self.filled(name) and self._counted(name).keys() - {"other", "list", "history"}
        )
        return next(some, found)

    def with_prompt(self, sides: Mapping) -> Mapping:
        """Return a mapping with the prompt's columns: instruction, prompt and input in this order."""
        before = [name for name in sides.before if name != self.prompt]
        instruction = self.column(names.INSTRUCTION)
        if instruction and instruction != self.prompt and instruction in self.readable(names.INSTRUCTION):
            before.append(instruction)
        after = [name for name in self.readable(names.INPUT) if name != self.prompt]
        return sides.model_copy(update={"prompt": self.prompt, "before": tuple(before), "after": tuple(after)})


_ALIKE = {"answer": "text", "list": "text"}  # answers are one thing, however they are written


def pair_of(row: Row, mapping: Mapping) -> Parts:
    """Return prompt, chosen and rejected of a row: texts, turns, whole conversations or transcripts.

    Args:
        row: The row.
        mapping: Which column is what.

    Raises:
        Unusable: They cannot be told.
    """
    return pair_from(row, mapping, row.get(mapping.chosen), row.get(mapping.rejected))


def pair_from(row: Row, mapping: Mapping, better: Any, worse: Any) -> Parts:
    """Return prompt, chosen and rejected, given the values of both sides; the rest is in the row.

    Args:
        row: The row.
        mapping: Which column is what.
        better: The preferred answer, or the whole conversation that it ends.
        worse: The other one.

    Raises:
        Unusable: They cannot be told.
    """
    bare = not mapping.prompt
    transcripts = bare or transcript.begin_alike(better, worse)
    chosen = turns_of(better, "assistant", "chosen", transcripts)
    rejected = turns_of(worse, "assistant", "rejected", transcripts)
    check_answer(chosen, "chosen")
    check_answer(rejected, "rejected")
    if chosen[0].role != "assistant" and rejected[0].role != "assistant":  # both are whole conversations
        prompt, chosen, rejected = split(chosen, rejected)
        prompt = joined(row, mapping.prompts, prompt) if mapping.prompts else prompt
    elif bare:
        raise Unusable("row.no_prompt")
    elif len(mapping.prompts) == 1 and exchanges(row.get(mapping.prompt)) is None:
        prompt = turns_of(row.get(mapping.prompt), "user", "prompt", False)
    else:
        prompt = joined(row, mapping.prompts)
    return with_system(prompt, row.get(mapping.system)) if mapping.system else prompt, chosen, rejected


# What a layout makes of all rows before they are read one by one: number and row, or why it is none.
Arranged = Iterator[tuple[int, Row | Unusable]]


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
        arrange: Puts rows together where a pair is made of several; None: a row is a pair.
        left: Names what a row's used columns hold that its pair does not.
        why_not: Given the columns and first values, what they are where they are no pairs; None: nothing is known.
    """

    name: str
    sure: Callable[[Look], tuple[float, Mapping] | None]
    pair: Callable[[Row, Mapping], Parts] = pair_of
    title: str = ""
    arrange: Callable[[Rows, Mapping], Arranged] | None = None
    left: Callable[[Row, Mapping], Iterable[str]] = lambda row, mapping: ()
    why_not: Callable[[Look], said.Message | None] = lambda look: None

    def said(self, mapping: Mapping) -> said.Message:
        """Return how data is read with a mapping."""
        whole = not mapping.prompt and self.name in (BY_HAND, "sharegpt")
        code = "layout.whole" if whole else self.title or f"layout.{self.name}"
        prompt = " + ".join(mapping.prompts) if mapping.prompt else ""
        values = {"prompt": prompt, "chosen": mapping.chosen, "rejected": mapping.rejected}
        values["decides"] = " + ".join(mapping.decides)
        read = message(code, **values) if words.has(code) else message("layout.other", name=self.name, **values)
        if mapping.before and not mapping.prompt:
            read = message("layout.before", read=read, columns=list(mapping.before))
        return message("layout.system", read=read, column=mapping.system) if mapping.system else read


def layouts() -> list[Layout]:
    """Return all layouts, those of this program first."""
    return members(Layout, "pipeline.dataset.layouts")


def layout_of(mapping: Mapping) -> Layout:
    """Return the layout of a mapping; one that is not there any more is read as columns chosen by hand."""
    found = {layout.name: layout for layout in layouts()}
    return found.get(mapping.layout) or found[BY_HAND]


def _kind_of(value: Any) -> str:
    try:
        value = from_text(value, "") if isinstance(value, str) else value
        if isinstance(value, str):
            return "transcript" if transcript.is_one(value) else "text"
        if exchanges(value) is not None:
            return "history"
        if isinstance(value, list) and len(value) > 1 and all(isinstance(item, str) for item in value):
            return "list"
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
            return _kind_of(value[0])
        if isinstance(value, bytes):
            return _kind_of(value.decode())
        if key := text_key(value):
            return _kind_of(value[key])
        turns = turns_of(value, "", "", False)
    except (Unusable, UnicodeDecodeError):
        return looks_like_turns(value) or "other"
    return "answer" if turns[0].role == "assistant" else "conversation"
