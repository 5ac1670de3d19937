"""Faults: what a test orders to go wrong, and the record of what was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Drop = Literal[False, True, "response"]


@dataclass
class Fault:
    """Something that goes wrong with the next requests of a kind.

    Attributes:
        method: HTTP method; "*": any.
        path: Regular expression searched in path and query.
        status: Answer with this status instead of serving.
        message: Text of that answer.
        retry_after: Its Retry-After header, seconds.
        headers: Further headers of it, such as X-Error-Code.
        delay: Seconds to wait first; alone: the request is served after it.
        drop: True: close the connection; "response": serve the request, then close instead of answering.
        after_bytes: Close only after this many bytes of the upload, or of the answer when nothing is uploaded.
        after_events: Close only after this many pieces of the answer: lines of a log.
        served: With a status: serve the request first, so that its effect is there though the answer is an error.
        times: Requests it hits; None: all.
        after: Matching requests it lets pass first.
        hits: Requests it has hit.
    """

    method: str
    path: str
    status: int = 0
    message: str = ""
    retry_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: Drop = False
    after_bytes: int | None = None
    after_events: int | None = None
    served: bool = False
    times: int | None = 1
    after: int = 0
    hits: int = 0
    _seen: int = field(default=0, repr=False)

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and re.search(self.path, path) is not None


class Faults:
    """The faults that are ordered now."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._guard = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._guard:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._guard:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        with self._guard:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits a request, and count it."""
        with self._guard:
            for fault in self._faults:
                if not fault.matches(method, path):
                    continue
                fault._seen += 1
                if fault._seen <= fault.after or (fault.times is not None and fault.hits >= fault.times):
                    continue
                fault.hits += 1
                return fault
        return None


@dataclass
class Request:
    """A request as the double saw it.

    Attributes:
        method: HTTP method.
        path: Raw path.
        query: Raw query.
        token_seen: Whether it carried a token.
        status: Of the answer; 0: none was given.
        bytes_sent: Bytes of the answer's body.
        bytes_received: Bytes of the request's body.
        origin: hub, or cdn: the other address, which serves contents and must never see a token.
        user_agent: What the client calls itself.
    """

    method: str
    path: str
    query: str
    token_seen: bool
    status: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    origin: str = "hub"
    user_agent: str = ""
