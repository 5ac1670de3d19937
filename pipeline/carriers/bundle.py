"""What is sent to a Job: the run's files in the run store, without anything of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline import __version__, engines
from pipeline.base import install
from pipeline.base.errors import StudioError
from pipeline.hub import client
from pipeline.runs.ledger import Run

Spec = dict[str, Any]
# What a spec says to this machine only.
OURS = frozenset({"events", "stop_file", "run", "kind", "project", "owner"})
FOR_THE_CARRIER = frozenset({"place", "user", "job", "remote"})
SHORTEST_MARGIN_S, LONGEST_MARGIN_S, MARGIN = 60.0, 600.0, 0.15


def soft_stop(timeout: float) -> float:
    """Return after how many seconds a Job is asked to stop and save, so that it has ended before its hard stop."""
    margin = max(SHORTEST_MARGIN_S, min(LONGEST_MARGIN_S, MARGIN * timeout))
    return max(timeout - margin, timeout / 2)


def files(run: Run, spec: Spec) -> dict[str, bytes]:
    """Return the files of a run's folder in the store, by path.

    - run.json: what the run is (enough to know it again on another disk), and `job`: what the Job's program does
    - spec.json: the worker's spec
    - engine/: the worker and the lock of its environment
    - files/: what else the worker reads, put into its folder

    Raises:
        StudioError: The spec names something of this machine that a Job cannot read.
        OSError: A file cannot be read.
    """
    remote = spec["remote"]
    told = {
        "run": run.id,
        "kind": run.kind,
        "project": run.project,
        "title": run.named.as_dict(),
        "created": run.created,
        "studio": __version__,
        "spec": public(spec),
        "job": _instructions(spec),
    }
    worker = {key: value for key, value in spec.items() if key not in OURS | FOR_THE_CARRIER}
    worker |= {"kind": run.kind, **remote.get("overrides", {}), "events": "-", "stop_file": "stop"}
    _refuse_paths(worker)
    found = {"run.json": _json(told), "spec.json": _json(worker)}
    found |= {f"engine/{file.name}": file.read_bytes() for file in engine_files(remote["engine"])}
    found |= {f"files/{place}": Path(path).read_bytes() for place, path in (remote.get("files") or {}).items()}
    token = client.token()
    if token and any(token.encode() in data for data in found.values()):
        raise StudioError("job.token_among_files")
    return found


def _instructions(spec: Spec) -> Spec:
    job, remote = spec["job"], spec["remote"]
    engine = install.ENGINES[remote["engine"]]
    return {
        **job,
        "soft_stop": soft_stop(job["timeout"]),
        "engine": engine.name,
        "torch": install.TORCH if engine.torch else None,
        "downloads": remote.get("downloads") or [],
        "upload": remote.get("upload"),
    }


def engine_files(name: str) -> list[Path]:
    """Return the files an engine's worker consists of, what it shares with others, and its lock; all names differ."""
    floor = Path(engines.__file__).parent
    programs = [*sorted(floor.glob("*.py")), *sorted((floor / name).glob("*.py"))]
    return [floor / name / "lock.txt", *(file for file in programs if file.name != "__init__.py")]


def public(spec: Spec) -> Spec:
    """Return a spec without what only this machine can read: its paths."""
    kept = {key: value for key, value in spec.items() if key not in OURS}
    if "remote" in kept:
        kept["remote"] = {key: value for key, value in kept["remote"].items() if key not in ("fetch", "files")}
    cleaned: Spec = _without_paths(kept)
    return cleaned


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(part) for key, part in value.items() if not _is_path(part)}
    if isinstance(value, list):
        return [_without_paths(part) for part in value if not _is_path(part)]
    return value


def _is_path(value: Any) -> bool:
    """Return whether a value is a path that means something on this machine only."""
    return isinstance(value, str) and "\n" not in value and value.startswith(("/", "~", "\\\\")) or _drive(value)


def _drive(value: Any) -> bool:
    return isinstance(value, str) and value[1:3] in (":\\", ":/") and value[:1].isalpha()


def _refuse_paths(value: Any, name: str = "") -> None:
    if _is_path(value):
        raise StudioError("job.local_path", name=name)
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _refuse_paths(part, f"{name}.{key}".strip("."))


def _json(value: Spec) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str).encode()
