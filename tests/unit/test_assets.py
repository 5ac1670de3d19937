"""Gradio's own files come from memory after the first time, and everything else does not."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ui.assets import Kept

BROWSER = {"accept-encoding": "gzip, deflate, br"}


def asked(*requests: tuple[str, dict[str, str]]) -> tuple[list[httpx.Response], Counter[str]]:
    """Return the answers to requests one after another, and how often each path was asked of the app behind."""
    seen: Counter[str] = Counter()

    def answer(request: Request) -> Response:
        seen[request.url.path] += 1
        if "gone" in request.url.path:
            return Response("no", 404)
        known = request.headers.get("if-none-match") == "here"
        return Response(status_code=304) if known else Response(request.url.path, headers={"etag": "here"})

    app = Kept(Starlette(routes=[Route("/{rest:path}", answer)]))

    async def go() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as client:
            return [await client.get(path, headers=headers) for path, headers in requests]

    return asyncio.run(go()), seen


def test_a_file_is_read_once_and_a_browser_may_keep_it() -> None:
    answers, seen = asked(("/assets/a-1.js", BROWSER | {"if-none-match": "here"}), ("/assets/a-1.js", BROWSER))
    assert [answer.text for answer in answers] == ["/assets/a-1.js"] * 2 and seen["/assets/a-1.js"] == 1
    assert {answer.headers["cache-control"] for answer in answers} == {"public, max-age=31536000, immutable"}


def test_what_is_not_there_not_whole_or_not_a_named_file_is_asked_for_each_time() -> None:
    others = [("/assets/gone.js", BROWSER), ("/config", BROWSER), ("/assets/b.js", BROWSER | {"range": "bytes=0-1"})]
    plain = ("/assets/c.js", {"accept-encoding": "identity"})
    answers, seen = asked(*[each for one in (*others, plain) for each in (one, one)])
    assert set(seen.values()) == {2} and len(seen) == 4
    assert not any("cache-control" in answer.headers for answer in answers)
