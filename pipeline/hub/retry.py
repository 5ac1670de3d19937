"""Calls that are tried again: what may pass, and only calls that may be made twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import errors
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from pipeline.hub.problems import causes, status

T = TypeVar("T")

ATTEMPTS = 5
PASSING = frozenset({408, 429, 500, 502, 503, 504})


def passing(error: BaseException) -> bool:
    """Return whether an error may be gone at the next try: the Hub is busy, or the connection broke."""
    if code := status(error):
        return code in PASSING
    if any(isinstance(cause, errors.OfflineModeIsEnabled | errors.HFValidationError) for cause in causes(error)):
        return False
    return isinstance(error, errors.HTTPError | ConnectionError | TimeoutError)


def retrying(
    call: Callable[[], T],
    *,
    attempts: int = ATTEMPTS,
    first: float = 1.0,
    longest: float = 30.0,
    patience: float = 10.0,
) -> T:
    """Return what a call returns, tried again while its error may pass; the last error is raised as it is.

    Only for calls that are harmless when made twice. One that is not (a commit, a Job) must first look whether the
    former try has arrived.

    Args:
        call: The call.
        attempts: Tries in all.
        first: Seconds before the second try, doubled each time, with jitter.
        longest: Longest of these waits, seconds.
        patience: Longest wait that the Hub may ask for (Retry-After), seconds; one that asks for more is not obeyed.
    """
    doubled = wait_exponential_jitter(multiplier=first, max=longest)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = _asked(error) if error else 0.0
        return max(doubled(state), asked if asked <= patience else 0.0)

    again = Retrying(
        retry=retry_if_exception(passing),
        stop=stop_after_attempt(attempts),
        wait=wait,
        reraise=True,
    )
    return again(call)


def _asked(error: BaseException) -> float:
    """Return the seconds that the Hub asks to wait (Retry-After), 0 where it does not say."""
    for cause in causes(error):
        asked = getattr(getattr(cause, "response", None), "headers", {}).get("retry-after", "")
        if asked.isdecimal():
            return float(asked)
    return 0.0
