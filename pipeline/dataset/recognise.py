"""Recognise the layout of preference data and turn its rows into pairs (design §3)."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import message as said
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.pair import Pair, identify
from pipeline.dataset import notation
from pipeline.dataset.layout import Layout, Look, Mapping, layout_of, layouts
from pipeline.dataset.rows import BadRow, Row, Rows
from pipeline.dataset.turns import Parts, Unusable, checked, left_in, text_key
from pipeline.dataset.values import clean, json_value, says, texts

# What the chat templates of widely used models put around turns.
MARKUP = (
    *("<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<<SYS>>", "<|start_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "<|endoftext|>", "<|end|>"),
    *("<｜User｜>", "<｜Assistant｜>", "<|START_OF_TURN_TOKEN|>", "</s>"),
)

_LOOK_AT = 200  # rows

__all__ = ["Loaded", "Mapping", "normalise", "recognise"]


@dataclass(frozen=True)
class Loaded:
    """A preference dataset after loading.

    Attributes:
        pairs: Usable pairs in file order.
        bad_rows: Every row that is no pair, with its number and reason; pairs and bad rows add up to all rows.
        recognised: How the data was read.
        mapping: Which column was taken for what.
        columns: Column names in file order.
        unused: Columns, and keys inside those used, with text that no pair has.
        format: Format of the content; see `Rows.format`.
        notes: What the reader should know.
    """

    pairs: list[Pair]
    bad_rows: list[BadRow]
    recognised: said.Message
    mapping: Mapping
    columns: list[str]
    unused: list[str] = field(default_factory=list)
    format: str = ""
    notes: list[said.Message] = field(default_factory=list)


class NothingUsable(StudioError):
    """No row is a pair.

    Args:
        bad_rows: Every row.
        mapping: How they were read.
    """

    def __init__(self, bad_rows: list[BadRow], mapping: Mapping) -> None:
        if not bad_rows:
            super().__init__("layout.no_rows")
        else:
            first = [message("row.at", number=each.number, reason=each.reason) for each in bad_rows[:3]]
            reasons = functools.reduce(lambda one, other: message("row.and", one=one, other=other), first)
            super().__init__("layout.no_pair", count=len(bad_rows), recognised=mapping.sentence, reasons=reasons)
        self.bad_rows, self.mapping = bad_rows, mapping


def recognise(rows: Rows) -> Mapping | None:
    """Tell the layout of preference data from its column names and first values.

    Args:
        rows: Rows as read.

    Returns:
        The mapping, or None where a person has to say which column is what.
    """
    look = Look(rows)
    found = [answer for layout in layouts() if (answer := layout.sure(look)) is not None and answer[0] > 0]
    return max(found, key=lambda answer: answer[0])[1] if found else None


def normalise(rows: Rows, mapping: Mapping) -> Loaded:
    """Turn rows into pairs; a row that cannot be one is reported with its number and reason.

    System turns stay in the prompt, roles get their usual names, contents are left as they are.

    Args:
        rows: Rows as read.
        mapping: Which column is what.

    Returns:
        Pairs and bad rows, together as many as `rows.total`.

    Raises:
        StudioError: A column of the mapping is missing, or no row is usable.
    """
    for name in mapping.used:
        if name not in rows.columns:
            raise StudioError("layout.no_column", name=name, columns=rows.columns[:20])
    layout, bad = layout_of(mapping), list(rows.bad_rows)
    written = _written(rows, mapping)
    parts: list[Parts] = []
    others: list[tuple[str, dict[str, Any]]] = []
    left = _Left(layout, mapping)
    for number, row in _arranged(rows, layout, mapping):
        try:
            part, other = _read(row if isinstance(row, Unusable) else _held(row, written), layout, mapping, left)
        except Unusable as error:
            bad.append(BadRow(number, error.reason))
            continue
        parts.append(part)
        others.append(other)
    bad.sort(key=lambda each: each.number)
    if not parts:
        raise NothingUsable(bad, mapping)
    ids = identify(parts)
    pairs = [Pair(i, *part, source, extra) for i, part, (source, extra) in zip(ids, parts, others, strict=True)]
    notes = [*rows.notes, *_scores(pairs, rows.columns), *_markup(pairs)]
    return Loaded(pairs, bad, mapping.sentence, mapping, rows.columns, left.names(rows.columns), rows.format, notes)


def _read(
    row: Row | Unusable, layout: Layout, mapping: Mapping, left: _Left
) -> tuple[Parts, tuple[str, dict[str, Any]]]:
    """Return the pair that a row is, its source and the other columns.

    Raises:
        Unusable: It is none.
    """
    if isinstance(row, Unusable):
        raise row
    try:
        try:
            part = checked(layout.pair(row, mapping))
        except Unusable:
            left.look(row, None)
            raise
        left.look(row, part)
        return part, (clean(str(row.get(mapping.source) or "")), _metadata(row, mapping, left.used, part))
    except RecursionError:
        raise Unusable("row.too_deep") from None


def _written(rows: Rows, mapping: Mapping) -> list[str]:
    """Return the columns used whose lists were written into a text, as JSON or in Python's notation."""
    first = list(rows.rows[:_LOOK_AT])
    named = dict.fromkeys(name for name in (*mapping.prompts, mapping.chosen, mapping.rejected, mapping.system) if name)
    return [name for name in named if notation.are_lists(row.get(name) for row in first)]


