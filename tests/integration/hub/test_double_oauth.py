"""Signing in with the Hub double, as an OAuth client library does it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.doubles.hub import Client, HubDouble

HOME = "http://127.0.0.1:7860/login/callback"
VERIFIER = "v" * 48


def library(client: Client, scope: str, **more: Any) -> OAuth2Client:
    return OAuth2Client(
        client.id,
        client.secret,
        scope=scope,
        redirect_uri=HOME,
        code_challenge_method="S256",
        trust_env=False,
        **more,
    )


def agreed(hub: HubDouble, address: str, **more: str) -> dict[str, str]:
    """Open the Hub's page as a browser does; return what the application is told."""
    answer = httpx.get(address, params=httpx.URL(address).params.merge(more), trust_env=False)
    assert answer.status_code == 302, answer.text
    told = urlsplit(answer.headers["location"])
    assert told._replace(query="").geturl() == HOME
    return {key: values[0] for key, values in parse_qs(told.query).items()}


def signed_in(
    hub: HubDouble, client: Client, account: str, scope: str = "openid profile", **more: str
) -> dict[str, Any]:
    """Sign an account in; return the token answer."""
    with library(client, scope) as app:
        address, state = app.create_authorization_url(f"{hub.url}/oauth/authorize", code_verifier=VERIFIER, nonce="n-1")
        told = agreed(hub, address, account=account, **more)
        assert told["state"] == state
        found: dict[str, Any] = app.fetch_token(f"{hub.url}/oauth/token", code=told["code"], code_verifier=VERIFIER)
        return found


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_an_account_signs_in(hub: HubDouble, unique: str, method: str) -> None:
    hub.add_user(unique, organisations=[f"{unique}-lab"])
    client = hub.add_oauth_client([HOME], ["read-repos", "email", "read-billing"], public=method == "none")
    about = httpx.get(f"{hub.url}/.well-known/openid-configuration", trust_env=False).json()
    assert method in about["token_endpoint_auth_methods_supported"]
    with library(client, "openid profile email read-billing", token_endpoint_auth_method=method) as app:
        address, state = app.create_authorization_url(
            about["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-1"
        )
        told = agreed(hub, address, account=unique)
        assert told["state"] == state
        token = app.fetch_token(about["token_endpoint"], code=told["code"], code_verifier=VERIFIER)
        assert token["access_token"].startswith("hf_oauth_") and token["expires_in"] == 480 * 60
        said = app.get(about["userinfo_endpoint"]).json()
    assert re.fullmatch("[0-9a-f]{24}", said["sub"]) and said["sub"] == hub.directory.users[unique].id
    assert (said["preferred_username"], said["email_verified"], said["canPay"]) == (unique, True, True)
    lab = said["orgs"][0]
    assert lab["preferred_username"] == f"{unique}-lab" and "roleInOrg" not in lab  # the application was not let in
    keys = KeySet.import_key_set(httpx.get(about["jwks_uri"], trust_env=False).json())
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (hub.url, client.id, "n-1")
    assert claims["sub"] == said["sub"] and claims["exp"] > claims["iat"]
    whoami = HfApi(token=token["access_token"]).whoami()
    assert whoami["name"] == unique and whoami["auth"]["type"] == "oauth" and whoami["auth"]["expiresAt"]


def test_a_token_does_what_was_granted(hub: HubDouble, unique: str) -> None:
    lab = f"{unique}-lab"
    hub.add_user(unique, organisations=[lab])
    hub.add_repo("dataset", f"{unique}/there", {"a.txt": b"a"}, private=True)
    scopes = ["read-repos", "write-repos", "manage-repos", "contribute-repos", "jobs"]
    client = hub.add_oauth_client([HOME], scopes)

    def api(scope: str, **more: str) -> HfApi:
        return HfApi(token=signed_in(hub, client, unique, f"openid profile {scope}", **more)["access_token"])

    reader, writer, manager = api("read-repos"), api("write-repos"), api("manage-repos")
    assert reader.list_repo_files(f"{unique}/there", repo_type="dataset")
    add = {"path_or_fileobj": b"b", "path_in_repo": "b.txt", "repo_id": f"{unique}/there", "repo_type": "dataset"}
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.upload_file(**add)
    writer.upload_file(**add)
    with pytest.raises(HfHubHTTPError, match="403"):
        writer.create_repo(f"{unique}/new")
    manager.create_repo(f"{unique}/new")
    with pytest.raises(HfHubHTTPError, match="403"):
        manager.create_repo(f"{lab}/new")  # the application was not let into the organisation
    api("manage-repos", orgs=lab).create_repo(f"{lab}/new")
    with pytest.raises(HfHubHTTPError, match="403"):
        list(manager.list_jobs(namespace=unique))
    assert list(api("jobs").list_jobs(namespace=unique)) == []
    contributor = api("contribute-repos")
    contributor.create_repo(f"{unique}/mine")
    again = api("contribute-repos")  # another token of the same application
    again.upload_file(path_or_fileobj=b"c", path_in_repo="c.txt", repo_id=f"{unique}/mine")
    with pytest.raises(HfHubHTTPError, match="403|404"):
        again.upload_file(**add)


def test_a_person_chooses_on_the_page(hub: HubDouble, unique: str) -> None:
    hub.add_user(unique)
    client = hub.add_oauth_client([HOME], name="Align <Studio>")
    asked = {"client_id": client.id, "redirect_uri": f"{HOME}?_target_url=/", "response_type": "code", "state": "s&1"}
    with httpx.Client(base_url=hub.url, trust_env=False) as browser:
        page = browser.get("/oauth/authorize", params=asked).text
        assert f"Authorize as {unique}" in page and "Align &lt;Studio&gt;" in page
        refused = browser.get("/oauth/authorize", params={**asked, "account": ""})
        assert parse_qs(urlsplit(refused.headers["location"]).query)["error"] == ["access_denied"]
        agreed = browser.get("/oauth/authorize", params={**asked, "account": unique})
        told = parse_qs(urlsplit(agreed.headers["location"]).query)
        assert told["_target_url"] == ["/"] and told["state"] == ["s&1"] and told["code"]
        # This browser is signed in to the Hub now.
        assert browser.get("/oauth/authorize", params=asked).status_code == 302


def test_what_is_refused_at_the_page(hub: HubDouble, unique: str) -> None:
    hub.add_user(unique)
    client = hub.add_oauth_client([HOME], ["jobs"])
    public = hub.add_oauth_client(["http://localhost/back"], public=True)
    right = {"client_id": client.id, "redirect_uri": HOME, "response_type": "code", "state": "s", "account": unique}

    def ask(**changed: str) -> httpx.Response:
        asked = {key: value for key, value in (right | changed).items() if value}
        return httpx.get(f"{hub.url}/oauth/authorize", params=asked, trust_env=False)

    for changed in (
        {"client_id": "nobody"},
        {"redirect_uri": "http://127.0.0.1:7861/login/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/login/callback"},
        {"redirect_uri": f"{HOME}/more"},
    ):
        answer = ask(**changed)
        assert answer.status_code == 400 and "location" not in answer.headers
    for changed, code in (
        ({"state": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid manage-repos"}, "invalid_scope"),
        ({"code_challenge": "abc", "code_challenge_method": "plain"}, "invalid_request"),
        ({"client_id": public.id, "redirect_uri": "http://localhost:4711/back"}, "invalid_request"),  # without PKCE
    ):
        assert f"error={code}" in ask(**changed).headers["location"], changed
    assert "code=" in ask().headers["location"]


def test_what_is_refused_for_a_code(hub: HubDouble, unique: str) -> None:
    hub.add_user(unique)
    client, other = hub.add_oauth_client([HOME]), hub.add_oauth_client([HOME])
    challenge = {"code_challenge": "", "code_challenge_method": "S256"}
    with library(client, "openid profile") as app:
        address, _ = app.create_authorization_url(f"{hub.url}/oauth/authorize", code_verifier=VERIFIER)
    challenge["code_challenge"] = parse_qs(urlsplit(address).query)["code_challenge"][0]

    def fetch(given: str, **changed: str) -> httpx.Response:
        right = {
            "grant_type": "authorization_code",
            "code": given,
            "redirect_uri": HOME,
            "client_id": client.id,
            "client_secret": client.secret or "",
            "code_verifier": VERIFIER,
        }
        return httpx.post(f"{hub.url}/oauth/token", data=right | changed, trust_env=False)

    def code() -> str:
        return agreed(hub, address, account=unique)["code"]

    for changed, status, said in (
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": other.id, "client_secret": other.secret or ""}, 400, "invalid_grant"),
        ({"redirect_uri": f"{HOME}?x=1"}, 400, "invalid_grant"),
        ({"code_verifier": "w" * 48}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"code": "invented"}, 400, "invalid_grant"),
    ):
        answer = fetch(code(), **changed)
        assert (answer.status_code, answer.json()["error"]) == (status, said), changed
    late = code()
    hub.clock_skew = 120
    assert fetch(late).json()["error"] == "invalid_grant"
    hub.clock_skew = 0
    used = code()
    token = fetch(used).json()["access_token"]
    assert HfApi(token=token).whoami()["name"] == unique
    assert fetch(used).status_code == 400
    with pytest.raises(HfHubHTTPError):  # a code that came twice was stolen: what it gave is withdrawn
        HfApi(token=token).whoami()


def test_tokens_end(hub: HubDouble, unique: str) -> None:
    hub.add_user(unique)
    client = hub.add_oauth_client([HOME])

    def whoami(token: str) -> int:
        return httpx.get(
            f"{hub.url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ).status_code

    short, withdrawn, taken = (signed_in(hub, client, unique)["access_token"] for _ in range(3))
    assert [whoami(token) for token in (short, withdrawn, taken)] == [200, 200, 200]
    secret = {"client_id": client.id, "client_secret": client.secret or ""}
    other = hub.add_oauth_client([HOME])
    theirs = {"client_id": other.id, "client_secret": other.secret or "", "token": withdrawn}
    assert httpx.post(f"{hub.url}/oauth/revoke", data=theirs, trust_env=False).status_code == 200
    assert whoami(withdrawn) == 200  # not the other application's to withdraw
    httpx.post(f"{hub.url}/oauth/revoke", data=secret | {"token": withdrawn}, trust_env=False)
    hub.revoke(taken)
    hub.clock_skew = 480 * 60 + 1
    assert [whoami(token) for token in (short, withdrawn, taken)] == [401, 401, 401]
