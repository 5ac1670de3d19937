"""What a check found, as HTML: notices and numbers, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from pydantic import ValidationError

from pipeline.base.options import readable
from pipeline.base.preflight import Notice
from ui.text import has, say

_OPTION = re.compile(r"\b[a-z]+(?:[_:][a-z]+)+\b")


def notices(found: Sequence[Notice], prefix: str, *, bad: bool = False) -> str:
    """Return notices as HTML; an option is called what its control is called.

    Args:
        found: What to say.
        prefix: First part of the controls' catalogue keys.
        bad: Whether they stop the run.
    """
    style = "notice bad" if bad else "notice"
    parts = []
    for notice in found:
        what, *rest = (escape(_named(_ended(text), prefix)) for text in (notice.what, notice.why, notice.next) if text)
        parts.append(f'<div class="{style}"><b>{what}</b> {" ".join(rest)}</div>')
    return "".join(parts)


def wrong_values(error: ValidationError, prefix: str) -> str:
    """Return what a form's validation found, as notices.

    Args:
        error: What pydantic raised.
        prefix: See `notices`.
    """
    said = readable(error)
    return notices([Notice(said.what, said.why, said.next)], prefix, bad=True)


def notice(text: str, style: str = "") -> str:
    """Return one sentence as a notice, "" for none.

    Args:
        text: The sentence.
        style: good or bad; "": a warning.
    """
    return f'<div class="{f"notice {style}".strip()}">{escape(text)}</div>' if text else ""


def facts(lines: Mapping[str, str]) -> str:
    """Return names and values as HTML."""
    inside = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in lines.items())
    return f'<dl class="facts">{inside}</dl>'


def _ended(text: str) -> str:
    return text if text[-1] in ".!?。" else f"{text}."


def _named(text: str, prefix: str) -> str:
    """Put the controls' labels in place of the options' names in a sentence."""

    def label(match: re.Match[str]) -> str:
        keys = (f"{step}.{match.group()}" for step in (prefix, "export"))  # an export's options are mentioned later on
        return next((f"“{say(key)}”" for key in keys if has(key)), match.group())

    return _OPTION.sub(label, text)
