"""Docker Spaces of the account in use: made, filled, watched, paused and deleted.

A Space with paid hardware costs money while it starts and runs, not while it is built or paused. It has no hard time
limit: it goes to sleep so long after its last visitor, working or not, which bounds what it can cost.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    JobHardwareInfo,
    SpaceHardware,
    SpaceInfo,
    Volume,
    constants,
    get_session,
)
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, explain, redact, status
from pipeline.hub.retry import passing, retrying

TIMEOUT_S = 60.0  # a Hub that is silent for longer has not answered: the library itself waits for ever
TRIES = 4
CONFLICT_TRIES = 5  # somebody else's commit came between ours and its parent
FREE = "cpu-basic"  # hardware that costs nothing; its sleep time is the Hub's
# Stages in which nothing runs and nothing is billed; whatever is not among them may cost money.
OVER = frozenset({"PAUSED", "STOPPED", "SLEEPING", "RUNTIME_ERROR", "BUILD_ERROR", "CONFIG_ERROR", "NO_APP_FILE"})
BUILDING = frozenset({"BUILDING", "RUNNING_BUILDING"})  # not billed
STARTING = frozenset({"APP_STARTING", "RUNNING_APP_STARTING"})


@dataclass(frozen=True)
class NewSpace:
    """What a Space is made with.

    Attributes:
        name: owner/name.
        hardware: Name of its flavor.
        secrets: Values that nobody can read back.
        variables: Values that whoever may see the Space can read.
        volumes: What is mounted in it, buckets for instance.
        sleep: Seconds without a visitor after which it goes to sleep; None: the Hub's rule.
        private: Whether only its owner, or its organisation, sees it.
    """

    name: str
    hardware: str = FREE
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    volumes: Sequence[Volume] = ()
    sleep: int | None = None
    private: bool = True


@dataclass(frozen=True)
class Space:
    """A Space as it is now.

    Attributes:
        name: owner/name.
        stage: As the Hub says: BUILDING, APP_STARTING, RUNNING, PAUSED, RUNTIME_ERROR, …; "" where it does not.
        hardware: What it runs on, or has asked for; "" where the Hub does not say.
        sleep: Seconds without a visitor after which it goes to sleep; None: never, or the Hub's rule.
        said: What the Hub says is wrong with it, without secrets.
        private: Whether it is private.
        tags: Of its card.
        changed: When its files changed last, or it was made; None where the Hub does not say.
        volumes: What is mounted in it.
    """

    name: str
    stage: str
    hardware: str = ""
    sleep: int | None = None
    said: str = ""
    private: bool = True
    tags: tuple[str, ...] = ()
    changed: datetime | None = None
    volumes: tuple[Volume, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing runs in it."""
        return self.stage in OVER

    @property
    def url(self) -> str:
        """Its page on the Hub."""
        return page(self.name)


def page(name: str) -> str:
    """Return the address of a Space's page on the Hub."""
    return f"{constants.ENDPOINT}/spaces/{name}"


def flavors() -> list[JobHardwareInfo]:
    """Return the hardware that Spaces can have, as the Hub offers it now.

    Raises:
        StudioError: The Hub does not say.
    """
    with _explained("hub.cannot.hardware"):
        return retrying(lambda: _api().list_spaces_hardware(), attempts=2, longest=0.3)  # a page waits for it


