"""Whose token it is, what it may do, and where the studio takes it from; no Hub is reached here."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings, table
from pipeline.hub import account, client
from pipeline.hub.account import SignIn, SignInStatus, account_of
from pipeline.review import service
from pipeline.visit import Visit
from ui.bar import account as panel
from ui.handlers import Given, Update, Wiring
from ui.text import speak

TOKEN = "hf_neverSentAnywhere0000"


def answer(role: str | None, **more: Any) -> dict[str, Any]:
    """What whoami says; `more`: of the token."""
    auth = {"type": "access_token", "accessToken": {"role": role, **more}} if role else {"type": "oauth"}
    return {"name": "ada", "fullname": "Ada L", "orgs": [{"name": "lab"}], "canPay": True, "auth": auth}


def fine(*scopes: tuple[str, list[str]], everywhere: tuple[str, ...] = (), gated: bool = True) -> dict[str, Any]:
    """A fine-grained token's answer."""
    scoped = [{"entity": {"type": kind, "name": "ada"}, "permissions": names} for kind, names in scopes]
    granted = {"canReadGatedRepos": gated, "global": list(everywhere), "scoped": scoped}
    return answer("fineGrained", fineGrained=granted)


@pytest.mark.parametrize(
    ("said", "kind", "write", "jobs", "gated", "private"),
    [
        (answer("read"), "read", False, False, True, True),
        (answer("write"), "write", True, True, True, True),
        (answer(None), "oauth", True, True, True, True),
        (answer("fineGrained"), "fine-grained", True, True, True, True),  # it does not say: the Hub decides
        (fine(gated=False), "fine-grained", False, False, False, False),
        (fine(("user", ["repo.content.read"])), "fine-grained", False, False, True, True),
        (fine(("user", ["repo.write"])), "fine-grained", True, False, True, True),
        (fine(("org", ["repo.write", "job.write"])), "fine-grained", True, True, True, True),
        (fine(("dataset", ["repo.write"]), everywhere=("job.write",)), "fine-grained", True, True, True, True),
    ],
)
def test_what_a_token_may_do_is_read_from_its_role_and_permissions(
    said: dict[str, Any], kind: str, write: bool, jobs: bool, gated: bool, private: bool
) -> None:
    found = account_of(said)
    assert (found.name, found.fullname, found.organisations, found.can_pay) == ("ada", "Ada L", ("lab",), True)
    assert (found.kind, found.may_write, found.may_run_jobs) == (kind, write, jobs)
    assert (found.may_read_gated, found.may_read_private) == (gated, private)


