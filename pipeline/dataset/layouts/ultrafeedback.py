"""UltraFeedback, binarized: whole conversations on both sides, each with its score."""

from __future__ import annotations

from pipeline.dataset.layout import Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if not look.is_of("conversation") or look.sides is None:
        return None
    if not look.column(("score_chosen",)) or not look.column(("score_rejected",)):
        return None
    return 0.9, look.sides.model_copy(update={"layout": "ultrafeedback"})


ULTRAFEEDBACK = Layout("ultrafeedback", _sure)
