"""The image: its steps executed as far as a machine without Docker allows, and its command as the user it runs as."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from pipeline.base.settings import Settings
from tests.image import ROOT, Image, context_of, process_of, steps_of, why_not, written

PLANTED = "hf_planted0123456789abcdefghijklmnop"
HOST = "ada-align-studio.hf.space"
SERVED_S = 60.0
WHY_NOT = why_not()
rooted = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def front_matter() -> dict[str, object]:
    """Return what README.md tells the Hub of the Space."""
    found = re.match(r"---\n(.*?)\n---\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    read = yaml.safe_load(found.group(1))
    assert isinstance(read, dict)
    return read


def values(name: str) -> list[str]:
    """Return the values of all instructions of a name."""
    return [step.value for step in steps_of(ROOT / "Dockerfile") if step.name == name]


def test_the_front_matter_says_what_the_image_does() -> None:
    said = front_matter()
    assert said["sdk"] == "docker"
    assert str(said["app_port"]) == values("EXPOSE")[0] == "7860"
    assert "ALIGN_STUDIO_PORT=7860" in " ".join(values("ENV"))
    assert len(str(said["short_description"])) <= 60
    assert said["license"] == "apache-2.0"
    assert said["hf_oauth"] is True
    assert said["suggested_hardware"] == "cpu-basic"
    # Every scope has its reason in the README.
    scopes = said["hf_oauth_scopes"]
    assert isinstance(scopes, list)
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n---\n")[2]
    assert [scope for scope in scopes if f"`{scope}`" not in text] == []


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_no_step_holds_a_secret_and_every_package_has_a_hash() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(?i)(token|secret|password|api_key)\s*=", text)
    installs = [line for line in values("RUN") if "pip install" in line]
    assert installs and all("--require-hashes" in line for line in installs)
    assert values("USER")[-1] == "1000"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks, with what must not get into an image lying beside it."""
    folder = tmp_path_factory.mktemp("context")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".env", "secret.txt", ".align-studio/sign_in.token", "pipeline/.env", ".git/config", "ui/.token"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"HF_TOKEN={PLANTED}\n")
    return folder


def test_the_builder_is_sent_what_the_studio_runs_with_and_nothing_else(context: Path) -> None:
    sent = context_of(context)
    assert {Path(name).parts[0] for name in sent} == {
        "app.py", "LICENSE", "requirements.lock", "pipeline", "ui", "samples"
    }  # fmt: skip
    assert [name for name in sent if PLANTED in (context / name).read_text(errors="replace")] == []
    assert "pipeline/engines/argilla_server/pair.js" in sent
    assert "ui/static/vendor/uplot/LICENSE" in sent


def heavy(part: str) -> bool:
    """Say which parts of RUN lines install packages: the core of the test has them from this machine."""
    return "apt" in part or "pip install" in part or "python -m venv" in part or "base.install" in part


@pytest.fixture(scope="module")
def image(context: Path, tmp_path_factory: pytest.TempPathFactory, argilla_python: Path) -> Iterator[Image]:
    """The image, with the environments of this machine in the places of those it would build."""
    binds = {"/opt/studio": Path(sys.prefix), "/opt/engines/argilla_server": argilla_python.parents[1]}
    folder = tmp_path_factory.mktemp("image")
    yield Image(folder, context, binds, skip=heavy).build()
    shutil.rmtree(folder, ignore_errors=True)


def space(port: int) -> dict[str, str]:
    """Return what a Space adds to the image's environment, and a free port of this machine."""
    return {
        "ALIGN_STUDIO_PORT": str(port),
        "SPACE_ID": "ada/align-studio",
        "SPACE_HOST": HOST,
        "OAUTH_CLIENT_ID": "client",
        "OAUTH_CLIENT_SECRET": "of-the-test",
    }


