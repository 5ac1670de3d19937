"""Build and check the engines' environments.

Each engine (`argilla_server`, `autotrain`, `lighteval`) has `lock.txt` beside its worker: hashed, universal, without
torch. Its environment is built once per lock into `<engines folder>/<engine>/` and is ready only when `ready.json` in
it names the digest of the lock and torch variant it was built from; that file is written last, so an interrupted
build is never taken for a finished one and is rebuilt.

    python -m pipeline.base.install [ENGINE ...]     build what is missing or out of date
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from filelock import FileLock, Timeout

from pipeline import engines
from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message

TORCH = "2.13.0"
AUTO = "auto"  # uv looks for the driver
GIB = 1 << 30


@dataclass(frozen=True)
class Engine:
    """What is known of an engine before it is built.

    Attributes:
        name: Its folder under pipeline/engines.
        title: What the page calls it.
        torch: Whether it needs torch.
        cpu_size: Bytes on disk with a CPU build of torch.
        cuda_size: Bytes on disk with a CUDA build of torch.
        root: Folder its own folder is in.
    """

    name: str
    title: str
    torch: bool
    cpu_size: int
    cuda_size: int
    root: Path = Path(engines.__file__).parent

    @property
    def lock(self) -> Path:
        """The committed lock this engine is built from."""
        return self.root / self.name / "lock.txt"


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("argilla_server", "Argilla server 2.8.0", False, int(0.6 * GIB), int(0.6 * GIB)),
        Engine("autotrain", "AutoTrain 0.8.36", True, int(1.4 * GIB), int(5.2 * GIB)),
        Engine("lighteval", "lighteval 0.13.0", True, int(2.0 * GIB), int(5.6 * GIB)),
    )
}

Lines = Callable[[Message], None]
Check = Callable[[], object]
TICK = 1.0  # seconds between two checks


def _go_on() -> None:
    """Let a build go on."""


def python_of(environment: Path) -> Path:
    """Return the Python executable of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def torch_source() -> list[str]:
    """Return uv's arguments that choose torch's variant.

    An existing find-links place first (uv reads UV_FIND_LINKS but not pip's setting), else the backend that
    UV_TORCH_BACKEND names (who builds an image lacks the hardware it runs on), else uv's automatic one: that of the
    NVIDIA driver, or the CPU's.
    """
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")
    if links:
        return [part for link in links.split() for part in ("--find-links", link)]
    return [f"--torch-backend={os.environ.get('UV_TORCH_BACKEND') or AUTO}"]


def digest(engine: Engine) -> str:
    """Return the identity of what would be built: lock, Python version and torch's source."""
    recipe = [engine.lock.read_text(), f"{sys.version_info[:2]}"]
    if engine.torch:
        recipe += [TORCH, *torch_source()]
    return hashlib.sha256("\n".join(recipe).encode()).hexdigest()


def find(name: str, folder: Path) -> Path | None:
    """Return the engine's Python if its environment is built from today's lock, else None.

    Args:
        name: Name of the engine.
        folder: Folder of the engines' environments.
    """
    environment = folder / name
    try:
        ready = json.loads((environment / "ready.json").read_text())
    except (OSError, json.JSONDecodeError):
        return None
    python = python_of(environment)
    return python if ready.get("digest") == digest(ENGINES[name]) and python.exists() else None


def ensure(name: str, folder: Path, on_line: Lines = print, check: Check = _go_on) -> Path:
    """Build the engine's environment if its lock changed or it is not there; one build at a time.

    Args:
        name: Name of the engine.
        folder: Folder of the engines' environments; made if missing.
        on_line: Called with each line of progress.
        check: Called about every second while something runs or is waited for; what it raises ends the build.

    Returns:
        The engine's Python executable.

    Raises:
        StudioError: The build failed; names the step and the end of its output.
    """
    engine = ENGINES[name]
    python = find(name, folder)
    if python is not None:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    with _one_build(folder, on_line, check):
        return find(name, folder) or _build(engine, folder, on_line, check)


@contextmanager
def _one_build(folder: Path, on_line: Lines, check: Check) -> Iterator[None]:
    lock = FileLock(folder / ".build.lock")
    if _taken(lock, 0):
        on_line(message("install.waiting"))
        while _taken(lock, TICK):
            check()
    try:
        yield
    finally:
        lock.release()


