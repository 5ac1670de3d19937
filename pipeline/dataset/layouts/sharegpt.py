"""ShareGPT: turns written as {from, value}, whole conversations or a prompt and two answers."""

from __future__ import annotations

from pipeline.dataset.layout import Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if look.sides is None:
        return None
    if look.is_of("conversation"):
        found = look.sides if look.sharegpt(look.sides.chosen) else None
    elif look.is_of("answer", "text") and look.prompt and look.sharegpt(look.prompt):
        found = look.with_prompt(look.sides)
    else:
        found = None
    return (0.7, found.model_copy(update={"layout": "sharegpt"})) if found else None


SHAREGPT = Layout("sharegpt", _sure)
