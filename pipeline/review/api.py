"""Argilla's REST interface with a URL and a key, and its errors in words the user can act on.

Used by `pipeline.review` for everything but a dataset's settings: plain JSON keeps an import's memory flat, where the
SDK 2.8 keeps every record it gets back (measured: 1.4 GB for 40,000 records).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import httpx
import orjson

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.message import Message, message, verbatim

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint

OLDEST = (2, 8)
"""The version this was tested with, and the last there is; earlier ones lack calls that are used here."""


class ReviewError(StudioError):
    """Something went wrong between the studio and the review server."""


class ServerUnreachable(ReviewError):
    """Nothing answers at the address, or what answers is not Argilla."""


class WrongKey(ReviewError):
    """The API key is not one of the server's."""


class NotOwner(ReviewError):
    """The key belongs to somebody who may not do this."""


class WrongVersion(ReviewError):
    """The server is older than what the studio speaks."""


class ServerFull(ReviewError):
    """The server has no space left, or asks to wait."""


class Refused(ReviewError):
    """The server understood the request and said no.

    Attributes:
        status: HTTP status, 4xx.
        detail: The server's reason.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__("argilla.refused", detail=detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Server:
    """Who answers, and who we are there.

    Attributes:
        version: Argilla's version.
        username: The name of the key's user.
        role: "owner", "admin" or "annotator".
    """

    version: str
    username: str
    role: str


class Api:
    """A connection to one review server; a context manager.

    Args:
        endpoint: Its URL (with its path prefix) and the key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._url = endpoint.url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url + "/api/v1/",
            headers={
                "X-Argilla-Api-Key": endpoint.api_key,
                # Argilla 2.8 compresses every answer with Brotli quality 7: a third of the server's work when writing.
                "Accept-Encoding": "identity",
            },
            timeout=httpx.Timeout(120, connect=5),
            trust_env=not endpoint.embedded,  # HTTP_PROXY must not catch loopback
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int | bool) -> Any:
        """Return the JSON answer to a GET."""
        return self._json(self._request("GET", path, params=params))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: str | int) -> Any:
        """Send a request with a JSON body and return the JSON answer, None when it is empty."""
        answer = self._request(method, path, params=params, json=body)
        return self._json(answer) if answer.content else None

    def put_raw(self, path: str, body: bytes) -> None:
        """Send JSON that is already encoded; the answer, a copy of what was sent, is not parsed."""
        self._request("PUT", path, content=body, headers={"Content-Type": "application/json"})

    def check(self) -> Server:
        """Return who answers.

        Raises:
            ServerUnreachable: Nothing answers, or it is not Argilla.
            WrongKey: The key is not valid there.
            WrongVersion: The server is too old.
        """
        version = self.get("version").get("version", "")
        me = self.get("me")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise WrongVersion("argilla.too_old", url=self._url, version=version or "?", needed=needed)
        return Server(version, me["username"], me["role"])

    def check_owner(self) -> Server:
        """Return who answers, if the key is an owner's.

        Raises:
            NotOwner: It is somebody else's.
        """
        server = self.check()
        if server.role != "owner":
            raise NotOwner("argilla.not_owner", name=server.username, role=server.role)
        return server

    def find_workspace(self, name: str) -> str | None:
        """Return the id of a workspace, None if there is none of that name."""
        return next((str(item["id"]) for item in self.get("me/workspaces")["items"] if item["name"] == name), None)

    def ensure_workspace(self, name: str) -> str:
        """Return the id of a workspace, made when missing."""
        return self.find_workspace(name) or str(self.send("POST", "workspaces", {"name": name})["id"])

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._unreachable(verbatim(f"{type(error).__name__}: {error}"), error)
        if not answer.is_success:
            self._raise(answer)
        return answer

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            self._unreachable(message("argilla.something_else"), error)

    def _unreachable(self, reason: Message, error: Exception | None = None) -> NoReturn:
        raise ServerUnreachable("argilla.unreachable", url=self._url, reason=reason) from error

    def _raise(self, answer: httpx.Response) -> NoReturn:
        status, detail = answer.status_code, _detail(answer)
        if status == 401:
            raise WrongKey("argilla.wrong_key", url=self._url)
        if status == 403:
            raise NotOwner("argilla.may_not", detail=detail)
        if status >= 500 and disk_full(detail):
            raise server_full()
        if status in (429, 507):
            raise ServerFull("argilla.busy", detail=detail)
        if status in (502, 503, 504) or 300 <= status < 400:
            self._unreachable(verbatim(f"HTTP {status}: {detail}"))
        if status >= 500:
            raise ReviewError("argilla.failed", status=status, detail=detail)
        raise Refused(status, detail)


def server_full() -> ServerFull:
    """Return the error of a server whose disk is full."""
    return ServerFull("argilla.full")


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, KeyError, TypeError):
        detail = answer.text
    if isinstance(detail, dict) and "params" in detail:
        detail = detail["params"].get("detail") or detail["params"].get("errors") or detail
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    return text if len(text) <= 400 else text[:400] + "…"
