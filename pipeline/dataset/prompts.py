"""A prompt out of several columns: what was said before, what it is about, what is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.base.pair import Message, Messages
from pipeline.dataset import transcript
from pipeline.dataset.rows import Row
from pipeline.dataset.turns import Unusable, part_of, turns_of
from pipeline.dataset.values import blank, texts

_EXCHANGES = (
    *(("user", "assistant"), ("human", "assistant"), ("user", "bot"), ("question", "answer"), ("prompt", "response")),
    *(("query", "response"), ("instruction", "output"), ("input", "output")),
)
_REPEATS_FROM = 16  # characters: a shorter text that stands in a longer one need not be a repetition of it


def exchanges(value: Any) -> list[tuple[str, str]] | None:
    """Return a history written as a list of (question, answer); None where it is none."""
    if not isinstance(value, list | tuple) or not value:
        return None
    pairs = [_exchange(item) for item in value]
    if not all(len(pair) == 2 for pair in pairs):
        return None
    if not all(isinstance(said, str) for pair in pairs for said in pair):
        return None
    return [(str(question), str(answer)) for question, answer in pairs]


def _exchange(item: Any) -> tuple[Any, ...]:
    """Return question and answer, written as a list of both or as {"question", "answer"}; () where they are not."""
    if isinstance(item, dict) and len(item) == 2:
        keys = next((keys for keys in _EXCHANGES if set(keys) == set(item)), ())
        return tuple(item[key] for key in keys)
    return tuple(item) if isinstance(item, list | tuple) else ()


def joined(row: Row, columns: Iterable[str], after: Messages = ()) -> Messages:
    """Return the prompt that several columns make, in their order; what is said twice is said once.

    Args:
        row: The row.
        columns: Names of columns; empty cells are passed over.
        after: Turns that come after them.

    Raises:
        Unusable: A column holds what is neither text nor turns.
    """
    pieces = [piece for column in columns if not blank(row.get(column)) for piece in (_piece(row[column]),)]
    pieces = [piece for piece in (*pieces, after) if piece]
    kept = [piece for at, piece in enumerate(pieces) if not _said_elsewhere(at, pieces)]
    kept.sort(key=lambda piece: piece[-1].role != "assistant")  # what was said before comes before what is asked
    turns = [turn for piece in kept for turn in piece]
    turns.sort(key=lambda turn: turn.role != "system")
    return _merged(turns)


def with_system(prompt: Messages, value: Any) -> Messages:
    """Return a prompt with what a column of system turns says in front.

    Args:
        prompt: Its turns.
        value: The column's value.

    Raises:
        Unusable: It is neither text nor a turn.
    """
    if blank(value):
        return prompt
    words = "\n\n".join(turn.content for turn in turns_of(value, "system", "system", False))
    if prompt and prompt[0].role == "system":
        if words.strip() in prompt[0].content:
            return prompt
        return (Message("system", f"{words}\n\n{prompt[0].content}"), *prompt[1:])
    return (Message("system", words), *prompt)


def _piece(value: Any) -> Messages:
    pairs = exchanges(value)
    if pairs is not None:
        return tuple(
            Message(role, said)
            for pair in pairs
            for role, said in zip(("user", "assistant"), pair, strict=True)
            if said.strip() or role == "assistant"
        )
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        value = "\n\n".join(item for item in value if item.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values()):
        found = [item for item in texts(value) if item.strip()]
        if len(found) == len(value) == 1:
            value = found[0]
    whole = isinstance(value, str) and transcript.is_one(value)
    turns = turns_of(value, "user", "prompt", whole)
    if not turns:
        raise Unusable("row.empty", part=part_of("prompt"))
    return turns


def _said_elsewhere(at: int, pieces: list[Messages]) -> bool:
    """Whether a piece only repeats another one, or a part of it."""
    words = [turn.content.strip() for turn in pieces[at]]
    for other, turns in enumerate(pieces):
        if other == at:
            continue
        spoken = [turn.content.strip() for turn in turns]
        if all(word in spoken for word in words) and (len(words) < len(spoken) or other > at):
            return True
        a_part = len(words) == 1 and len(words[0]) >= _REPEATS_FROM and any(words[0] in said for said in spoken)
        if a_part and (spoken != words or other > at):
            return True
    return False


def _merged(turns: list[Message]) -> Messages:
    """Return turns with neighbours of one role that are the person's, or the system's, made one."""
    merged: list[Message] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role != "assistant":
            merged[-1] = Message(turn.role, f"{merged[-1].content}\n\n{turn.content}")
        else:
            merged.append(turn)
    return tuple(merged)
