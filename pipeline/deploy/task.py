"""The run that deploys: the bucket, the Space, then its files, upon which the Hub builds it; watched until it runs."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

from huggingface_hub.errors import HTTPError

from pipeline.base.errors import StudioError
from pipeline.deploy.options import DeployOptions
from pipeline.deploy.plan import Agreed, Plan, plan
from pipeline.hub import spaces
from pipeline.hub.problems import redact
from pipeline.hub.spaces import Space
from pipeline.runs.task import Cancelled, Reporter

LOOK_S = 2.0  # between two looks at how the build is
STEADY = 3  # looks at a running Space before it counts: a new build begins a moment after the commit
LONGEST_S = 1800.0  # as `startup_duration_timeout` in the README
TAIL = 15  # lines of a log that say why


def deploy(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Deploy this program as it was agreed to.

    Args:
        spec: With options (DeployOptions) and agreed (Agreed).
        reporter: Gets stages.

    Returns:
        The Space: space, url, stage, commit, hardware, price (USD an hour), bucket.

    Raises:
        Cancelled: The user asked for a stop; the Hub goes on building what it has.
        StudioError: What would be done is not what was agreed to, the Hub refuses, or the Space does not start.
    """
    options, agreed = DeployOptions.model_validate(spec["options"]), Agreed(**spec["agreed"])
    reporter.stage("deploy", "deploy.stage.looking")
    planned = plan(options, commit=agreed.commit)
    if planned.agreed() != agreed:
        raise StudioError("deploy.moved", space=options.space)
    _stop(reporter)
    _settle(planned, reporter)
    _stop(reporter)
    reporter.stage("deploy", "deploy.stage.files", count=len(planned.code.files))
    title = f"Align Studio {agreed.commit[:12]}"
    spaces.commit(options.space, planned.code.files, title, exact=True, kept=planned.stay)
    there = _watch(options.space, reporter)
    return {
        "space": options.space,
        "url": there.url,
        "stage": there.stage,
        "commit": agreed.commit,
        "hardware": there.hardware or agreed.hardware,
        "price": planned.price,
        "bucket": planned.bucket,
        "private": there.private,
    }


def _settle(planned: Plan, reporter: Reporter) -> None:
    """Make the Space, or give it what it lacks; the bucket after it, so that a refused Space leaves none behind."""
    wanted, before = planned.wanted, planned.before
    reporter.stage("deploy", "deploy.stage.space", space=wanted.name)
    if before is None:
        spaces.create(replace(wanted, volumes=()))  # it costs nothing before there are files in it
        before = replace(Space(wanted.name, ""), hardware=wanted.hardware, sleep=wanted.sleep, private=wanted.private)
    if planned.bucket:
        reporter.stage("deploy", "deploy.stage.bucket", bucket=planned.bucket)
        spaces.ensure_bucket(planned.bucket)
    spaces.settle(wanted, before=before)


def _watch(name: str, reporter: Reporter) -> Space:
    """Return a Space once it runs, or is paused and stays so."""
    until, steady, said = time.monotonic() + LONGEST_S, 0, ""
    while True:
        _stop(reporter)
        try:
            there = spaces.now(name)
        except HTTPError:  # looked at again later
            there = None
        if there is not None:
            if there.stage != said:
                said = there.stage
                reporter.stage("deploy", "deploy.stage.building", stage=said)
            if there.stage in ("PAUSED", "SLEEPING", "STOPPED"):
                return there
            if there.over:
                raise StudioError("deploy.failed", space=name, stage=there.stage, output=_why(there))
            steady = steady + 1 if there.stage == "RUNNING" else 0
            if steady >= STEADY:
                return there
        if time.monotonic() > until:
            raise StudioError("deploy.slow", space=name, minutes=int(LONGEST_S // 60), stage=said)
        time.sleep(LOOK_S)


def _why(there: Space) -> str:
    """Return what the Hub says is wrong, and the end of the log that shows it."""
    lines: list[str] = []
    with contextlib.suppress(HTTPError, OSError):
        lines = list(spaces.lines(there.name, build=there.stage == "BUILD_ERROR", follow=False))[-TAIL:]
    return redact("\n".join([there.said, *lines]).strip())


def _stop(reporter: Reporter) -> None:
    if reporter.should_stop():
        raise Cancelled
