"""Spaces: each really runs its Dockerfile's command, as a process group of this machine."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.doubles.hub import container, describe, dockerfile
from tests.doubles.hub.access import Directory, Token
from tests.doubles.hub.buckets import Buckets
from tests.doubles.hub.clock import Clock
from tests.doubles.hub.hardware import hardware
from tests.doubles.hub.jobs import ENGINES
from tests.doubles.hub.oauth import OAuth
from tests.doubles.hub.repositories import Repositories, Repository
from tests.doubles.hub.serving import HOST, free_port
from tests.doubles.hub.web import HubError

LOCKS = Path(__file__).parents[3] / "pipeline" / "engines"
NO_PLAN = (
    "Static Spaces are free for everyone, but hosting Gradio and Docker Spaces requires a PRO subscription. "
    "Subscribe at https://huggingface.co/pro"
)
NO_TEAM = "Hosting Gradio and Docker Spaces in an organization requires a Team or Enterprise plan."
UNPAID = (
    "You must add a payment method to your account to upgrade your space's hardware. Visit your billing settings to "
    "add one: https://huggingface.co/settings/billing"
)
OUT_OF_MEMORY = "Memory limit exceeded"
FREE_SLEEP = 48 * 3600
JOBS_ONLY = ("cpu-xl", "cpu-performance", "h200")  # hardware that Spaces do not have
LIVE = ("BUILDING", "APP_STARTING", "RUNNING")
_TICK = 0.05


@dataclass
class Space:
    """A Space.

    Attributes:
        stage: As the Hub tells it.
        hardware: Its flavor.
        sleep: Seconds without a visit after which it goes to sleep; None: never.
        error: What the Hub says is wrong.
        lines: What its program printed since it was started last: when, what.
        built: The log of its build.
        starts: How often its program was started.
        port: Where its program listens.
        root: Its container's root folder.
        unrun: RUN lines that do more than install, and were not run.
    """

    repository: Repository
    creator: str
    stage: str = "NO_APP_FILE"
    hardware: str = "cpu-basic"
    sleep: int | None = None
    error: str = ""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    variables: dict[str, str] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    lines: list[tuple[datetime, str]] = field(default_factory=list, repr=False)
    built: list[tuple[datetime, str]] = field(default_factory=list, repr=False)
    starts: int = 0
    port: int = 0
    root: Path = Path()
    unrun: list[str] = field(default_factory=list)
    visited: float = 0.0
    turn: int = 0  # of its life: whoever began an older one has nothing to say any more
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    client: dict[str, str] = field(default_factory=dict, repr=False)  # its OAuth application

    @property
    def name(self) -> str:
        return self.repository.name

    @property
    def url(self) -> str:
        """Where its program listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """Everything its program printed since it was started last."""
        return "\n".join(line for _, line in self.lines)

    @property
    def live(self) -> bool:
        """Whether it is built, starts or runs."""
        return self.stage in LIVE

    def runtime(self) -> dict[str, Any]:
        """Return what the Hub tells of how it runs."""
        sleep = FREE_SLEEP if self.hardware == "cpu-basic" else self.sleep
        said: dict[str, Any] = {
            "stage": self.stage,
            "hardware": {"current": self.hardware if self.stage == "RUNNING" else None, "requested": self.hardware},
            "storage": None,
            "gcTimeout": sleep,
            "replicas": {"current": int(self.stage == "RUNNING"), "requested": 1},
            "devMode": False,
            "volumes": self.volumes,
        }
        return said | ({"errorMessage": self.error} if self.error else {})


