"""Routes of Spaces beyond those of their repositories."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.doubles.hub.access import Token
from tests.doubles.hub.clock import Clock, stamp
from tests.doubles.hub.repositories import Repositories
from tests.doubles.hub.spaces import Space, Spaces
from tests.doubles.hub.web import REPO, HubError, Router, answer

_POLL_S = 0.05


class SpaceRoutes:
    """How a Space runs, and what it runs with.

    Attributes:
        keep_alive: Seconds of silence after which a log's stream says that it is alive.
    """

    def __init__(self, spaces: Spaces, repositories: Repositories, clock: Clock, router: Router) -> None:
        self._spaces, self._repositories, self._clock = spaces, repositories, clock
        self.keep_alive = 30.0
        one = f"/api/spaces/{REPO}"
        router.add("GET", "/api/spaces/hardware", self.flavors)
        router.add("GET", f"{one}/runtime", self.runtime)
        router.add("POST", f"{one}/hardware", self.hardware)
        router.add("POST", f"{one}/sleeptime", self.sleeptime)
        router.add("POST", f"{one}/pause", self.pause)
        router.add("POST", f"{one}/restart", self.restart)
        for what in ("secrets", "variables"):
            router.add("GET", f"{one}/(?P<what>{what})", self.settings)
            router.add("POST", f"{one}/(?P<what>{what})", self.set)
            router.add("DELETE", f"{one}/(?P<what>{what})", self.unset)
        router.add("PUT", f"{one}/volumes", self.volumes)
        router.add("DELETE", f"{one}/volumes", self.no_volumes)
        router.add("GET", f"{one}/logs/(?P<what>run|build)", self.logs)

    async def flavors(self, request: Request) -> Response:
        return answer(list(self._spaces.flavors.values()))

    def _seen(self, request: Request, repo: str) -> Space:
        repository = self._repositories.find("space", repo, self._repositories.directory.who(request))
        return self._spaces.all[repository.name]

    def _owned(self, request: Request, repo: str) -> tuple[Space, Token]:
        repository, token = self._repositories.writable("space", repo, request)
        return self._spaces.all[repository.name], token

    async def runtime(self, request: Request, repo: str) -> Response:
        return answer(self._seen(request, repo).runtime())

    async def hardware(self, request: Request, repo: str) -> Response:
        space, token = self._owned(request, repo)
        asked = await request.json()
        self._spaces.may_use(token, asked["flavor"])
        space.hardware = asked["flavor"]
        space.sleep = asked.get("sleepTimeSeconds", space.sleep)
        await asyncio.to_thread(self._spaces.changed, space)
        return answer(space.runtime())

    async def sleeptime(self, request: Request, repo: str) -> Response:
        space, _ = self._owned(request, repo)
        space.sleep = int((await request.json())["seconds"])
        return answer(space.runtime())

    async def pause(self, request: Request, repo: str) -> Response:
        space, _ = self._owned(request, repo)
        await asyncio.to_thread(self._spaces.pause, space)
        return answer(space.runtime())

    async def restart(self, request: Request, repo: str) -> Response:
        space, _ = self._owned(request, repo)
        await asyncio.to_thread(self._spaces.start, space)
        return answer(space.runtime())

    async def settings(self, request: Request, repo: str, what: str) -> Response:
        space, _ = self._owned(request, repo)
        values = space.secrets if what == "secrets" else space.variables
        return answer({key: self._setting(space, key, what, value) for key, value in values.items()})

    def _setting(self, space: Space, key: str, what: str, value: str) -> dict[str, str]:
        told = {"key": key, "updatedAt": stamp(space.changed[key])}
        return told if what == "secrets" else told | {"value": value}

    async def set(self, request: Request, repo: str, what: str) -> Response:
        space, _ = self._owned(request, repo)
        asked = await request.json()
        other = space.variables if what == "secrets" else space.secrets
        if asked["key"] in other:
            raise HubError(400, f"{asked['key']} is there already, as a variable or a secret")
        (space.secrets if what == "secrets" else space.variables)[asked["key"]] = asked["value"]
        space.changed[asked["key"]] = self._clock.now()
        await asyncio.to_thread(self._spaces.changed, space)
        return await self.settings(request, repo, what)

    async def unset(self, request: Request, repo: str, what: str) -> Response:
        space, _ = self._owned(request, repo)
        (space.secrets if what == "secrets" else space.variables).pop((await request.json())["key"], None)
        await asyncio.to_thread(self._spaces.changed, space)
        return await self.settings(request, repo, what)

    async def volumes(self, request: Request, repo: str) -> Response:
        space, _ = self._owned(request, repo)
        space.volumes = (await request.json())["volumes"]
        await asyncio.to_thread(self._spaces.changed, space)
        return answer(space.runtime())

    async def no_volumes(self, request: Request, repo: str) -> Response:
        space, _ = self._owned(request, repo)
        if not space.volumes:
            raise HubError(400, "No volumes attached")
        space.volumes = []
        await asyncio.to_thread(self._spaces.changed, space)
        return answer(space.runtime())

    async def logs(self, request: Request, repo: str, what: str) -> Response:
        space = self._seen(request, repo)
        headers = {"Cache-Control": "no-cache"}
        return StreamingResponse(self._follow(space, what, space.turn), 200, headers, "text/event-stream")

    async def _follow(self, space: Space, what: str, turn: int) -> AsyncIterator[bytes]:
        """Tell a log from its first line; the stream ends with the container."""
        lines = space.lines if what == "run" else space.built
        at, quiet = 0, 0.0
        while True:
            over = space.turn != turn or not space.live or (what == "build" and space.stage != "BUILDING")
            while at < len(lines):
                moment, line = lines[at]
                event = json.dumps({"data": line + "\n", "timestamp": stamp(moment)})
                yield f"data: {event}\n\n".encode()
                at, quiet = at + 1, 0.0
            if over:
                return
            if quiet >= self.keep_alive:
                yield b"data:\n\n"
                quiet = 0.0
            await asyncio.sleep(_POLL_S)
            quiet += _POLL_S
