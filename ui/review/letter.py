"""What an annotator is sent: where to go, how to sign in, what to do; one text that is copied with one button."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from pipeline.review.annotators import NewAnnotator
from ui.text import say

_LETTER = Markup(
    '<div class="letter"><pre data-letter="{}">{}</pre>'
    '<button type="button" class="link-button" data-copy data-copied="{}">{}</button></div>'
)


def with_passwords(made: Iterable[NewAnnotator], link: str) -> Markup:
    """Return a message for each new annotator as HTML.

    Args:
        made: Names and passwords.
        link: Opens their task.
    """
    texts = {
        each.username: say("letter.password", link=link, name=each.username, password=each.password) for each in made
    }
    return Markup("").join(_letter(name, text) for name, text in texts.items())


def with_invitation(link: str) -> Markup:
    """Return the message for everybody who is invited by a link, as HTML."""
    return _letter("", say("letter.invitation", link=link))


def _letter(name: str, text: str) -> Markup:
    return _LETTER.format(name, f"{text}\n{say('letter.task')}", say("letter.copied"), say("letter.copy"))
