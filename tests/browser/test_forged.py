"""Forged requests to a Space with all of its page built: every function, every route, everybody who may come.

Olga owns the Space, Vera has one of everything with a marked word in it, Walt visits; besides them come somebody who has
not signed in and a second user of the machine. What is tried is counted and printed by class.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App as GradioApp

from pipeline.base.home import Home
from pipeline.base.project import Project
from pipeline.runs.ledger import Ledger
from tests.browser.conftest import App
from tests.browser.spaces import HOST, OWN, Space, space_of
from tests.doubles.hub import HubDouble
from tests.projects import ended, make_project, trained

MARK = "zebrafish"  # in what is Vera's: pairs, runs, model; in none of its names
JOIN = "/gradio_api/queue/join"
SERVED = {200, 206}
WAIT_S = 240.0


@dataclass
class Tried:
    """What was tried, by class, and what came of it."""

    counts: Counter[str] = field(default_factory=Counter)
    succeeded: list[str] = field(default_factory=list)

    def one(self, kind: str, what: str, *, success: bool) -> None:
        """Note one attempt."""
        self.counts[kind] += 1
        if success:
            self.succeeded.append(f"{kind}: {what}")


@dataclass
class World:
    """The Space, its people's clients, and what is Vera's."""

    space: Space
    clients: dict[str, httpx.Client]
    project: Project
    run: str
    secrets: list[str]
    marks: tuple[str, ...]
    tried: Tried = field(default_factory=Tried)

    @property
    def nobody(self) -> httpx.Client:
        """A client that has not signed in."""
        return self.space.front.client()

    def leaks(self, text: str) -> bool:
        """Return whether something that is nobody else's stands in a text."""
        return any(mark in text for mark in self.marks)


