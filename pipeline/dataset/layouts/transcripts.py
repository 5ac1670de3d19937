"""HH-RLHF: Human/Assistant transcripts on both sides; the turns they share are the prompt."""

from __future__ import annotations

from pipeline.dataset.layout import Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if not look.is_of("transcript") or look.sides is None:
        return None
    return 0.9, look.sides.model_copy(update={"layout": "transcripts"})


TRANSCRIPTS = Layout("transcripts", _sure)
