"""Jobs: each really runs its command, as a process group of this machine."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pipeline.base.settings import Settings
from tests.doubles.hub import image_uv
from tests.doubles.hub.access import Directory, Token, User
from tests.doubles.hub.clock import Clock, stamp
from tests.doubles.hub.hardware import hardware
from tests.doubles.hub.web import HubError

ENGINES = Settings().engines_folder  # before any test names another home
Stage = Literal["SCHEDULING", "RUNNING", "COMPLETED", "CANCELED", "ERROR", "DELETED"]
ENDED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
DEFAULT_TIMEOUT = 30 * 60
NO_CREDIT = "Pre-paid credit balance is insufficient - add more credits to your account to use Jobs."
TIMED_OUT = "Job timeout"
EVICTED = "Job evicted: the node it ran on is gone"
OUT_OF_CREDIT = "Job stopped: insufficient credit"

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,100}")
# What a Job needs of this machine to install packages at all; a real one has the internet instead.
PASSED = re.compile(
    r"(UV|PIP|SSL|REQUESTS_CA|CURL_CA|LC)_\w+|LANG|TMPDIR|OMP_NUM_THREADS|(http|https|no)_proxy", re.IGNORECASE
)


@dataclass
class Job:
    """A Job.

    Attributes:
        command: Command and arguments.
        environment: Its plain variables.
        secret_names: Names of its secrets.
        timeout: Seconds after which it is killed.
        lines: Its log: when, what.
        message: Why it ended, where it did not just complete.
        folder: Where it runs; gone when it has ended.
        request: What the client sent, without the secrets' values.
    """

    id: str
    namespace: str
    labels: dict[str, str]
    flavor: str
    timeout: int
    command: list[str]
    environment: dict[str, str]
    secret_names: tuple[str, ...]
    owner: User
    folder: Path
    image: str
    created: datetime
    request: dict[str, Any] = field(repr=False)
    stage: Stage = "SCHEDULING"
    message: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    lines: list[tuple[datetime, str]] = field(default_factory=list, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    silent: bool = False  # nothing more comes into the log

    @property
    def ended(self) -> bool:
        return self.stage in ENDED

    @property
    def log(self) -> str:
        """Everything it printed."""
        return "\n".join(line for _, line in self.lines)

    def info(self, now: datetime) -> dict[str, Any]:
        """Return what the Hub tells of it."""
        end = self.finished or now
        scheduling = int((self.started - self.created).total_seconds()) if self.started else None
        owner = {
            "id": self.owner.id,
            "name": self.namespace,
            "type": "user" if self.namespace == self.owner.name else "org",
        }
        body = {key: self.request[key] for key in ("dockerImage", "spaceId", "volumes") if self.request.get(key)}
        return body | {
            "type": "job",
            "id": self.id,
            "createdAt": stamp(self.created),
            "startedAt": stamp(self.started) if self.started else None,
            "finishedAt": stamp(self.finished) if self.finished else None,
            "command": self.request.get("command"),
            "arguments": self.request.get("arguments", []),
            "environment": self.environment,
            "secrets": dict.fromkeys(self.secret_names),
            "flavor": self.flavor,
            "labels": self.labels,
            "timeout": self.timeout,
            "retry": max(0, int(self.request.get("attempts", 1)) - 1),
            "status": {
                "stage": self.stage,
                "message": self.message,
                "failureCount": 0,
                "exposeUrls": None,
                "sshUrl": None,
            },
            "durations": {
                "schedulingSecs": scheduling,
                "runningSecs": int((end - self.started).total_seconds()) if self.started else None,
                "totalSecs": int((end - self.created).total_seconds()),
            },
            "owner": owner,
            "createdBy": {"id": self.owner.id, "name": self.owner.name, "type": "user"},
            "initiator": {"type": "user", "id": self.owner.id, "name": self.owner.name},
        }


class Jobs:
    """All Jobs.

    Args:
        directory: Users and tokens.
        clock: The Hub's clock.
        folder: Where Jobs run.
        url: The Hub's address, which Jobs get as HF_ENDPOINT.

    Attributes:
        scheduling_seconds: How long Jobs wait before they run.
        environment: Further variables of every Job: what its image or machine would have.
    """

    def __init__(self, directory: Directory, clock: Clock, folder: Path, url: str) -> None:
        self._directory, self._clock, self._folder, self._url = directory, clock, folder, url
        self.scheduling_seconds = 0.0
        self.environment: dict[str, str] = {}
        self.all: dict[str, Job] = {}
        self.flavors = {flavor["name"]: flavor for flavor in hardware()}
        self._guard = threading.RLock()
        self._threads: list[threading.Thread] = []

    # Rules

    def may_use(self, token: Token, namespace: str, *, change: bool) -> None:
        """Raise unless a token may see or change the Jobs of a namespace."""
        inside = namespace == token.user.name or namespace in token.user.organisations
        if not inside:
            raise HubError(403, f"Forbidden: you don't have access to the Jobs of {namespace}")
        if change and not token.user.writes_to(namespace):
            raise HubError(403, f"Forbidden: you cannot start or change Jobs of {namespace}")
        scoped = token.role in ("fine-grained", "oauth") and not token.allows("job.write", namespace)
        if scoped or (change and token.role == "read"):
            raise HubError(
                403, f"This authentication method does not have sufficient permissions to use Jobs of {namespace}"
            )

    def find(self, token: Token, namespace: str, id_: str, *, change: bool) -> Job:
        """Return a Job somebody may see or change."""
        self.may_use(token, namespace, change=change)
        job = self.all.get(id_)
        if job is None or job.namespace != namespace:
            raise HubError(404, "Job not found")
        return job

    def check_labels(self, labels: dict[str, str]) -> None:
        """Raise where a label is not one of the Hub's."""
        for key, value in labels.items():
            if not _LABEL.fullmatch(key) or not _LABEL.fullmatch(str(value)):
                raise HubError(400, f"Invalid label: {key}={value}")

    # Life

    def launch(self, token: Token, namespace: str, asked: dict[str, Any]) -> Job:
        """Start a Job."""
        self.may_use(token, namespace, change=True)
        if token.user.credit <= 0:
            raise HubError(402, NO_CREDIT)
        flavor = asked.get("flavor", "cpu-basic")
        if flavor not in self.flavors:
            raise HubError(400, f"Invalid flavor: {flavor}")
        if not asked.get("command"):
            raise HubError(400, "A command is required")
        if not (asked.get("dockerImage") or asked.get("spaceId")):
            raise HubError(400, "An image is required")
        self.check_labels(asked.get("labels") or {})
        hidden = {str(k): str(v) for k, v in (asked.get("secrets") or {}).items()}
        id_ = secrets.token_hex(12)
        job = Job(
            id=id_,
            namespace=namespace,
            labels=dict(asked.get("labels") or {}),
            flavor=flavor,
            timeout=int(asked.get("timeoutSeconds") or DEFAULT_TIMEOUT),
            command=[*asked["command"], *asked.get("arguments", [])],
            environment={str(k): str(v) for k, v in (asked.get("environment") or {}).items()},
            secret_names=tuple(hidden),
            owner=token.user,
            folder=self._folder / id_,
            image=asked.get("dockerImage") or asked["spaceId"],
            created=self._clock.now(),
            request={k: v for k, v in asked.items() if k != "secrets"},
        )
        self.all[job.id] = job
        thread = threading.Thread(target=self._run, args=(job, hidden), name=f"job-{job.id}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return job

    def _run(self, job: Job, hidden: dict[str, str]) -> None:
        until = time.monotonic() + self.scheduling_seconds
        while time.monotonic() < until and not job.ended:
            time.sleep(0.02)
        with self._guard:
            if job.ended:
                job.silent = True
                return
            job.folder.mkdir(parents=True)
            job.started = self._clock.now()
            try:
                job.process = self._start(job, hidden)
            except OSError as error:
                self.end(job, "ERROR", f"Job failed to start: {error}")
                job.silent = True
                return
            job.stage = "RUNNING"
            job.lines.append((job.started, f"===== Job started at {job.started:%Y-%m-%d %H:%M:%S} ====="))
        reader = threading.Thread(target=self._read, args=(job, job.process), daemon=True)
        reader.start()
        try:
            code = job.process.wait(job.timeout)
        except subprocess.TimeoutExpired:
            self.end(job, "ERROR", TIMED_OUT)
            code = job.process.wait()
        _kill(job.process)  # a container ends with its first process
        reader.join(5)
        job.silent = True
        if code == 0:
            self.end(job, "COMPLETED", None)
        else:
            self.end(job, "ERROR", f"Job failed with exit code: {code}. Reason: Error")
        shutil.rmtree(job.folder, ignore_errors=True)

    def _start(self, job: Job, hidden: dict[str, str]) -> subprocess.Popen[bytes]:
        work = job.folder / "app"
        work.mkdir()
        environment = self._environment(job, hidden)
        program = shutil.which(job.command[0], path=environment["PATH"]) or job.command[0]
        return subprocess.Popen(
            [program, *job.command[1:]],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self, job: Job, hidden: dict[str, str]) -> dict[str, str]:
        flavor = self.flavors[job.flavor]
        accelerator = flavor["accelerator"]
        # uv is the image's; nothing of the studio's own environment can be imported.
        tools = job.folder / "bin"
        tools.mkdir()
        image_uv.put(tools, ENGINES)
        python = Path(sys._base_executable).parent  # type: ignore[attr-defined]
        paths = [str(tools), str(python), "/usr/local/bin", "/usr/bin", "/bin"]
        home = Path.home()
        return {
            **{key: value for key, value in os.environ.items() if PASSED.fullmatch(key)},
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(home / ".cache" / "uv")),
            "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", str(home / ".config" / "pip" / "pip.conf")),
            "PATH": os.pathsep.join(dict.fromkeys(paths)),
            "HOME": str(job.folder),
            "HF_ENDPOINT": self._url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **self.environment,
            **job.environment,
            **hidden,
            "JOB_ID": job.id,
            "ACCELERATOR": accelerator["model"] if accelerator else "none",
            "CPU_CORES": flavor["cpu"].split()[0],
            "MEMORY": flavor["ram"].replace(" GB", "Gi"),
        }

    def _read(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            job.lines.append((self._clock.now(), line.decode("utf-8", "replace").rstrip("\r\n")))

    def end(self, job: Job, stage: Stage, message: str | None) -> None:
        """End a Job; one that has ended stays as it is."""
        with self._guard:
            if job.ended:
                return
            job.finished = self._clock.now()
            job.message, job.stage = message, stage
            if job.started is not None:
                seconds = (job.finished - job.started).total_seconds()
                job.owner.credit -= seconds / 60 * self.flavors[job.flavor]["unitCostUSD"]
            process = job.process
        if process is not None:
            _kill(process)

    def out_of_credit(self, user: str) -> None:
        """Take a user's credit: running Jobs end, new ones are refused."""
        self._directory.users[user].credit = 0.0
        for job in list(self.all.values()):
            if job.owner.name == user:
                self.end(job, "ERROR", OUT_OF_CREDIT)

    def stop(self) -> None:
        """End everything that runs."""
        for job in list(self.all.values()):
            self.end(job, "ERROR", "The Hub double was stopped")
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
