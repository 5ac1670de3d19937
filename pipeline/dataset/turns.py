"""The turns of one row: read from whatever form they have, told apart into prompt and answers, and checked."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.base import message as said
from pipeline.base.message import message
from pipeline.base.pair import Message, Messages

Parts = tuple[Messages, Messages, Messages]  # prompt, chosen, rejected

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
_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_TURNS_IN_TEXT = re.compile(r"\s*\[?\s*\{\s*['\"](?:role|content|from|value)['\"]\s*:")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Unusable(ValueError):
    """Why one row cannot be a pair; it becomes a `BadRow`."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.reason = message(code, **values)


def checked(parts: Parts) -> Parts:
    """Return the parts of a pair, if they are one.

    Raises:
        Unusable: They are none.
    """
    prompt, chosen, rejected = parts
    check_answer(chosen, "chosen")
    check_answer(rejected, "rejected")
    if not prompt or not prompt[-1].content.strip():
        raise Unusable("row.prompt_empty")
    if prompt[-1].role != "user":
        raise Unusable("row.prompt_end", role=_role(prompt[-1]))
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if answer[0].role != "assistant":
            raise Unusable("row.answer_begin", part=_part(name), role=_role(answer[0]))
    if chosen == rejected:
        raise Unusable("row.identical")
    for turn in (*prompt, *chosen, *rejected):
        if not turn.content.isascii() and _SURROGATE.search(turn.content):
            raise Unusable("row.surrogate")
    return parts


def check_answer(turns: Messages, name: str) -> None:
    """Refuse an answer that says nothing, or does not end with the assistant.

    Args:
        turns: The answer, or the whole conversation that it ends.
        name: chosen or rejected.

    Raises:
        Unusable: It is none.
    """
    if not turns:
        raise Unusable("row.empty", part=_part(name))
    if turns[-1].role != "assistant":
        raise Unusable("row.answer_end", part=_part(name), role=_role(turns[-1]))
    if not turns[-1].content.strip():
        raise Unusable("row.empty", part=_part(name))


def split(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """Split two whole conversations into the prompt they share and the answers.

    The prompt ends with the last user turn within the common prefix: conversations that part ways at a later user
    turn keep the turns from there on in their answers.
    """
    if chosen == rejected:
        raise Unusable("row.identical")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    while shared and chosen[shared - 1].role != "user":
        shared -= 1
    if not shared:
        raise Unusable("row.nothing_shared")
    return chosen[:shared], chosen[shared:], rejected[shared:]


def turns_of(value: Any, role: str, name: str, transcripts: bool) -> Messages:
    """Return the turns of one value: text, turn, list of turns, either of them as JSON text, or a transcript.

    Args:
        value: Value of the row.
        role: Role of the turn that plain text is.
        name: prompt, chosen or rejected, for messages.
        transcripts: Whether text that begins with “Human:” is a transcript.
    """
    if isinstance(value, str):
        value = from_json(value, name)
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("Human:") and (transcripts or (name == "prompt" and text.endswith("Assistant:"))):
            return _transcript(value, name)
        return (Message(role, value),)
    if value is None or value == []:
        raise Unusable("row.empty", part=_part(name))
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list | tuple):
        raise Unusable("row.not_text", part=_part(name), type=type(value).__name__)
    return tuple(_turn(turn, name) for turn in turns)


def _turn(turn: Any, name: str) -> Message:
    if not isinstance(turn, dict):
        raise Unusable("row.no_turn", part=_part(name))
    role = turn.get("role") or turn.get("from")
    content = turn["content"] if "content" in turn else turn.get("value")
    if not isinstance(role, str):
        raise Unusable("row.no_role", part=_part(name))
    known = _ROLES.get(role.strip().lower())
    if known is None:
        raise Unusable("row.unknown_role", part=_part(name), role=clean(role[:40]))
    if content is None:
        return Message(known, "")
    if not isinstance(content, str):
        raise Unusable("row.content_not_text", part=_part(name), type=type(content).__name__)
    return Message(known, content)


def from_json(text: str, name: str) -> Any:
    """Return the turns written as JSON in a text, or the text itself where it does not look like turns."""
    if not _TURNS_IN_TEXT.match(text):
        return text
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        # Lists written by str() of Python look like this; evaluating them would run what the file says.
        raise Unusable("row.broken_turns", part=_part(name)) from None
    turns = value if isinstance(value, list) else [value]
    written = all(isinstance(turn, dict) and ({"role", "content"} <= set(turn) or is_sharegpt(turn)) for turn in turns)
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


def is_sharegpt(turn: Any) -> bool:
    """Return whether a value is a turn as ShareGPT writes it."""
    return isinstance(turn, dict) and {"from", "value"} <= set(turn)


def clean(text: str) -> str:
    """Return text with lone surrogates replaced: Arrow, SQLite and UTF-8 files refuse them."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _part(name: str) -> said.Message:
    return message(f"part.{name}" if name else "part.answer")


def _role(turn: Message) -> said.Message:
    return message(f"role.{turn.role}")
