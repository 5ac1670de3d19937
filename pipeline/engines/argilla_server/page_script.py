"""The script that shows a pair in Argilla's custom field, served as a file of the server's own (see `pair.js`)."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

SCRIPT = Path(__file__).with_name("pair.js")

router = APIRouter(tags=["studio"])


@router.get("/studio/pair.js", include_in_schema=False)
async def pair_script() -> FileResponse:
    """Answer with the script; it holds nothing of anybody's, so nobody has to sign in for it."""
    return FileResponse(SCRIPT, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def install() -> None:
    """Add the route to Argilla's; call before it serves."""
    from argilla_server.api.routes import api_v1

    api_v1.include_router(router)
