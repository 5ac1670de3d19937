"""Spaces of the Hub double, by unmodified clients and by the studio's own room for them."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub import HfApi, Volume
from huggingface_hub.errors import HfHubHTTPError

from pipeline.base.errors import StudioError
from pipeline.hub import client, spaces
from pipeline.hub.spaces import NewSpace
from tests.doubles.hub import HubDouble

CARD = b"---\ntitle: Small\nsdk: docker\napp_port: 7860\ntags: [small-thing]\n---\n"
DOCKERFILE = b"""FROM python:3.11-slim
RUN useradd --create-home --uid 1000 user && pip install nothing
USER user
ENV HOME=/home/user KEPT=/data
WORKDIR $HOME/app
COPY --chown=user . .
EXPOSE 7860
CMD ["python", "serve.py", "7860"]
"""
SERVE = b"""
import http.server, json, os, pathlib, sys
names = ("SPACE_ID", "ACCELERATOR", "COLOUR", "PASSWORD", "KEPT", "OAUTH_CLIENT_ID")
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        if self.path == "/keep":
            (pathlib.Path(os.environ["KEPT"]) / "note.txt").write_text("kept")
        body = json.dumps({name: os.environ.get(name) for name in names}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
FILES = {"README.md": CARD, "Dockerfile": DOCKERFILE, "serve.py": SERVE}


def get(hub: HubDouble, name: str, path: str = "/") -> dict[str, str]:
    answer = httpx.get(f"{hub.space(name).url}{path}", trust_env=False)
    found: dict[str, str] = answer.json()
    return found


def runs(hub: HubDouble, name: str) -> None:
    hub.until(lambda: hub.space(name).stage == "RUNNING")


def test_a_space_runs(hub: HubDouble, unique: str) -> None:
    token, name = hub.add_user(unique, pro=True), f"{unique}/small"
    bucket = f"{unique}/kept"
    with client.acting_as(token):
        spaces.ensure_bucket(bucket)
        spaces.ensure_bucket(bucket)
        volume = Volume(type="bucket", source=bucket, mount_path="/data")
        new = NewSpace(name, "l40sx1", {"PASSWORD": "p-1"}, {"COLOUR": "red"}, [volume], sleep=3600)
        spaces.create(new)
        there = spaces.look(name)
        assert there is not None and (there.stage, there.hardware, there.sleep) == ("NO_APP_FILE", "l40sx1", 3600)
        assert there.over and there.private
        spaces.commit(name, FILES, "Small")
        runs(hub, name)
        said = get(hub, name)
        assert (said["SPACE_ID"], said["ACCELERATOR"], said["COLOUR"]) == (name, "L40S", "red")
        assert said["PASSWORD"] == "p-1" and said["OAUTH_CLIENT_ID"] is None
        get(hub, name, "/keep")
        assert (hub.buckets.all[bucket].folder / "note.txt").read_text() == "kept"
        assert list(HfApi(token=token).list_bucket_tree(bucket))[0].path == "note.txt"
        assert "serving" in list(spaces.lines(name, follow=False))
        assert spaces.variables(name) == {"COLOUR": "red"}
        assert list(HfApi(token=token).get_space_secrets(name)) == ["PASSWORD"]
        found = spaces.ours(unique, "small-thing")
        assert [(one.name, one.stage) for one in found] == [(name, "RUNNING")] and found[0].volumes
        spaces.pause(name)
        spaces.pause(name)
        assert spaces.now(name).stage == "PAUSED"
        with pytest.raises(httpx.HTTPError):
            get(hub, name)
        spaces.restart(name)
        runs(hub, name)
        assert hub.space(name).starts == 2
        spaces.delete(name)
        spaces.delete(name)
        assert spaces.look(name) is None and not hub.has_repo("space", name)


def test_settings_are_changed(hub: HubDouble, unique: str) -> None:
    token, name = hub.add_user(unique, pro=True), f"{unique}/small"
    with client.acting_as(token):
        spaces.create(NewSpace(name))
        spaces.commit(name, {**FILES, "old.txt": b"old"}, "Small")
        before = spaces.look(name)
        assert before is not None
        hub.buckets.add(f"{unique}/kept")
        volume = Volume(type="bucket", source=f"{unique}/kept", mount_path="/data")
        new = NewSpace(name, "t4-small", {"PASSWORD": "p-2"}, {"COLOUR": "blue"}, [volume], sleep=600)
        spaces.settle(new, before=before)
        commit = spaces.commit(name, FILES, "Again", exact=True)
        assert set(hub.files("space", name)) == {*FILES, ".gitattributes"}
        assert spaces.commit(name, FILES, "Again", exact=True) == commit
        runs(hub, name)
        said = get(hub, name)
        assert (said["COLOUR"], said["PASSWORD"], said["ACCELERATOR"]) == ("blue", "p-2", "T4")
        now = spaces.look(name)
        assert now is not None and now.hardware == "t4-small" and now.sleep == 600
        assert [one.mount_path for one in now.volumes] == ["/data"]


def test_what_is_refused(hub: HubDouble, unique: str) -> None:
    name = f"{unique}/small"
    free = hub.add_user(unique)

    def refused(token: str, new: NewSpace) -> str:
        with client.acting_as(token), pytest.raises(StudioError) as caught:
            spaces.create(new)
        return str(caught.value.message.code)

    assert refused(free, NewSpace(name, "l40sx1")) == "hub.space_plan"
    poor = hub.add_user(f"{unique}p", pro=True, can_pay=False)
    assert refused(poor, NewSpace(f"{unique}p/small", "l40sx1")) == "hub.space_unpaid"
    assert refused(hub.add_user(unique, "read", pro=True), NewSpace(name)) == "hub.space_forbidden"
    rich = hub.add_user(unique, pro=True, organisations=[f"{unique}-lab"])
    assert refused(rich, NewSpace(f"{unique}-lab/small")) == "hub.space_plan"
    with client.acting_as(rich):
        spaces.create(NewSpace(name, variables={"RUN": "1"}))
    assert refused(rich, NewSpace(name)) == "hub.space_taken"
    with client.acting_as(free), pytest.raises(HfHubHTTPError, match="404"):
        spaces.now(f"{unique}/none")


def test_a_lost_answer_makes_no_second_space(hub: HubDouble, unique: str) -> None:
    name = f"{unique}/small"
    with client.acting_as(hub.add_user(unique, pro=True)):
        hub.fault("POST", "/api/repos/create", drop="response")
        spaces.create(NewSpace(name, variables={"RUN": "r-1"}))
        assert hub.space(name).variables == {"RUN": "r-1"}


def test_a_space_fails_and_sleeps(hub: HubDouble, unique: str) -> None:
    token, name = hub.add_user(unique, pro=True), f"{unique}/small"
    with client.acting_as(token):
        spaces.create(NewSpace(name, "t4-small", sleep=2))
        spaces.commit(name, {**FILES, "Dockerfile": DOCKERFILE.replace(b"pip install nothing", b"false")}, "Broken")
        hub.until(lambda: hub.space(name).stage == "BUILD_ERROR")
        assert any("ERROR" in line for line in spaces.lines(name, build=True))
        spaces.commit(name, FILES, "Repaired")
        runs(hub, name)
        with pytest.raises(httpx.HTTPError):
            get(hub, name, "/die")
        hub.until(lambda: hub.space(name).stage == "RUNTIME_ERROR")
        assert "Exit code: 3" in spaces.now(name).said
        spaces.restart(name)
        runs(hub, name)
        hub.crash_space(name)
        assert "Memory limit exceeded" in spaces.now(name).said
        spaces.restart(name)
        runs(hub, name)
        hub.until(lambda: hub.space(name).stage == "SLEEPING")  # nobody comes


def test_a_space_signs_people_in(hub: HubDouble, unique: str) -> None:
    token, name = hub.add_user(unique, pro=True), f"{unique}/small"
    card = CARD.replace(b"sdk: docker", b"sdk: docker\nhf_oauth: true\nhf_oauth_scopes: [jobs]")
    with client.acting_as(token):
        spaces.create(NewSpace(name))
        spaces.commit(name, {**FILES, "README.md": card}, "Small")
        runs(hub, name)
    application = hub.oauth.clients[get(hub, name)["OAUTH_CLIENT_ID"]]
    assert application.space == name and "jobs" in application.scopes
    assert application.returns_to(f"{hub.space(name).url}/oauth/callback")
