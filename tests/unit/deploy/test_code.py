"""What is deployed is the last commit's files, and nothing that looks like a secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.deploy.code import ROOT, code_of, known_secrets, secrets_in
from pipeline.deploy.options import DeployOptions
from pipeline.hub import client

TOKEN = "hf_" + "Ab1" * 11 + "Z"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with two commits, of which the second removed a file."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text(".env\n")
    (folder / "app.py").write_text("print(1)\n")
    (folder / "old.py").write_text("gone\n")
    (folder / "link").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    git(folder, "rm", "-q", "old.py")
    git(folder, "commit", "-qm", "two")
    return folder


def test_it_is_the_last_commit_whatever_lies_in_the_folder(clone: Path) -> None:
    (clone / ".env").write_text(f"HF_TOKEN={TOKEN}")
    (clone / "notes.txt").write_text(TOKEN)
    (clone / "app.py").write_text(f"print('{TOKEN}')\n")
    code = code_of(clone)
    assert dict(code.files) == {".gitignore": b".env\n", "app.py": b"print(1)\n"}
    assert code.commit == git(clone, "rev-parse", "HEAD")
    assert code.changed == ("app.py",)
    assert code.former == {"old.py"}
    assert secrets_in(code) == []


def test_a_secret_in_a_tracked_file_is_found(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "correct horse battery")
    for name, text in {
        "a.py": f"token = '{TOKEN}'",
        "b.pem": "-----BEGIN OPENSSH" + " PRIVATE KEY-----",
        "c.txt": "it is correct horse battery",
        "d.txt": "of-the-one-who-deploys",
        "e.txt": "hf_tooshort and hf_transfer_is_no_token_at_all_whatever_it_is",
    }.items():
        (clone / name).write_text(text)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "three")
    with client.acting_as("of-the-one-who-deploys"):
        assert secrets_in(code_of(clone)) == ["a.py", "b.pem", "c.txt", "d.txt"]


def test_a_short_value_or_a_path_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    monkeypatch.setenv("SSL_CLIENT_KEY", "/etc/ssl/private/client.key")
    monkeypatch.setenv("A_SECRET", "of twelve characters")
    assert "of twelve characters" in known_secrets()
    assert not {"1", "/etc/ssl/private/client.key"} & known_secrets()


def test_this_program_has_none() -> None:
    code = code_of(ROOT)
    assert secrets_in(code) == []
    assert {"Dockerfile", ".dockerignore", "README.md", "app.py", "requirements.lock"} <= code.files.keys()


def test_a_folder_that_is_no_clone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudioError) as caught:
        code_of(tmp_path)
    assert caught.value.message.code == "deploy.no_clone"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudioError) as caught:
        code_of(ROOT)
    assert caught.value.message.code == "deploy.no_git"


@pytest.mark.parametrize("space", ["studio", "a/b/c", "../x", "a/", "/b", "a b/c", "-a/b"])
def test_a_space_has_an_owner_and_a_name(space: str) -> None:
    with pytest.raises(ValueError, match="space"):
        DeployOptions(space=space)


def test_a_token_does_not_become_a_secret_of_the_space() -> None:
    with pytest.raises(ValueError, match="HF_TOKEN"):
        DeployOptions(space="ada/studio", secrets=["HF_TOKEN"])
