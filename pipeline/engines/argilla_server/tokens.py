"""Sign-in tokens by PyJWT, in place of python-jose.

argilla-server 2.8.0 signs and reads its tokens with `jose`, of which no release is without a published hole
(CVE-2024-33663, CVE-2024-33664, CVE-2026-85394: forged tokens, tokens that grow as they are read); it is not in our
lock. What Argilla asks of it is a module of the same name here, which knows one algorithm and one kind of key.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import jwt

ALGORITHM = "HS256"
LONGEST = 8192
"""Characters of the longest token that is read; Argilla's own have some 250."""


def encode(claims: dict[str, Any], key: str, algorithm: str = ALGORITHM) -> str:
    """Sign claims.

    Args:
        claims: What the token says; must have `exp`, for tokens without an end are not read.
        key: The server's secret.
        algorithm: What Argilla is set to; nothing but ALGORITHM is signed with.

    Raises:
        jwt.PyJWTError: Another algorithm.
    """
    _only([algorithm])
    return str(jwt.encode(claims, key, algorithm=ALGORITHM))


def decode(token: str, key: str, algorithms: Iterable[str] = (ALGORITHM,)) -> dict[str, Any]:
    """Return a token's claims, if this server signed it and it has not ended.

    Whatever the token's own header says, ALGORITHM is what it is checked by.

    Raises:
        jwt.PyJWTError: It is none of this server's, or no token at all.
    """
    _only(algorithms)
    if len(token) > LONGEST:
        raise jwt.DecodeError("The token is too long.")
    return dict(jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": ["exp"]}))


def _only(algorithms: Iterable[str]) -> None:
    if list(algorithms) != [ALGORITHM]:
        raise jwt.InvalidAlgorithmError(f"Only {ALGORITHM} is signed and read here.")


def install() -> None:
    """Let `from jose import JWTError, jwt` find this; call before argilla_server is imported."""
    jose: Any = ModuleType("jose")
    jose.JWTError = jwt.PyJWTError
    jose.jwt = sys.modules[__name__]
    sys.modules["jose"] = jose
