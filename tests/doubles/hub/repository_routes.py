"""Routes of repositories: making, describing, listing, searching."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from yaml import YAMLError

from tests.doubles.hub import describe
from tests.doubles.hub.clock import stamp
from tests.doubles.hub.repositories import Commit, Entry, Kind, Repositories, Repository
from tests.doubles.hub.spaces import Spaces
from tests.doubles.hub.web import KIND, REPO, REVISION, HubError, Router, answer

_NAME = re.compile(r"(?!.*(\.\.|--))[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_SORTS = {
    "downloads": lambda r: r.downloads,
    "likes": lambda r: r.likes,
    "createdAt": lambda r: r.created,
    "trendingScore": lambda r: (r.likes, r.downloads),
}


class RepositoryRoutes:
    """Everything about repositories but their files' contents."""

    def __init__(self, repositories: Repositories, spaces: Spaces, url: str, router: Router) -> None:
        self._repositories, self._spaces, self._url = repositories, spaces, url
        one = f"/api/{KIND}/{REPO}"
        router.add("GET", "/api/whoami-v2", self.whoami)
        router.add("POST", "/api/repos/create", self.create)
        router.add("DELETE", "/api/repos/delete", self.delete)
        router.add("POST", "/api/validate-yaml", self.validate_yaml)
        router.add("GET", f"/api/{KIND}", self.search)
        router.add("GET", f"{one}/tree/{REVISION}(?:/(?P<path>.*))?", self.tree)
        router.add("POST", f"{one}/paths-info/{REVISION}", self.paths_info)
        router.add("GET", f"{one}/revision/{REVISION}", self.info)
        router.add("GET", f"{one}/refs", self.refs)
        router.add("GET", f"{one}/commits/{REVISION}", self.commits)
        router.add("PUT", f"{one}/settings", self.settings)
        router.add("POST", f"{one}/(?P<what>branch|tag)/{REVISION}", self.add_reference)
        router.add("DELETE", f"{one}/(?P<what>branch|tag)/{REVISION}", self.remove_reference)
        router.add("POST", f"{one}/super-squash/{REVISION}", self.squash)
        router.add("GET", f"{one}/auth-check(?P<write>/write)?", self.auth_check)
        router.add("GET", one, self.info)

    async def whoami(self, request: Request) -> Response:
        directory = self._repositories.directory
        return answer(directory.whoami(directory.require(request)))

    async def create(self, request: Request) -> Response:
        token = self._repositories.directory.require(request)
        asked = await request.json()
        kind: Kind = asked.get("type") or "model"
        name = f"{asked.get('organization') or token.user.name}/{asked['name']}"
        self._repositories.may_write(token, name, "repo.create")
        if not _NAME.fullmatch(asked["name"]):
            raise HubError(400, f"Invalid repository name: {asked['name']}")
        url = f"{self._url}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self._repositories.all:
            message = f"You already created this {kind} repo"
            return answer({"error": message, "url": url}, 409, {"X-Error-Message": message})
        if kind == "space":
            flavor = asked.get("hardware") or "cpu-basic"
            self._spaces.may_have(token, name.split("/")[0], asked.get("sdk") or "", flavor)
        private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        repository = self._repositories.create(kind, name, private, False, token.user.name)
        if token.scopes is not None:
            token.own.add(name)
        if kind == "space":
            self._spaces.made(repository, token, asked)
        return answer({"url": url, "name": name, "id": repository.id})

    async def delete(self, request: Request) -> Response:
        asked = await request.json()
        token = self._repositories.directory.require(request)
        name = f"{asked.get('organization') or token.user.name}/{asked['name']}"
        repository = self._repositories.find(asked.get("type") or "model", name, token)
        self._repositories.may_write(token, repository.name, "repo.delete")
        del self._repositories.all[repository.kind, repository.name]
        if repository.kind == "space":
            self._spaces.gone(repository.name)
        return answer()

    async def validate_yaml(self, request: Request) -> Response:
        asked = await request.json()
        try:
            describe.front_matter(asked.get("content", ""))
        except YAMLError as error:
            return answer({"errors": [{"message": f"Invalid YAML: {error}"}], "warnings": []}, 400)
        return answer({"errors": [], "warnings": []})

    async def info(self, request: Request, kind: str, repo: str, revision: str = "main") -> Response:
        repository = self._repositories.find(kind, repo, self._repositories.directory.who(request))
        blobs = request.query_params.get("blobs", "").lower() in ("1", "true")
        return answer(describe.info(repository, repository.at(revision), self._repositories.storage, blobs=blobs))

    async def search(self, request: Request, kind: str) -> Response:
        asked = request.query_params
        token = self._repositories.directory.who(request)
        found = [r for r in self._repositories.visible(kind.removesuffix("s"), token) if self._fits(r, request)]
        key = _SORTS.get(asked.get("sort", "trendingScore"), lambda r: r.at("main").date)
        found.sort(key=key, reverse=asked.get("direction", "-1") != "1")
        start, limit = int(asked.get("cursor", 0)), min(int(asked.get("limit", 1000)), 1000)
        full = "full" in asked or "cardData" in asked or "expand" in asked or "expand[]" in asked
        page = found[start : start + limit]
        storage = self._repositories.storage
        body = [describe.info(repository, repository.at("main"), storage, full=full) for repository in page]
        more = start + limit < len(found)
        following = request.url.include_query_params(cursor=start + limit)
        return answer(body, headers={"Link": f'<{following}>; rel="next"'} if more else {})

    def _fits(self, repository: Repository, request: Request) -> bool:
        asked = request.query_params
        words = [word.lower() for text in asked.getlist("search") for word in text.split()]
        if not all(word in repository.name.lower() for word in words):
            return False
        if asked.get("author", repository.namespace) != repository.namespace:
            return False
        if "gated" in asked and (asked["gated"].lower() == "true") != bool(repository.gated):
            return False
        if not asked.getlist("filter"):
            return True
        data = describe.card(repository.at("main"), self._repositories.storage)
        tags = describe.tags(repository, data) + ([data["pipeline_tag"]] if data.get("pipeline_tag") else [])
        return all(tag in tags for tag in asked.getlist("filter"))

    async def tree(self, request: Request, kind: str, repo: str, revision: str, path: str = "") -> Response:
        repository = self._repositories.find(kind, repo, self._repositories.directory.who(request))
        commit = repository.at(revision)
        asked = request.query_params
        recursive, expand = (asked.get(key, "").lower() in ("1", "true") for key in ("recursive", "expand"))
        folder = path.strip("/") + "/" if path.strip("/") else ""
        inside = [p for p in commit.tree if p.startswith(folder)]
        if folder and not inside:
            raise HubError(404, f"{path} does not exist on {revision!r}", "EntryNotFound")
        entries = []
        for item in _listing(inside, folder, recursive):
            entries.append(self._described(repository, commit, item, expand))
        start, limit = int(asked.get("cursor", 0)), 50 if expand else 1000
        more = start + limit < len(entries)
        following = request.url.include_query_params(cursor=start + limit)
        return answer(entries[start : start + limit], headers={"Link": f'<{following}>; rel="next"'} if more else {})

    async def paths_info(self, request: Request, kind: str, repo: str, revision: str) -> Response:
        repository = self._repositories.find(kind, repo, self._repositories.directory.who(request))
        commit = repository.at(revision)
        if "json" in request.headers.get("content-type", ""):
            asked = await request.json()
            paths, expand = asked["paths"], bool(asked.get("expand"))
        else:
            form = await request.form()
            paths, expand = form.getlist("paths"), str(form.get("expand", "")).lower() in ("1", "true")
        there = _listing(list(commit.tree), "", True)
        return answer([self._described(repository, commit, p, expand) for p in paths if p.strip("/") in there])

    def _described(self, repository: Repository, commit: Commit, path: str, expand: bool) -> dict[str, Any]:
        entry = commit.tree.get(path)
        last = next((c for c in repository.history(commit.id) if path in c.paths), commit) if expand else None
        expanded = {"lastCommit": {"id": last.id, "title": last.title, "date": stamp(last.date)}} if last else {}
        if entry is None:
            return {
                "type": "directory",
                "oid": hashlib.sha1(path.encode()).hexdigest(),
                "size": 0,
                "path": path,
            } | expanded
        xet = self._repositories.storage.xet.get(entry.sha256) if entry.lfs else None
        described = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path} | _lfs(entry)
        return described | ({"xetHash": xet} if xet else {}) | expanded

    async def refs(self, request: Request, kind: str, repo: str) -> Response:
        repository = self._repositories.find(kind, repo, self._repositories.directory.who(request))
        branches = {name: sha for name, sha in repository.branches.items() if not name.startswith("refs/")}
        body = {
            "converts": [],
            "branches": _references(branches, "heads"),
            "tags": _references(repository.tags, "tags"),
        }
        pulls = {name: sha for name, sha in repository.branches.items() if name.startswith("refs/pr/")}
        body["pullRequests"] = [{"name": n, "ref": n, "targetCommit": sha} for n, sha in pulls.items()]
        return answer(body)

    async def commits(self, request: Request, kind: str, repo: str, revision: str) -> Response:
        repository = self._repositories.find(kind, repo, self._repositories.directory.who(request))
        history = repository.history(revision)
        start, limit = int(request.query_params.get("cursor", 0)), int(request.query_params.get("limit", 50))
        page = [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.message,
                "authors": [{"user": commit.author}],
                "date": stamp(commit.date),
            }
            for commit in history[start : start + limit]
        ]
        more = start + limit < len(history)
        following = request.url.include_query_params(cursor=start + limit)
        return answer(page, headers={"Link": f'<{following}>; rel="next"'} if more else {})

    async def settings(self, request: Request, kind: str, repo: str) -> Response:
        repository, _ = self._repositories.writable(kind, repo, request)
        asked = await request.json()
        if "private" in asked or "visibility" in asked:
            repository.private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        repository.gated = asked.get("gated", repository.gated)
        return answer({"private": repository.private, "gated": repository.gated})

    async def add_reference(self, request: Request, kind: str, repo: str, what: str, revision: str) -> Response:
        repository, _ = self._repositories.writable(kind, repo, request)
        asked = await request.json()
        if what == "branch":  # the name is in the address, for a tag what it points at
            name, start, references = revision, asked.get("startingPoint") or "main", repository.branches
        else:
            name, start, references = asked["tag"], revision, repository.tags
        if name in references:
            raise HubError(409, f"Reference already exists: {name}")
        references[name] = repository.at(start).id
        return answer({})

    async def remove_reference(self, request: Request, kind: str, repo: str, what: str, revision: str) -> Response:
        repository, _ = self._repositories.writable(kind, repo, request)
        (repository.branches if what == "branch" else repository.tags).pop(revision, None)
        return answer({})

    async def squash(self, request: Request, kind: str, repo: str, revision: str) -> Response:
        repository, _ = self._repositories.writable(kind, repo, request)
        self._repositories.squash(repository, revision, (await request.json()).get("message") or "Super-squash")
        return answer({})

    async def auth_check(self, request: Request, kind: str, repo: str, write: str = "") -> Response:
        if write:
            self._repositories.writable(kind, repo, request)
        else:
            self._repositories.readable(kind, repo, request)
        return answer({})


def _listing(paths: list[str], folder: str, recursive: bool) -> list[str]:
    """Return files and folders below a folder, only its own ones unless recursive."""
    found = {path for path in paths if recursive or "/" not in path[len(folder) :]}
    for path in paths:
        parts = path[len(folder) :].split("/")[:-1]
        for depth in range(1, (len(parts) if recursive else min(1, len(parts))) + 1):
            found.add(folder + "/".join(parts[:depth]))
    return sorted(found)


def _lfs(entry: Entry) -> dict[str, Any]:
    return {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}} if entry.lfs else {}


def _references(references: dict[str, str], what: str) -> list[dict[str, str]]:
    return [{"name": n, "ref": f"refs/{what}/{n}", "targetCommit": sha} for n, sha in references.items()]
