"""A Dockerfile as far as the double needs it: what is copied where, what is set, what is started.

Nothing is isolated: the container's root is a folder, and its absolute paths are put below it where they stand in ENV,
CMD or ENTRYPOINT. RUN lines are not executed: what they would install is there (an engine's environment that
`tests.prepare` has built is linked where its lock is installed, and the tests' own where `python -m venv` makes one), and a Space whose RUN line fails is ordered by a test.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

INSTALLERS = ("apt-get", "pip", "uv", "useradd", "adduser", "groupadd", "mkdir", "chown", "chmod", "rm", "ln", "python")


class BuildError(Exception):
    """A Dockerfile that cannot be built."""


@dataclass
class Image:
    """What a Dockerfile says.

    Attributes:
        base: What it is built FROM.
        environment: ENV, in the container's own paths.
        user: USER.
        folder: Last WORKDIR.
        copies: COPY: sources, target, within the container.
        folders: Targets that are folders, for a slash says so.
        runs: RUN lines, with the folder they would run in.
        command: ENTRYPOINT and CMD.
    """

    base: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: PurePosixPath = PurePosixPath("/")
    copies: list[tuple[list[str], PurePosixPath]] = field(default_factory=list)
    folders: set[PurePosixPath] = field(default_factory=set)
    runs: list[tuple[PurePosixPath, str]] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def tops(self) -> set[str]:
        """Return the first folders of the container's paths that are the image's own: /home, /app."""
        named = [self.folder, *(target for _, target in self.copies), *(folder for folder, _ in self.runs)]
        named += [PurePosixPath(v) for k, v in self.environment.items() if v.startswith("/") and k in ("HOME",)]
        named += [
            PurePosixPath(part) for v in self.environment.values() for part in v.split(":") if part[:5] == "/opt/"
        ]
        return {f"/{path.parts[1]}" for path in named if len(path.parts) > 1}


def parse(text: str) -> Image:
    """Return what a Dockerfile says; of several stages the last.

    Raises:
        BuildError: An instruction is not known, or nothing is started.
    """
    image = Image()
    entry: list[str] = []
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if word == "FROM":
            image, entry = Image(base=rest.split()[0]), []
        elif word in ("ENV", "ARG"):
            image.environment |= _assigned(rest, image.environment) if word == "ENV" or "=" in rest else {}
        elif word == "USER":
            image.user = rest
        elif word == "WORKDIR":
            image.folder = image.folder / _filled(rest, image.environment)
        elif word in ("COPY", "ADD"):
            _copy(image, rest)
        elif word == "RUN":
            image.runs.append((image.folder, rest))
        elif word == "CMD":
            image.command = _words(rest)
        elif word == "ENTRYPOINT":
            entry = _words(rest)
        elif word not in ("EXPOSE", "LABEL", "SHELL", "HEALTHCHECK", "STOPSIGNAL", "VOLUME"):
            raise BuildError(f"dockerfile parse error: unknown instruction: {word}")
    image.command = entry + image.command
    if not image.base or not image.command:
        raise BuildError("No build stage, or no command specified")
    return image


def _lines(text: str) -> list[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in re.sub(r"\\\n", " ", kept).splitlines() if line.strip()]


def _words(text: str) -> list[str]:
    if text.startswith("["):
        return [str(word) for word in json.loads(text)]
    return ["/bin/sh", "-c", text]


def _filled(text: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: environment.get(found[1], ""), text)


def _assigned(text: str, environment: dict[str, str]) -> dict[str, str]:
    if not re.match(r"\w+=", text):  # ENV NAME value
        name, _, value = text.partition(" ")
        return {name: _filled(value.strip(), environment)}
    pairs = (word.partition("=") for word in shlex.split(text))
    return {name: _filled(value, environment) for name, _, value in pairs}


def _copy(image: Image, text: str) -> None:
    words = [word for word in shlex.split(text) if not word.startswith("--")]
    if "--from" in text:  # out of another image, which is not there
        return
    *sources, target = words
    place = image.folder / _filled(target, image.environment)
    image.copies.append((sources, place))
    if target.endswith("/"):
        image.folders.add(place)


def lay_out(image: Image, files: Path, root: Path) -> None:
    """Make a container's root folder out of the Space's files.

    Raises:
        BuildError: A file that is to be copied is not there.
    """
    (root / image.folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
    for sources, target in image.copies:
        place = root / target.relative_to("/")
        if target in image.folders:
            place.mkdir(parents=True, exist_ok=True)
        for source in sources:
            found = files / source
            if not found.exists():
                raise BuildError(f'failed to compute cache key: "/{source}": not found')
            if found.is_dir():
                shutil.copytree(found, place, dirs_exist_ok=True)
            elif place.is_dir() or len(sources) > 1:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, place / found.name)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, place)


def link_environments(image: Image, root: Path, engines: Path, locks: Path) -> None:
    """Put an engine that this machine has built where a RUN line would install its lock.

    Args:
        image: The Dockerfile.
        root: The container's root.
        engines: Folder of the built engines.
        locks: Folder whose `<engine>/lock.txt` they were built from.

    Raises:
        BuildError: No engine is built from that lock.
    """
    for folder, line in image.runs:
        if any(re.fullmatch(r"(exit [1-9]\d*|false)", command.strip()) for command in re.split(r"&&|;", line)):
            raise BuildError(f'process "/bin/sh -c {line}" did not complete successfully: exit code: 1')
        if own := re.search(r"python -m venv (\S+)", line):
            _link(root, own[1], Path(sys.prefix))
        for name in _installed(line, image.environment):
            _link(root, f"{image.environment['ALIGN_STUDIO_ENGINES']}/{name}", engines / name)
        made = re.search(r"uv venv (?:--python \S+ )?(\S+)", line)
        lock = re.search(r"-r (\S+)", line)
        if not (made and lock):
            continue
        wanted = (root / (folder / lock[1]).relative_to("/")).read_bytes()
        engine = next((one for one in locks.glob("*/lock.txt") if one.read_bytes() == wanted), None)
        if engine is None or not (engines / engine.parent.name).is_dir():
            raise BuildError("Because there is no such version, your requirements are unsatisfiable.")
        place = root / (folder / _filled(made[1], image.environment)).relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(engines / engine.parent.name)


def _installed(line: str, environment: dict[str, str]) -> list[str]:
    """Return the engines that a RUN line builds as the studio does."""
    found = re.search(r"-m pipeline\.base\.install ([^&;]+)", line)
    return _filled(found[1], environment).split() if found else []


def _link(root: Path, place: str, target: Path) -> None:
    inside = root / PurePosixPath(place).relative_to("/")
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.symlink_to(target)


def unknown_runs(image: Image) -> list[str]:
    """Return the RUN lines that do more than install."""
    return [line for _, line in image.runs if not _installs(line)]


def _installs(line: str) -> bool:
    commands = [command.strip() for command in re.split(r"&&|;", line)]
    return all(command.split()[0] in INSTALLERS for command in commands if command)


def below(text: str, root: Path, tops: set[str]) -> str:
    """Return a text with the container's paths put below its root: one path, or several with colons between."""
    parts = text.split(":")
    return ":".join(
        f"{root}{part}" if any(part == top or part.startswith(f"{top}/") for top in tops) else part for part in parts
    )
