"""Building an engine's environment with the real uv, on an engine without packages."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.base import install
from pipeline.base.errors import StudioError
from pipeline.base.install import Engine
from pipeline.base.message import Message


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine("toy", "Toy 1.0", False, 1, 1, root=tmp_path)
    engine.lock.parent.mkdir()
    engine.lock.write_text("# nothing\n")
    monkeypatch.setitem(install.ENGINES, "toy", engine)
    return engine


def test_it_is_built_once_and_again_when_the_lock_changes(toy: Engine, tmp_path: Path) -> None:
    folder, lines = tmp_path / "engines", []
    assert install.find("toy", folder) is None
    python = install.ensure("toy", folder, lines.append)
    assert subprocess.run([python, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout == "42\n"
    built = len(lines)
    assert install.ensure("toy", folder, lines.append) == python
    assert len(lines) == built
    toy.lock.write_text("# another\n")
    assert install.find("toy", folder) is None
    install.ensure("toy", folder, lines.append)
    assert len(lines) > built


def test_an_interrupted_build_is_rebuilt(toy: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    install.ensure("toy", folder, lambda line: None)
    left = folder / "toy" / "half-unpacked"
    left.write_text("x")
    (folder / "toy" / "ready.json").unlink()  # it is written last
    assert install.find("toy", folder) is None
    install.ensure("toy", folder, lambda line: None)
    assert not left.exists()


def test_a_torn_record_is_not_believed(toy: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    install.ensure("toy", folder, lambda line: None)
    (folder / "toy" / "ready.json").write_text('{"digest": "')
    assert install.find("toy", folder) is None


def test_a_failing_step_is_named_with_the_end_of_its_output(toy: Engine, tmp_path: Path) -> None:
    toy.lock.write_text("no-such-thing @ file:///nowhere/at/all.whl --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(StudioError) as caught:
        install.ensure("toy", tmp_path / "engines", lambda line: None)
    assert "“installing packages”" in caught.value.what
    assert "all.whl" in caught.value.why
    assert install.find("toy", tmp_path / "engines") is None


def test_two_at_once_build_one(toy: Engine, tmp_path: Path) -> None:
    lines: list[Message] = []
    threads = [
        threading.Thread(target=install.ensure, args=("toy", tmp_path / "engines", lines.append)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("is ready" in line.what for line in lines) == 1


def test_a_build_is_cancelled_by_its_listener(toy: Engine, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def listener(line: Message) -> None:
        if line.code == "install.create":
            raise Stop

    with pytest.raises(Stop):
        install.ensure("toy", tmp_path / "engines", listener)
    assert install.find("toy", tmp_path / "engines") is None
    assert install.ensure("toy", tmp_path / "engines", lambda line: None).exists()  # the lock was let go


def test_a_build_is_cancelled_while_uv_says_nothing(toy: Engine, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    with pytest.raises(Stop):
        install.ensure("toy", tmp_path / "engines", lambda line: None, check)
    assert install.find("toy", tmp_path / "engines") is None


def test_waiting_for_another_build_can_be_cancelled(
    toy: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "TICK", 0.05)

    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    lines: list[Message] = []
    (tmp_path / "engines").mkdir()
    with FileLock(tmp_path / "engines" / ".build.lock"), pytest.raises(Stop):
        install.ensure("toy", tmp_path / "engines", lines.append, check)
    assert [line.what for line in lines] == ["Waiting for another build to finish"]


def test_no_room_is_said_before_anything_is_built(toy: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(install.ENGINES, "toy", Engine("toy", "Toy", False, 1 << 60, 1 << 60, root=tmp_path))
    with pytest.raises(StudioError, match="no room"):
        install.ensure("toy", tmp_path / "engines", lambda line: None)
    assert not (tmp_path / "engines" / "toy").exists()


def test_torch_comes_from_a_find_links_place_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", "/a /b")
    assert install.torch_source() == ["--find-links", "/a", "--find-links", "/b"]
    monkeypatch.setenv("UV_FIND_LINKS", "/c")
    assert install.torch_source() == ["--find-links", "/c"]
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert install.torch_source() == ["--torch-backend=auto"]


def test_every_engine_has_a_hashed_lock() -> None:
    for engine in install.ENGINES.values():
        lines = engine.lock.read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert len(pins) > 30, engine.name
        assert all("==" in pin for pin in pins), engine.name
        assert sum("--hash=sha256:" in line for line in lines) >= len(pins), engine.name
        assert not any(pin.startswith(("torch==", "nvidia-", "triton==")) for pin in pins), engine.name
    assert json.dumps(sorted(install.ENGINES)) == '["argilla_server", "autotrain", "lighteval"]'


def test_an_image_is_built_for_the_hardware_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_TORCH_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    assert install.torch_source() == ["--torch-backend=auto"]
    found = install.digest(install.ENGINES["autotrain"])
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu126")
    assert install.torch_source() == ["--torch-backend=cu126"]
    assert install.digest(install.ENGINES["autotrain"]) != found
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    assert install.torch_source() == ["--find-links", "/wheels"]
