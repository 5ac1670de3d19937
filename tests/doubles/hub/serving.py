"""Runs an ASGI application on addresses of this machine, in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
OTHER_HOST = "localhost"  # another host name: huggingface_hub 1.x sends the token to other ports of the same one


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Serving:
    """A server in a thread, which can be stopped and started again.

    Args:
        app: What it serves.
        protocol: uvicorn's protocol class to serve it with.
        ports: Where it listens.
    """

    def __init__(self, app: ASGIApp, protocol: type[asyncio.Protocol], ports: tuple[int, ...]) -> None:
        self._app, self._protocol, self._ports = app, protocol, ports
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; return when it answers."""
        config = uvicorn.Config(
            self._app,
            http=self._protocol,
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            date_header=False,  # ours tells the Hub's clock; two Date headers break the clients
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        sockets = [listener for port in self._ports for listener in _listen(port)]
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="hub-double", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("The Hub double did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop listening; connections are refused from then on."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=15)
        self._server = self._thread = None


def _listen(port: int) -> list[socket.socket]:
    """Listen on the loopback of both families: `localhost` may be either; only the first must be there."""
    found: list[socket.socket] = []
    for family, host in ((socket.AF_INET, HOST), (socket.AF_INET6, "::1")):
        try:
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(256)
        except OSError:
            if not found:
                raise
            continue
        found.append(listener)
    return found
