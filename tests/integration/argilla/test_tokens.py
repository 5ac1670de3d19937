"""Forged sign-in tokens: none but what this server signed, by the one algorithm, is anybody's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.review.service import OWNER, Endpoint

HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512, "RS256": hashlib.sha256}
SOON = int(time.time()) + 3600


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    claims: dict[str, Any], key: str, header: dict[str, Any] | None = None, signed_with: str | None = "HS256"
) -> str:
    """Make a token as anybody can, also such as no library makes."""
    head = {"alg": "HS256", "typ": "JWT"} | (header or {})
    parts = ".".join(text(json.dumps(part).encode()) for part in (head, claims))
    if signed_with is None:
        return f"{parts}."
    return f"{parts}.{text(hmac.new(key.encode(), parts.encode(), HASHES[signed_with]).digest())}"


def status(server: Endpoint, value: str) -> int:
    headers = {"Authorization": f"Bearer {value}"}
    return httpx.get(f"{server.url}/api/v1/me", headers=headers, trust_env=False, timeout=30).status_code


@pytest.fixture(scope="module")
def secret(server: Endpoint, argilla_home: Path) -> str:
    """The key the server signs with, which no client knows."""
    return str(json.loads((argilla_home / "secrets.json").read_text())["auth_secret"])


@pytest.fixture(scope="module")
def claims(server: Endpoint, argilla_home: Path) -> dict[str, Any]:
    """The owner's, as the server itself writes them."""
    known = json.loads((argilla_home / "secrets.json").read_text())
    answer = httpx.post(
        f"{server.url}/api/v1/token",
        data={"username": OWNER, "password": known["password"]},
        trust_env=False,
    )
    signed = answer.json()["access_token"]
    assert status(server, signed) == 200
    part = signed.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


FORGED: dict[str, Callable[[dict[str, Any], str], str]] = {
    "no algorithm": lambda claims, key: token(claims, "", {"alg": "none"}, None),
    "no algorithm, other letters": lambda claims, key: token(claims, "", {"alg": "nOnE"}, None),
    "no signature": lambda claims, key: token(claims, "", signed_with=None),
    "an empty key": lambda claims, key: token(claims, ""),
    "the library's default key": lambda claims, key: token(claims, "secret"),
    "another key": lambda claims, key: token(claims, key[::-1]),
    "another algorithm, the right key": lambda claims, key: token(claims, key, {"alg": "HS512"}, "HS512"),
    "a header that says another than it is signed with": lambda claims, key: token(claims, key, {"alg": "RS256"}),
    "a list as algorithm": lambda claims, key: token(claims, key, {"alg": ["HS256"]}),
    "an extension that must be understood": lambda claims, key: token(claims, key, {"crit": ["x"], "x": 1}),
    "no end": lambda claims, key: token({name: value for name, value in claims.items() if name != "exp"}, key),
    "ended": lambda claims, key: token(claims | {"exp": SOON - 7200}, key),
    "an end that is no number": lambda claims, key: token(claims | {"exp": {}}, key),
    "not yet begun": lambda claims, key: token(claims | {"nbf": SOON}, key),
    "claims that are a list": lambda claims, key: token([claims], key),  # type: ignore[arg-type]
    "encrypted, in five parts": lambda claims, key: ".".join([token(claims, key), "e30", "e30"]),
    "a key of its own in the header": lambda claims, key: token(
        claims, "k", {"jwk": {"kty": "oct", "k": text(b"k")}, "kid": "k"}
    ),
    "a key by address": lambda claims, key: token(claims, "k", {"jku": "http://127.0.0.1:9/k", "x5u": "file:///etc"}),
    "longer than any": lambda claims, key: token(claims | {"a": "a" * 20_000}, key),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_nobodys(
    forge: Callable[[dict[str, Any], str], str], server: Endpoint, claims: dict[str, Any], secret: str
) -> None:
    assert status(server, forge(claims, secret)) == 401


def test_what_the_forged_ones_differ_from_is_the_owners(server: Endpoint, claims: dict[str, Any], secret: str) -> None:
    assert status(server, token(claims, secret)) == 200
