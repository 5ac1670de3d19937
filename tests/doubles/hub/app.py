"""The double as an ASGI application: records every request, commits the ordered faults, sets the Hub's clock."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.requests import Request as WebRequest
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.doubles.hub.clock import Clock
from tests.doubles.hub.faults import Fault, Faults, Request
from tests.doubles.hub.web import HubError, Router


class Dropped(Exception):
    """The connection was closed on purpose."""


class Connections:
    """The open connections, by the client's address: an ASGI application cannot close one by itself."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return a protocol that tells of its connections."""
        transports = self._transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: Any) -> None:
                transports[transport.get_extra_info("peername")[:2]] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.transport.get_extra_info("peername")[:2], None)
                super().connection_lost(exc)

        return Protocol

    def drop(self, scope: Scope, *, flush: bool = False) -> None:
        """Close the connection of a request.

        Args:
            scope: Of the request.
            flush: Let what is written go out first.
        """
        if transport := self._transports.get(tuple(scope["client"])):
            if flush:
                transport.close()
            else:
                transport.abort()
        raise Dropped


class App:
    """The ASGI application.

    Args:
        router: The routes.
        faults: What is ordered to go wrong.
        clock: The Hub's clock.
        connections: The open connections.
        requests: Where requests are recorded.
    """

    def __init__(
        self, router: Router, faults: Faults, clock: Clock, connections: Connections, requests: list[Request]
    ) -> None:
        self._router, self._faults, self._clock = router, faults, clock
        self._connections, self._requests = connections, requests
        self.cdn_port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        record = Request(
            scope["method"],
            scope["raw_path"].decode("ascii").split("?")[0],
            scope["query_string"].decode("ascii"),
            b"hf_" in headers.get(b"authorization", b""),  # Xet's own short-lived tokens are none of the Hub's
            origin="cdn" if scope["server"][1] == self.cdn_port else "hub",
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
        )
        self._requests.append(record)
        exchange = _Exchange(self, scope, receive, send, record)
        # The client is gone: by our fault or its own.
        with contextlib.suppress(Dropped, ClientDisconnect):
            await exchange.run()

    async def serve(self, request: WebRequest, receive: Receive, send: Send) -> None:
        """Serve a request as if no fault were ordered."""
        try:
            response = await self._router(request)
        except HubError as error:
            response = error.response()
        except (Dropped, ClientDisconnect):
            raise
        except Exception:  # a mistake of the double's: told where the test's output is read
            traceback.print_exc(file=sys.stderr)
            response = HubError(500, "The Hub double failed; see the test's output").response()
        await response(request.scope, receive, send)


class _Exchange:
    """One request with the fault that hits it, if any."""

    def __init__(self, app: App, scope: Scope, receive: Receive, send: Send, record: Request) -> None:
        self._app, self._scope, self._receive, self._send, self._record = app, scope, receive, send, record
        path = record.path + (f"?{record.query}" if record.query else "")
        self._fault: Fault | None = app._faults.take(record.method, path)
        self._upload = False
        self._events = 0

    async def run(self) -> None:
        fault = self._fault
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.status:
            await self._refuse(fault)
            return
        partly = fault is not None and (fault.after_bytes is not None or fault.after_events is not None)
        if fault and fault.drop is True and not partly:
            self._app._connections.drop(self._scope)
        await self._app.serve(WebRequest(self._scope, self.receive), self.receive, self.send)

    async def _refuse(self, fault: Fault) -> None:
        async def nowhere(message: Message) -> None:
            """Take the answer that the client shall not see."""

        if fault.served:
            await self._app.serve(WebRequest(self._scope, self.receive), self.receive, nowhere)
        else:
            while (await self.receive()).get("more_body"):  # else the client sees a broken pipe, not the answer
                pass
        again = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        error = HubError(
            fault.status, fault.message or _WORDS.get(fault.status, "Error"), headers={**again, **fault.headers}
        )
        await error.response()(self._scope, self.receive, self.send)

    async def receive(self) -> Message:
        message = await self._receive()
        body = message.get("body", b"")
        self._record.bytes_received += len(body)
        self._upload |= bool(body)
        limit = self._fault.after_bytes if self._fault and self._fault.drop else None
        if limit is not None and self._upload and self._record.bytes_received > limit:
            self._app._connections.drop(self._scope)
        return message

    async def send(self, message: Message) -> None:
        fault = self._fault
        if fault and fault.drop == "response":
            self._app._connections.drop(self._scope)
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            headers = [pair for pair in message["headers"] if pair[0].lower() != b"date"]
            message["headers"] = [*headers, (b"date", self._app._clock.header().encode())]
            await self._send(message)
            return
        body = message.get("body", b"")
        limit = fault.after_bytes if fault and fault.drop and not self._upload else None
        if limit is not None and self._record.bytes_sent + len(body) > limit:
            kept = body[: max(0, limit - self._record.bytes_sent)]
            await self._send({**message, "body": kept, "more_body": True})
            self._record.bytes_sent += len(kept)
            self._app._connections.drop(self._scope, flush=True)
        self._events += body.startswith(b"data: {")
        if fault and fault.drop and fault.after_events is not None and self._events > fault.after_events:
            self._app._connections.drop(self._scope, flush=True)
        self._record.bytes_sent += len(body)
        await self._send(message)


_WORDS = {
    429: "We had to rate limit you",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
