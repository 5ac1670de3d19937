"""Transcripts: what was said after “Human:” and “Assistant:”, each at the beginning of a line."""

from __future__ import annotations

import re

_HUMAN = "Human|HUMAN|User|USER|用户"
_ASSISTANT = "Assistant|ASSISTANT|AI|Bot|BOT|助手"
_BEGINS = re.compile(rf"\s*(?:#+ ?)?({_HUMAN}|System|SYSTEM|系统)[:：]")
_HUMAN_LINE = re.compile(rf"(?:\A|\n)[ \t]*(?:#+ ?)?({_HUMAN})[:：]")
_ASSISTANT_LINE = re.compile(rf"(\n[ \t]*\r?\n|\n)(?:#+ ?)?({_ASSISTANT})[:：]")
_SYSTEMS = "System|SYSTEM|系统"


def begins(text: str) -> bool:
    """Return whether a text begins like a transcript."""
    return bool(_BEGINS.match(text))


def is_one(text: str) -> bool:
    """Return whether a text is a transcript: the person begins, and the assistant answers."""
    return begins(text) and bool(_ASSISTANT_LINE.search(text))


def begin_alike(one: object, other: object) -> bool:
    """Return whether two values are transcripts of one conversation: their first turns are the same."""
    if not isinstance(one, str) or not isinstance(other, str) or not is_one(one) or not is_one(other):
        return False
    return read(one)[:1] == read(other)[:1]


def asks(text: str) -> bool:
    """Return whether a text is a transcript up to the point where the assistant is to speak."""
    if not is_one(text):
        return False
    turns = read(text)
    return bool(turns) and (not turns[-1][1].strip() or turns[-1][0] in _HUMAN.split("|"))


def read(text: str) -> list[tuple[str, str]]:
    """Return speaker and words of every turn.

    Where the first answer follows a blank line, as in HH-RLHF, every speaker does: “Human:” after a single line break
    is then a quotation. Only the spellings that the first turns use are speakers.

    Args:
        text: A transcript; see `begins`.
    """
    first = _ASSISTANT_LINE.search(text)
    human = _HUMAN_LINE.search(text)
    speakers = [human.group(1) if human else "", first.group(2) if first else "", *_SYSTEMS.split("|")]
    names = "|".join(re.escape(name) for name in speakers if name)
    between = r"\n[ \t]*\r?\n" if first and first.group(1) != "\n" else r"\n"
    # The line break before a speaker and the one space after the colon belong to the form, not to what was said.
    speaker = re.compile(rf"(?:\A\s*|\r?{between})(?:#+ ?)?({names})[:：] ?")
    pieces = speaker.split(text)
    return list(zip(pieces[1::2], pieces[2::2], strict=True))
