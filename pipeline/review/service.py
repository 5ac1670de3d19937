"""The app's handle on the embedded Argilla: start, find again, stop.

The server is a detached process with a home of its own. It outlives the app, so that an import survives a killed app; a
later app finds it again through `service.json`, the process's identity and a health check with the owner's key.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock

from pipeline import engines
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.secret import kept
from pipeline.engines.annotation import EXIT_LOCKED, FOREIGN, HOST, boot_id
from pipeline.hub.client import TOKEN_VARIABLES

BASE_URL = "/annotate"
OWNER = "argilla"
SILENCE = 180.0
"""Seconds without a new line in the log after which a start has failed; a large text index reports as it is built."""
STOP_AFTER = 15.0
"""Seconds between asking the server to end and killing it; it gives open requests five."""
LOG_TAIL = 25

# DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP; their names exist in `subprocess` on Windows alone.
_DETACHED: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x8 | 0x200}
_LAUNCHER = Path(engines.__file__).parent / "argilla_server" / "launcher.py"


@dataclass(frozen=True)
class Endpoint:
    """An Argilla server and the key to it.

    Attributes:
        url: Where the SDK and the API are, /annotate included.
        api_key: Key of an owner.
        port: Port on the loopback interface.
        embedded: Whether it is the studio's own server.
    """

    url: str
    api_key: str = field(repr=False)
    port: int
    embedded: bool = True


@dataclass(frozen=True)
class _Announced:
    """What `service.json` says; the process it names was alive a moment ago."""

    pid: int
    port: int
    ready: bool


class _Log:
    """A log that is being written; each of its lines is handed on once."""

    def __init__(self, file: Path, on_line: Callable[[str], None] | None = None) -> None:
        self._file = file
        self._on_line = on_line
        self._seen = 0

    def lines(self) -> list[str]:
        """Return all lines."""
        try:
            return self._file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def hand_on(self) -> bool:
        """Hand on what is new and say whether there was anything; a shorter log is a new one."""
        lines = self.lines()
        if len(lines) == self._seen:
            return False
        if self._on_line:
            for line in lines[self._seen if len(lines) > self._seen else 0 :]:
                self._on_line(line)
        self._seen = len(lines)
        return True


class ArgillaService:
    """The one Argilla server of a home.

    Args:
        home: Folder of its database, on a local disk; created when missing.
        python: Python of the engine's environment.
    """

    def __init__(self, home: Path, python: Path) -> None:
        self._home = home.resolve()
        self._python = python
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """The server's log; that of the start before is beside it with `.1`."""
        return self._home / "server.log"

    def owner_login(self) -> tuple[str, str]:
        """Return name and password with which the owner signs in on Argilla's page."""
        return OWNER, self._secrets()["password"]

    def start(self, wait: bool = True, on_line: Callable[[str], None] | None = None) -> Endpoint:
        """Start the server unless it runs; of several calls at once, in several processes too, one starts it.

        Args:
            wait: Return once it answers; otherwise as soon as its port is known.
            on_line: Gets the lines of its log while waiting.

        Returns:
            Where it is.

        Raises:
            StudioError: It does not come up.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = _Log(self.log_path, on_line)
        with FileLock(self._home / "start.lock"):
            if endpoint := self.find():
                return endpoint
            if self._refused():
                self.stop()  # our secrets were lost or replaced; the next server gives its owner the new key
            self._child = None
            if not self._announced():
                self._launch()
            # Within the lock: a second start must find a server that is on its way, not launch one more.
            endpoint = self._await(log, lambda: self._endpoint_of(self._announced()))
            (self._home / "port").write_text(str(endpoint.port), encoding="ascii")
        return self._await(log, self.find) if wait else endpoint

    def find(self) -> Endpoint | None:
        """Return the running server of this home, if there is one and it answers to our key."""
        announced = self._announced()
        if announced is None or not announced.ready:
            return None
        endpoint = self._endpoint_of(announced)
        return endpoint if endpoint and _health(endpoint) == 200 else None

    def stop(self) -> None:
        """End the server; nothing happens if there is none."""
        announced = self._announced()
        if announced is None:
            return
        try:
            process = psutil.Process(announced.pid)
            process.terminate()
            try:
                process.wait(timeout=STOP_AFTER)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout=STOP_AFTER)
        except psutil.NoSuchProcess:
            return  # it ended by itself in the meantime

    def _refused(self) -> bool:
        """Say whether a server runs here that does not know our key."""
        announced = self._announced()
        endpoint = self._endpoint_of(announced) if announced and announced.ready else None
        return endpoint is not None and _health(endpoint) == 401

    def _secrets(self) -> dict[str, str]:
        """Read the secrets, making them the first time."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._home / "secrets.json"
        with FileLock(self._home / "secrets.lock"):
            made: dict[str, str] = json.loads(kept(file, _made))
            return made

    def _launch(self) -> None:
        """Start the launcher, detached, and hand it the secrets."""
        keys = json.dumps(self._secrets()).encode()
        spec = self._home / "spec.json"
        what = {"home": str(self._home), "port": self._last_port(), "base_url": BASE_URL, "owner": OWNER}
        spec.write_text(json.dumps(what), encoding="utf-8")
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_name(self.log_path.name + ".1"))
        with os.fdopen(os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            try:
                self._child = subprocess.Popen(
                    [str(self._python), str(_LAUNCHER), str(spec)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._home,
                    env=_environment(),
                    **_DETACHED,
                )
            except OSError as error:
                raise StudioError("argilla.no_python", detail=str(error)) from error
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(keys)
            self._child.stdin.close()
        except BrokenPipeError:
            self._child.wait()  # it ended before it read them; `_await` tells why, from its log

    def _last_port(self) -> int:
        """Return the port of the last start, so that links that were sent out stay good; 0 if there was none."""
        try:
            return int((self._home / "port").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _await(self, log: _Log, there: Callable[[], Endpoint | None]) -> Endpoint:
        """Wait until the server is there, handing on the lines of its log.

        Raises:
            StudioError: It ended, or its log stood still for `SILENCE`.
        """
        heard = begun = time.monotonic()
        while True:
            if log.hand_on():
                heard = time.monotonic()
            if endpoint := there():
                return endpoint
            ended = self._child.poll() if self._child else (None if self._announced() else "unknown")
            if ended == EXIT_LOCKED and time.monotonic() - begun < STOP_AFTER:
                # A server holds the home and does not say where it is: it is about to end.
                time.sleep(1)
                self._launch()
            elif ended is not None:
                log.hand_on()
                raise self._failure("argilla.ended", code=ended)
            if time.monotonic() - heard > SILENCE:
                self.stop()
                raise self._failure("argilla.silent", seconds=f"{SILENCE:.0f}")
            time.sleep(0.1)

    def _failure(self, code: str, /, **values: int | str) -> StudioError:
        tail = "\n".join(_Log(self.log_path).lines()[-LOG_TAIL:])
        return StudioError(message(code, log=tail, file=str(self.log_path), **values))

    def _announced(self) -> _Announced | None:
        """Read `service.json` and return it if the process it names still is the one that wrote it."""
        try:
            facts = json.loads((self._home / "service.json").read_text(encoding="utf-8"))
            process = psutil.Process(facts["pid"])
            # Two seconds: psutil derives the time from the boot time, which moves as the clock is adjusted.
            same = facts["boot_id"] == boot_id() and abs(process.create_time() - facts["started"]) < 2
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None  # no server, or the process of another user that got its number
        return _Announced(facts["pid"], facts["port"], facts["ready"]) if same and alive else None

    def _endpoint_of(self, announced: _Announced | None) -> Endpoint | None:
        if announced is None:
            return None
        return Endpoint(f"http://{HOST}:{announced.port}{BASE_URL}", self._secrets()["api_key"], announced.port)


def _made() -> bytes:
    """Make the embedded server's secrets."""
    made = {
        "api_key": secrets.token_urlsafe(48),
        "password": secrets.token_urlsafe(12),
        "auth_secret": secrets.token_hex(32),
    }
    return json.dumps(made).encode()


def _environment() -> dict[str, str]:
    """Return our environment without what belongs to another Python, another Argilla or the user's account."""
    foreign = (*FOREIGN, *TOKEN_VARIABLES, "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # The second one: no token of `hf auth login` either, whatever the server asks of the Hub.
    return {**kept, "PYTHONUNBUFFERED": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


def _health(endpoint: Endpoint) -> int:
    """Return the HTTP status with which an Argilla meets our key; 0 if none answers there."""
    try:
        # trust_env=False: a proxy of the environment cannot reach our loopback interface.
        with httpx.Client(trust_env=False, timeout=10) as client:
            headers = {"X-Argilla-Api-Key": endpoint.api_key}
            return client.get(f"{endpoint.url}/api/v1/me", headers=headers).status_code
    except httpx.HTTPError:
        return 0
