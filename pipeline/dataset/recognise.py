"""Recognise the layout of preference data and turn its rows into pairs."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.base.errors import StudioError
from pipeline.base.pair import Message, Messages, Pair, identify
from pipeline.dataset.rows import BadRow, Row, Rows

Layout = Literal["mix", "explicit", "ultrafeedback", "transcripts", "sharegpt", "columns"]

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
}
_CHOSEN = ("chosen", "chosen_response", "response_chosen", "preferred", "accepted")
_REJECTED = ("rejected", "rejected_response", "response_rejected", "dispreferred")
_PROMPT = ("prompt", "question", "instruction", "query", "conversations", "conversation")
_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_TURNS_IN_TEXT = re.compile(r"\s*\[?\s*\{\s*['\"](?:role|content|from|value)['\"]\s*:")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOOK_AT = 200  # rows that decide about a layout

_SENTENCES: dict[Layout, str] = {
    "mix": "Whole conversations in {chosen} and {rejected}; the turns they share are the prompt.",
    "explicit": "Prompt in {prompt}, answers in {chosen} and {rejected}.",
    "ultrafeedback": "UltraFeedback layout: conversations with scores in {chosen} and {rejected}; "
    "the turns they share are the prompt.",
    "transcripts": "Human/Assistant transcripts in {chosen} and {rejected}; the turns they share are the prompt.",
    "sharegpt": "ShareGPT turns (from, value) in {prompt}, {chosen} and {rejected}.",
    "columns": "Columns chosen by hand: {prompt}, {chosen} and {rejected}.",
}


class Mapping(BaseModel):
    """Which column holds what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: str = Field(min_length=1, description="Column of the preferred answer.")
    rejected: str = Field(min_length=1, description="Column of the other answer.")
    prompt: str = Field("", description="Column of the prompt; empty: chosen and rejected hold whole conversations.")
    system: str = Field("", description="Column of a system turn to put first; empty: none.")
    source: str = Field("", description="Column that says where a pair comes from; empty: none.")
    layout: Layout = Field("columns", description="Layout recognised, or columns where a person chose them.")

    @property
    def sentence(self) -> str:
        """How the data is read, one sentence for the page."""
        names = {name: f"“{getattr(self, name)}”" for name in ("prompt", "chosen", "rejected")}
        if not self.prompt and self.layout in ("columns", "sharegpt"):
            return f"Whole conversations in {names['chosen']} and {names['rejected']}."
        return _SENTENCES[self.layout].format(**names)


@dataclass(frozen=True)
class Loaded:
    """A preference dataset after loading.

    Attributes:
        pairs: Usable pairs in file order.
        bad_rows: Every row that is no pair, with its number and reason; pairs and bad rows add up to all rows.
        recognised: How the data was read, a sentence for the page.
        mapping: Which column was taken for what.
        columns: Column names in file order.
        format: Format of the content; see `Rows.format`.
        notes: What the reader should know, sentences.
    """

    pairs: list[Pair]
    bad_rows: list[BadRow]
    recognised: str
    mapping: Mapping
    columns: list[str]
    format: str = ""
    notes: list[str] = field(default_factory=list)


class Unusable(ValueError):
    """Why one row cannot be a pair; caught within `normalise` and reported as a `BadRow`."""


def recognise(rows: Rows) -> Mapping | None:
    """Tell the layout of preference data from its column names and first values.

    Args:
        rows: Rows as read.

    Returns:
        The mapping, or None where a person has to say which column is what.
    """
    chosen, rejected = _column(rows, _CHOSEN), _column(rows, _REJECTED)
    if not chosen or not rejected:
        return None
    names = {"chosen": chosen, "rejected": rejected, "source": _column(rows, ("source",))}
    prompt, kind = _column(rows, _PROMPT), _kind(rows, chosen)
    if kind != _kind(rows, rejected) or kind == "other":
        return None
    if kind == "conversation":
        scored = _column(rows, ("score_chosen",)) and _column(rows, ("score_rejected",))
        layout: Layout = "ultrafeedback" if scored else "sharegpt" if _sharegpt(rows, chosen) else "mix"
        return Mapping(layout=layout, **names)
    if kind == "transcript":
        return Mapping(layout="transcripts", **names)
    if prompt and _kind(rows, prompt) != "other" and not _fills(rows, "input"):
        layout = "sharegpt" if _sharegpt(rows, prompt) else "explicit"
        return Mapping(layout=layout, prompt=prompt, system=_column(rows, ("system", "system_prompt")), **names)
    return None


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
    for name in (mapping.prompt, mapping.chosen, mapping.rejected, mapping.system, mapping.source):
        if name and name not in rows.columns:
            raise StudioError(
                f"The data has no column “{name}”.",
                f"Its columns are {', '.join(rows.columns[:20])}.",
                "Choose the columns again.",
            )
    bad = list(rows.bad_rows)
    parts: list[tuple[Messages, Messages, Messages]] = []
    others: list[tuple[str, dict[str, Any]]] = []
    for number, row in zip(rows.numbers, rows.rows, strict=True):
        try:
            part = _pair_of(row, mapping)
        except Unusable as error:
            bad.append(BadRow(number, str(error)))
            continue
        parts.append(part)
        others.append((_clean(str(row.get(mapping.source) or "")), _metadata(row, mapping, part)))
    bad.sort(key=lambda each: each.number)
    if not parts:
        raise _nothing_usable(bad, mapping)
    ids = identify(parts)
    pairs = [Pair(i, *part, source, extra) for i, part, (source, extra) in zip(ids, parts, others, strict=True)]
    return Loaded(pairs, bad, mapping.sentence, mapping, rows.columns, rows.format, rows.notes)