def test_an_expiry_is_judged_by_the_hubs_clock() -> None:
    said = answer("write")
    assert account_of(said).expires is None
    assert not account_of(said).expired
    said["auth"]["expiresAt"] = (datetime.now(UTC) + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert not account_of(said).expired
    assert account_of(said, clock_offset=3600.0).expired


def test_an_answer_that_says_less_is_enough() -> None:
    found = account_of({"name": "ada", "auth": {"accessToken": {"role": "write"}, "expiresAt": "soon"}})
    assert (found.fullname, found.organisations, found.can_pay, found.expires) == ("ada", (), None, None)


def test_without_a_token_nobody_is_asked_and_writing_is_refused_in_words() -> None:
    assert account.current() is None
    for needs in (account.require_write, account.require_jobs):
        with pytest.raises(StudioError) as caught:
            needs()
        assert caught.value.what == "You are not signed in to Hugging Face."
        assert "sign in" in caught.value.next


def test_a_hub_that_is_not_reached_is_said_and_holds_no_token() -> None:
    with client.acting_as(TOKEN), pytest.raises(StudioError) as caught:
        account.require_write()
    assert "not reached" in caught.value.why
    assert TOKEN not in str(caught.value)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `hf auth login` would have left a token, had anybody run it."""
    file = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(file))
    return file


def test_the_environment_goes_before_the_file_and_what_is_typed_before_both(
    stored: Path, sign_ins: Callable[..., SignIn]
) -> None:
    nobody = sign_ins()
    nobody.start()
    assert (nobody.status, nobody.token) == (SignInStatus("none"), None)
    stored.write_text("hf_fromTheFile\n")
    of_file = sign_ins()
    of_file.start()
    assert (of_file.status.source, of_file.token) == ("file", "hf_fromTheFile")
    both = sign_ins(" hf_fromTheEnvironment\n")
    both.start()
    assert (both.status.source, both.token) == ("environment", "hf_fromTheEnvironment")
    both.use(" hf_typed ")
    assert (both.status.source, both.token) == ("typed", "hf_typed")
    both.start()  # "ask again" does not give the machine's token back
    assert (both.status.source, both.token) == ("typed", "hf_typed")


def test_signing_out_forgets_what_was_typed_and_sets_the_machines_token_aside(
    stored: Path, sign_ins: Callable[..., SignIn]
) -> None:
    stored.write_text("hf_fromTheFile")
    sign_in = sign_ins()
    sign_in.start()
    sign_in.use("hf_typed")
    sign_in.sign_out()
    assert sign_in.token is None
    assert sign_in.status == SignInStatus("none", aside="file")
    sign_in.start()
    assert (sign_in.status.source, sign_in.token) == ("file", "hf_fromTheFile")
    alone = sign_ins()
    stored.unlink()
    alone.use("hf_typed")
    alone.sign_out()
    assert alone.status == SignInStatus("none")


@pytest.mark.parametrize("wrong", ["", "  ", "hf_one hf_two", "hf_ünïcode", "hf_two\nlines"])
def test_what_cannot_be_a_token_is_not_used(wrong: str, sign_ins: Callable[..., SignIn]) -> None:
    sign_in = sign_ins()
    with pytest.raises(StudioError, match="not a token"):
        sign_in.use(wrong)
    assert sign_in.status == SignInStatus("none")


def test_starting_does_not_wait_for_the_hub_and_an_unreachable_one_keeps_the_token(
    sign_ins: Callable[..., SignIn],
) -> None:
    sign_in = sign_ins(TOKEN)
    begun = time.monotonic()
    sign_in.start()
    assert time.monotonic() - begun < 1
    now = sign_in.wait()
    assert (now.state, now.source) == ("unreachable", "environment")
    assert now.problem is not None
    assert TOKEN not in str(now.problem) + repr(now)
    assert sign_in.token == TOKEN


def test_a_token_that_ends_while_the_studio_runs_is_no_longer_used(sign_ins: Callable[..., SignIn]) -> None:
    sign_in = sign_ins(TOKEN)
    said = answer("write")
    said["auth"]["expiresAt"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    sign_in._token, sign_in._status = TOKEN, SignInStatus("ready", account_of(said))
    assert sign_in.token == TOKEN
    sign_in._status = SignInStatus("ready", account_of(said, clock_offset=7200.0))
    assert (sign_in.status.state, sign_in.token) == ("refused", None)


def test_a_handler_acts_for_its_visitor_and_for_nobody_afterwards() -> None:
    seen: list[str | None] = []

    def handler(visit: Visit, given: Given) -> Update:
        seen.append(client.token())
        return {}

    wiring = Wiring(lambda request: SimpleNamespace(token=f"hf_of_{request.username}"))
    called = wiring._call(handler, (), (), None)
    for name in ("ada", "bob"):
        called(SimpleNamespace(headers={}, username=name))
    assert seen == ["hf_of_ada", "hf_of_bob"]
    assert client.token() is None


def test_the_environments_token_is_a_setting_that_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    settings = Settings()
    assert settings.hf_token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings) + str(settings.model_dump()) + table()
    assert "`HF_TOKEN`" in table()


def test_the_embedded_argilla_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in client.TOKEN_VARIABLES:
        monkeypatch.setenv(name, TOKEN)
    environment = service._environment()
    assert TOKEN not in environment.values()
    assert environment["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"


def test_the_panel_says_what_a_token_may_not_do_and_escapes_names() -> None:
    speak("en")
    said = answer("read") | {"fullname": "<b>Ada</b>"}
    shown = panel.about(SignInStatus("ready", account_of(said), source="environment"))
    assert "read-only" in shown
    assert "<dt>May not</dt><dd>create and write repositories, run Jobs</dd>" in shown
    assert "&lt;b&gt;Ada" in shown
    assert "environment variable HF_TOKEN" in shown
    written = panel.about(SignInStatus("ready", account_of(answer("write")), source="typed"))
    assert "May not" not in written
    assert "notice" not in written
    assert "job.write" in written  # the link ticks it
    broke = panel.about(SignInStatus("ready", account_of(answer("write") | {"canPay": False}, clock_offset=-600.0)))
    assert "prepaid credit" in broke
    assert "10.0 minutes" in broke
