"""Serve Argilla from one process: no Elasticsearch, no Redis, no Docker.

    python launcher.py SPEC.json < SECRETS.json

The spec names `home` (folder of the database, created if missing), `port` (wished; another free one is taken if it is
in use; 0: any), `base_url` (prefix of all paths, /annotate) and `owner` (name of the owner account). The secrets, on
standard input so that they stand in no process list and no environment, are `api_key` and `password` of the owner and
`auth_secret`, which signs sessions (a new one would sign everybody out).

The home is locked while a server runs in it; a second launcher exits with EXIT_LOCKED. `service.json` there tells where
the server is: written with `ready` false as soon as the port is taken, with `ready` true once it answers, removed at
the end.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

# What all engines' programs share; last, for this folder's own name is that of a library.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from annotation import EXIT_LOCKED, FOREIGN, HOST, boot_id  # type: ignore[import-not-found]

PACKAGE = "studio_argilla"


def load_package() -> None:
    """Make this folder importable as `studio_argilla`.

    Its own name is taken (argilla_server is Argilla's), and on sys.path the script's folder could hide other modules.
    """
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is not a package.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


def set_environment(home: Path, base_url: str, auth_secret: str) -> None:
    """Set what argilla_server reads at its import, and nothing that anybody else has set for another Argilla."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ.update(
        ARGILLA_HOME_PATH=str(home),
        ARGILLA_BASE_URL=base_url,
        ARGILLA_SEARCH_ENGINE="studio",
        ARGILLA_AUTH_SECRET_KEY=auth_secret,
        # Its page has our origin; other origins have no business here (the default is "*").
        ARGILLA_CORS_ORIGINS="[]",
        # The default of 20,000 characters per message refuses the whole batch of 500 records.
        ARGILLA_MAX_MESSAGE_LENGTH="500000",
        ARGILLA_MIN_MESSAGE_LENGTH="0",
        ARGILLA_DATABASE_SQLITE_TIMEOUT="30",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    # argilla_server copies its 14 MB of pages to a new temporary folder at each start and leaves it there.
    scratch = home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    os.chdir(home)  # .oauth.yaml is read from the working directory


def take_port(wish: int) -> socket.socket:
    """Bind a loopback port without listening yet: clients are refused, not kept waiting, until the server is up."""
    for port in (wish, 0):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            # Take the port of a server that was killed a moment ago; on Windows it would allow two servers.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError as error:
            sock.close()
            if port == 0:
                raise
            say(f"Port {port} cannot be used ({error.strerror}); another one is taken.")
        else:
            return sock
    raise OSError("No free port on the loopback interface.")


def say(line: str) -> None:
    """Write one line to the log."""
    print(line, flush=True)


class Announcement:
    """`service.json`: which process serves this home, and where."""

    def __init__(self, home: Path, port: int) -> None:
        import psutil

        self._file = home / "service.json"
        self._facts = {
            "pid": os.getpid(),
            "port": port,
            "started": psutil.Process().create_time(),
            "boot_id": boot_id(),
        }

    def write(self, ready: bool) -> None:
        """Replace the file in one step, readable by this user alone."""
        draft = self._file.with_suffix(".json.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({**self._facts, "ready": ready}, file)
        draft.replace(self._file)

    def remove(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)


async def ensure_owner(name: str, api_key: str, password: str) -> None:
    """Create the owner account, or give it this key and password if it has another key."""
    from argilla_server.contexts import accounts
    from argilla_server.database import AsyncSessionLocal, async_engine
    from argilla_server.models import User, UserRole

    async with AsyncSessionLocal() as session:
        user = await accounts.get_user_by_username(session, name)
        if user is None:
            await User.create(
                session,
                first_name=name,
                username=name,
                role=UserRole.owner,
                api_key=api_key,
                password_hash=accounts.hash_password(password),
            )
        elif user.api_key != api_key:
            await user.update(session, api_key=api_key, password_hash=accounts.hash_password(password))
    await async_engine.dispose()


def prepare(home: Path, spec: dict[str, Any], secrets: dict[str, str]) -> None:
    """Import Argilla, bring its database up to date and install what is ours."""
    load_package()
    inprocess_queue = importlib.import_module(f"{PACKAGE}.inprocess_queue")
    inprocess_queue.install()
    importlib.import_module(f"{PACKAGE}.tokens").install()
    say("Argilla is loading.")
    from argilla_server.cli.database.migrate import migrate_db

    text_index = importlib.import_module(f"{PACKAGE}.text_index")
    search_engine = importlib.import_module(f"{PACKAGE}.search_engine")
    database = home / "argilla.db"
    say("The database is brought up to date.")
    with sqlite3.connect(database) as con:
        con.execute("PRAGMA journal_mode=WAL")
    con.close()
    migrate_db("head")
    text_index.prepare_database(database)
    asyncio.run(ensure_owner(spec["owner"], secrets["api_key"], secrets["password"]))
    index = text_index.TextIndex(database, home / "search.db")
    index.repair(say)
    search_engine.StudioSearchEngine.serve(index)
    importlib.import_module(f"{PACKAGE}.speed").apply()
    importlib.import_module(f"{PACKAGE}.changes").install()
    importlib.import_module(f"{PACKAGE}.page_script").install()
    importlib.import_module(f"{PACKAGE}.sessions").install()
    inprocess_queue.start_worker()


def serve(sock: socket.socket, announcement: Announcement) -> None:
    """Serve until a signal ends it."""
    import uvicorn

    class Server(uvicorn.Server):
        """Announces itself once it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announcement.write(ready=True)
                say(f"Argilla listens on {HOST}:{sock.getsockname()[1]}.")

    config = uvicorn.Config("argilla_server:app", access_log=False, timeout_graceful_shutdown=5)
    Server(config).run(sockets=[sock])


def end(signum: int, frame: object) -> None:
    """Leave through `finally`: uvicorn raises the signal that stopped it once more, which by default would kill us."""
    sys.exit(0)


def main() -> int:
    """Run the launcher and return its exit code."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    os.umask(0o077)
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    secrets = json.load(sys.stdin)
    home = Path(spec["home"]).resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    from filelock import FileLock, Timeout

    lock = FileLock(home / "server.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("Another Argilla server runs in this folder; this one ends.")
        return int(EXIT_LOCKED)
    with lock:
        set_environment(home, spec["base_url"], secrets["auth_secret"])
        sock = take_port(spec["port"])
        announcement = Announcement(home, sock.getsockname()[1])
        announcement.write(ready=False)
        try:
            prepare(home, spec, secrets)
            serve(sock, announcement)
        finally:
            announcement.remove()
            sock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