def _nothing_usable(bad: list[BadRow], mapping: Mapping) -> StudioError:
    reasons = "; ".join(f"row {each.number}: {each.reason}" for each in bad[:3])
    if not bad:
        return StudioError("The dataset has no rows.", "", "Choose another file.")
    return StudioError(
        f"None of the {len(bad)} rows can be read as a preference pair.",
        f"{mapping.sentence} First reasons: {reasons}.",
        "Choose the columns by hand, or correct the file.",
    )


def _pair_of(row: Row, mapping: Mapping) -> tuple[Messages, Messages, Messages]:
    """Return prompt, chosen and rejected of one row, checked."""
    bare = not mapping.prompt
    chosen = _turns(row.get(mapping.chosen), "assistant", "chosen", bare)
    rejected = _turns(row.get(mapping.rejected), "assistant", "rejected", bare)
    _check_answer(chosen, "chosen")
    _check_answer(rejected, "rejected")
    if chosen[0].role != "assistant" and rejected[0].role != "assistant":  # both are whole conversations
        prompt, chosen, rejected = _split(chosen, rejected)
    elif bare:
        raise Unusable("chosen and rejected do not hold the prompt, and no prompt column is chosen")
    else:
        prompt = _turns(row.get(mapping.prompt), "user", "prompt", False)
    system = row.get(mapping.system) if mapping.system else None
    if isinstance(system, str) and system.strip() and prompt[0].role != "system":
        prompt = (Message("system", system), *prompt)
    if prompt[-1].role != "user":
        raise Unusable(f"the last turn of the prompt is the {prompt[-1].role}'s, not the user's")
    if not prompt[-1].content.strip():
        raise Unusable("the prompt is empty")
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if answer[0].role != "assistant":
            raise Unusable(f"the first answer turn of {name} is the {answer[0].role}'s, not the assistant's")
    if chosen == rejected:
        raise Unusable("chosen and rejected are identical")
    for message in (*prompt, *chosen, *rejected):
        if not message.content.isascii() and _SURROGATE.search(message.content):
            raise Unusable("a text holds half a character (a lone surrogate), which no UTF-8 file can carry")
    return prompt, chosen, rejected


def _check_answer(turns: Messages, name: str) -> None:
    if turns[-1].role != "assistant":
        raise Unusable(f"the last turn of {name} is the {turns[-1].role}'s, not the assistant's")
    if not turns[-1].content.strip():
        raise Unusable(f"{name} is empty")


def _split(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """Split two whole conversations into the prompt they share and the answers.

    The prompt ends with the last user turn within the common prefix: conversations that part ways at a later user
    turn keep the turns from there on in their answers.
    """
    if chosen == rejected:
        raise Unusable("chosen and rejected are identical")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    while shared and chosen[shared - 1].role != "user":
        shared -= 1
    if not shared:
        raise Unusable("the conversations in chosen and rejected share no prompt")
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _turns(value: Any, role: str, name: str, transcripts: bool) -> Messages:
    """Return the turns of one value: text, turn, list of turns, either of them as JSON text, or a transcript.

    Args:
        value: Value of the row.
        role: Role of the turn that plain text is.
        name: prompt, chosen or rejected, for messages.
        transcripts: Whether text that begins with “Human:” is a transcript.
    """
    if isinstance(value, str):
        value = _from_json(value, name)
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("Human:") and (transcripts or (name == "prompt" and text.endswith("Assistant:"))):
            return _transcript(value, name)
        return (Message(role, value),)
    if value is None or value == []:
        raise Unusable(f"{name} is empty")
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list | tuple):
        raise Unusable(f"{name} is not text but {type(value).__name__}")
    return tuple(_turn(turn, name) for turn in turns)


