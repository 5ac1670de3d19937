"""A container of a Space: a process family of this machine, in a folder that stands for its root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.doubles.hub.dockerfile import Image, below
from tests.doubles.hub.jobs import PASSED


def start(
    image: Image, root: Path, mounts: set[str], app_port: str, port: int, given: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a container's command.

    Args:
        image: What its Dockerfile says.
        root: Its root folder, laid out.
        mounts: Where volumes are mounted, in its own paths.
        app_port: The port its card names.
        port: The port it gets instead.
        given: What the Hub tells it in its environment.
    """
    tops = image.tops() | mounts

    def here(text: str) -> str:
        return str(port) if text == app_port else below(text, root, tops)

    own = {name: here(value) for name, value in image.environment.items()}
    tools = root / ".tools"
    tools.mkdir(exist_ok=True)
    _put_uv(tools)
    (tools / "tini").write_text('#!/bin/sh\n[ "$1" = -- ] && shift\nexec "$@"\n')
    (tools / "tini").chmod(0o755)
    python = Path(sys._base_executable).parent  # type: ignore[attr-defined]
    first = [part for part in own.pop("PATH", "").split(":") if part.startswith(str(root))]
    paths = [*first, str(tools), str(python), "/usr/local/bin", "/usr/bin", "/bin"]
    home = Path.home()
    environment = {
        **{key: value for key, value in os.environ.items() if PASSED.fullmatch(key)},
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(home / ".cache" / "uv")),
        "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", str(home / ".config" / "pip" / "pip.conf")),
        "PATH": os.pathsep.join(dict.fromkeys(paths)),
        "HOME": str(root),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **own,
        **given,
        "PORT": str(port),  # a real Space has its card's app_port for itself
    }
    command = [here(word) for word in image.command]
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    return subprocess.Popen(
        [program, *command[1:]],
        cwd=root / image.folder.relative_to("/"),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with everything that it started, in whatever session: a container ends with its first process."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(process.pid)
        for one in [*root.children(recursive=True), root]:
            with contextlib.suppress(psutil.Error):
                one.kill()


def answers(url: str) -> bool:
    """Return whether something listens there and speaks HTTP."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _put_uv(tools: Path) -> None:
    """Put a uv there that runs programs and installs nothing: what the Dockerfile installs is there already."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if (real := shutil.which("uv", path=places)) and not (tools / "uv").exists():
        (tools / "uv").write_text(f'#!/bin/sh\ncase "$1" in pip|venv) exit 0;; esac\nexec {real} "$@"\n')
        (tools / "uv").chmod(0o755)
