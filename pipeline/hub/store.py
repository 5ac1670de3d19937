"""The run store: one private dataset repository per account, in which runs and their Jobs meet.

`runs/<run id>/` holds what a Job needs (run.json, spec.json, engine/) and what it leaves (events.jsonl, log.txt,
output/); a file `stop` there asks it to stop and keep what it has.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_session, hf_hub_url
from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, explain, status
from pipeline.hub.retry import retrying

NAME = "align-studio-runs"
TIMEOUT_S = 120.0  # a Hub that is silent for longer has not answered: the library itself waits for ever
CONFLICT_TRIES = 5  # somebody else's commit came between ours and its parent


def name(user: str) -> str:
    """Return the id of an account's run store."""
    return f"{user}/{NAME}"


def folder(run_id: str) -> str:
    """Return a run's folder in the store."""
    return f"runs/{run_id}"


def page(user: str, run_id: str) -> str:
    """Return the address of a run's folder on the Hub."""
    return f"{constants.ENDPOINT}/datasets/{name(user)}/tree/main/{folder(run_id)}"


def ensure(user: str) -> str:
    """Make the account's run store if it is missing, and return its id.

    Raises:
        StudioError: It cannot be made, or somebody made it public.
    """
    store = name(user)
    with _explained("hub.cannot.make_store", store=store):
        retrying(lambda: _api().create_repo(store, repo_type="dataset", private=True, exist_ok=True))
        info = retrying(lambda: _api().dataset_info(store, timeout=30))
    if not info.private:
        raise StudioError("hub.store_public", store=store)
    if not any(sibling.rfilename == "README.md" for sibling in info.siblings or ()):
        _commit(store, {"README.md": _card()}, "Describe the run store")
    return store


def _card() -> bytes:
    said = message("hub.store_card")
    return f"---\nviewer: false\n---\n\n# {said.what}\n\n{said.why}\n".encode()


def send(user: str, run_id: str, files: Mapping[str, bytes], message: str) -> str:
    """Put files into a run's folder in one commit; the same sent twice is one commit.

    Args:
        user: Whose store.
        run_id: The run.
        files: Contents by path within the run's folder.
        message: The commit's title.

    Returns:
        The commit in which they are.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    return _commit(name(user), {f"{folder(run_id)}/{path}": data for path, data in files.items()}, message)


def _commit(store: str, files: Mapping[str, bytes], message: str) -> str:
    def commit() -> str:
        # What the store holds already is left out by the library: a commit that arrived unanswered is not made twice.
        operations = [CommitOperationAdd(path, data) for path, data in files.items()]
        return str(_api().create_commit(store, operations, commit_message=message, repo_type="dataset").oid)

    with _explained("hub.cannot.send_run", store=store):
        for last in [False] * (CONFLICT_TRIES - 1) + [True]:
            try:
                return retrying(commit)
            except HTTPError as error:
                if last or status(error) not in (409, 412):
                    raise
    raise AssertionError


def read(user: str, run_id: str, path: str) -> bytes | None:
    """Return a file of a run's folder, None when it is not there.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    with _explained("hub.cannot.read", file=path):
        try:
            return retrying(lambda: _get(name(user), f"{folder(run_id)}/{path}", "main"))
        except RemoteEntryNotFoundError:
            return None


def _get(store: str, path: str, revision: str) -> bytes:
    """Return a file's content; the library's own download would leave a copy in the cache on this disk."""
    headers = build_hf_headers(token=client.token() or False)
    url = hf_hub_url(store, path, repo_type="dataset", revision=revision)
    answer = get_session().get(url, headers=headers, timeout=TIMEOUT_S)
    hf_raise_for_status(answer)
    return bytes(answer.content)


def read_json(user: str, run_id: str, path: str) -> dict[str, Any] | None:
    """Return a JSON object of a run's folder, None when it is not there or is none."""
    data = read(user, run_id, path)
    try:
        value = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def ask_stop(user: str, run_id: str) -> None:
    """Ask a run's Job to stop and keep what it has.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    send(user, run_id, {"stop": b"stop\n"}, f"Stop {run_id}")


def fetch_output(user: str, run_id: str, into: Path) -> None:
    """Copy a run's output to a folder, whole or not at all.

    Args:
        user: Whose store.
        run_id: The run.
        into: The folder; what is there of the same name is replaced.

    Raises:
        StudioError: The Hub refuses or is not reached.
        OSError: The folder cannot be written.
    """
    store, inside = name(user), PurePosixPath(folder(run_id)) / "output"
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as place:
        with _explained("hub.cannot.fetch"):
            info = retrying(lambda: _api().dataset_info(store, timeout=TIMEOUT_S))
            for path in (PurePosixPath(sibling.rfilename) for sibling in info.siblings or ()):
                if path.is_relative_to(inside) and ".." not in path.parts:
                    target = Path(place) / path.relative_to(inside)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(retrying(lambda path=path: _get(store, str(path), str(info.sha))))  # type: ignore[misc]
        shutil.copytree(place, into, dirs_exist_ok=True)


@contextmanager
def _explained(code: str, **values: str) -> Iterator[None]:
    try:
        yield
    except HUB_ERRORS as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EDQUOT):
            raise  # this disk's
        raise explain(error, message(code, **values)) from error


def _api() -> HfApi:
    get_session().timeout = TIMEOUT_S
    return client.api()