def serve(image: Image, folder: Path) -> float:
    """Run the image's command until its page answers, end it as Docker does, and look at what it wrote.

    Returns:
        Seconds until the page was there.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = written(image)
    began, log = time.monotonic(), folder / "served.log"
    started = image.start(space(port), log)
    try:
        took = answered(f"http://127.0.0.1:{port}/", began, started, log)
        process = process_of(started)
        real = process if not image.entry else process.children()[0]
        assert real.uids().real == real.uids().effective == 1000
        assert ready(image, began), "the embedded Argilla did not come up"
        process.send_signal(signal.SIGTERM)
        assert started.wait(90) in (0, 128 + signal.SIGTERM), log.read_text()
    finally:
        started.kill()
        started.wait()
    after = written(image)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    outside = [path for path in changed if not f"{path}/".startswith(("/home/", "/tmp/"))]
    assert outside == [], log.read_text()
    assert {after[path][2] for path in changed if path in after and path.startswith("/home/")} == {1000}
    return took


def answered(url: str, began: float, started: subprocess.Popen[bytes], log: Path) -> float:
    """Return the seconds until an address answers as the studio does."""
    while time.monotonic() - began < 2 * SERVED_S:
        assert started.poll() is None, log.read_text()
        try:
            answer = httpx.get(url, trust_env=False, timeout=5, headers={"host": HOST})
            if answer.status_code in (200, 401):
                return time.monotonic() - began
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def ready(image: Image, began: float) -> bool:
    """Wait until the embedded Argilla announces that it answers."""
    service = image.root / "home/studio/align-studio/argilla/service.json"
    while time.monotonic() - began < 2 * SERVED_S:
        if service.exists() and json.loads(service.read_text())["ready"]:
            return True
        time.sleep(0.2)
    return False


def owned(image: Image) -> None:
    """Look at owners and rights: the code is root's, the home the user's, and neither can be changed by the other."""
    for folder, folders, files in os.walk(image.root / "app"):
        for name in (*folders, *files):
            known = (Path(folder) / name).lstat()
            assert (known.st_uid, known.st_gid) == (0, 0), name
            assert not known.st_mode & (stat.S_IWGRP | stat.S_IWOTH), name
            assert known.st_mode & stat.S_IROTH, name
    image.run("touch /home/studio/x && rm /home/studio/x && mkdir /opt/engines/x && rmdir /opt/engines/x", user="1000")
    for place in ("/app/x", "/app/pipeline/x", "/opt/studio/x", "/opt/engines/argilla_server/x", "/data", "/etc/x"):
        image.run(f"! touch {place} 2>/dev/null", user="1000")
    assert [str(path) for path in (image.root / "app").rglob("*") if path.is_file() and _planted(path)] == []
    assert PLANTED not in json.dumps(image.environment)


def _planted(path: Path) -> bool:
    return PLANTED.encode() in path.read_bytes()


@rooted
def test_the_command_serves_the_page_as_uid_1000_and_writes_nothing_outside_home_and_tmp(
    image: Image, tmp_path: Path
) -> None:
    assert len(image.skipped) == 6, image.skipped
    owned(image)
    image.entry = []  # tini, which the core does not install
    took = serve(image, tmp_path)
    print(f"served {took:.1f} s after its start")
    assert took < SERVED_S


@pytest.fixture
def mounted(image: Image) -> Iterator[Path]:
    """A folder that is mounted at /data, of another device than the container's disk, as a bucket is."""
    if not os.path.ismount("/dev/shm"):
        pytest.skip("no second device for a bucket")
    folder = Path(tempfile.mkdtemp(prefix="bucket-", dir="/dev/shm"))
    os.chown(folder, 1000, 1000)
    image.volumes = {"/data": folder}
    (image.root / "data").mkdir(exist_ok=True)
    yield folder
    image.volumes = {}
    shutil.rmtree(folder, ignore_errors=True)


@rooted
def test_what_was_there_comes_back_from_the_bucket_in_a_fresh_container(
    image: Image, mounted: Path, tmp_path: Path
) -> None:
    image.entry = []
    home = image.root / "home/studio"
    serve(image, tmp_path)
    secrets = (home / "align-studio/argilla/secrets.json").read_bytes()
    taken = len(list((mounted / "align-studio/snapshots").iterdir()))
    assert taken >= 1
    shutil.rmtree(home)
    home.mkdir()
    os.chown(home, 1000, 1000)
    took = serve(image, tmp_path)
    print(f"restored and served {took:.1f} s after its start")
    assert (home / "align-studio/argilla/secrets.json").read_bytes() == secrets
    assert len(list((mounted / "align-studio/snapshots").iterdir())) > taken
    assert len(list((mounted / "align-studio/writers").iterdir())) == 2
    assert {path.stat().st_uid for path in mounted.rglob("*")} == {1000}


@rooted
@pytest.mark.matrix
@pytest.mark.timeout(3600)
def test_every_step_of_the_dockerfile_is_executed(context: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    image = Image(tmp_path / "image", context).build()
    built = time.monotonic() - began
    assert image.skipped == []
    assert (image.root / "opt/engines/argilla_server/ready.json").exists()
    assert not (image.root / "opt/engines/autotrain").exists()
    owned(image)
    took = serve(image, tmp_path)
    print(f"built in {built:.0f} s, served {took:.1f} s after its start")
    assert took < SERVED_S
    assert Settings().port == 7860
