"""The double as tests see it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests.doubles.hub.access import Directory, Role
from tests.doubles.hub.app import App, Connections
from tests.doubles.hub.buckets import Buckets
from tests.doubles.hub.cas import Cas
from tests.doubles.hub.clock import Clock
from tests.doubles.hub.faults import Drop, Fault, Faults, Request
from tests.doubles.hub.file_routes import FileRoutes
from tests.doubles.hub.job_routes import JobRoutes
from tests.doubles.hub.jobs import EVICTED, Job, Jobs
from tests.doubles.hub.oauth import TOKEN_SECONDS, Client, OAuth
from tests.doubles.hub.oauth_routes import OAuthRoutes
from tests.doubles.hub.repositories import Commit, Gated, Kind, Repositories, Repository
from tests.doubles.hub.repository_routes import RepositoryRoutes
from tests.doubles.hub.serving import HOST, OTHER_HOST, Serving, free_port
from tests.doubles.hub.space_routes import SpaceRoutes
from tests.doubles.hub.spaces import OUT_OF_MEMORY, Space, Spaces
from tests.doubles.hub.storage import Storage
from tests.doubles.hub.web import Router


class HubDouble:
    """A local server that speaks the Hub's protocol to unmodified clients.

    It keeps everything but running Jobs while it is stopped, and can be started again.

    Args:
        root: Folder of its contents and of the homes of its clients.
        port: Port to listen on; 0: a free one.

    Attributes:
        url: Its address: HF_ENDPOINT of clients.
        requests: Every request so far.
    """

    def __init__(self, root: Path, port: int = 0) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        # Both ports are taken now, so that the addresses are known before anything starts.
        self._ports = (port or free_port(), free_port())
        self.url, self.cdn = f"http://{HOST}:{self._ports[0]}", f"http://{OTHER_HOST}:{self._ports[1]}"
        self.requests: list[Request] = []
        self.clock, self.faults = Clock(), Faults()
        self.storage = Storage(root / "contents")
        self.directory = Directory(self.clock)
        self.repositories = Repositories(self.storage, self.directory, self.clock)
        self.job_runner = Jobs(self.directory, self.clock, root / "jobs", self.url)
        self.oauth = OAuth(self.directory, self.clock, self.url)
        self._connections = Connections()
        router = Router()
        self._app = App(router, self.faults, self.clock, self._connections, self.requests)
        self._app.cdn_port = self._ports[1]
        self.buckets = Buckets(self.directory, self.clock, root / "buckets", self.url, router)
        self.space_runner = Spaces(
            self.repositories, self.directory, self.clock, root / "spaces", self.url, self.oauth, self.buckets
        )
        # Before the repositories': `/api/spaces/hardware` could be one's name.
        self._space_routes = SpaceRoutes(self.space_runner, self.repositories, self.clock, router)
        RepositoryRoutes(self.repositories, self.space_runner, self.url, router)
        FileRoutes(self.repositories, self.url, self.cdn, router)
        Cas(self.repositories, root / "xorbs", self.cdn, router)
        self._job_routes = JobRoutes(self.job_runner, self.directory, self.clock, router)
        OAuthRoutes(self.oauth, router)
        self._serving = Serving(self._app, self._connections.protocol(), self._ports)

    # Its life

    def start(self) -> None:
        """Listen; return when it answers."""
        self._serving.start()

    def stop(self) -> None:
        """Stop listening and end its Jobs and Spaces."""
        self.job_runner.stop()
        self.space_runner.stop()
        self._serving.stop()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections within the block, while its Jobs go on."""
        self._serving.stop()
        try:
            yield
        finally:
            self.start()

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a client: this Hub, a fresh home, no token."""
        home = tempfile.mkdtemp(prefix="home-", dir=self._root)
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": home,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def client_environment(self, **more: str) -> dict[str, str]:
        """Return this process's environment with `environment()` in it and no token or offline switch of its own.

        Args:
            more: Further variables, for instance HF_TOKEN.
        """
        taken = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN_PATH")
        return {k: v for k, v in os.environ.items() if k not in taken} | self.environment() | more

    # Users

    def add_user(
        self,
        name: str,
        role: Role = "write",
        expires: datetime | None = None,
        credit: float = 10.0,
        organisations: Iterable[str] | Mapping[str, str] = (),
        *,
        permissions: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        read_gated: bool = True,
        quota: int | None = None,
        can_pay: bool | None = None,
        pro: bool = False,
    ) -> str:
        """Add a user, or another token of one, and return the token.

        Args:
            name: The user's name and namespace.
            role: The token's: read, write, fine-grained or oauth.
            expires: When the token ends, aware; None: never.
            credit: Prepaid credit, USD.
            organisations: Names (the user is admin of them), or names with the role there.
            permissions: Of a fine-grained or OAuth token: names, for the user's namespaces, or names by entity (a
                namespace, owner/name, or * for global ones); None: everything a token can have here.
            read_gated: Whether a fine-grained token reads gated repositories.
            quota: Bytes of private storage; None: no limit.
            can_pay: Whether a payment method is there; None: where there is credit.
            pro: Whether there is a paid plan: Docker Spaces need one.
        """
        secret = self.directory.add(name, role, expires, credit, organisations, permissions, read_gated, quota, can_pay)
        self.directory.users[name].pro |= pro
        return secret

    def add_oauth_client(
        self,
        redirects: Iterable[str],
        scopes: Iterable[str] = (),
        *,
        public: bool = False,
        name: str = "Application",
        seconds: int = TOKEN_SECONDS,
    ) -> Client:
        """Register an application that signs people in with the Hub; every user of the double can sign in.

        Args:
            redirects: Addresses it may send people back to; a path of `/*` is any, a loopback address without a port
                has any.
            scopes: What it may ask for beside openid and profile.
            public: Whether it has no secret; then it needs PKCE.
            name: What the Hub's page calls it.
            seconds: How long its tokens last.
        """
        return self.oauth.register(redirects, scopes, public=public, name=name, seconds=seconds)

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        self.directory.tokens.pop(token, None)

    # Repositories

    def add_repo(
        self,
        kind: Kind,
        name: str,
        files: Mapping[str, bytes | Path] | None = None,
        private: bool = False,
        gated: Gated | bool = False,
        *,
        downloads: int = 0,
        likes: int = 0,
    ) -> Repository:
        """Add a repository with files, given as bytes or as files to copy."""
        repository = self.repositories.create(
            kind, name, private, "auto" if gated is True else gated, name.split("/")[0]
        )
        repository.downloads, repository.likes = downloads, likes
        if files:
            self.add_commit(kind, name, files, "Upload files")
        return repository

    def add_commit(
        self,
        kind: Kind,
        name: str,
        files: Mapping[str, bytes | Path],
        title: str = "Update",
        *,
        branch: str = "main",
        removed: Iterable[str] = (),
        message: str = "",
    ) -> Commit:
        """Commit to a repository as somebody else would."""
        entries = {path: self.repositories.entry_of(content, path) for path, content in files.items()}
        repository = self.repo(kind, name)
        author = name.split("/")[0]
        return self.repositories.commit(repository, branch, title, message, entries, set(removed), author)

    def repo(self, kind: Kind, name: str) -> Repository:
        """Return a repository; KeyError where there is none."""
        return self.repositories.all[kind, name]

    def has_repo(self, kind: Kind, name: str) -> bool:
        """Return whether a repository is there."""
        return (kind, name) in self.repositories.all

    def add_branch(self, kind: Kind, name: str, branch: str, start: str = "main") -> None:
        """Add a branch."""
        repository = self.repo(kind, name)
        repository.branches[branch] = repository.at(start).id

    def grant(self, kind: Kind, name: str, user: str) -> None:
        """Let a user read a gated repository."""
        self.repo(kind, name).granted.add(user)

    def files(self, kind: Kind, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return the contents of a repository by path."""
        tree = self.repo(kind, name).at(revision).tree
        return {path: self.storage.read(entry.sha256) for path, entry in tree.items()}

    def commits(self, kind: Kind, name: str, revision: str = "main") -> list[Commit]:
        """Return the commits of a branch, newest first."""
        return self.repo(kind, name).history(revision)

    # Jobs

    def jobs(self) -> list[Job]:
        """Return all Jobs, oldest first."""
        return list(self.job_runner.all.values())

    def job(self, id_: str) -> Job:
        """Return a Job."""
        return self.job_runner.all[id_]

    def evict(self, id_: str) -> None:
        """Let a Job die as if its machine had."""
        self.job_runner.end(self.job(id_), "ERROR", EVICTED)

    def out_of_credit(self, user: str) -> None:
        """Take a user's credit: running Jobs end, Spaces are paused, new ones are refused."""
        self.job_runner.out_of_credit(user)
        self.directory.users[user].can_pay = False
        for space in self.spaces():
            if space.live and space.creator == self.directory.users[user].id and space.hardware != "cpu-basic":
                self.space_runner.pause(space, "PAUSED", "Paused: insufficient credit")

    def set_credit(self, user: str, credit: float) -> None:
        """Give a user credit, USD."""
        self.directory.users[user].credit = credit

    @property
    def job_environment(self) -> dict[str, str]:
        """Further variables of every Job: what its image or machine would have."""
        return self.job_runner.environment

    @property
    def scheduling_seconds(self) -> float:
        """Seconds Jobs wait before they run."""
        return self.job_runner.scheduling_seconds

    @scheduling_seconds.setter
    def scheduling_seconds(self, seconds: float) -> None:
        self.job_runner.scheduling_seconds = seconds

    @property
    def keep_alive_seconds(self) -> float:
        """Seconds of silence after which a log's stream says that it is alive."""
        return self._job_routes.keep_alive

    @keep_alive_seconds.setter
    def keep_alive_seconds(self, seconds: float) -> None:
        self._job_routes.keep_alive = seconds

    # Spaces

    def space(self, name: str) -> Space:
        """Return a Space; KeyError where there is none."""
        return self.space_runner.all[name]

    def spaces(self) -> list[Space]:
        """Return all Spaces, oldest first."""
        return list(self.space_runner.all.values())

    def crash_space(self, name: str, error: str = OUT_OF_MEMORY) -> None:
        """Let a Space's program die, by default for want of memory."""
        self.space_runner.crash(self.space(name), error)

    def sleep_space(self, name: str) -> None:
        """Let a Space go to sleep, as after its sleep time."""
        self.space_runner.pause(self.space(name), "SLEEPING")

    def wake_space(self, name: str) -> None:
        """Visit a sleeping Space: it starts again."""
        self.space_runner.start(self.space(name))

    @property
    def building_seconds(self) -> float:
        """Seconds that building a Space takes."""
        return self.space_runner.building_seconds

    @building_seconds.setter
    def building_seconds(self, seconds: float) -> None:
        self.space_runner.building_seconds = seconds

    @property
    def build_problem(self) -> str:
        """What the build of every Space fails with; "": nothing."""
        return self.space_runner.build_problem

    @build_problem.setter
    def build_problem(self, problem: str) -> None:
        self.space_runner.build_problem = problem

    # What goes wrong

    def until(self, condition: Callable[[], object], timeout: float = 20.0) -> None:
        """Wait until something holds.

        Args:
            condition: Asked again and again.
            timeout: Seconds after which AssertionError is raised.
        """
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"Not within {timeout} s"
            time.sleep(0.02)

    def calm(self) -> None:
        """Undo what a test set: faults, skewed clock, slow scheduling, further variables of Jobs."""
        self.faults.clear()
        self.clock_skew, self.scheduling_seconds, self.keep_alive_seconds = 0.0, 0.0, 30.0
        self.job_environment.clear()
        self.building_seconds, self.build_problem = 0.0, ""

    def fault(
        self,
        method: str = "*",
        path: str = "",
        status: int = 0,
        *,
        delay: float = 0.0,
        drop: Drop = False,
        times: int | None = 1,
        after: int = 0,
        after_bytes: int | None = None,
        after_events: int | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        message: str = "",
        served: bool = False,
    ) -> Fault:
        """Order a fault; see `faults.Fault`. `hits` of what is returned counts the requests it hit."""
        return self.faults.add(
            Fault(
                method=method,
                path=path,
                status=status,
                message=message,
                retry_after=retry_after,
                headers=headers or {},
                delay=delay,
                drop=drop,
                after_bytes=after_bytes,
                after_events=after_events,
                served=served,
                times=times,
                after=after,
            )
        )

    @property
    def clock_skew(self) -> float:
        """Seconds by which the Hub's clock is ahead."""
        return self.clock.skew

    @clock_skew.setter
    def clock_skew(self, seconds: float) -> None:
        self.clock.skew = seconds
