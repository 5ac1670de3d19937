"""A run's events: an append-only JSONL file, written by workers, read from its tail by pages.

Every line is one JSON object with `ts` (Unix seconds) and `event`. Kinds shared by all workers:

- started {pid}
- stage {stage, code, values}               what is being done now; code and values are those of a Message
- progress {stage, done, total, unit}       countable work
- begin {max_steps}, step {step, max_steps}, log {step, max_steps, <metrics>}    training
- result {...}                              one finished part (a model's scores, say)
- warning {code, values}
- done {...} | error {code, values, type?, traceback?} | cancelled {}            the end; exactly one of them, last

Older events have `message` (and `why`, `next`) in place of code and values: text that is shown as it stands.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.message import Message, verbatim
from pipeline.engines.protocol import ENDS, append

__all__ = ["ENDS", "Event", "Tail", "append", "read", "said", "tell", "tell_end"]

Event = dict[str, Any]
_BEGINNING = b'{"ts": '


def tell(path: Path, event: str, message: Message, /, **values: Any) -> None:
    """Append an event that says something: stage, warning or error; see `append` and `said`."""
    append(path, event, **message.as_dict(), **values)


def tell_end(path: Path, problem: Message | None) -> None:
    """Write down an end that the worker did not tell: why it failed, or None where it was cancelled.

    A full disk is no matter: the ledger has the end too.
    """
    with contextlib.suppress(OSError):
        if problem:
            tell(path, "error", problem)
        else:
            append(path, "cancelled")


def said(event: Event) -> Message:
    """Return what an event says."""
    if "code" in event:
        return Message.from_dict(event)
    why, after = str(event.get("why") or ""), str(event.get("next") or "")
    # A kind of error means something to programmers only: it is shown where nothing says what to do.
    kind = str(event.get("type") or "")
    return verbatim(str(event.get("message") or kind), why or ("" if after else kind), after)


@dataclass(frozen=True)
class Tail:
    """Events read so far and where to go on.

    Attributes:
        events: New events since the offset given.
        offset: Byte offset after the last whole line.
    """

    events: list[Event]
    offset: int


def read(path: Path, offset: int = 0) -> Tail:
    """Read whole events from a byte offset on; a half-written last line waits for the next call.

    Args:
        path: The run's events.jsonl; a missing file has no events.
        offset: Byte offset a former call returned.
    """
    if not path.exists():
        return Tail([], offset)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        event = _event(line) or _event(line[max(0, line.rfind(_BEGINNING)) :])  # behind what a full disk or crash tore
        if event is not None:
            events.append(event)
    return Tail(events, offset + len(whole))


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
