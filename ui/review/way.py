"""The way from the studio into Argilla, always in a tab of its own."""

from __future__ import annotations

from urllib.parse import urlencode

from markupsafe import Markup

from pipeline.base.project import Project
from pipeline.visit import Visit
from pipeline.web.annotate import annotation_link
from pipeline.web.join import AT

_LINK = Markup('<a class="link-button" href="{}" target="_blank" rel="noopener">{}</a>')
_FORM = Markup(
    '<form method="post" action="{}" target="_blank" rel="noopener"><button class="link-button">{}</button></form>'
)
_DRAFTS = {"page": "1", "status": "draft"}


def as_themselves(visit: Visit) -> bool:
    """Return whether people of the studio are signed in to Argilla as themselves: on a Space, into its own Argilla."""
    return bool(visit.studio.settings.space_id) and visit.studio.argilla.embedded


def into(visit: Visit, of: Project, base: str, words: str, *, drafts: bool = False) -> Markup:
    """Return what opens a project's dataset in Argilla as HTML, nothing where there is none.

    Args:
        visit: Gives settings and Argilla.
        of: The project.
        base: Scheme and host the page was asked by.
        words: What it says.
        drafts: Whether the visitor's own drafts are shown first.
    """
    kept, studio = of.read().review, visit.studio
    if kept is None or not kept.dataset_id:
        return Markup("")
    query = urlencode(_DRAFTS) if drafts else ""
    if as_themselves(visit):
        asked = {"project": of.name} | ({"status": "draft"} if drafts else {})
        return _FORM.format(f"{AT}?{urlencode(asked)}", words)
    if studio.argilla.embedded:
        address = annotation_link(base, kept.dataset_id)
    else:
        address = annotation_link(studio.settings.argilla_api_url, kept.dataset_id, prefix="")
    return _LINK.format(f"{address}?{query}" if query else address, words)
