"""Free text: how it is cut into tokens, and how a query becomes an FTS5 expression.

The query language is Elasticsearch's simple_query_string with AND as default operator, as Argilla's page expects:
`a b`, `a | b`, `-a`, `"a b"`, `pre*`, brackets. Not supported: the fuzzy operator (`~2` is ignored).

Scripts that put no spaces between words (Chinese, Japanese, Thai, ...) and Korean are indexed one character per token,
and a run of such characters in a query is a phrase: one or two characters find themselves anywhere in the text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

EVERY = "every"
"""Column that holds the same token in every document: FTS5 has no unary NOT, so `-a` is asked as `every NOT a`."""
EVERY_TOKEN = "1"
TOKENIZER = "unicode61 remove_diacritics 0"

MAX_BRACKETS = 40
"""Deepest nesting of brackets; FTS5 itself refuses expressions deeper than 256."""

_UNSPACED = re.compile(
    "(["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007"  # iteration mark and ideographic zero
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul
    "])"
)
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"'})
_TOKEN = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"(?:~\d+)?|(?P<open>\()|(?P<word>[^\s()|"+]+))|(?P<op>[)|+])')


def field_text(value: Any) -> str:
    """Return the searchable text of a field's stored value.

    Args:
        value: A string, a chat (list of {role, content}), a custom field's object, or None.

    Returns:
        The text; of a chat, the messages' contents without their roles; of an object, the text of its values.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(str(m.get("content") or "") if isinstance(m, dict) else str(m) for m in value)
    if isinstance(value, dict):
        return "\n".join(field_text(part) for part in value.values())
    return json.dumps(value, ensure_ascii=False)


def normalise(text: str) -> str:
    """Make compatible spellings equal (full-width Latin, half-width Katakana, composed accents).

    Lone surrogates, which JSON can carry and UTF-8 cannot, become question marks; NUL, which ends a query for FTS5
    ("unterminated string" in SQLite 3.40), becomes a space.
    """
    text = text.replace("\0", " ")
    if text.isascii():  # most text is, and has but one spelling
        return text
    return unicodedata.normalize("NFKC", text).encode("utf-8", "replace").decode("utf-8")


def index_text(value: Any) -> str:
    """Return what is stored in the text index for a field's value."""
    text = normalise(field_text(value))
    return text if text.isascii() else _UNSPACED.sub(r" \1 ", text)


def to_fts5(query: str, column: str | None = None) -> str | None:
    """Translate a query into one FTS5 expression.

    Args:
        query: What the user typed.
        column: The one column to search; None searches all.

    Returns:
        The expression, or None if the query holds nothing that could be searched.

    Raises:
        ValueError: Brackets are nested deeper than `MAX_BRACKETS`.
    """
    return _Parser(normalise(query.translate(_QUOTES)), column).parse()


class _Parser:
    """Recursive descent over the query's tokens; unbalanced brackets are forgiven."""

    def __init__(self, query: str, column: str | None) -> None:
        self._tokens = list(_TOKEN.finditer(query))
        self._scope = f"{{{column}}} : " if column else f"- {{{EVERY}}} : "
        self._position = 0
        self._depth = 0

    def parse(self) -> str | None:
        groups: list[str] = []
        while self._position < len(self._tokens):
            if group := self._disjunction():
                groups.append(group)
            if self._at(")"):  # a bracket that nobody opened
                self._position += 1
        return " AND ".join(f"({group})" for group in groups) or None

    def _at(self, operator: str) -> bool:
        return self._position < len(self._tokens) and self._tokens[self._position]["op"] == operator

    def _disjunction(self) -> str | None:
        parts = [self._conjunction()]
        while self._at("|"):
            self._position += 1
            parts.append(self._conjunction())
        return " OR ".join(part for part in parts if part) or None

    def _conjunction(self) -> str | None:
        wanted: list[str] = []
        unwanted: list[str] = []
        while self._position < len(self._tokens) and not self._at("|") and not self._at(")"):
            token = self._tokens[self._position]
            self._position += 1
            if token["op"]:  # "+": AND is the default operator anyway
                continue
            if part := self._operand(token):
                (unwanted if token["minus"] else wanted).append(part)
        if not wanted and not unwanted:
            return None
        expression = " AND ".join(f"({part})" for part in wanted) or f"{EVERY} : {EVERY_TOKEN}"
        if unwanted:
            expression = f"({expression}) NOT ({' OR '.join(f'({part})' for part in unwanted)})"
        return f"({expression})"

    def _operand(self, token: re.Match[str]) -> str | None:
        if token["open"]:
            return self._bracket()
        if token["phrase"] is not None:
            return self._term(token["phrase"], prefix=False)
        word = re.sub(r"~\d*$", "", token["word"])
        return self._term(word.rstrip("*"), prefix=word.endswith("*"))

    def _bracket(self) -> str | None:
        self._depth += 1
        if self._depth > MAX_BRACKETS:
            raise ValueError(f"A search may nest at most {MAX_BRACKETS} brackets.")
        part = self._disjunction()
        self._depth -= 1
        if self._at(")"):
            self._position += 1
        return part

    def _term(self, text: str, prefix: bool) -> str | None:
        if not any(ch.isalnum() for ch in text):
            return None
        spaced = _UNSPACED.sub(r" \1 ", text).strip().replace('"', '""')
        return f'{self._scope}"{spaced}"{"*" if prefix else ""}'
