"""OpenAI's preference format: input.messages, preferred_output and non_preferred_output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.dataset.layout import Layout, Look, Mapping, pair_of
from pipeline.dataset.notation import parsed
from pipeline.dataset.rows import Row
from pipeline.dataset.turns import Parts, Unusable
from pipeline.dataset.values import says

_NAMES = ("input", "preferred_output", "non_preferred_output")


def _asked(value: Any) -> dict[str, Any] | None:
    value = parsed(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) and isinstance(value.get("messages"), list) else None


def _sure(look: Look) -> tuple[float, Mapping] | None:
    prompt, chosen, rejected = (look.column((name,)) for name in _NAMES)
    if not (prompt and chosen and rejected) or not any(map(_asked, look.filled(prompt))):
        return None
    found = {"layout": "openai", "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return 0.9, look.context.model_copy(update=found)


def _pair(row: Row, mapping: Mapping) -> Parts:
    asked = _asked(row.get(mapping.prompt))
    if asked is None:
        raise Unusable("row.no_messages", column=mapping.prompt)
    return pair_of({**row, mapping.prompt: asked["messages"]}, mapping)


def _left(row: Row, mapping: Mapping) -> Iterator[str]:
    asked = _asked(row.get(mapping.prompt)) or {}
    return (f"{mapping.prompt}.{key}" for key, value in asked.items() if key != "messages" and says(value))


OPENAI = Layout("openai", _sure, _pair, left=_left)
