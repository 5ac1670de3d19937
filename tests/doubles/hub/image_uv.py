"""The uv of a Job's image: the real one, and what it installs is compiled already.

A Job builds its engine's environment for itself and uses it once, so that the worker compiles all it imports: ten
seconds of a processor, each time. The engines of this machine are built from the same wheels, and compiled: where uv
links both to the same files, their bytecode holds for both, and Python itself looks whether it does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

SCRIPT = """#!/bin/sh
[ "$1" = pip ] || exec {uv} "$@"
{uv} "$@" && exec {python} -I -S {this} {engines} "$@"
"""


def put(tools: Path, engines: Path) -> None:
    """Put `uv` and `uvx` into a folder; `engines` has this machine's environments."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if uv := shutil.which("uv", path=places):
        words = {"uv": uv, "python": sys.executable, "this": __file__, "engines": str(engines)}
        (tools / "uv").write_text(SCRIPT.format(**{name: shlex.quote(word) for name, word in words.items()}))
        (tools / "uv").chmod(0o755)
    if uvx := shutil.which("uvx", path=places):
        (tools / "uvx").symlink_to(uvx)


def compiled(environment: Path, engine: Path) -> None:
    """Link an engine's bytecode into an environment with the same packages.

    Args:
        environment: `site-packages` of the Job.
        engine: `site-packages` of the built engine.
    """
    for folder, inside, _ in os.walk(engine):
        here = environment / Path(folder).relative_to(engine)
        inside[:] = [name for name in inside if name == "__pycache__" or (here / name).is_dir()]
        if folder.endswith("__pycache__") and not here.exists():
            here.mkdir()
            for name in os.listdir(folder):  # noqa: PTH208 - thousands of names
                os.link(f"{folder}/{name}", here / name)


def main(engines: str, *arguments: str) -> None:
    """Compile what `uv pip` has installed, where this machine has the engine of the Job's lock."""
    environment = Path(arguments[arguments.index("--python") + 1]).parents[1]
    lock = environment.with_name("engine") / "lock.txt"
    ours = Path(__file__).parents[3] / "pipeline" / "engines"
    for name in ("autotrain", "lighteval"):
        if lock.exists() and lock.read_bytes() == (ours / name / "lock.txt").read_bytes():
            (there,) = environment.glob("lib/python*/site-packages")
            for built in (Path(engines) / name).glob(f"lib/{there.parent.name}/site-packages"):
                if built.stat().st_dev == there.stat().st_dev:  # else uv has copied, and nothing can be linked
                    compiled(there, built)


if __name__ == "__main__":
    main(*sys.argv[1:])
