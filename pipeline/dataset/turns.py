"""The turns of one value: read from whatever form they have, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.base import message as said
from pipeline.base.message import message
from pipeline.base.pair import Message, Messages
from pipeline.dataset import transcript
from pipeline.dataset.notation import parsed
from pipeline.dataset.values import Missing, blank, clean, says

Parts = tuple[Messages, Messages, Messages]  # prompt, chosen, rejected

_ROLES = {
    "system": "system",
    "developer": "system",
    "系统": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "用户": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "助手": "assistant",
}
ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "parts")
_CONVERSATION_KEYS = ("messages", "conversations", "conversation", "turns")
_TURNS_IN_TEXT = re.compile(r"\s*\[?\s*\{\s*['\"](?:role|content|from|value|speaker|messages)['\"]\s*:")
# A turn's other keys whose meaning a text cannot carry, in the names that providers and libraries use.
_MEANING = re.compile(r"tool|function|reasoning|think|thought|image|audio|video|refusal|media|picture")
_TEXT_PARTS = ("text", "input_text", "output_text")
_TEXT_KEYS = ("full_text", "text", "content", "value")  # of a text with what is told about it, as in WebGPT's questions
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")  # what Python's surrogateescape makes of a byte that is not UTF-8


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
            raise Unusable("row.answer_begin", part=part_of(name), role=_role(answer[0]))
    if chosen == rejected:
        raise Unusable("row.identical")
    for turn in (*prompt, *chosen, *rejected):
        if not turn.content.isascii() and (found := _SURROGATE.search(turn.content)):
            escaped = _ESCAPED_BYTE.match(found.group())
            raise Unusable("row.not_utf8" if escaped else "row.surrogate")
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
        raise Unusable("row.empty", part=part_of(name))
    if turns[-1].role != "assistant":
        raise Unusable("row.answer_end", part=part_of(name), role=_role(turns[-1]))
    if not turns[-1].content.strip():
        raise Unusable("row.empty", part=part_of(name))


def split(chosen: Messages, rejected: Messages) -> Parts:
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
    """Return the turns of one value.

    It may be text, a turn, a list of turns, a dictionary of lists, a list with one of these in it, any of them written
    as JSON or in Python's notation, or a transcript.

    Args:
        value: Value of the row.
        role: Role of the turn that plain text is.
        name: prompt, chosen or rejected, for messages.
        transcripts: Whether text that begins with “Human:” is a transcript.

    Raises:
        Unusable: It is none of these, or a turn says something that is no text.
    """
    if isinstance(value, bytes):
        value = _decoded(value)
    if isinstance(value, Missing):
        raise Unusable("row.stands_for_nothing", part=part_of(name), text=str(value))
    if isinstance(value, str):
        value = from_text(value, name)
    if isinstance(value, str):
        if transcript.begins(value) and (transcripts or name == "prompt" and transcript.asks(value)):
            return _transcript(value, name)
        return (Message(role, value),)
    if value is None or value == [] or value == {} or value != value:  # NaN is not equal to itself
        raise Unusable("row.empty", part=part_of(name))
    if not isinstance(value, list | tuple | dict):
        raise Unusable("row.not_text", part=part_of(name), type=type(value).__name__)
    if isinstance(value, dict) and (key := text_key(value)):
        _check_meaning(value, name, "", key)
        return turns_of(value[key], role, name, transcripts)
    items = _items(value, name)
    if len(items) == 1 and isinstance(items[0], str | list) and items[0]:
        return turns_of(items[0], role, name, transcripts)
    if len(items) > 1 and all(isinstance(item, str) for item in items):
        raise Unusable("row.several", part=part_of(name), count=len(items))
    return tuple(_turn(turn, name) for turn in items)


def text_key(value: Any) -> str:
    """Return the key of the text that a dictionary holds with what is told about it, "" where it is something else."""
    if not isinstance(value, dict) or _key(value, ROLE_KEYS) or _key(value, _CONVERSATION_KEYS):
        return ""
    return next((key for key in _TEXT_KEYS if isinstance(value.get(key), str)), "")


def _items(value: Any, name: str) -> list[Any]:
    """Return the turns of a list, of a dictionary of lists or of a dictionary with a conversation in it."""
    if isinstance(value, list):
        return [dict(item) if _is_map(item) else item for item in value]
    if not isinstance(value, dict):
        return [dict(value)] if _is_map(value) else list(value)
    inside = next((value[key] for key in _CONVERSATION_KEYS if isinstance(value.get(key), list)), None)
    if inside is not None:
        return _items(inside, name)
    columns = {key: cells for key, cells in value.items() if isinstance(cells, list)}
    role, content = _key(columns, ROLE_KEYS), _key(columns, CONTENT_KEYS)
    if not role or not content:
        return [value]
    # A list of turns as `datasets` stores it: a dictionary of lists, and null for a key that no turn has.
    lengths = {len(cells) for cells in columns.values() if cells or len(columns[role])}
    filled = {key: cells for key, cells in columns.items() if cells}
    if len(lengths) != 1 and len({len(cells) for cells in filled.values()}) != 1:
        raise Unusable("row.unequal", part=part_of(name))
    return [dict(zip(filled, cells, strict=True)) for cells in zip(*filled.values(), strict=True)]


def _is_map(value: Any) -> bool:
    """Whether a value is a map as Arrow gives it: a list of (key, value)."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in value)
    )


