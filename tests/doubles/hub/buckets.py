"""Buckets: folders that outlive what they are mounted in. Their contents are not read or written over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.doubles.hub.access import Directory, Token
from tests.doubles.hub.clock import Clock, stamp
from tests.doubles.hub.web import HubError, Router, answer


@dataclass
class Bucket:
    """A bucket: its name, its folder, whether only its owner sees it."""

    name: str
    folder: Path
    private: bool
    created: datetime

    def info(self) -> dict[str, Any]:
        """Return what the Hub tells of it."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            "id": self.name,
            "private": self.private,
            "createdAt": stamp(self.created),
            "size": sum(path.stat().st_size for path in files),
            "totalFiles": len(files),
        }


class Buckets:
    """All buckets."""

    def __init__(self, directory: Directory, clock: Clock, folder: Path, url: str, router: Router) -> None:
        self._directory, self._clock, self._folder, self._url = directory, clock, folder, url
        self.all: dict[str, Bucket] = {}
        one = "/api/buckets/(?P<owner>[^/]+)/(?P<name>[^/]+)"
        router.add("POST", one, self.create)
        router.add("GET", one, self.info)
        router.add("DELETE", one, self.delete)
        router.add("GET", f"{one}/tree(?:/(?P<prefix>.*))?", self.tree)
        router.add("GET", "/api/buckets/(?P<owner>[^/]+)", self.list)

    def add(self, name: str, *, private: bool = True) -> Bucket:
        """Make a bucket."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        self.all[name] = Bucket(name, folder, private, self._clock.now())
        return self.all[name]

    def folder(self, name: str, path: str | None = None) -> Path:
        """Return where a bucket's files are, or those below one of its folders.

        Raises:
            HubError: There is none.
        """
        if name not in self.all:
            raise HubError(404, "Bucket not found", "RepoNotFound")
        place = self.all[name].folder / (path or "")
        place.mkdir(parents=True, exist_ok=True)
        return place

    async def create(self, request: Request, owner: str, name: str) -> Response:
        token = self._directory.require(request)
        owner = token.user.name if owner == "me" else owner
        self._may(token, owner, "repo.create")
        full, url = f"{owner}/{name}", f"{self._url}/buckets/{owner}/{name}"
        if full in self.all:
            return answer({"error": "You already created this bucket", "url": url}, 409)
        self.add(full, private=(await request.json()).get("visibility") != "public")
        return answer({"url": url, "id": full})

    async def info(self, request: Request, owner: str, name: str) -> Response:
        return answer(self._seen(request, f"{owner}/{name}").info())

    async def delete(self, request: Request, owner: str, name: str) -> Response:
        self._seen(request, f"{owner}/{name}")
        self._may(self._directory.require(request), owner, "repo.delete")
        del self.all[f"{owner}/{name}"]
        return answer()

    async def list(self, request: Request, owner: str) -> Response:
        token = self._directory.require(request)
        owner = token.user.name if owner == "me" else owner
        found = [
            b for b in self.all.values() if b.name.startswith(f"{owner}/") and (not b.private or _in(token, owner))
        ]
        return answer([bucket.info() for bucket in found])

    async def tree(self, request: Request, owner: str, name: str, prefix: str = "") -> Response:
        bucket = self._seen(request, f"{owner}/{name}")
        paths = sorted(path for path in bucket.folder.rglob("*") if path.is_file())
        files = [(path.relative_to(bucket.folder).as_posix(), path.stat()) for path in paths]
        return answer(
            [
                {"type": "file", "path": path, "size": about.st_size, "xetHash": "0" * 64, "mtime": None}
                for path, about in files
                if path.startswith(prefix)
            ]
        )

    def _seen(self, request: Request, name: str) -> Bucket:
        token, bucket = self._directory.who(request), self.all.get(name)
        if bucket is None or (bucket.private and (token is None or not _in(token, name.split("/")[0]))):
            raise HubError(404, "Bucket not found", "RepoNotFound")
        return bucket

    def _may(self, token: Token, owner: str, permission: str) -> None:
        if not token.user.writes_to(owner) or not token.allows(permission, owner):
            raise HubError(403, f"Forbidden: you cannot change the buckets of {owner}")


def _in(token: Token, owner: str) -> bool:
    return owner == token.user.name or owner in token.user.organisations
