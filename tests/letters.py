"""What annotators are sent, as tests read it."""

from __future__ import annotations

import re


def password_in(letter: str) -> str:
    """Return the password in what an annotator is sent."""
    (found,) = re.findall(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\b", letter)
    return str(found)
