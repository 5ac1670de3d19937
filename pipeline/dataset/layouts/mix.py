"""Whole conversations on both sides, as in mlabonne/orpo-dpo-mix-40k: the turns they share are the prompt."""

from __future__ import annotations

from pipeline.dataset.layout import Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if not look.is_of("conversation") or look.sides is None:
        return None
    return 0.5, look.sides.model_copy(update={"layout": "mix"})


MIX = Layout("mix", _sure)
