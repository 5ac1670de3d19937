"""The pages: Gradio only, no business logic."""

from __future__ import annotations

import inspect
from typing import Any


def _import_gradio() -> None:
    """Import Gradio without the stubs it writes.

    Gradio 6.31 parses the source of each of its components twice at every import, to write beside it a .pyi that its
    wheel brings along: a second of a start's five. It leaves out what `inspect.getfile` finds no file for.
    """
    getfile = inspect.getfile

    def without_components(object: Any) -> str:
        if isinstance(object, type) and object.__module__.startswith("gradio."):
            raise OSError("its stub is there")
        return getfile(object)

    inspect.getfile = without_components
    try:
        import gradio  # noqa: F401, PLC0415 - once, before any other import of it
    finally:
        inspect.getfile = getfile


_import_gradio()
