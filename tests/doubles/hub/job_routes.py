"""Routes of Jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.doubles.hub.access import Directory
from tests.doubles.hub.clock import Clock, stamp
from tests.doubles.hub.jobs import Job, Jobs
from tests.doubles.hub.web import Router, answer

_POLL_S = 0.05
_PAGE = 100


class JobRoutes:
    """Starting, listing, following and ending Jobs.

    Attributes:
        keep_alive: Seconds of silence after which a log's stream says that it is alive.
    """

    def __init__(self, jobs: Jobs, directory: Directory, clock: Clock, router: Router) -> None:
        self._jobs, self._directory, self._clock = jobs, directory, clock
        self.keep_alive = 30.0
        one = "/api/jobs/(?P<namespace>[^/]+)/(?P<id_>[^/]+)"
        router.add("GET", "/api/jobs/hardware", self.hardware)
        router.add("POST", "/api/jobs/(?P<namespace>[^/]+)", self.launch)
        router.add("GET", "/api/jobs/(?P<namespace>[^/]+)", self.list)
        router.add("GET", one, self.inspect)
        router.add("GET", f"{one}/logs", self.logs)
        router.add("POST", f"{one}/cancel", self.cancel)
        router.add("PUT", f"{one}/labels", self.labels)

    async def hardware(self, request: Request) -> Response:
        return answer(list(self._jobs.flavors.values()))

    async def launch(self, request: Request, namespace: str) -> Response:
        token = self._directory.require(request)
        return answer(self._jobs.launch(token, namespace, await request.json()).info(self._clock.now()))

    async def list(self, request: Request, namespace: str) -> Response:
        self._jobs.may_use(self._directory.require(request), namespace, change=False)
        asked = request.query_params
        stages = {stage for text in asked.getlist("stage") for stage in text.upper().split(",")}
        labels = [label.partition("=")[::2] for label in asked.getlist("label")]
        found = [
            job
            for job in self._jobs.all.values()
            if job.namespace == namespace
            and (not stages or job.stage in stages)
            and all(job.labels.get(key) == value for key, value in labels)
        ]
        found.sort(key=lambda job: job.created, reverse=True)
        start = int(asked.get("cursor", 0))
        page, more = found[start : start + _PAGE], start + _PAGE < len(found)
        following = request.url.include_query_params(cursor=start + _PAGE)
        now = self._clock.now()
        return answer([job.info(now) for job in page], headers={"Link": f'<{following}>; rel="next"'} if more else {})

    async def inspect(self, request: Request, namespace: str, id_: str) -> Response:
        job = self._jobs.find(self._directory.require(request), namespace, id_, change=False)
        return answer(job.info(self._clock.now()))

    async def cancel(self, request: Request, namespace: str, id_: str) -> Response:
        job = self._jobs.find(self._directory.require(request), namespace, id_, change=True)
        self._jobs.end(job, "CANCELED", None)
        return answer(job.info(self._clock.now()))

    async def labels(self, request: Request, namespace: str, id_: str) -> Response:
        job = self._jobs.find(self._directory.require(request), namespace, id_, change=True)
        labels = (await request.json())["labels"]
        self._jobs.check_labels(labels)
        job.labels = labels
        return answer(job.info(self._clock.now()))

    async def logs(self, request: Request, namespace: str, id_: str) -> Response:
        job = self._jobs.find(self._directory.require(request), namespace, id_, change=False)
        tail = int(request.query_params.get("tail", 0))
        start = max(0, len(job.lines) - tail) if tail else 0  # without tail: from the start, at each connection
        headers = {"Cache-Control": "no-cache"}
        return StreamingResponse(self._follow(job, start), 200, headers, "text/event-stream")

    async def _follow(self, job: Job, at: int) -> AsyncIterator[bytes]:
        quiet = 0.0
        while True:
            ended = job.ended and job.silent
            while at < len(job.lines):
                moment, line = job.lines[at]
                yield f"data: {json.dumps({'data': line, 'timestamp': stamp(moment)})}\n\n".encode()
                at, quiet = at + 1, 0.0
            if ended:
                return
            if quiet >= self.keep_alive:
                yield b": keep-alive\n\n"
                quiet = 0.0
            await asyncio.sleep(_POLL_S)
            quiet += _POLL_S
