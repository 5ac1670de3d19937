"""What a check found, as HTML: notices and numbers, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from pydantic import ValidationError

from pipeline.base.message import Message
from pipeline.base.options import readable


def notices(found: Sequence[Message], *, bad: bool = False) -> Markup:
    """Return notices as HTML.

    Args:
        found: What to say.
        bad: Whether they stop the run.
    """
    place = Markup('<div class="{}"><b>{}</b> {}</div>')
    style, parts = "notice bad" if bad else "notice", []
    for each in found:
        what, *rest = (_ended(text) for text in (each.what, each.why, each.next) if text)
        parts.append(place.format(style, what, " ".join(rest)))
    return Markup("").join(parts)


def wrong_values(error: ValidationError, step: str) -> Markup:
    """Return what a form's validation found, as notices.

    Args:
        error: What pydantic raised.
        step: First part of the controls' catalogue keys.
    """
    return notices([readable(error, step).message], bad=True)


def notice(text: str, style: str = "") -> Markup:
    """Return one sentence as a notice, "" for none.

    Args:
        text: The sentence; markup stays markup.
        style: good or bad; "": a warning.
    """
    return Markup('<div class="{}">{}</div>').format(f"notice {style}".strip(), text) if text else Markup("")


def line(*texts: str) -> Markup:
    """Return texts as a plain line, "" for none; markup in it stays markup."""
    inside = Markup(" ").join(text for text in texts if text)
    return Markup('<div class="run-line">{}</div>').format(inside) if inside else Markup("")


def link(url: str, words: str, name: str = "") -> Markup:
    """Return a link that opens beside the studio, "" without an address of the web.

    Args:
        url: Where it leads.
        words: What is read.
        name: Its id in the page, where it has one.
    """
    if not url.startswith(("https://", "http://")):
        return Markup("")
    named = Markup(' id="{}"').format(name) if name else ""
    return Markup('<a href="{}" target="_blank" rel="noopener noreferrer"{}>{}</a>').format(url, named, words)


def facts(lines: Mapping[str, str]) -> Markup:
    """Return names and values as HTML."""
    row = Markup("<dt>{}</dt><dd>{}</dd>")
    inside = Markup("").join(row.format(name, value) for name, value in lines.items())
    return Markup('<dl class="facts">{}</dl>').format(inside)


def _ended(text: str) -> str:
    return text if text[-1] in ".!?。" else f"{text}."
