"""The Dockerfile's steps executed on a machine without Docker.

A root of its own stands in for the base image: this machine's /usr, /etc and /var under an overlay, so that users,
packages and files that a step makes are real and stay in the root; everything else of the machine is not there. Each
step runs in its own mount and process namespaces, changed into that root, as the user the Dockerfile says.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[1]
OVERLAID = ("usr", "etc", "var")
LINKS = ("bin", "sbin", "lib", "lib64")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches its package registries; a builder of images has settings of its own.
REGISTRIES = ("PIP_", "UV_", "SSL_", "REQUESTS_CA", "CURL_CA", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The value as a command: from JSON, else as a shell reads it."""
        return json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)


def steps_of(dockerfile: Path) -> list[Step]:
    """Return the instructions of a Dockerfile, without comments, their lines joined."""
    parser = DockerfileParser(fileobj=io.BytesIO(dockerfile.read_bytes()), env_replace=False)
    return [Step(each["instruction"], each["value"]) for each in parser.structure if each["instruction"] != "COMMENT"]


def context_of(folder: Path) -> list[str]:
    """Return the files that a builder is sent from a folder, as Docker's own client reads .dockerignore."""
    patterns = (folder / ".dockerignore").read_text().splitlines()
    kept = exclude_paths(str(folder), [line for line in patterns if line.strip() and not line.startswith("#")])
    return sorted(name for name in kept if (folder / name).is_file() and name not in ("Dockerfile", ".dockerignore"))


