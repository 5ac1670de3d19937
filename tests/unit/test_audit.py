"""The locks hold no package with a published hole that reaches us."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from audit import __main__ as audit
from audit import published
from audit.holes import LOCKS, Hole, in_locks, known, outdated, packages
from pipeline.base.install import TORCH

HOLE = Hole("Some.Package", SpecifierSet("<2"), ("CVE-1", "GHSA-1"), "It leaks.", {"autotrain": "It is not called."})
TEXT = (
    "other==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\nsome-package[extra]==1.9 \\\n    --hash=sha256:00\n"
)


def test_every_hole_in_a_lock_has_a_reason_and_no_reason_is_left_over() -> None:
    _, holes = known()
    found = in_locks(holes)
    assert [f"{one.lock}: {one.hole.package} {one.version} {one.hole.ids}" for one in found if not one.why] == []
    assert outdated(holes, found) == []
    assert len(holes) > 30


def test_what_was_measured_in_earlier_locks_is_in_the_list() -> None:
    _, holes = known()
    earlier = [("starlette", "0.46.2", "CVE-2025-62727"), ("starlette", "0.46.2", "CVE-2025-54121")]
    earlier += [("python-jose", "3.5.0", "CVE-2026-85394"), ("python-jose", "3.3.0", "CVE-2024-33663")]
    earlier += [("requests", "2.32.3", "CVE-2024-47081"), ("urllib3", "1.26.20", "CVE-2025-66418")]
    for package, version, name in earlier:
        assert any(
            hole.package == package and name in hole.ids and hole.affected.contains(version) for hole in holes
        ), name


def test_all_that_a_lock_installs_is_looked_at() -> None:
    assert list(packages("app", TEXT)) == [("other", "1.0"), ("some-package", "1.9")]
    assert list(packages("lighteval", TEXT))[2:] == [("torch", TORCH)]
    for name, path in LOCKS.items():
        lines = [line for line in path.read_text().splitlines() if line and line[0] not in " #"]
        torch = [TORCH] if name in ("autotrain", "lighteval") else []
        assert len(list(packages(name, path.read_text()))) == len([*lines, *torch]) > 50


def test_a_hole_without_a_reason_and_a_reason_without_a_hole_are_open(tmp_path: Path) -> None:
    locks = {"app": tmp_path / "lock.txt"}
    locks["app"].write_text(TEXT)
    found = in_locks([HOLE], locks)
    (line,) = audit.remaining(found)
    assert line.startswith("OPEN    app: Some.Package 1.9, CVE-1, GHSA-1: It leaks.")
    assert outdated([HOLE], found) == ["Some.Package CVE-1: autotrain no longer holds it"]


def test_what_is_published_and_not_listed_is_open() -> None:
    answer = {
        "dependencies": [
            {"name": "some_package", "version": "1.9", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]},
            {"name": "other", "version": "1.0", "vulns": [{"id": "PYSEC-2", "aliases": [], "fix_versions": ["1.1"]}]},
            {"name": "third", "skip_reason": "not found"},
        ]
    }
    said = published.read(answer)
    assert said is not None
    (line,) = audit.unknown("app", said, [HOLE])
    assert line == "OPEN    app: other 1.0, PYSEC-2: published, and not in known.toml; fixed in 1.1"


def test_a_service_that_knows_no_package_has_not_answered() -> None:
    assert published.read({"dependencies": [{"name": "third", "skip_reason": "not found"}]}) is None


def test_the_audit_fails_for_an_open_hole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--offline"]) == 0
    said = published.Published("gradio", "6.31.0", ("CVE-0",), ())
    monkeypatch.setattr(published, "ask", lambda lock: [said] if lock == LOCKS["app"] else None)
    capsys.readouterr()
    assert audit.main([]) == 1
    told = capsys.readouterr().out
    assert "OPEN    app: gradio 6.31.0, CVE-0" in told
    assert "published today, for app." in told
