"""Columns that a person chose."""

from __future__ import annotations

from pipeline.dataset.layout import BY_HAND, Layout, Look, Mapping


def _sure(look: Look) -> tuple[float, Mapping] | None:
    return None


COLUMNS = Layout(BY_HAND, _sure)
