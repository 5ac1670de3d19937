"""The one kind of error a user is meant to read."""

from __future__ import annotations


class StudioError(Exception):
    """Something the user can understand and act on.

    Args:
        what: What happened, one sentence.
        why: Why it happened, as far as known.
        next: What to do now.
    """

    def __init__(self, what: str, why: str = "", next: str = "") -> None:
        super().__init__(" ".join(part for part in (what, why, next) if part))
        self.what = what
        self.why = why
        self.next = next
