"""What went wrong with the Hub: what happened, why, what to do."""

from __future__ import annotations

import re

from huggingface_hub import errors

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, worded
from pipeline.hub import client

_SECRETS = re.compile(r"\bhf_[A-Za-z0-9_]{8,}|\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]+)?|(?<=__sign=)[^&\s\"']+", re.ASCII)
_STORAGE = re.compile(r"(?i)storage (limit|quota)|out of storage")
_BEARER = re.compile(r"(?i)(bearer|authorization:?\s*(?:bearer)?)\s+[^\s\"',]+")

# What the libraries raise when the Hub is not reached or answers with an error. huggingface_hub 2.4 speaks through
# httpx2, older ones through httpx: this name of the base error holds for both.
HUB_ERRORS = (errors.HTTPError, errors.OfflineModeIsEnabled, errors.HFValidationError, OSError)


def redact(text: str) -> str:
    """Return a text without tokens, signatures of links and authorization headers."""
    return _BEARER.sub(r"\1 ***", _SECRETS.sub("***", text))


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and everything it was raised from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def status(error: BaseException) -> int:
    """Return the HTTP status the Hub answered with, 0 where it did not answer."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        if isinstance(cause, errors.HfHubHTTPError) and response is not None:
            return int(response.status_code)
    return 0


def explain(error: BaseException, what: Message | str, subject: str = "") -> StudioError:
    """Turn an error of the Hub into one for the user.

    Args:
        error: What a library raised.
        what: What did not work: a message, or the code of one.
        subject: The repository it was about, for the advice.

    Returns:
        An error whose words hold no token.
    """
    chain, code, what = causes(error), status(error), worded(what)
    if code == 401 and client.token() and not _gated_or_misnamed(chain):
        return _answered(code, "", what)  # huggingface_hub 2.4 takes an expired token for a missing repository
    for kind, why in _CAUSES:
        if any(isinstance(cause, kind) for cause in chain):
            return StudioError(why, what=what, subject=subject)
    if code:
        return _answered(code, redact(str(error)), what)
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in chain):
        return StudioError("hub.offline", what=what)
    return StudioError("hub.unreached", what=what, detail=redact(str(error))[:150] or type(error).__name__)


# In this order: a gated repository's error is that of a missing one too.
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (errors.HFValidationError, "hub.bad_name"),
    (errors.GatedRepoError, "hub.gated"),
    (errors.RepositoryNotFoundError, "hub.missing"),
    (errors.RevisionNotFoundError, "hub.no_revision"),
)
_STATUS = {401: "hub.token", 402: "hub.credit", 429: "hub.busy"}


def _gated_or_misnamed(chain: list[BaseException]) -> bool:
    return any(isinstance(cause, errors.HFValidationError | errors.GatedRepoError) for cause in chain)


def _answered(code: int, said: str, what: Message) -> StudioError:
    """Return the error for a status the Hub answered with."""
    if code in _STATUS:
        return StudioError(_STATUS[code], what=what)
    if code == 403 and _STORAGE.search(said):
        return StudioError("hub.storage_full", what=what)
    if code == 403:
        words = said.partition("403 Forbidden:")[2].partition("Cannot access content")[0].strip()
        return StudioError("hub.forbidden_saying" if words else "hub.forbidden", what=what, said=words[:150])
    if code >= 500:
        return StudioError("hub.broken", what=what, status=code)
    return StudioError("hub.refused", what=what, status=code, said=said[:200])
