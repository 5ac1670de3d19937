"""The one way by which files leave the studio: of an export, to whoever it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.base.errors import StudioError
from pipeline.export import exported
from pipeline.visit import Visit

AT = "/download"
_HEADERS = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox", "cache-control": "no-store"}


def route(look_up: Callable[[Request], Visit]) -> Route:
    """Return the route.

    Args:
        look_up: Returns who asks.
    """

    async def answer(request: Request) -> Response:
        project, name, path = (request.path_params[part] for part in ("project", "export", "path"))
        try:
            visit = look_up(request)
            file = await asyncio.to_thread(lambda: exported.file_of(visit.project(project), name, path))
        except StudioError:  # what is another's is not there
            return PlainTextResponse("", 404)
        # To be kept, never to be shown: what is in it comes from a dataset.
        headers = {
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
            "cache-control": "no-store",
        }
        return FileResponse(file, media_type="application/octet-stream", filename=file.name, headers=headers)

    return Route(AT + "/{project}/{export}/{path:path}", answer, methods=["GET"])


def links(project: str, name: str, paths: list[str]) -> Markup:
    """Return links to an export's files as HTML.

    Args:
        project: The project.
        name: The export.
        paths: The files, as the export names them.
    """
    link = Markup('<a href="{}" download>{}</a>')
    places = ("/".join(map(quote, (project, name, path))) for path in paths)
    found = [link.format(f"{AT[1:]}/{place}", path) for place, path in zip(places, paths, strict=True)]
    return Markup('<div class="downloads">{}</div>').format(Markup(" ").join(found))
