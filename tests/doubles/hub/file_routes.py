"""Routes of files: reading them, also through the other address (the "CDN"), and uploading and committing them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.doubles.hub.repositories import LARGE, LARGE_NAMES, Entry, Repositories
from tests.doubles.hub.web import KIND, REPO, REVISION, HubError, Router, answer

_PIECE = 1 << 20


class FileRoutes:
    """Reading, uploading and committing files.

    Args:
        repositories: All repositories.
        url: The Hub's address.
        cdn: The other address; clients must not send their token there.
        router: Where the routes go.
    """

    def __init__(self, repositories: Repositories, url: str, cdn: str, router: Router) -> None:
        self._repositories, self._url, self._cdn = repositories, url, cdn
        self._storage = repositories.storage
        one = f"/api/{KIND}/{REPO}"
        prefixed = rf"/(?:(?P<kind>datasets|spaces)/)?{REPO}"
        router.add("POST", f"{one}/preupload/{REVISION}", self.preupload)
        router.add("POST", f"{one}/commit/{REVISION}", self.commit)
        router.add("POST", rf"{prefixed}\.git/info/lfs/objects/batch", self.batch)
        router.add("POST", rf"{prefixed}\.git/info/lfs/objects/verify", self.verify)
        router.add("GET", rf"{prefixed}/(?:resolve|raw)/{REVISION}/(?P<path>.+)", self.resolve)
        router.add("GET", "/cdn/(?P<sha256>[0-9a-f]{64})", self.content)
        router.add("PUT", "/cdn/(?P<sha256>[0-9a-f]{64})", self.receive)

    async def resolve(self, request: Request, kind: str, repo: str, revision: str, path: str) -> Response:
        repository = self._repositories.readable(kind or "models", repo, request)
        commit, entry = repository.entry(revision, path)
        headers = {"X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
        if not entry.lfs:
            return serve(request, self._storage.path(entry.sha256), headers | {"ETag": f'"{entry.oid}"'})
        name = quote(path.rsplit("/", 1)[-1])
        headers |= {
            "Location": f"{self._cdn}/cdn/{entry.sha256}?response-content-disposition=inline&filename={name}&__sign=s",
            "X-Linked-Size": str(entry.size),
            "X-Linked-ETag": f'"{entry.sha256}"',
        }
        if xet := self._storage.xet.get(entry.sha256):
            route = f"{self._url}/api/{repository.plural}/{repository.name}/xet-read-token/{commit.id}"
            headers |= {"X-Xet-Hash": xet, "Link": f'<{route}>; rel="xet-auth"'}
        return Response(b"Found. Redirecting", 302, headers)

    async def content(self, request: Request, sha256: str) -> Response:
        if "authorization" in request.headers:  # as object stores answer a signed address with a token beside
            raise HubError(400, "Only one auth mechanism allowed")
        if not self._storage.has(sha256):
            raise HubError(404, "NoSuchKey")
        return serve(request, self._storage.path(sha256), {"ETag": f'"{sha256}"'})

    async def receive(self, request: Request, sha256: str) -> Response:
        if "authorization" in request.headers:
            raise HubError(400, "Only one auth mechanism allowed")
        if self._storage.put(await request.body()) != sha256:
            raise HubError(400, "The content does not have the announced SHA-256")
        return Response(b"", 200, {"ETag": f'"{sha256}"'})

    async def preupload(self, request: Request, kind: str, repo: str, revision: str) -> Response:
        repository, _ = self._repositories.writable(kind, repo, request)
        tree = repository.at(revision).tree if repository.branches.get(revision) else repository.at("main").tree
        files = []
        for asked in (await request.json())["files"]:
            sample = base64.b64decode(asked.get("sample") or "")
            large = asked["size"] >= LARGE or LARGE_NAMES.search(asked["path"]) is not None or b"\0" in sample
            described = {
                "path": asked["path"],
                "uploadMode": "lfs" if large and asked["size"] else "regular",
                "shouldIgnore": False,
            }
            if entry := tree.get(asked["path"]):
                described["oid"] = entry.sha256 if entry.lfs else entry.oid
            files.append(described)
        return answer({"files": files})

    async def batch(self, request: Request, kind: str, repo: str) -> Response:
        repository, _ = self._repositories.writable(kind or "models", repo, request)
        wanted = (await request.json())["objects"]
        self._repositories.may_store(repository, sum(o["size"] for o in wanted if not self._storage.has(o["oid"])))
        verify = f"{self._url}/{repository.prefix}{repository.name}.git/info/lfs/objects/verify"
        objects = []
        for item in wanted:
            described = {"oid": item["oid"], "size": item["size"], "authenticated": True}
            if not self._storage.has(item["oid"]):
                upload = {"href": f"{self._cdn}/cdn/{item['oid']}?__sign=s"}
                described["actions"] = {"upload": upload, "verify": {"href": verify}}
            objects.append(described)
        headers = {"Content-Type": "application/vnd.git-lfs+json"}
        return answer({"transfer": "basic", "objects": objects}, headers=headers)

    async def verify(self, request: Request, kind: str, repo: str) -> Response:
        asked = await request.json()
        if not self._storage.has(asked["oid"]):
            raise HubError(404, "The object is not there")
        return answer({})

    async def commit(self, request: Request, kind: str, repo: str, revision: str) -> Response:
        repository, token = self._repositories.writable(kind, repo, request)
        header: dict[str, str] = {}
        added: dict[str, Entry] = {}
        removed: set[str] = set()
        for line in (await request.body()).splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "header":
                    header = value
                case "file":
                    added[value["path"]] = self._repositories.regular(_decoded(value))
                case "lfsFile":
                    added[value["path"]] = self._repositories.entry_at(value["oid"])
                case "deletedFile":
                    removed.add(value["path"])
                case "deletedFolder":
                    removed.add(value["path"].rstrip("/") + "/")
                case other:
                    raise HubError(400, f"Unknown operation: {other}")
        known = {entry.sha256 for commit in repository.commits.values() for entry in commit.tree.values()}
        self._repositories.may_store(repository, sum(e.size for e in added.values() if e.sha256 not in known))
        branch, pull = revision, ""
        if request.query_params.get("create_pr"):
            number = sum(name.startswith("refs/pr/") for name in repository.branches) + 1
            branch = f"refs/pr/{number}"
            pull = f"{self._url}/{repository.prefix}{repository.name}/discussions/{number}"
        made = self._repositories.commit(
            repository,
            branch,
            header.get("summary", ""),
            header.get("description", ""),
            added,
            removed,
            token.user.name,
            header.get("parentCommit"),
        )
        body = {
            "success": True,
            "commitOid": made.id,
            "commitUrl": f"{self._url}/{repository.prefix}{repository.name}/commit/{made.id}",
            "hookOutput": "",
        }
        return answer(body | ({"pullRequestUrl": pull} if pull else {}))


def _decoded(value: dict[str, str]) -> bytes:
    if value.get("encoding") != "base64":
        return value["content"].encode()
    try:
        return base64.b64decode(value["content"], validate=True)
    except binascii.Error as error:
        raise HubError(400, "A file's content is not base64") from error


def serve(request: Request, path: Path, headers: dict[str, str]) -> Response:
    """Return a file or the range of it that was asked."""
    size = path.stat().st_size
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    asked = request.headers.get("range", "")
    start, end, status = 0, size, 200
    if asked.startswith("bytes=") and "," not in asked:
        start, end = _bounds(asked.removeprefix("bytes="), size)
        if start >= size or start >= end:
            return Response(b"", 416, headers | {"Content-Range": f"bytes */{size}"})
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(None, status, headers)
    return StreamingResponse(_pieces(path, start, end), status, headers)


def _bounds(asked: str, size: int) -> tuple[int, int]:
    first, _, last = asked.partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while start < end and (piece := stream.read(min(_PIECE, end - start))):
            start += len(piece)
            yield piece
