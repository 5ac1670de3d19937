"""What went wrong with the Hub, in words: what happened, why, what to do."""

from __future__ import annotations

import re

from huggingface_hub import errors

from pipeline.base.errors import StudioError
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


def explain(error: BaseException, what: str, subject: str = "") -> StudioError:
    """Turn an error of the Hub into one for the user.

    Args:
        error: What a library raised.
        what: What did not work, one sentence.
        subject: The repository it was about, for the advice.

    Returns:
        An error whose words hold no token.
    """
    chain, code = causes(error), status(error)
    page = f"the page of {subject}" if subject else "its page"
    if any(isinstance(cause, errors.HFValidationError) for cause in chain):
        return StudioError(what, "A repository's name looks like owner/name.", "Correct the name.")
    if any(isinstance(cause, errors.GatedRepoError) for cause in chain):
        return StudioError(what, "It is gated: its owner asks for consent first.", f"Sign in, and accept on {page}.")
    if code == 401 and client.token():  # huggingface_hub 2.4 takes an expired token for a missing repository
        return StudioError(what, *_answered(code, ""))
    if any(isinstance(cause, errors.RepositoryNotFoundError) for cause in chain):
        return StudioError(
            what, "It does not exist, or it is private.", "Check the name, or sign in with an account that may see it."
        )
    if any(isinstance(cause, errors.RevisionNotFoundError) for cause in chain):
        return StudioError(what, "It has no such revision.", "Choose a branch, tag or commit that is there.")
    if code:
        return StudioError(what, *_answered(code, redact(str(error))))
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in chain):
        return StudioError(what, "HF_HUB_OFFLINE is set.", "Unset it, or work with local files.")
    why = f"The Hub is not reached ({redact(str(error))[:150] or type(error).__name__})."
    return StudioError(what, why, "Check the connection, then try again.")


def _answered(code: int, said: str) -> tuple[str, str]:
    """Return why and what next for a status the Hub answered with."""
    if code == 401:
        return "The Hub does not know the token: it is wrong, or it has expired.", "Sign in again."
    if code == 402:
        return "The account's credit or payment method does not cover it.", "Add credit on the Hub's billing page."
    if code == 403 and _STORAGE.search(said):
        more = "Free some, or get more, in the account's storage settings on the Hub; or publish it openly."
        return "The account's storage for private repositories is full.", more
    if code == 403:
        words = said.partition("403 Forbidden:")[2].partition("Cannot access content")[0].strip()
        why = f"The token may not do this ({words[:150]})." if words else "The token may not do this."
        return why, "Sign in with a token that may."
    if code == 429:
        return "The Hub asks for patience: too many requests.", "Try again in a few minutes."
    if code >= 500:
        return f"The Hub answered with status {code}: it has a problem of its own.", "Try again in a few minutes."
    return f"The Hub answered with status {code} ({said[:200]}).", "Correct what it names, then try again."
