"""Starting runs and keeping them carried: each active run has one live supervisor, a detached process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.message import Message
from pipeline.hub import client
from pipeline.runs.ledger import Ledger, Run, Spec, State
from pipeline.runs.places import carrier_of
from pipeline.runs.process import start_detached

ROOT = Path(__file__).resolve().parents[2]
IMPLICIT = "HF_HUB_DISABLE_IMPLICIT_TOKEN"  # keeps Hugging Face's libraries from a token stored on the machine
SUPERVISOR = "pipeline.carriers.supervisor"  # by name: what carries a run stands above this room
DOUBT = 30.0  # seconds between two questions to a Hub that does not say who is signed in


def start(
    ledger: Ledger,
    kind: str,
    project: str,
    title: Message | str,
    spec: Spec,
    asked: Mapping[str, object] | None = None,
) -> Run:
    """Add a run and start its supervisor; the same run asked for twice is started once.

    Args:
        ledger: The home's ledger.
        kind: Name of a `pipeline.runs.kinds.RunKind`.
        project: Name of the project.
        title: What people see: a message, or the text of one.
        spec: What the worker needs, or what makes it from the run's id.
        asked: What makes it the same run; see `Ledger.add`.
    """
    run, new = ledger.add(kind, project, title, spec, asked)
    if new:
        supervise(ledger.home, run)
    return run


def supervise(home: Home, run: Run) -> None:
    """Start a supervisor for a run, unless it has one; a run that needs another user's token waits for that user."""
    if has_supervisor(run):
        return
    mine = _is_users(run)
    at, with_token = _woken.get(run.id, (float("-inf"), 0))
    if run.state is State.WAITING and with_token == hash(client.token()) and time.monotonic() - at < DOUBT:
        return  # the Hub may have just refused this token; it may be minutes before whoami is asked again
    if mine or not needs_token(run):
        _woken[run.id] = (time.monotonic(), hash(client.token()))
        command = [sys.executable, "-m", SUPERVISOR, str(home.path), run.id]
        with client.acting_as(client.token() if mine else None):
            given = environment(run)
        start_detached(command, log=run.folder / "supervisor.txt", cwd=ROOT, environment=given)
    elif mine is False and run.state is not State.WAITING:
        Ledger(home).set_state(run.id, State.WAITING)


def needs_token(run: Run) -> bool:
    """Return whether the next thing to do for a run needs its user's token.

    A worker on this machine has it already, and a run stopped before it began only has its end to be written down.
    """
    if run.worker is None and not run.launch_file.exists():
        return bool(run.user) and not run.stop_file.exists()
    return carrier_of(run.place).signed


_woken: dict[str, tuple[float, int]] = {}  # run: when its supervisor was started, and by whom
_doubts: dict[str, float] = {}  # run: when the Hub did not say who is signed in; a page's tick must not ask at once


def _is_users(run: Run) -> bool | None:
    """Return whether a run needs no token or the one at hand is its user's; None: the Hub does not say at present."""
    if not run.user:
        return True
    if client.token() is None:
        return False
    if time.monotonic() - _doubts.get(run.id, float("-inf")) < DOUBT:
        return None
    from pipeline.hub import account  # noqa: PLC0415 - half a second of the Hub's client for runs that need none

    try:
        asking = account.current()
    except StudioError:
        _doubts[run.id] = time.monotonic()
        return None
    return asking is not None and asking.name == run.user


def has_supervisor(run: Run) -> bool:
    """Return whether a live process holds the run's lock."""
    lock = lock_of(run)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def revive(ledger: Ledger) -> list[Run]:
    """Give every active run that lost its supervisor a new one; return the active runs, newest first."""
    active = ledger.list(active=True)
    for run in active:
        supervise(ledger.home, run)
    return active


def stop(run: Run) -> None:
    """Ask a run to stop and keep what it has; asked a second time, end it at once."""
    (run.kill_file if run.stop_file.exists() else run.stop_file).touch()


def lock_of(run: Run) -> FileLock:
    """Return the lock that a run's supervisor holds while it lives."""
    return FileLock(run.folder / "supervisor.lock")


def environment(run: Run) -> dict[str, str]:
    """Return the environment of a run's processes: ours, able to import pipeline, and never that of a Space.

    It holds a token only for a run that names a user, and nothing of the machine's stored ones is used unasked.
    AutoTrain 0.8.36 pauses the Space named in SPACE_ID when it ends.
    """
    left_out = {"SPACE_ID", "ENDPOINT_ID", "OAUTH_CLIENT_SECRET", IMPLICIT, *client.TOKEN_VARIABLES}
    ours = {key: value for key, value in os.environ.items() if key not in left_out}
    token = client.token() if run.user else None
    path = os.pathsep.join(filter(None, [str(ROOT), ours.get("PYTHONPATH", "")]))
    signed = {"HF_TOKEN": token} if token else {IMPLICIT: "1"}
    return ours | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | signed