def _key(turn: Any, names: tuple[str, ...]) -> str:
    return next((name for name in names if name in turn), "")


def _turn(turn: Any, name: str) -> Message:
    if not isinstance(turn, dict):
        raise Unusable("row.no_turn", part=part_of(name))
    role_key, content_key = _key(turn, ROLE_KEYS), _key(turn, CONTENT_KEYS)
    role = turn.get(role_key)
    if isinstance(role, bytes):
        role = _decoded(role)
    if not isinstance(role, str) or not role.strip():
        raise Unusable("row.no_role", part=part_of(name))
    content = turn.get(content_key)
    if len(turn) > 2:
        _check_meaning(turn, name, role_key, content_key)
    known = _ROLES.get(role.strip().lower())
    if known is None:
        raise Unusable("row.unknown_role", part=part_of(name), role=clean(role[:40]))
    return Message(known, _content(content, name))


def _check_meaning(turn: dict[Any, Any], name: str, role_key: str, content_key: str) -> None:
    """Refuse a turn that says something beside its content which a text cannot carry, or in place of it."""
    empty = blank(turn.get(content_key))
    for key, value in turn.items():
        if key in (role_key, content_key) or not says(value):
            continue
        if _MEANING.search(str(key).lower()) or (empty and key not in ("name", "id")):
            raise Unusable("row.turn_holds", part=part_of(name), key=clean(str(key)[:40]))


def _content(content: Any, name: str) -> str:
    """Return a turn's content as text; parts that are all text are put together, a line each."""
    if content is None:
        return ""
    if isinstance(content, bytes):
        content = _decoded(content)
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise Unusable("row.content_not_text", part=part_of(name), type=type(content).__name__)
    texts = []
    for part in parts:
        others = [key for key, value in part.items() if key not in ("type", "text") and says(value)]
        kind = part.get("type") or "text"
        if kind not in _TEXT_PARTS or not isinstance(part.get("text"), str) or any(map(_MEANING.search, others)):
            held = kind if kind not in _TEXT_PARTS else next(iter(others), "text")
            raise Unusable("row.turn_holds", part=part_of(name), key=clean(str(held)[:40]))
        texts.append(part["text"])
    return "\n".join(texts)


def left_in(value: Any) -> Iterator[str]:
    """Yield the keys of turns that hold text which the pair does not have: names, ids and the like."""
    if isinstance(value, str):
        if not _TURNS_IN_TEXT.match(value):
            return
        value = parsed(value)
    if key := text_key(value):
        yield from (clean(str(other)) for other, held in value.items() if other != key and says(held))
        return
    for turn in value if isinstance(value, list) else [value]:
        if isinstance(turn, dict) and len(turn) > 2:
            taken = (_key(turn, ROLE_KEYS), _key(turn, CONTENT_KEYS))
            if all(taken):
                yield from (clean(str(key)) for key, held in turn.items() if key not in taken and says(held))


def from_text(text: str, name: str) -> Any:
    """Return the turns written as JSON or in Python's notation in a text, or the text where it looks like none."""
    if not _TURNS_IN_TEXT.match(text):
        return text
    value = parsed(text)
    if isinstance(value, str):
        raise Unusable("row.broken_turns", part=part_of(name))
    turns = value if isinstance(value, list) else [value]
    written = all(isinstance(turn, dict) and _key(turn, ROLE_KEYS) and _key(turn, CONTENT_KEYS) for turn in turns)
    inside = isinstance(value, dict) and any(isinstance(value.get(key), list) for key in _CONVERSATION_KEYS)
    return value if written or inside else text


def _transcript(text: str, name: str) -> Messages:
    """Return the turns of a transcript."""
    turns = [Message(_ROLES[speaker.lower()], content) for speaker, content in transcript.read(text)]
    if name == "prompt" and turns[-1].role == "assistant" and not turns[-1].content.strip():
        turns.pop()
    return tuple(turns)


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unusable("row.not_utf8") from None


def looks_like_turns(value: Any) -> str:
    """Return whether a value is turns, though perhaps none that can be used: "answer", "conversation" or ""."""
    first = value[0] if isinstance(value, list) and value else value
    first = dict(first) if _is_map(first) else first
    role = first.get(_key(first, ROLE_KEYS)) if isinstance(first, dict) else None
    if isinstance(role, list):
        role = role[0] if role else None
    if not isinstance(role, str) or not _key(first, CONTENT_KEYS):
        return ""
    return "answer" if _ROLES.get(role.strip().lower()) == "assistant" else "conversation"


def is_sharegpt(turn: Any) -> bool:
    """Return whether a value is a turn as ShareGPT writes it."""
    return isinstance(turn, dict) and {"from", "value"} <= set(turn)


def part_of(name: str) -> said.Message:
    """Return what people call a part of a row: prompt, chosen, rejected, or the text where it is none of them."""
    return message(f"part.{name}" if name else "part.answer")


def _role(turn: Message) -> said.Message:
    return message(f"role.{turn.role}")