def _held(row: Row, written: list[str]) -> Row:
    """Return a row with the lists that texts of it hold: their brackets are no part of what is said."""
    return {**row, **{name: notation.held(row[name]) for name in written if name in row}} if written else row


def _arranged(rows: Rows, layout: Layout, mapping: Mapping) -> Iterator[tuple[int, Row | Unusable]]:
    if layout.arrange is not None:
        return layout.arrange(rows, mapping)
    return zip(rows.numbers, rows.rows, strict=True)


class _Left:
    """What the pairs do not hold: columns with text in them, and keys inside the columns used.

    A column is looked at until it is known to say something of its own; most are known after the first row.
    """

    def __init__(self, layout: Layout, mapping: Mapping) -> None:
        self._layout, self._mapping = layout, mapping
        self.used = frozenset(mapping.used)
        self._found: set[str] = set()
        self._inside: set[str] = set()

    def look(self, row: Row, part: Parts | None) -> None:
        """Look at a row, and at the pair it is; None: it is none."""
        spoken: set[str] | None = None
        for name, value in row.items():
            if name in self.used:
                if isinstance(value, list | dict | str):
                    inside = "." if text_key(value) else "[]."
                    self._inside.update(f"{name}{inside}{key}" for key in left_in(value))
            elif name not in self._found and says(value):
                if spoken is None:
                    spoken = self._spoken(row, part)
                if not all(text.strip() in spoken for text in texts(value) if not _is_word(text)):
                    self._found.add(name)
        self._inside.update(self._layout.left(row, self._mapping))

    def _spoken(self, row: Row, part: Parts | None) -> set[str]:
        if part is not None:
            return {turn.content.strip() for messages in part for turn in messages}
        return {text.strip() for name in self.used for text in texts(row.get(name))}

    def names(self, columns: list[str]) -> list[str]:
        """Return the names, columns in their order first."""
        return [*(clean(name) for name in columns if name in self._found), *sorted(self._inside)]


def _is_word(text: str) -> bool:
    """Whether a text is a turn's role beside its content, or nothing."""
    return not text.strip() or text.strip().lower() in ("user", "assistant", "system", "human", "gpt")


def _scores(pairs: list[Pair], columns: list[str]) -> list[said.Message]:
    """Say where the scores beside the answers speak against chosen."""
    against = Counter[str]()
    for one, other in (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score")):
        if one not in columns or other not in columns:
            continue
        for pair in pairs:
            better, worse = pair.metadata.get(one), pair.metadata.get(other)
            if isinstance(better, int | float) and isinstance(worse, int | float) and better <= worse:
                against["equal" if better == worse else "lower"] += 1
    return [message(f"load.note.scores.{name}", count=count) for name, count in sorted(against.items())]


def _markup(pairs: list[Pair]) -> list[said.Message]:
    """Say how many pairs have a chat template's markup in their text, where training would put it a second time."""
    found = Counter[str]()
    for pair in pairs:
        turns = (turn for part in (pair.prompt, pair.chosen, pair.rejected) for turn in part)
        texts_of = [turn.content for turn in turns if "<" in turn.content or "[" in turn.content]  # every mark has one
        mark = next((mark for mark in MARKUP if any(mark in text for text in texts_of)), "")
        if mark:
            found[mark] += 1
    if not found:
        return []
    return [message("load.note.markup", count=found.total(), mark=found.most_common(1)[0][0])]


def _metadata(row: Row, mapping: Mapping, used: frozenset[str], part: Parts) -> dict[str, Any]:
    """Return the other columns as JSON values; nulls and what merely repeats the pair are left out."""
    spoken = {turn.content for messages in part for turn in messages}
    repeated = [row.get(mapping.chosen), row.get(mapping.rejected)]
    return {
        clean(str(name)): json_value(value)
        for name, value in row.items()
        if name not in used and value is not None
        if not (isinstance(value, str) and value in spoken) and not (isinstance(value, list) and value in repeated)
    }
