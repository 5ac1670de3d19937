"""A prompt and two answers in columns of their own, texts or messages; Alpaca's instruction and input among them."""

from __future__ import annotations

from pipeline.dataset.layout import Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if not look.is_of("answer", "text") or look.sides is None or not look.prompt:
        return None
    return 0.5, look.with_prompt(look.sides).model_copy(update={"layout": "explicit"})


EXPLICIT = Layout("explicit", _sure)