def look(name: str) -> Space | None:
    """Return a Space as it is now; None where there is none, or none that this account may see.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_say", space=name):
        try:
            return retrying(lambda: now(name), attempts=2)
        except RepositoryNotFoundError as error:
            if status(error) == 401 and client.token():
                raise  # huggingface_hub 2.4 takes an expired token for a missing repository
            return None


def now(name: str) -> Space:
    """Return a Space as it is now.

    Raises:
        HTTPError: The Hub does not say; whoever follows a Space looks again later.
    """
    return _of(_api().space_info(name, timeout=TIMEOUT_S))


def create(new: NewSpace) -> None:
    """Make a Docker Space, exactly one; it costs nothing before there are files in it.

    A lost answer is no reason to fail: a Space of that name with the same variables is the one that was asked for.

    Raises:
        StudioError: The name is taken, a paid plan or a way to pay is missing, or the Hub refuses otherwise.
    """
    for attempt in range(TRIES):
        try:
            _create(new)
            return
        except HUB_ERRORS as error:
            if attempt and status(error) == 409 and new.variables and variables(new.name) == dict(new.variables):
                return  # the answer to a former try was lost
            if not passing(error) or attempt == TRIES - 1:
                raise _refused(error, new) from error
        time.sleep(2.0**attempt)


def _create(new: NewSpace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that free hardware has a sleep time of its own
        _api().create_repo(
            new.name,
            repo_type="space",
            space_sdk="docker",
            private=new.private,
            space_hardware=SpaceHardware(new.hardware) if new.hardware in set(SpaceHardware) else new.hardware,  # type: ignore[arg-type]
            space_sleep_time=new.sleep if new.hardware != FREE else None,
            space_secrets=[{"key": key, "value": value} for key, value in new.secrets.items()] or None,
            space_variables=[{"key": key, "value": value} for key, value in new.variables.items()] or None,
            space_volumes=list(new.volumes) or None,
        )


def _refused(error: BaseException, new: NewSpace) -> StudioError:
    owner, said = new.name.partition("/")[0], str(error)
    if status(error) == 409:
        return StudioError("hub.space_taken", name=new.name)
    if status(error) == 402 and re.search(r"(?i)\bPRO\b|subscription|\bTeam\b|Enterprise", said):
        return StudioError("hub.space_plan", owner=owner)
    if status(error) == 402 or (status(error) == 403 and re.search(r"(?i)payment method|billing", said)):
        return StudioError("hub.space_unpaid", owner=owner, hardware=new.hardware)
    if status(error) == 403:
        return StudioError("hub.space_forbidden", owner=owner)
    return explain(error, message("hub.cannot.space_make", space=new.name), new.name)


def settle(new: NewSpace, *, before: Space) -> None:
    """Give a Space that is there what it would be made with: secrets, variables, volumes, hardware, sleep time.

    Secrets and variables that it has beside these stay; it restarts when the Hub thinks it must.

    Args:
        new: What it is to have.
        before: As it is now.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_change", space=new.name):
        api = _api()
        there = variables(new.name)
        for key, value in new.secrets.items():
            retrying(lambda key=key, value=value: api.add_space_secret(new.name, key, value))  # type: ignore[misc]
        for key, value in new.variables.items():
            if there.get(key) != value:
                retrying(lambda key=key, value=value: api.add_space_variable(new.name, key, value))  # type: ignore[misc]
        if new.volumes and [one.to_dict() for one in new.volumes] != [one.to_dict() for one in before.volumes]:
            retrying(lambda: api.set_space_volumes(new.name, list(new.volumes)))
        if before.private != new.private:
            retrying(lambda: api.update_repo_settings(new.name, repo_type="space", private=new.private))
        if new.hardware != before.hardware or (new.sleep != before.sleep and new.hardware != FREE):
            set_hardware(new.name, new.hardware, new.sleep)


def commit(
    name: str, files: Mapping[str, bytes | Path], title: str, *, exact: bool = False, kept: Sequence[str] = ()
) -> str:
    """Put files into a Space in one commit, upon which the Hub builds and starts it; the same files are no commit.

    Args:
        name: The Space.
        files: Contents by path.
        title: The commit's.
        exact: Remove whatever else is there.
        kept: Paths that are never removed; one that ends in a slash is a folder.

    Returns:
        The commit in which they are.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """

    def once() -> str:
        api = _api()
        operations: list[Any] = [CommitOperationAdd(path, data) for path, data in files.items()]
        if exact:
            stay = (".gitattributes", *kept)
            there = api.list_repo_files(name, repo_type="space")
            operations += [CommitOperationDelete(p) for p in there if p not in files and not p.startswith(stay)]
        return str(api.create_commit(name, operations, commit_message=title, repo_type="space").oid)

    with _explained("hub.cannot.space_send", space=name):
        for last in [False] * (CONFLICT_TRIES - 1) + [True]:
            try:
                return retrying(once)
            except HTTPError as error:
                if last or status(error) not in (409, 412):
                    raise
    raise AssertionError


