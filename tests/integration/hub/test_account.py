"""Accounts and tokens, asked of the Hub double by the app's own code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from huggingface_hub import constants

from pipeline.base.errors import StudioError
from pipeline.hub import account, client
from pipeline.hub.account import Account, SignIn
from tests.doubles.hub import HubDouble

WHOAMI = r"^/api/whoami-v2"


def asked(hub: HubDouble) -> int:
    """How often the Hub was asked whose token it is."""
    return sum(request.path.startswith("/api/whoami-v2") for request in hub.requests)


def who(token: str, *, fresh: bool = False) -> Account:
    with client.acting_as(token):
        found = account.current(fresh=fresh)
    assert found is not None
    return found


def test_each_kind_of_token_says_what_it_may_do(hub: HubDouble, unique: str) -> None:
    expected = {"read": (False, False), "write": (True, True), "fine-grained": (True, True), "oauth": (True, True)}
    for role, (write, jobs) in expected.items():
        name = f"{unique}-{role}"
        found = who(hub.add_user(name, role=role))
        assert (found.name, found.kind, found.may_write, found.may_run_jobs) == (name, role, write, jobs)
        assert abs(found.clock_offset) < 5


def test_a_fine_grained_token_may_what_was_ticked_and_the_hub_agrees(hub: HubDouble, unique: str) -> None:
    reads = hub.add_user(f"{unique}r", role="fine-grained", permissions=("repo.content.read",))
    writes = hub.add_user(f"{unique}w", role="fine-grained", permissions=("repo.content.read", "repo.write"))
    for token, may in ((reads, False), (writes, True)):
        found = who(token)
        assert (found.may_read_private, found.may_write, found.may_run_jobs) == (True, may, False)
        with client.acting_as(token):
            try:
                client.api().create_repo(f"{found.name}/made", repo_type="dataset", private=True)
                made = True
            except Exception as error:  # what it is, the Hub's tests say
                assert "403" in str(error)
                made = False
        assert made == may == hub.has_repo("dataset", f"{found.name}/made")


def test_what_a_token_may_not_do_is_refused_before_anything_is_asked(hub: HubDouble, unique: str) -> None:
    read = hub.add_user(f"{unique}r", role="read")
    no_jobs = hub.add_user(f"{unique}w", role="fine-grained", permissions=("repo.content.read", "repo.write"))
    with client.acting_as(read):
        for needs in (account.require_write, account.require_jobs):
            with pytest.raises(StudioError, match="The token is read-only"):
                needs()
    with client.acting_as(no_jobs):
        assert account.require_write().name == f"{unique}w"
        with pytest.raises(StudioError, match="may not run Jobs"):
            account.require_jobs()
    with client.acting_as(hub.add_user(f"{unique}a", role="write")):
        assert account.require_jobs().name == f"{unique}a"


def test_the_hub_is_asked_once_and_again_when_wanted(hub: HubDouble, unique: str) -> None:
    token, before = hub.add_user(unique), asked(hub)
    assert who(token) == who(token)
    assert asked(hub) == before + 1
    who(token, fresh=True)
    assert asked(hub) == before + 2
    other = hub.add_user(f"{unique}o")
    assert who(other).name == f"{unique}o"


def test_times_are_told_by_the_hubs_clock(hub: HubDouble, unique: str) -> None:
    hub.clock_skew = 5400.0
    # By our clock it ends in the past; by the Hub's, which is ahead, later still must be meant.
    ends = datetime.now(UTC) + timedelta(hours=2)
    found = who(hub.add_user(unique, expires=ends))
    assert found.clock_offset == pytest.approx(5400, abs=5)
    assert found.expires == pytest.approx(ends, abs=timedelta(seconds=2))
    assert not found.expired
    assert found.expires - found.now() < timedelta(minutes=31)


def test_a_wrong_and_a_revoked_token_are_refused_in_words_without_the_token(
    hub: HubDouble, unique: str, sign_ins: Callable[..., SignIn]
) -> None:
    token = hub.add_user(unique)
    sign_in = sign_ins(token)
    sign_in.start()
    assert sign_in.wait().state == "ready"
    hub.revoke(token)
    sign_in.start()
    now = sign_in.wait()
    assert (now.state, sign_in.token) == ("refused", None)
    assert "wrong, or it has expired" in now.problem.why
    with client.acting_as(token), pytest.raises(StudioError):
        account.current()  # nothing remembered
    made_up = "hf_" + "notAToken" * 4
    wrong = sign_in.sign_in(made_up)
    assert (wrong.state, wrong.source) == ("refused", "typed")
    assert made_up not in str(wrong) + str(wrong.problem.__cause__)


def test_typing_wins_over_the_environment_and_signing_out_over_both(
    hub: HubDouble, unique: str, sign_ins: Callable[..., SignIn]
) -> None:
    sign_in = sign_ins(hub.add_user(f"{unique}env"))
    sign_in.start()
    assert sign_in.wait().account.name == f"{unique}env"
    now = sign_in.sign_in(hub.add_user(f"{unique}typed", role="read"))
    assert (now.state, now.source, now.account.name) == ("ready", "typed", f"{unique}typed")
    sign_in.sign_out()
    assert (sign_in.status.state, sign_in.status.aside, sign_in.token) == ("none", "environment", None)
    sign_in.start()
    assert (sign_in.wait().source, sign_in.wait().account.name) == ("environment", f"{unique}env")


def test_a_token_renewed_by_hf_auth_login_is_taken_up(
    hub: HubDouble, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign_ins: Callable[..., SignIn]
) -> None:
    file = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(file))
    monkeypatch.setattr(account, "LATER_S", 0.2)
    first, second = hub.add_user(f"{unique}a"), hub.add_user(f"{unique}b")
    file.write_text(first)
    sign_in = sign_ins()
    sign_in.start()
    assert sign_in.wait().account.name == f"{unique}a"
    file.write_text(second)
    hub.until(lambda: sign_in.status.state == "ready" and sign_in.status.account.name == f"{unique}b")
    assert sign_in.token == second


def test_a_hub_that_comes_back_is_found_without_being_asked_for(
    hub: HubDouble, unique: str, monkeypatch: pytest.MonkeyPatch, sign_ins: Callable[..., SignIn]
) -> None:
    monkeypatch.setitem(account.AGAIN_S, "unreachable", 0.2)
    hub.fault("GET", WHOAMI, 503, times=2)
    sign_in = sign_ins(hub.add_user(unique))
    sign_in.start()
    now = sign_in.wait()
    assert (now.state, bool(sign_in.token)) == ("unreachable", True)
    assert "503" in now.problem.why
    hub.until(lambda: sign_in.status.state == "ready")
    assert sign_in.status.account.name == unique


def test_an_answer_for_a_former_token_does_not_count(
    hub: HubDouble, unique: str, sign_ins: Callable[..., SignIn]
) -> None:
    slow, quick = hub.add_user(f"{unique}slow"), hub.add_user(f"{unique}quick")
    hub.fault("GET", WHOAMI, delay=1.5, times=1)
    sign_in = sign_ins()
    before = asked(hub)
    sign_in.use(slow)
    hub.until(lambda: asked(hub) > before or sign_in.status.state != "checking")
    now = sign_in.sign_in(quick)
    assert (now.state, now.account.name) == ("ready", f"{unique}quick")
    sign_in.sign_out()
    assert sign_in.status.state == "none"
