"""The server as a process: start, find again, stop, and what happens when something is killed or damaged."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from pipeline.base.errors import StudioError
from pipeline.engines.argilla_server import launcher
from pipeline.review.service import ArgillaService, Endpoint
from tests.integration.argilla.conftest import Api, connect, rg

MakeService = Callable[[], ArgillaService]


def pid_of(home: Path) -> int:
    return int(json.loads((home / "service.json").read_text())["pid"])


def kill(pid: int) -> None:
    psutil.Process(pid).kill()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_starts_at_once_give_one_server_that_outlives_its_parent(
    new_service: MakeService, argilla_python: Path, tmp_path: Path
) -> None:
    home = tmp_path / "argilla"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path\n"
            "from pipeline.review.service import ArgillaService\n"
            "print(ArgillaService(Path(sys.argv[1]), Path(sys.argv[2])).start().url, flush=True); time.sleep(600)",
            str(home),
            str(argilla_python),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ARGILLA_DATABASE_URL": "sqlite:///nowhere/else.db", "HF_TOKEN": "hf_secret"},
    )
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        here = list(pool.map(lambda _: new_service().start(on_line=lines.append), range(2)))
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert {url, *(endpoint.url for endpoint in here)} == {here[0].url}
    assert any("Argilla is loading" in line for line in lines)
    servers = [p for p in psutil.process_iter(["cmdline"]) if str(home / "spec.json") in (p.info["cmdline"] or [])]
    assert [p.pid for p in servers] == [pid_of(home)]

    parent.kill()
    parent.wait()
    found = new_service().find()
    assert found == here[0]
    assert found is not None and found.embedded and found.url.endswith("/annotate")
    assert new_service().start(wait=False) == found

    check_secrets(home, found, servers[0])
    check_login(found, *new_service().owner_login())

    second = subprocess.run(
        [argilla_python, launcher.__file__, home / "spec.json"],
        input=(home / "secrets.json").read_text(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == launcher.EXIT_LOCKED
    assert "Another Argilla server runs in this folder" in second.stdout

    new_service().stop()
    assert new_service().find() is None
    assert not (home / "service.json").exists()
    new_service().stop()


def check_secrets(home: Path, endpoint: Endpoint, server: psutil.Process) -> None:
    for name in ("secrets.json", "service.json", "server.log", "argilla.db"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    kept = json.loads((home / "secrets.json").read_text())
    shown = " ".join([*server.cmdline(), *server.environ().values(), (home / "server.log").read_text(), repr(endpoint)])
    assert [name for name, value in kept.items() if value in shown] == []
    assert "hf_secret" not in shown
    assert len(set(kept.values())) == 3


def check_login(endpoint: Endpoint, username: str, password: str) -> None:
    with httpx.Client(base_url=endpoint.url, trust_env=False) as client:
        token = client.post("/api/v1/token", data={"username": username, "password": password}).json()["access_token"]
        me = client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert (me["username"], me["role"]) == (username, "owner")
        page = client.get("/sign-in", follow_redirects=True)
        assert page.status_code == 200 and "/annotate/_nuxt/" in page.text
        preflight = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "GET"}
        assert "access-control-allow-origin" not in client.options("/api/v1/me", headers=preflight).headers


def fill(endpoint: Endpoint, stop_after: int, home: Path) -> tuple[Api, str, list[int], Exception]:
    """Insert batches until the server is killed under them; return what it acknowledged."""
    client = connect(endpoint)
    schema = rg.Settings(fields=[rg.TextField(name="prompt")], questions=[rg.RatingQuestion("rating", [1, 2])])
    client.workspaces.add(rg.Workspace(name="w", client=client))
    dataset = rg.Dataset(name="d", workspace="w", settings=schema, client=client).create()
    api = Api(endpoint.url, endpoint.api_key)
    acknowledged: list[int] = []
    killer = threading.Thread(target=lambda: (until(lambda: len(acknowledged) >= stop_after), kill(pid_of(home))))
    killer.start()
    try:
        for batch in range(500):
            numbers = range(batch * 100, batch * 100 + 100)
            items = [
                {"external_id": f"n{n}", "fields": {"prompt": f"everywhere 模型 n{n} " + "x " * 500}} for n in numbers
            ]
            api.call("POST", f"/datasets/{dataset.id}/records/bulk", json={"items": items})
            acknowledged.append(batch)
    except httpx.TransportError as error:
        return api, str(dataset.id), acknowledged, error
    finally:
        killer.join()
    raise AssertionError("the server was not killed while records were inserted")


def consistent(endpoint: Endpoint, dataset: str) -> int:
    """Check that the text index and the database hold the same records; return how many."""
    api = Api(endpoint.url, endpoint.api_key)
    total = api.call("GET", f"/datasets/{dataset}/progress")["total"]
    assert api.search(dataset)[1] == total
    for query in ("everywhere", "模型", "型 | nothing", "-nothing"):
        assert api.search(dataset, query, limit=1)[1] == total, query
    assert api.search(dataset, "n42") == (["n42"], 1)
    return int(total)


def test_killed_during_an_insert_and_damaged_indexes(new_service: MakeService, tmp_path: Path) -> None:
    home = tmp_path / "argilla"
    first = new_service().start()
    _, dataset, acknowledged, _ = fill(first, 3, home)
    assert new_service().find() is None

    again = new_service().start()
    assert again.port == first.port, "links that were sent out stay good"
    total = consistent(again, dataset)
    assert total % 100 == 0, "a batch is whole or not there"
    assert len(acknowledged) <= total // 100 <= len(acknowledged) + 1
    with sqlite3.connect(home / "argilla.db", timeout=30) as con:
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    con.close()

    damage(home / "search.db", home / "search.db-wal")
    one_more = {"external_id": "more", "fields": {"prompt": "everywhere 模型"}}  # makes SQLite read the file anew
    Api(again.url, again.api_key).call("POST", f"/datasets/{dataset}/records/bulk", json={"items": [one_more]})
    total += 1
    assert consistent(again, dataset) == total, "a file damaged while serving"
    assert "it is built again" in new_service().log_path.read_text()

    new_service().stop()
    damage(home / "search.db")
    lines: list[str] = []
    assert consistent(new_service().start(on_line=lines.append), dataset) == total, "a file damaged before the start"
    assert any("index is damaged" in line for line in lines)

    new_service().stop()
    for file in home.glob("search.db*"):
        file.unlink()
    forget_one_record(home)
    assert consistent(new_service().start(), dataset) == total - 1, "a file deleted before the start"


def damage(*files: Path) -> None:
    for file in files:
        size = file.stat().st_size if file.exists() else 0
        if size:
            with file.open("r+b") as handle:
                handle.seek(size // 10)
                handle.write(random.Random(1).randbytes(size - size // 10))


def forget_one_record(home: Path) -> None:
    with sqlite3.connect(home / "argilla.db") as con:
        con.execute("DELETE FROM records WHERE external_id='n7'")
    con.close()


@pytest.mark.matrix
def test_a_port_in_use_is_left_to_its_user_and_lost_secrets_are_made_anew(
    new_service: MakeService, tmp_path: Path
) -> None:
    home = tmp_path / "argilla"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (home / "port").write_text(str(port))
        (home / "service.json").write_text(
            json.dumps({"pid": os.getpid(), "port": port, "started": 1.0, "boot_id": launcher.boot_id(), "ready": True})
        )
        service = new_service()
        soon = service.start(wait=False)
        assert soon.port != port
        assert service.start() == soon
        assert "cannot be used" in service.log_path.read_text()

    (home / "secrets.json").unlink()  # as when a home is restored without its secrets
    renewed = service.start()
    assert renewed.api_key != soon.api_key
    check_login(renewed, *service.owner_login())


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    service = ArgillaService(tmp_path / "argilla", Path(sys.executable))
    with pytest.raises(StudioError) as failure:
        service.start()
    assert "No module named" in failure.value.why
    assert str(service.log_path) in failure.value.next
    with pytest.raises(StudioError, match="Install the argilla_server engine"):
        ArgillaService(tmp_path / "argilla", tmp_path / "no-python").start()


def test_find_without_a_server(tmp_path: Path) -> None:
    service = ArgillaService(tmp_path / "argilla", Path(sys.executable))
    assert service.find() is None
    service.stop()