def set_hardware(name: str, hardware: str, sleep: int | None = None) -> None:
    """Let a Space run on other hardware, from now on.

    Args:
        name: The Space.
        hardware: Name of the flavor.
        sleep: Seconds without a visitor after which it goes to sleep.

    Raises:
        StudioError: There is no way to pay for it, or the Hub refuses or is not reached.
    """
    wanted = sleep if hardware != FREE else None
    try:
        retrying(lambda: _api().request_space_hardware(name, hardware, sleep_time=wanted))  # type: ignore[arg-type]
    except HUB_ERRORS as error:
        raise _refused(error, NewSpace(name, hardware)) from error


def pause(name: str) -> None:
    """Stop a Space: its program is killed, and nothing is billed. One that is paused stays so.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_pause", space=name):
        retrying(lambda: _api().pause_space(name))


def restart(name: str, *, rebuilt: bool = False) -> None:
    """Start a Space again, a paused one too: from now on it is billed.

    Args:
        name: The Space.
        rebuilt: Build it anew, from nothing.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_restart", space=name):
        retrying(lambda: _api().restart_space(name, factory_reboot=rebuilt))


def delete(name: str) -> None:
    """Delete a Space, for ever; one that is not there is no error.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_delete", space=name):
        retrying(lambda: _api().delete_repo(name, repo_type="space", missing_ok=True))


def variables(name: str) -> dict[str, str]:
    """Return the variables of a Space, without its secrets.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_say", space=name):
        found = retrying(lambda: _api().get_space_variables(name), attempts=2)
    return {key: variable.value for key, variable in found.items()}


def files(name: str) -> list[str]:
    """Return the paths of a Space's files.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.space_say", space=name):
        return retrying(lambda: _api().list_repo_files(name, repo_type="space"), attempts=2)


def ensure_bucket(name: str) -> None:
    """Make a private bucket if it is missing: storage that outlives a Space's restarts once it is mounted.

    Args:
        name: owner/name.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.bucket_make", bucket=name):
        retrying(lambda: _api().create_bucket(name, private=True, exist_ok=True))


def lines(name: str, *, build: bool = False, follow: bool = True) -> Iterator[str]:
    """Yield the lines of a Space's log from the first that the Hub still has on.

    Args:
        name: The Space.
        build: That of its build, not of its program.
        follow: Wait for further lines until the Hub ends the stream.

    Raises:
        HTTPError: The stream broke for longer than the library tries.
    """
    for text in _api().fetch_space_logs(name, build=build, follow=follow):
        yield from text.rstrip("\r\n").split("\n")


def ours(namespace: str, tag: str) -> list[Space]:
    """Return the Spaces of an account or organisation whose card has a tag, newest first.

    Raises:
        StudioError: The Hub does not say.
    """
    fields: Any = ["runtime", "createdAt", "lastModified", "private", "tags"]
    with _explained("hub.cannot.spaces", namespace=namespace):
        found = retrying(lambda: list(_api().list_spaces(author=namespace, filter=tag, expand=fields)), attempts=1)
    # The filter is the Hub's; what it lets through is looked at again, since Spaces are paused by it.
    kept = [_of(one) for one in found if tag in (one.tags or ()) and one.id.startswith(f"{namespace}/")]
    return sorted(kept, key=lambda one: one.changed.timestamp() if one.changed else 0.0, reverse=True)


def _of(info: SpaceInfo) -> Space:
    runtime = info.runtime
    hardware = (runtime.requested_hardware or runtime.hardware) if runtime else None
    raw = runtime.raw if runtime else {}
    return Space(
        name=info.id,
        stage=_text(runtime.stage) if runtime else "",
        hardware=_text(hardware) if hardware else "",
        sleep=runtime.sleep_time if runtime else None,
        said=redact(str(raw.get("errorMessage") or ""))[:1000],
        private=info.private is not False,
        tags=tuple(info.tags or ()),
        changed=info.last_modified or info.created_at,
        volumes=tuple(runtime.volumes or ()) if runtime else (),
    )


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))


@contextmanager
def _explained(code: str, **values: str) -> Iterator[None]:
    try:
        yield
    except HUB_ERRORS as error:
        raise explain(error, message(code, **values), values.get("space", "")) from error


def _api() -> HfApi:
    get_session().timeout = TIMEOUT_S
    return client.api()