class Spaces:
    """All Spaces.

    Attributes:
        building_seconds: How long builds take.
        build_problem: What builds fail with, "" for none.
    """

    def __init__(
        self,
        repositories: Repositories,
        directory: Directory,
        clock: Clock,
        folder: Path,
        url: str,
        oauth: OAuth,
        buckets: Buckets,
    ) -> None:
        self._repositories, self._directory, self._clock = repositories, directory, clock
        self._folder, self._url, self._oauth, self._buckets = folder, url, oauth, buckets
        self.building_seconds, self.build_problem = 0.0, ""
        self.all: dict[str, Space] = {}
        self.flavors = {flavor["name"]: flavor for flavor in hardware() if not flavor["name"].startswith(JOBS_ONLY)}
        self._guard = threading.RLock()
        self._threads: list[threading.Thread] = []
        repositories.on_commit = self.committed

    # Rules

    def may_have(self, token: Token, namespace: str, sdk: str, flavor: str) -> None:
        """Raise unless a namespace may have a Space of a kind on some hardware."""
        user = token.user
        if sdk not in ("gradio", "docker", "static"):
            raise HubError(400, f"Invalid sdk: {sdk}")
        if sdk != "static" and namespace == user.name and not user.pro:
            raise HubError(402, NO_PLAN)
        if sdk != "static" and namespace != user.name and namespace not in self._directory.paid:
            raise HubError(402, NO_TEAM)
        self.may_use(token, flavor)

    def may_use(self, token: Token, flavor: str) -> None:
        """Raise unless a user may have some hardware."""
        if flavor not in self.flavors:
            raise HubError(400, f"Invalid hardware flavor: {flavor}")
        if flavor != "cpu-basic" and not token.user.can_pay:
            raise HubError(403, UNPAID)

    # Life

    def made(self, repository: Repository, token: Token, asked: dict[str, Any]) -> None:
        """Note a Space that was made."""
        space = Space(repository, token.user.id, hardware=asked.get("hardware") or "cpu-basic")
        space.sleep = asked.get("sleepTimeSeconds")
        space.secrets = {one["key"]: one["value"] for one in asked.get("secrets") or ()}
        space.variables = {one["key"]: one["value"] for one in asked.get("variables") or ()}
        space.changed = dict.fromkeys([*space.secrets, *space.variables], self._clock.now())
        space.volumes = list(asked.get("volumes") or ())
        self.all[repository.name] = space
        repository.more = lambda: self._described(space)

    def _described(self, space: Space) -> dict[str, Any]:
        slug = space.name.replace("/", "-").lower()
        data = describe.card(space.repository.at("main"), self._repositories.storage)
        return {
            "sdk": data.get("sdk", "docker"),
            "subdomain": slug,
            "host": f"https://{slug}.hf.space",
            "runtime": space.runtime(),
        }

    def gone(self, name: str) -> None:
        """End a Space that was deleted."""
        if space := self.all.pop(name, None):
            self._end(space, "DELETING")

    def committed(self, repository: Repository, branch: str) -> None:
        """Build and start a Space whose files changed, unless it is paused."""
        space = self.all.get(repository.name)
        if repository.kind == "space" and branch == "main" and space is not None and space.stage != "PAUSED":
            self.start(space)

    def start(self, space: Space) -> None:
        """Build and start a Space; what runs in it is ended."""
        self._end(space, "BUILDING")
        with self._guard:
            space.turn += 1
            life = threading.Thread(
                target=self._live, args=(space, space.turn), name=f"space-{space.name}", daemon=True
            )
            self._threads.append(life)
        life.start()

    def changed(self, space: Space) -> None:
        """Start a Space anew whose settings changed, if it lives."""
        if space.live:
            self.start(space)

    def pause(self, space: Space, stage: str = "PAUSED", error: str = "") -> None:
        """Stop a Space at once."""
        self._end(space, stage, error)

    def crash(self, space: Space, error: str) -> None:
        """Let a Space's program die as if the machine had killed it."""
        self._end(space, "RUNTIME_ERROR", error)

    def _live(self, space: Space, turn: int) -> None:
        space.built, space.error = [], ""
        until = time.monotonic() + self.building_seconds
        try:
            image = self._build(space)
        except (dockerfile.BuildError, HubError, OSError, ValueError) as error:
            space.built.append((self._clock.now(), f"ERROR: {error}"))
            self._note(space, turn, "BUILD_ERROR", f"Job failed with exit code: 1. Reason: {error}")
            return
        while time.monotonic() < until and space.turn == turn:
            time.sleep(_TICK)
        with self._guard:
            if space.turn != turn:
                return
            space.lines, space.stage = [], "APP_STARTING"
            space.starts += 1
            space.visited = time.monotonic()
            try:
                process = space.process = self._run(space, image)
            except OSError as error:
                space.stage, space.error = "RUNTIME_ERROR", f"Failed to start: {error}"
                return
        reader = threading.Thread(target=self._read, args=(process, space.lines), daemon=True)
        reader.start()
        while process.poll() is None and space.turn == turn:
            if space.stage == "APP_STARTING" and container.answers(space.url):
                self._note(space, turn, "RUNNING", "")
            if space.sleep and space.sleep > 0 and time.monotonic() - space.visited > space.sleep:
                self._end(space, "SLEEPING")
            time.sleep(_TICK)
        process.wait()
        reader.join(2)
        with self._guard:
            if space.turn == turn:
                said = f"Exit code: {process.returncode}. Reason: Error"
                self._end(space, "RUNTIME_ERROR", said)

    def _note(self, space: Space, turn: int, stage: str, error: str) -> None:
        with self._guard:
            if space.turn == turn:
                space.stage, space.error = stage, error

    def _end(self, space: Space, stage: str, error: str = "") -> None:
        with self._guard:
            space.turn += 1
            space.stage, space.error = stage, error
            process, space.process = space.process, None
        if process is not None:
            container.end_family(process)

    def _build(self, space: Space) -> dockerfile.Image:
        """Lay the container out; return what its Dockerfile says."""
        tree = space.repository.at("main").tree
        if "Dockerfile" not in tree:
            raise dockerfile.BuildError("No Dockerfile")
        if self.build_problem:
            raise dockerfile.BuildError(self.build_problem)
        place = self._folder / space.repository.id / str(space.turn)
        files = place / "files"
        for path, entry in tree.items():
            (files / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._repositories.storage.path(entry.sha256), files / path)
        image = dockerfile.parse((files / "Dockerfile").read_text("utf-8"))
        space.root, space.port = place / "root", free_port()
        dockerfile.lay_out(image, files, space.root)
        dockerfile.link_environments(image, space.root, ENGINES, LOCKS)
        space.unrun = dockerfile.unknown_runs(image)
        space.built += [(self._clock.now(), f"RUN {line}") for _, line in image.runs]
        for volume in space.volumes:
            mount = space.root / volume["mountPath"].lstrip("/")
            mount.parent.mkdir(parents=True, exist_ok=True)
            mount.symlink_to(self._buckets.folder(volume["source"], volume.get("path")))
        return image

    def _run(self, space: Space, image: dockerfile.Image) -> subprocess.Popen[bytes]:
        data = describe.card(space.repository.at("main"), self._repositories.storage)
        author, _, short = space.name.partition("/")
        flavor = self.flavors[space.hardware]
        accelerator = flavor["accelerator"]
        given = {
            "HF_ENDPOINT": self._url,
            **space.variables,
            **space.secrets,
            **self._application(space, data),
            "SPACE_ID": space.name,
            "SPACE_HOST": f"{HOST}:{space.port}",
            "SPACE_AUTHOR_NAME": author,
            "SPACE_REPO_NAME": short,
            "SPACE_TITLE": str(data.get("title", short)),
            "SPACE_CREATOR_USER_ID": space.creator,
            "ACCELERATOR": accelerator["model"] if accelerator else "none",
            "CPU_CORES": flavor["cpu"].split()[0],
            "MEMORY": flavor["ram"].replace(" GB", "Gi"),
        }
        mounts = {str(volume["mountPath"]) for volume in space.volumes}
        return container.start(image, space.root, mounts, str(data.get("app_port", 7860)), space.port, given)

    def _application(self, space: Space, data: dict[str, Any]) -> dict[str, str]:
        """Return what a Space whose card asks for sign-in is told of its OAuth application."""
        if not data.get("hf_oauth"):
            return {}
        scopes = [str(scope) for scope in data.get("hf_oauth_scopes") or ()]
        minutes = int(data.get("hf_oauth_expiration_minutes", 480))
        redirects = [f"{scheme}://{HOST}:{space.port}/*" for scheme in ("http", "https")]
        client = self._oauth.register(redirects, scopes, name=space.name, seconds=minutes * 60, space=space.name)
        return {
            "OAUTH_CLIENT_ID": client.id,
            "OAUTH_CLIENT_SECRET": client.secret or "",
            "OAUTH_SCOPES": " ".join(client.scopes),
            "OPENID_PROVIDER_URL": self._url,
        }

    def _read(self, process: subprocess.Popen[bytes], lines: list[tuple[datetime, str]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((self._clock.now(), line.decode("utf-8", "replace").rstrip("\r\n")))

    def stop(self) -> None:
        """End everything that runs."""
        for space in list(self.all.values()):
            if space.live:
                self._end(space, "STOPPED")
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()
