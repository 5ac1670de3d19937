"""The preference pair: the one record that flows through every step."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Pair:
    """A preference pair in TRL's conversational format with an explicit prompt.

    Attributes:
        record_id: 16 hex digits of SHA-256 of the pair plus `-<occurrence>` for exact duplicates; see `identify`.
        prompt: The turns both answers share, the last of them the user's.
        chosen: The answer turns of the preferred completion alone.
        rejected: The answer turns of the other completion alone.
        source: Where the pair comes from, or "".
        metadata: Other columns of the row, JSON values.
        swapped: Whether reviewers turned the pair around (chosen and rejected already exchanged here).
    """

    record_id: str
    prompt: Messages
    chosen: Messages
    rejected: Messages
    source: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    swapped: bool = False


_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("prompt", _MESSAGES),
        ("chosen", _MESSAGES),
        ("rejected", _MESSAGES),
        ("source", pa.string()),
        ("metadata", pa.string()),  # JSON: columns differ from dataset to dataset
        ("swapped", pa.bool_()),
    ]
)


def as_dicts(messages: Messages) -> list[dict[str, str]]:
    """Return the chat-list form that TRL, Argilla and Gradio understand: [{"role", "content"}]."""
    return [{"role": message.role, "content": message.content} for message in messages]


def as_messages(dicts: Iterable[dict[str, Any]]) -> Messages:
    """Return the inverse of `as_dicts`."""
    return tuple(Message(str(turn["role"]), str(turn["content"])) for turn in dicts)


def text_of(messages: Messages) -> str:
    """Return the contents of all turns, one blank line between them."""
    return "\n\n".join(message.content for message in messages)


def identify(pairs: Iterable[tuple[Messages, Messages, Messages]]) -> list[str]:
    """Give each (prompt, chosen, rejected) its id: the same pair has the same id in any file, order or subset.

    Args:
        pairs: Prompt, chosen and rejected of every pair, in file order.

    Returns:
        One id per pair: the first 16 hex digits of SHA-256 over the canonical JSON of the pair, and `-1`, `-2`, …
        appended to the second, third, … exact duplicate.
    """
    seen: Counter[str] = Counter()
    ids = []
    for prompt, chosen, rejected in pairs:
        canonical = json.dumps(
            [as_dicts(prompt), as_dicts(chosen), as_dicts(rejected)],
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        ids.append(digest if not seen[digest] else f"{digest}-{seen[digest]}")
        seen[digest] += 1
    return ids


def to_table(pairs: Iterable[Pair]) -> pa.Table:
    """Return pairs as an Arrow table of `SCHEMA`."""
    rows = [
        {
            "record_id": pair.record_id,
            "prompt": as_dicts(pair.prompt),
            "chosen": as_dicts(pair.chosen),
            "rejected": as_dicts(pair.rejected),
            "source": pair.source,
            "metadata": json.dumps(pair.metadata, ensure_ascii=False, default=str),
            "swapped": pair.swapped,
        }
        for pair in pairs
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Pair]:
    """Return the pairs of a table written by `to_table`."""
    ids, sources, extra, swapped = (table[name].to_pylist() for name in ("record_id", "source", "metadata", "swapped"))
    parts = (_turns(table[name]) for name in ("prompt", "chosen", "rejected"))
    return [
        Pair(record_id, prompt, chosen, rejected, source or "", json.loads(more) if more else {}, bool(turned))
        for record_id, prompt, chosen, rejected, source, more, turned in zip(
            ids, *parts, sources, (None if more == "{}" else more for more in extra), swapped, strict=True
        )
    ]


def _turns(column: pa.ChunkedArray[Any]) -> list[Messages]:
    """Return the turns of each row: a column at a time, which a dictionary for each of 120,000 turns is not."""
    found: list[Messages] = []
    for chunk in column.chunks:
        inside: Any = pc.list_flatten(chunk)
        roles, contents = (inside.field(name).to_pylist() for name in ("role", "content"))
        turns = [Message(str(role), str(content)) for role, content in zip(roles, contents, strict=True)]
        ends = itertools.accumulate(pc.fill_null(pc.list_value_length(chunk), 0).to_pylist())
        start = 0
        for end in ends:
            found.append(tuple(turns[start:end]))
            start = end
    return found
