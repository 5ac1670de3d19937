"""The little web framework of the double: routes on the raw path, answers, the Hub's errors.

Starlette routes on the decoded path, but a revision is one URL segment in which a slash is %2F; so routes here are
regular expressions on the raw path and their groups are decoded afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[..., Awaitable[Response]]

REPO = r"(?P<repo>[^/]+/[^/]+?|[^/]+?)"  # owner/name, or the name of a repository without owner (gpt2)
KIND = r"(?P<kind>models|datasets|spaces)"
REVISION = r"(?P<revision>[^/]+)"


class HubError(Exception):
    """An answer that is an error, in the Hub's form.

    Args:
        status: HTTP status.
        message: What the body and X-Error-Message say.
        code: X-Error-Code, which clients turn into their own exceptions.
        headers: Further headers.
    """

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, dict(headers or {})

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message, **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return answer({"error": self.message}, self.status, headers)


def answer(body: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(json.dumps(body).encode(), status, dict(headers or {}), "application/json; charset=utf-8")


class Router:
    """Finds the handler of a method and a raw path."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Add a route.

        Args:
            method: HTTP method; a HEAD goes to GET's handler.
            pattern: Regular expression of the whole raw path; its named groups become keyword arguments.
            handler: Called with the request and the groups.
        """
        self._routes.append((method, re.compile(pattern), handler))

    async def __call__(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii").split("?")[0]
        wanted = "GET" if request.method == "HEAD" else request.method
        for method, pattern, handler in self._routes:
            if method == wanted and (match := pattern.fullmatch(path)):
                return await handler(request, **{key: unquote(value or "") for key, value in match.groupdict().items()})
        raise HubError(404, "Sorry, we can't find the page you are looking for.")
