"""What annotators reach: a listener of their own that serves /annotate and nothing else, and the link to share.

The studio itself stays on loopback; annotators on other machines get this second listener.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.web.proxy import ServiceProxy, Target

PREFIX = "/annotate"
Reach = Literal["this machine only", "network"]


def build_annotators_app(target: Target) -> Starlette:
    """Return the application for annotators: the review server under /annotate, everything else 404.

    Args:
        target: Root URL of the review server, or None while it is not running; see `ServiceProxy`.
    """
    proxy = ServiceProxy(target, PREFIX)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await proxy.aclose()

    async def home(request: object) -> RedirectResponse:
        return RedirectResponse(PREFIX + "/")

    return Starlette(routes=[Route("/", home), *proxy.routes()], lifespan=lifespan)


def parse_listener(value: str) -> tuple[str, int]:
    """Split HOST:PORT, an IPv6 host in brackets.

    Args:
        value: What the user gave.

    Returns:
        Host (without brackets) and port.

    Raises:
        StudioError: It is not of that form, or the port is not between 1 and 65535.
    """
    host, separator, port = value.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise StudioError("listen.brackets", address=value)
    if not separator or not host:
        raise StudioError("listen.incomplete", address=value)
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise StudioError("listen.port", address=value)
    return host, int(port)


class Listener:
    """A running listener for annotators.

    Attributes:
        host: Address it listens on.
        port: Port it listens on.
    """

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self._socket = sock
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        # A thread with its own event loop: uvicorn takes the signal handlers only in the main thread, so the studio's
        # own server keeps them.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [sock]}, name="annotators", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests under way (5 seconds at most) and free the port."""
        self._server.should_exit = True
        self._thread.join(timeout=15)
        self._socket.close()


def serve_annotators(app: ASGIApp, host: str, port: int) -> Listener:
    """Serve an application on an address of its own, beside the studio.

    Args:
        app: The application of `build_annotators_app`.
        host: Address to listen on; 0.0.0.0 or :: for every network the machine is in.
        port: Port to listen on; 0 takes a free one.

    Returns:
        The listener; connections are accepted from now on.

    Raises:
        StudioError: The port is in use, the address is not this machine's, or listening is not allowed.
    """
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" then serves IPv4 too
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise StudioError(_bind_trouble(error), host=host, port=port, detail=error.strerror or str(error)) from error
    return Listener(app, sock)


def _bind_trouble(error: OSError) -> str:
    """Return the code of what is said when an address cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return "listen.in_use"
    if error.errno == errno.EACCES:
        return "listen.not_allowed"
    foreign = error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror)
    return "listen.foreign" if foreign else "listen.refused"


def annotation_link(base_url: str, dataset_id: str, prefix: str = PREFIX) -> str:
    """Return the link that opens a dataset for annotation, after the sign-in page if need be.

    Args:
        base_url: What `shareable_base` returned, or the URL of a server of the user's own.
        dataset_id: Id of the dataset on the review server.
        prefix: Where Argilla is under the base; "" for a server of the user's own.
    """
    return f"{base_url.rstrip('/')}{prefix}/dataset/{dataset_id}/annotation-mode"


def shareable_base(settings: Settings, request_base: str) -> tuple[str, Reach]:
    """Return the address annotators should use, and who can reach it.

    Args:
        settings: With `annotators`, the second listener, if there is one.
        request_base: Scheme and host the page itself was asked by ("http://127.0.0.1:7860"); used without a second
            listener.

    Returns:
        The base URL, and "network" or "this machine only".

    Raises:
        StudioError: `settings.annotators` is not HOST:PORT.
    """
    if not settings.annotators:
        host = urlsplit(request_base).hostname or ""
        return request_base.rstrip("/"), "this machine only" if _is_loopback(host) else "network"
    host, port = parse_listener(settings.annotators)
    if host in ("0.0.0.0", "::"):
        host = lan_address() or "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}", "this machine only" if _is_loopback(host) else "network"


def lan_address() -> str | None:
    """Return this machine's address in its network, or None when it has no network."""
    for family, documentation in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            # Connecting a datagram socket sends nothing; it only makes the system choose the way out. The addresses
            # are those reserved for documentation (RFC 5737, RFC 3849).
            sock.connect((documentation, 9))
            return str(sock.getsockname()[0])
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
