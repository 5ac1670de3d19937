"""Text of others made plain: nothing in it moves a terminal's cursor, turns its neighbours around, or is markup."""

from __future__ import annotations

import re

# Controls of C0 but tab and line feed, of C1, and those that turn the direction of text (Trojan Source,
# CVE-2021-42574); line and paragraph separators, which JSON and many programs take for ends of lines.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|]")


def plain(text: str) -> str:
    """Return a text with its control characters spelled out; a carriage return at a line's end is none.

    Args:
        text: Anything.
    """
    if not _CONTROL.search(text):
        return text
    return _CONTROL.sub(_spelled, text.replace("\r\n", "\n"))


def markdown(text: str) -> str:
    """Return a text as Markdown that shows it: no link, picture, code, emphasis or HTML, and on one line.

    Args:
        text: Anything.
    """
    entities = {"<": "&lt;", ">": "&gt;"}
    return _MARKDOWN.sub(lambda sign: entities.get(sign[0], f"\\{sign[0]}"), plain(" ".join(text.split())))


def code(text: str) -> str:
    """Return a text for Markdown's backticks: it cannot end them."""
    return plain(" ".join(text.split())).replace("`", "'")


def json_text(document: str) -> str:
    """Return a JSON document with the same values and no control character that a terminal would obey.

    Args:
        document: JSON; control characters stand in its strings alone.
    """
    return _CONTROL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", document)


def _spelled(sign: re.Match[str]) -> str:
    code = ord(sign[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
