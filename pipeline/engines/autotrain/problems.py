"""What an error means to the user, told from the types and texts of the libraries."""

from __future__ import annotations

from typing import Any

from protocol import Problem, failure  # type: ignore[import-not-found]

SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("engines.out_of_memory", ("outofmemoryerror", "memoryerror", "out of memory", "can't allocate memory")),
    (
        "engines.model_not_found",
        ("repositorynotfounderror", "revisionnotfounderror", "is not a valid model identifier", "not appear to have"),
    ),
    ("engines.gated_model", ("gatedrepoerror", "gated repo")),
    (
        "engines.no_network",
        ("localentrynotfounderror", "connectionerror", "offlinemodeisenabled", "couldn't connect"),
    ),
    ("engines.remote_code", ("trust_remote_code",)),
    ("engines.disk_full", ("no space left on device", "quota exceeded", "file too large", "file write failed")),
    (
        "engines.not_supported",
        ("unrecognized configuration class", "does not recognize this architecture"),
    ),
)


def explain(error: BaseException) -> dict[str, Any]:
    """Return the values of an `error` event, its code found by the types and texts of its chain of causes."""
    told: dict[str, Any] = failure(error)
    if isinstance(error, Problem):
        return told
    text, cause = "", error
    while cause is not None:
        text += f"{type(cause).__name__}: {cause}\n".lower()
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    code = next((code for code, signs in SIGNS if any(sign in text for sign in signs)), told["code"])
    return {**told, "code": code}