def _taken(lock: FileLock, timeout: float) -> bool:
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        return True
    return False


def _build(engine: Engine, folder: Path, on_line: Lines, check: Check) -> Path:
    environment = folder / engine.name
    _check_disk(engine, folder)
    shutil.rmtree(environment, ignore_errors=True)
    on_line(message("install.building", engine=engine.title, size=f"{_size(engine) / GIB:.1f}"))
    python = python_of(environment)
    install = ["pip", "install", "--python", str(python), "--compile-bytecode"]
    _step(engine, "create", ["venv", "--python", sys.executable, str(environment)], on_line, check)
    locked = [*install, "--require-hashes", "--no-deps", "-r", str(engine.lock)]
    _step(engine, "packages", locked, on_line, check)
    if engine.torch:
        _install_torch(engine, install, on_line, check)
    record = {"digest": digest(engine), "torch": torch_source() if engine.torch else None}
    (environment / "ready.json").write_text(json.dumps(record))
    on_line(message("install.ready", engine=engine.title))
    return python


def _install_torch(engine: Engine, install: list[str], on_line: Lines, check: Check) -> None:
    """Install torch from its chosen source; where PyTorch's own index does not answer, from the package index."""
    try:
        _step(engine, "torch", [*install, *torch_source(), f"torch=={TORCH}"], on_line, check)
    except StudioError:
        if f"--torch-backend={AUTO}" not in torch_source():
            raise
        on_line(message("install.torch_index"))
        _step(engine, "torch", [*install, f"torch=={TORCH}"], on_line, check)


def _size(engine: Engine) -> int:
    return engine.cuda_size if shutil.which("nvidia-smi") else engine.cpu_size


def _check_disk(engine: Engine, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _size(engine):
        needs, there = f"{_size(engine) / GIB:.1f}", f"{free / GIB:.1f}"
        raise StudioError("install.no_room", engine=engine.title, needs=needs, free=there)


def _step(engine: Engine, step: str, arguments: list[str], on_line: Lines, check: Check) -> None:
    """Run one uv command, pass its lines on, and turn a failure into an error that shows the end of its output."""
    tail: deque[str] = deque(maxlen=15)
    command = [sys.executable, "-m", "uv", *arguments, "--no-config", "--color", "never"]
    # uv redraws progress bars on a terminal only; without one it prints whole lines
    environment = os.environ | {"UV_NO_PROGRESS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as process:
        try:
            for line in _lines(process, check):
                tail.append(line)
                if line.strip() and not line.lstrip().startswith(("+", "-", "~")):
                    on_line(message(f"install.{step}", line=line.strip()))
        except BaseException:  # raised to cancel the build; leaving the block would wait for uv's end
            process.kill()
            raise
    if process.returncode:
        raise StudioError(
            "install.failed", engine=engine.title, step=message(f"install.step.{step}"), output="\n".join(tail)
        )


def _lines(process: subprocess.Popen[str], check: Check) -> Iterator[str]:
    """Yield a process's lines as they come; while none comes (a long download), check every second."""
    assert process.stdout is not None
    output: SimpleQueue[str | None] = SimpleQueue()

    def pump(stream: IO[str]) -> None:
        with suppress(ValueError):  # a cancelled build closes the stream while it is read
            for line in stream:
                output.put(line.rstrip())
        output.put(None)

    threading.Thread(target=pump, args=(process.stdout,), daemon=True, name="uv-output").start()
    while True:
        check()
        try:
            line = output.get(timeout=TICK)
        except Empty:
            continue
        if line is None:
            return
        yield line


def main(names: list[str]) -> int:
    """Build the named engines (all by default) and say where they are."""
    from pipeline.base.settings import Settings  # noqa: PLC0415 - keeps pydantic out of programs that only look for an engine

    folder = Settings().engines_folder
    for name in names or ENGINES:
        if name not in ENGINES:
            print(message("install.no_engine", name=name, engines=list(ENGINES)), file=sys.stderr)
            return 2
        try:
            print(ensure(name, folder))
        except StudioError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