def _turn(turn: Any, name: str) -> Message:
    if not isinstance(turn, dict):
        raise Unusable(f"{name} holds something that is not a turn with role and content")
    role = turn.get("role") or turn.get("from")
    content = turn["content"] if "content" in turn else turn.get("value")
    if not isinstance(role, str):
        raise Unusable(f"a turn of {name} has no role")
    known = _ROLES.get(role.strip().lower())
    if known is None:
        raise Unusable(f"{name} has a turn with the unknown role “{_clean(role[:40])}”")
    if content is None:
        return Message(known, "")
    if not isinstance(content, str):
        raise Unusable(f"the content of a turn of {name} is not text but {type(content).__name__}")
    return Message(known, content)


def _from_json(text: str, name: str) -> Any:
    """Return the turns written as JSON in a text, or the text itself where it does not look like turns."""
    if not _TURNS_IN_TEXT.match(text):
        return text
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        # Lists written by str() of Python look like this; evaluating them would run what the file says.
        raise Unusable(f"{name} looks like a list of messages but is not valid JSON") from None
    turns = value if isinstance(value, list) else [value]
    written = all(isinstance(turn, dict) and ({"role", "content"} <= set(turn) or _is_sharegpt(turn)) for turn in turns)
    return value if written else text


def _transcript(text: str, name: str) -> Messages:
    """Return the turns of an HH-RLHF transcript: a blank line, “Human:” or “Assistant:”, and what was said."""
    pieces = _SPEAKER.split(text)
    turns = [
        # The one space after the colon belongs to the form of a transcript, not to what was said.
        Message(_ROLES[speaker.lower()], content.removeprefix(" "))
        for speaker, content in zip(pieces[1::2], pieces[2::2], strict=True)
    ]
    if name == "prompt" and turns[-1].role == "assistant" and not turns[-1].content.strip():
        turns.pop()
    return tuple(turns)


def _metadata(row: Row, mapping: Mapping, part: tuple[Messages, Messages, Messages]) -> dict[str, Any]:
    """Return the other columns as JSON values; nulls and what merely repeats the pair are left out."""
    used = {mapping.prompt, mapping.chosen, mapping.rejected, mapping.system, mapping.source}
    spoken = {message.content for messages in part for message in messages}
    repeated = [row.get(mapping.chosen), row.get(mapping.rejected)]
    return {
        _clean(str(name)): _json_value(value)
        for name, value in row.items()
        if name not in used and value is not None
        if not (isinstance(value, str) and value in spoken) and not (isinstance(value, list) and value in repeated)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_clean(str(key)): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return _clean(str(value))


def _clean(text: str) -> str:
    """Return text with lone surrogates replaced: Arrow, SQLite and UTF-8 files refuse them."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _column(rows: Rows, names: Iterable[str]) -> str:
    """Return the first column of one of these names, whatever its capitals, or ""."""
    by_lower = {column.strip().lower(): column for column in reversed(rows.columns)}
    return next((by_lower[name] for name in names if name in by_lower), "")


def _values(rows: Rows, column: str) -> Iterable[Any]:
    return (row[column] for row in rows.rows[:_LOOK_AT] if row.get(column) is not None)


def _fills(rows: Rows, name: str) -> bool:
    """Whether a column of this name exists and says something (Alpaca's `input` completes its `instruction`)."""
    column = _column(rows, (name,))
    return bool(column) and any(str(value).strip() for value in _values(rows, column))


def _kind(rows: Rows, column: str) -> str:
    """Return what most first values are: "conversation", "answer", "transcript", "text" or "other"."""
    kinds = Counter(_kind_of(value) for value in _values(rows, column))
    return kinds.most_common(1)[0][0] if kinds else "other"


def _kind_of(value: Any) -> str:
    try:
        value = _from_json(value, "") if isinstance(value, str) else value
        if isinstance(value, str):
            text = value.lstrip()
            return "transcript" if text.startswith("Human:") and "\nAssistant:" in text else "text"
        turns = _turns(value, "", "", False)
    except Unusable:
        return "other"
    return "answer" if turns[0].role == "assistant" else "conversation"


def _is_sharegpt(turn: Any) -> bool:
    return isinstance(turn, dict) and {"from", "value"} <= set(turn)


def _sharegpt(rows: Rows, column: str) -> bool:
    for value in _values(rows, column):
        turns = value
        if isinstance(value, str):
            try:
                turns = _from_json(value, "")
            except Unusable:
                continue  # one broken value does not decide about the layout; `normalise` reports the row
        first = turns[0] if isinstance(turns, list) and turns else turns
        return _is_sharegpt(first)
    return False