@pytest.fixture(scope="module")
def world(
    app_server: Callable[..., App],
    _hub_running: HubDouble,
    shared_argilla: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    hub = _hub_running
    for name in ("olga", "vera", "walt"):
        hub.add_user(name)
    folder = tmp_path_factory.mktemp("forged")
    with space_of(app_server, hub, folder, shared_argilla, program=("-m", "tests.doubles.whole")) as space:
        clients = {name: space.client(name) for name in ("olga", "vera", "walt")}
        home = Home(space.app.home.resolve())
        who = f"hf-{hub.directory.users['vera'].id}"
        project = make_project(home.of(who), "project-of-vera", folder, pairs=16, mark=MARK)
        ledger = Ledger(home).of(who)
        training = trained(ledger, project, "model-of-vera")
        ended(ledger, "export", project, f"export {MARK}", {"name": "pairs"}, result={"name": "pairs", "note": MARK})
        client_secret = space.app.environment["OAUTH_CLIENT_SECRET"]
        files = ["/proc/self/environ", "/etc/shadow", str(home.ledger), str(home.argilla / "secrets.json")]
        files += [str(project.pairs), str(project.exports / "pairs" / "train.jsonl"), str(project.folder)]
        marks = (MARK, OWN, client_secret, "root:*:", "root:!:", "root:$", "hf_oauth_")
        yield World(space, clients, project, training.id, files, marks)


def functions(client: httpx.Client) -> list[dict[str, Any]]:
    """Return every function of the page with what its inputs hold at first."""
    config = client.get("/config").json()
    held = {part["id"]: part["props"].get("value") for part in config["components"]}
    return [
        {
            "index": each["id"],
            "values": [held.get(part) for part in each["inputs"]],
            "name": str(each.get("api_name")),
        }
        for each in config["dependencies"]
        if each.get("backend_fn", True)
    ]


class Heard:
    """What a page is told of its events."""

    def __init__(self, client: httpx.Client, page: str) -> None:
        self.text: list[str] = []
        self.done = 0
        self._thread = threading.Thread(target=self._listen, args=(client, page), daemon=True)
        self._thread.start()

    def _listen(self, client: httpx.Client, page: str) -> None:
        """Listen as Gradio's page does: a stream ends when nothing is under way, and is then opened again."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": page}) as stream:
                    for line in stream.iter_lines():
                        self.text.append(line)
                        self.done += '"process_completed"' in line
            except httpx.HTTPError:
                return

    def wait(self, count: int) -> None:
        """Wait until so many events have ended."""
        until = time.monotonic() + WAIT_S
        while self.done < count and time.monotonic() < until:
            time.sleep(0.1)
        assert self.done >= count, f"{self.done} of {count} events ended"


def file_reference(path: str) -> list[Any]:
    """Return shapes in which a request may name a file."""
    one = {"path": path, "meta": {"_type": "gradio.FileData"}}
    return [one, [one], {"deep": [{"er": one}]}, {"PATH": path}, {"path": "a", "url": f"file://{path}"}]


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.matrix)], ids=["one shape", "all shapes"]
)
def test_no_file_is_had_by_its_name_in_any_input_of_any_function(world: World, every: bool) -> None:
    for name in ("walt", "olga"):
        client = world.clients[name]
        for each in functions(client):
            for position in range(max(len(each["values"]), 1)):
                shapes = file_reference(world.secrets[position % len(world.secrets)])
                for shape in shapes if every else [shapes[(position + each["index"]) % len(shapes)]]:
                    data = list(each["values"]) or [None]
                    data[position] = shape
                    body = {"data": data, "fn_index": each["index"], "session_hash": f"{name}-files"}
                    answer = client.post(JOIN, json=body)
                    what = f"{name} {each['index']}[{position}] {shape}"
                    world.tried.one("file in an input", what, success=answer.status_code != 403)
    assert not world.tried.succeeded


def called(world: World, name: str, values: list[str], *, one_by_one: bool) -> str:
    """Call every function with names in its inputs, and return what the page was told.

    Args:
        world: The Space.
        name: Who calls.
        values: The names.
        one_by_one: Whether each input is tried by itself besides.
    """
    client, page = world.clients[name], f"{name}-names"
    heard, asked = Heard(client, page), 0
    for each in functions(client):
        if name == "vera" and "deleted" in each["name"]:
            continue
        texts = [n for n, value in enumerate(each["values"]) if isinstance(value, str | None) or value == []]
        tries = [dict.fromkeys(texts, value) for value in values[:2]]
        if one_by_one:
            tries += [{n: values[(n + each["index"]) % len(values)]} for n in texts]
        for changed in tries:
            data = [changed.get(n, held) for n, held in enumerate(each["values"])]
            body = {"data": data, "fn_index": each["index"], "session_hash": page}
            answer = client.post(JOIN, json=body)
            assert answer.status_code in (200, 403), answer.text
            asked += answer.status_code == 200
            world.tried.one("name, path or address in an input", str(body), success=False)
    heard.wait(asked)
    return "\n".join(heard.text)


def test_what_is_anothers_is_not_had_by_its_name_in_any_input_of_any_function(world: World) -> None:
    folder = str(world.project.folder)
    away = "../" * 6 + folder.lstrip("/")
    values = [world.project.name, world.run, folder, away, f"{away}/exports/pairs", "http://169.254.169.254/latest"]
    for name, one_by_one in (("walt", True), ("olga", False)):
        told = called(world, name, values, one_by_one=one_by_one)
        assert not world.leaks(told), next(line for line in told.splitlines() if world.leaks(line))[:2000]
    before = world.tried.counts.copy()
    assert MARK in called(world, "vera", values, one_by_one=False)  # it is to be had, by whom it belongs to
    world.tried.counts = before


def test_another_visitors_page_is_neither_spoken_for_nor_listened_to(world: World) -> None:
    vera, walt = world.clients["vera"], world.clients["walt"]
    (first, *_) = functions(vera)
    mine = {"data": first["values"], "fn_index": first["index"], "session_hash": "veras"}
    event = vera.post(JOIN, json=mine).json()["event_id"]
    vera.post("/gradio_api/upload", params={"upload_id": "veras-upload"}, files={"files": ("a.csv", b"a,b\n1,2\n")})
    tries = [
        ("POST", JOIN, {"json": mine}),
        ("GET", "/gradio_api/queue/data?session_hash=veras", {}),
        ("GET", "/gradio_api/heartbeat/veras", {}),
        ("POST", "/gradio_api/cancel", {"json": {"session_hash": "veras", "fn_index": 0, "event_id": event}}),
        ("POST", "/gradio_api/reset", {"json": {"event_id": event, "session_hash": "veras"}}),
        ("GET", "/gradio_api/upload_progress?upload_id=veras-upload", {}),
        ("POST", "/gradio_api/upload?upload_id=veras-upload", {"files": {"files": b"x"}}),
    ]
    for number in range(5):
        for method, path, more in tries:
            answer = walt.request(method, path, headers={"x-try": str(number)}, **more)
            world.tried.one("another's page", f"{method} {path}", success=answer.status_code != 403)
    sent = vera.post("/gradio_api/upload", files={"files": ("secret.csv", b"a,b\n1,2\n")}).json()[0]
    for each in functions(walt)[:60]:
        own = {"path": sent, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [own] * max(len(each["values"]), 1), "fn_index": each["index"], "session_hash": "walt-upload"}
        answer = walt.post(JOIN, json=body)
        world.tried.one("another's upload", str(each["index"]), success=answer.status_code != 403)
    for topic in (f"run:{world.run}", f"review:{world.project.name}", "run:../../x", "run:"):
        with walt.stream("GET", "/stream", params={"topic": topic}) as stream:
            lines = stream.iter_lines()
            said = [line for line in (next(lines) for _ in range(6)) if line.startswith("data:")]
        world.tried.one("another's topic", topic, success='"refused":true' not in said[-1])
    assert not world.tried.succeeded


def routes() -> list[tuple[str, str]]:
    """Return every route that Gradio has, with its method."""
    with gr.Blocks() as demo:
        gr.Textbox()
    found: list[tuple[str, str]] = []
    for route in GradioApp.create_app(demo).routes:
        inner = getattr(route, "original_router", None)
        prefix = "" if inner is None else "/gradio_api"
        for each in [route] if inner is None else inner.routes:
            path = prefix + each.path.removeprefix(prefix)
            found += [(method, path) for method in sorted(getattr(each, "methods", None) or {"GET"})]
    assert len(found) > 50
    return found


def filled(path: str, value: str) -> str:
    """Return a route's path with all of its parameters replaced."""
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path


def test_no_route_of_gradios_answers_a_stranger_and_only_the_pages_own_answer_a_visitor(world: World) -> None:
    values = ["a", world.secrets[0].lstrip("/"), "..%2f..%2f..%2fetc%2fpasswd", "http://169.254.169.254/"]
    allowed = ("/config", "/theme.css", "/assets/", "/static/", "/gradio_api/heartbeat/", "/favicon", "/manifest")
    with world.nobody as nobody:
        for method, route in routes():
            for value in values:
                path = filled(route, value)
                answer = nobody.request(method, path or "/", follow_redirects=False)
                refused = answer.status_code in (401, 403)
                world.tried.one("route, stranger", f"{method} {path} {answer.status_code}", success=not refused)
                if path in ("", "/", JOIN, "/gradio_api/queue/data") or path.startswith(allowed):
                    continue
                answer = world.clients["walt"].request(method, path, json={}, follow_redirects=False)
                bad = answer.status_code in SERVED | {301, 302, 303, 307} and not path.startswith("/gradio_api/upload")
                bad = bad and path not in ("/gradio_api/reset", "/gradio_api/cancel")
                world.tried.one("route, visitor", f"{method} {path} {answer.status_code}", success=bad)
    assert not world.tried.succeeded


def test_no_file_redirect_or_proxy_is_had_by_an_address(world: World) -> None:
    walt, folder = world.clients["walt"], str(world.project.folder)
    forms = ["/gradio_api/file={}", "/file={}", "/gradio_api/FILE={}", "//file={}", "/gradio_api/file/{}", "/file/{}"]
    forms += ["/static/{}", "/assets/{}", "/assets/..%2f..%2f{}", "/static/../../{}", "/page/{}", "/page/..%2f..{}"]
    forms += ["/gradio_api/proxy=http://127.0.0.1{}", "/proxy={}", "/custom_component/x/client/component/{}"]
    forms += ["/gradio_api/download?path={}", "/login/callback?state=x&code={}", "/?_target_url=////evil{}"]
    for form in forms:
        for secret in world.secrets:
            for path in (secret, secret.replace("/", "%2f"), "../" * 8 + secret.lstrip("/")):
                for client in (walt, world.nobody):
                    answer = client.get(form.format(path), follow_redirects=False)
                    leaked = world.leaks(answer.text) or "evil" in answer.headers.get("location", "")
                    world.tried.one("file by address", form.format(path), success=leaked)
    export = [world.project.name, "pairs", "train.jsonl"]
    olga = world.clients["olga"]
    ways = ["/".join(export), f"x/..%2f{folder}/exports/pairs/train.jsonl", f"{'../' * 8}{folder}/exports/pairs/x"]
    ways += [
        f"{world.project.name}/{name}/{path}" for name in ("pairs", "..", "%2e%2e") for path in ("train.jsonl", "../x")
    ]
    for way in ways:
        for client in (walt, olga, world.nobody):
            answer = client.get(f"/download/{way}", follow_redirects=False)
            world.tried.one("another's download", way, success=answer.status_code == 200)
    assert not world.tried.succeeded
    mine = world.clients["vera"].get(f"/download/{'/'.join(export)}")
    assert mine.status_code == 200 and MARK in mine.text
    assert mine.headers["content-disposition"].startswith("attachment") and mine.headers["x-content-type-options"]


def test_other_sites_other_names_and_made_up_sessions_are_refused(world: World) -> None:
    walt, front = world.clients["walt"], world.space.front
    cookie = walt.headers["cookie"]
    body = {"data": [], "fn_index": 0, "session_hash": "walt-sites"}
    origins = [
        "https://evil.example",
        "null",
        f"http://{HOST}",
        f"https://{HOST}.evil.example",
        "https://huggingface.co",
    ]
    origins += [f"https://{HOST}:8443", "https://[", "file://", f"https://evil.example/{HOST}", "https://127.0.0.1"]
    for origin in origins:
        for path in (JOIN, "/gradio_api/upload", "/sign-out", "/gradio_api/reset", "/gradio_api/cancel"):
            answer = walt.post(path, json=body, headers={"origin": origin}, follow_redirects=False)
            world.tried.one("foreign origin", f"{origin} {path}", success=answer.status_code != 403)
    for site in ("cross-site", "same-site"):
        with world.space.front.client(headers={"cookie": cookie, "sec-fetch-site": site}) as client:
            world.tried.one("cross-site post", site, success=client.post(JOIN, json=body).status_code != 403)
    direct = httpx.Client(base_url=f"http://127.0.0.1:{world.space.app.port}", trust_env=False)
    for host in (
        "127.0.0.1",
        "localhost",
        f"127.0.0.1:{world.space.app.port}",
        "evil.example",
        "",
        f"{HOST}.evil.example",
    ):
        for path in ("/", "/config", "/stream", "/download/a/b/c", "/annotate/"):
            answer = direct.get(path, headers={"host": host, "cookie": cookie})
            world.tried.one("other host", f"{host} {path}", success=answer.status_code not in (400, 403))
    for path in ("/", "/config", "/stream?topic=bar:", "/gradio_api/queue/data?session_hash=a"):
        answer = direct.get(path, headers={"host": HOST, "x-forwarded-user": "olga", "x-forwarded-for": "127.0.0.1"})
        world.tried.one("second user of the machine", path, success=answer.status_code != 401)
    value = cookie.partition("=")[2]
    cookies = [
        "",
        "x",
        value[:-1],
        value + "x",
        value.swapcase(),
        "olga",
        "hf-" + "0" * 24,
        json.dumps({"who": "olga"}),
    ]
    names = ["__Host-align-studio", "align-studio-7860", "session", "access-token", "__Host-align-studio-begun"]
    for name in names:
        for one in [*cookies, value] if name != "__Host-align-studio" else cookies:
            for path in ("/", "/config", "/stream"):
                with front.client() as client:
                    answer = client.get(path, headers={"cookie": f"{name}={one.replace(chr(34), '')}"})
                world.tried.one("made-up session", f"{name}={one} {path}", success=answer.status_code != 401)
    assert not world.tried.succeeded


def test_the_sign_in_is_for_the_browser_that_began_it_and_leads_nowhere_else(world: World, hub: HubDouble) -> None:
    front = world.space.front
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        with front.client() as client:
            began = client.get("/sign-in", params={"project": target, "next": target}, follow_redirects=False)
            location = httpx.URL(began.headers["location"])
            assert str(location).startswith(hub.url) and location.params["code_challenge_method"] == "S256"
            assert location.params["redirect_uri"] == f"https://{HOST}/login/callback"
            back = httpx.get(f"{location}&account=walt", trust_env=False, follow_redirects=False).headers["location"]
            mine = {"cookie": "; ".join(f"{key}={value}" for key, value in began.cookies.items())}
            for cookie in ({}, {"cookie": "__Host-align-studio-begun=guessed"}):  # the attempt is over with the first
                stolen = client.get(back, headers=cookie, follow_redirects=False)
                world.tried.one("stolen sign-in", target, success=stolen.status_code == 303)
            used = client.get(back, headers=mine, follow_redirects=False)
            world.tried.one("stolen sign-in", target, success=used.status_code == 303)
            again = client.get("/sign-in", params={"project": target}, follow_redirects=False)
            fresh = {"cookie": "; ".join(f"{key}={value}" for key, value in again.cookies.items())}
            back = httpx.get(
                f"{again.headers['location']}&account=walt", trust_env=False, follow_redirects=False
            ).headers["location"]
            state = httpx.URL(back).params["state"]
            for forged in (f"/login/callback?state={state}x&code=a", "/login/callback?code=a", "/login/callback"):
                answer = client.get(forged, headers=fresh, follow_redirects=False)
                world.tried.one("made-up callback", forged, success=answer.status_code == 303)
            ended_ = client.get(back, headers=fresh, follow_redirects=False)
            assert ended_.status_code == 303 and ended_.headers["location"].startswith("/?project=")
            said = ended_.headers["set-cookie"]
            assert "HttpOnly" in said and "Secure" in said and "samesite=none" in said.lower()
            assert "hf_oauth" not in said and "walt" not in said
            twice = client.get(back, headers=fresh, follow_redirects=False)
            world.tried.one("sign-in used twice", target, success=twice.status_code == 303)
    assert not world.tried.succeeded


def test_nothing_secret_is_left_anywhere_and_all_was_tried(world: World) -> None:
    """The last one of this file: what the others tried is counted here."""
    app = world.space.app
    kept = [path for path in app.temporary.rglob("*") if path.is_file()]
    assert not {"environ", "shadow", "ledger.db", "secrets.json", "train.jsonl", "pairs.parquet"} & {
        p.name for p in kept
    }
    token = "hf_oauth_"
    for path in [Path(f"{app.home}.log"), *(path for path in app.home.rglob("*") if path.is_file())]:
        content = path.read_bytes()
        assert token.encode() not in content and OWN.encode() not in content, path
    total = sum(world.tried.counts.values())
    print(f"{total:,} forged requests, {len(world.tried.succeeded)} succeeded: {dict(world.tried.counts)}")
    assert not world.tried.succeeded
    assert total >= 3_000
