"""What is published today, asked by pip-audit, where its source answers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.holes import normal

PIP_AUDIT = "pip-audit==2.10.1"
SERVICES = ("pypi", "osv")
TIMEOUT = 300


@dataclass(frozen=True)
class Published:
    """A hole that was published of a package in a lock."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: tuple[str, ...]


def ask(lock: Path) -> list[Published] | None:
    """Return what is published of a lock's packages; None where no source answers.

    Args:
        lock: A hashed lock.
    """
    for service in SERVICES:
        answer = _run(lock, service)
        if answer is not None:
            return answer
    return None


def read(answer: dict[str, Any]) -> list[Published] | None:
    """Read pip-audit's answer; None where it could look up no package at all."""
    asked = [one for one in answer["dependencies"] if "skip_reason" not in one]
    if not asked:
        return None
    return [
        Published(
            normal(one["name"]),
            one["version"],
            (hole["id"], *hole.get("aliases", [])),
            tuple(hole.get("fix_versions", [])),
        )
        for one in asked
        for hole in one["vulns"]
    ]


def _run(lock: Path, service: str) -> list[Published] | None:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "uv", "tool", "run", "--quiet", PIP_AUDIT, "--progress-spinner", "off"]
        command += ["--disable-pip", "--require-hashes", "--vulnerability-service", service, "--timeout", "15"]
        command += ["--format", "json", "--output", str(answer), "--requirement", str(lock)]
        try:
            subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
            return read(json.loads(answer.read_text("utf-8")))
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
            return None
