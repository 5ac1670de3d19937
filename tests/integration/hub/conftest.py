"""Tests against the Hub double: unmodified clients, in this process or in one of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.hub import HubDouble


@pytest.fixture
def client(hub: HubDouble, tmp_path: Path) -> Callable[..., str]:
    """Run a program as a client of the Hub in a process of its own; return what it printed.

    The function takes the program's source, the Python to run it with, and environment variables such as HF_TOKEN.
    """

    def run(source: str, python: Path | str = sys.executable, **variables: str) -> str:
        done = subprocess.run(
            [str(python), "-c", source],
            env=hub.client_environment(**variables),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