def why_not() -> str:
    """Return why steps cannot be executed here, "" where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "users, owners and mounts need root on Linux"
    probe = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs x /mnt && cd /mnt && mkdir u w m && "
         "mount -t overlay x -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"],
        capture_output=True, text=True,
    )  # fmt: skip
    return f"no overlay can be mounted here: {probe.stderr.strip()}" if probe.returncode else ""


@dataclass
class Image:
    """What becomes of a root as the steps of a Dockerfile are executed.

    Attributes:
        folder: Where the root and its overlays are made.
        context: The folder that is built.
        binds: Folders of this machine that are seen in the root, read-only, by path there.
        volumes: Folders of this machine that are mounted in the root when its command runs, by path there.
        skip: Says of a part of a RUN line (between `&&`) that it is not executed.
        arguments: Values of build arguments.
    """

    folder: Path
    context: Path
    binds: dict[str, Path] = field(default_factory=dict)
    volumes: dict[str, Path] = field(default_factory=dict)
    skip: Callable[[str], bool] = lambda part: False
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    user: str = "0"
    place: str = "/"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The root as it is seen from here: without what is mounted in it."""
        return self.folder / "root"

    def build(self) -> Image:
        """Execute all steps."""
        self._base()
        for step in steps_of(self.context / "Dockerfile"):
            getattr(self, f"_{step.name.lower()}")(step)
        return self

    def _base(self) -> None:
        """Make what the base image has: a Debian, and `python` on PATH."""
        for name in ("app", "opt", "home", "root", "tmp", "run", "proc", "dev", "mnt", *OVERLAID):
            (self.root / name).mkdir(parents=True)
            if name in OVERLAID:
                for layer in ("upper", "work"):
                    (self.folder / layer / name).mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        for name in LINKS:
            if Path(f"/{name}").is_symlink():
                (self.root / name).symlink_to(Path(f"/{name}").readlink())
        self.binds.setdefault(sys.base_prefix, Path(sys.base_prefix))
        # Where pip's settings name a folder of packages.
        for place in (*Path("/opt").iterdir(), Path.home() / ".config" / "pip"):
            if place.is_dir() and place.name not in ("studio", "engines"):
                self.binds.setdefault(str(place), place)
        # Not a link elsewhere: a virtual environment would look for the standard library beside that.
        python = f"{sys.base_prefix}/bin/python"
        self.environment["PATH"] = f"{sys.base_prefix}/bin:{SYSTEM_PATH}"
        self.run(f"test -e {python} || ln -s python3 {python}", registries=False)
        # The number 1000 is free in the base image.
        self.run("if name=$(id -un 1000 2>/dev/null); then userdel $name; fi", registries=False)

    def run(self, line: str, *, user: str = "0", registries: bool = True) -> str:
        """Run a shell line in the root and return what it prints."""
        done = subprocess.run(
            self.inside(["sh", "-c", line], user=user, more=_registries() if registries else {}),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def inside(self, command: list[str], *, user: str, more: Mapping[str, str]) -> list[str]:
        """Return the command that runs a command in the root."""
        script = ["set -e"]
        for name in OVERLAID:
            layers = f"lowerdir=/{name},upperdir={self.folder}/upper/{name},workdir={self.folder}/work/{name}"
            script.append(f"mount -t overlay overlay -o {layers} {self.root}/{name}")
        script += [f"mount -t proc proc {self.root}/proc", f"mount --rbind /dev {self.root}/dev"]
        script.append(f"mount -t tmpfs tmpfs {self.root}/dev/shm")
        for place, source in {**self.binds, **self.volumes}.items():
            inside = self.root / place.lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            script.append(f"mount --bind {source} {inside}")
            if place in self.binds:
                script.append(f"mount -o remount,bind,ro {inside}")
        values = [f"{name}={value}" for name, value in {"HOME": "/root", **self.environment, **more}.items()]
        changed = ["chroot", f"--userspec={user}:{user}", "--groups=", str(self.root), "env", "-i", *values]
        last = f"cd {shlex.quote(self.place)} && exec {shlex.join(command)}"
        script.append(f"exec {shlex.join([*changed, 'sh', '-c', last])}")
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(script)]

    def start(self, more: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start the image's command as its user; `more` is put into the environment, as by `docker run --env`."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.inside([*self.entry, *self.command], user=self.user, more=more),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _filled(self, text: str) -> str:
        return string.Template(text).safe_substitute({**self.arguments, **self.environment})

    def _from(self, step: Step) -> None:
        assert step.value.startswith("python:3."), "the stand-in for the base is a Debian with a Python"

    def _arg(self, step: Step) -> None:
        name, _, value = step.value.partition("=")
        self.arguments = {name: value, **self.arguments}

    def _env(self, step: Step) -> None:
        for pair in shlex.split(step.value):
            name, _, value = pair.partition("=")
            self.environment[name] = self._filled(value)

    def _workdir(self, step: Step) -> None:
        self.place = step.value
        (self.root / step.value.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, step: Step) -> None:
        self.user = step.value

    def _expose(self, step: Step) -> None:
        assert step.value.isdecimal()

    def _entrypoint(self, step: Step) -> None:
        self.entry = step.words

    def _cmd(self, step: Step) -> None:
        self.command = step.words

    def _run(self, step: Step) -> None:
        parts = [part.strip() for part in step.value.split("&&")]
        left = [part for part in parts if not self.skip(part)]
        self.skipped += [part for part in parts if self.skip(part)]
        before = dict(self.environment)
        self.environment = {**self.arguments, **before}
        if left:
            self.run(" && ".join(left), user=self.user)
        self.environment = before

    def _copy(self, step: Step) -> None:
        words = step.words
        owner = next((word.partition("=")[2] for word in words if word.startswith("--chown=")), "root:root")
        assert owner == "root:root", "the code is root's"
        *sources, target = [word for word in words if not word.startswith("--")]
        files = context_of(self.context)
        for source in sources:
            found = [name for name in files if source == "." or name == source or name.startswith(f"{source}/")]
            assert found, f"COPY {source}: nothing of that name is sent to the builder"
            for name in found:
                within = name if source == "." else name.removeprefix(source).lstrip("/")
                _copied(self.context / name, self._target(target, within, source))

    def _target(self, target: str, within: str, source: str) -> Path:
        place = self.root / self.place.lstrip("/") / target
        if not within:  # a file
            return place / Path(source).name if target.endswith("/") else place
        return place / within


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    os.chown(target, 0, 0)


def _registries() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(REGISTRIES)}


def process_of(started: subprocess.Popen[bytes]) -> psutil.Process:
    """Return process 1 of what was started in a root."""
    return psutil.Process(started.pid).children()[0]


def written(image: Image) -> dict[str, tuple[int, int, int]]:
    """Return everything in a root, with what changes when it is written: size, time in nanoseconds, owner."""
    return dict(_written(image))


def _written(image: Image) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for top, prefix in [(image.root, "/"), *((image.folder / "upper" / name, f"/{name}/") for name in OVERLAID)]:
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = Path(folder) / name
                known = path.lstat()
                yield prefix + str(path.relative_to(top)), (known.st_size, known.st_mtime_ns, known.st_uid)
