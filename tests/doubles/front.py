"""What stands before a Space: a proxy that ends the encryption, and the Hub's page that shows the Space in a frame.

The browser is told that `huggingface.co` and the Space's host are here (`rules`), so that sites, cookies and frames are
to it what they are in reality; certificates it has to believe.
"""

from __future__ import annotations

import asyncio
import datetime
import html
import ipaddress
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.hub.serving import HOST, free_port

HUB = "huggingface.co"
_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}


class Front:
    """The proxy of one Space.

    Args:
        folder: Where its certificate is put.
        host: The Space's host.
        target: Port of the Space's own server.
    """

    def __init__(self, folder: Path, host: str, target: int) -> None:
        self.host, self.port = host, free_port()
        self._target = target
        self._certificate = _certificate(folder, [HUB, host])
        self._client: httpx.AsyncClient | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the Space is, to a browser with `rules`."""
        return f"https://{self.host}"

    @property
    def rules(self) -> list[str]:
        """Command line of a Chromium that finds the two hosts here and believes their certificate."""
        mapped = ", ".join(f"MAP {name} {HOST}:{self.port}" for name in (HUB, self.host))
        return [f"--host-resolver-rules={mapped}", "--ignore-certificate-errors"]

    def client(self, **more: object) -> httpx.Client:
        """Return a client that speaks to the Space as a browser would: its names, this address."""

        class Here(httpx.HTTPTransport):
            def handle_request(inner, request: httpx.Request) -> httpx.Response:
                if request.url.host in (HUB, self.host):
                    request.extensions["sni_hostname"] = request.url.host
                    request.url = request.url.copy_with(host=HOST, port=self.port)
                return super().handle_request(request)

        return httpx.Client(transport=Here(verify=False), base_url=self.url, trust_env=False, timeout=60, **more)  # type: ignore[arg-type]

    def start(self) -> Front:
        """Listen; return when it answers."""
        config = uvicorn.Config(
            self._app(),
            host=HOST,
            port=self.port,
            log_level="critical",
            ssl_certfile=str(self._certificate),
            ssl_keyfile=str(self._certificate),
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True, name="space-front")
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the Space's proxy did not start"
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(15)

    def _app(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx.AsyncClient(trust_env=False, timeout=None, limits=limits)
            yield
            await self._client.aclose()

        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)], lifespan=lifespan)

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("host") == HUB:
            return HTMLResponse(self._parent(request))
        assert self._client is not None
        kept = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _HOP]
        given = [(b"host", request.headers.get("host", "").encode()), (b"x-forwarded-proto", b"https")]
        address = f"http://{HOST}:{self._target}{request.url.path}"
        query = f"?{request.url.query}" if request.url.query else ""
        asked = self._client.build_request(
            request.method, address + query, headers=[*kept, *given], content=await request.body()
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.TransportError:
            return HTMLResponse("The Space is not up", 503)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            except (httpx.TransportError, asyncio.CancelledError):
                pass
            finally:
                await answer.aclose()

        passed = StreamingResponse(body(), answer.status_code)
        passed.raw_headers = [
            (name, value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in _HOP - {"content-length"}
        ]
        return passed

    def _parent(self, request: Request) -> str:
        """Return the Hub's page of the Space: it hands its query on at first, and takes what the Space sends back."""
        query = f"?{html.escape(request.url.query)}" if request.url.query else ""
        return (
            "<!doctype html><title>Space</title><body style='margin:0'>"
            f"<iframe name='space' src='{self.url}/{query}' style='width:100vw;height:100vh;border:0'></iframe>"
            "<script>addEventListener('message', event => { if (event.origin === '%s' && event.data"
            " && 'queryString' in event.data) history.replaceState(null, '', '?' +"
            " String(event.data.queryString).replace(/^[?]/, '')) })</script>" % self.url
        )


def _certificate(folder: Path, names: list[str]) -> Path:
    """Return a file with a new key and the certificate it signs for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[-1])])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [*map(x509.DNSName, names), x509.IPAddress(ipaddress.ip_address(HOST))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "space.pem"
    file.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file)
    return file
