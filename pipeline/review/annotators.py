"""The people who review: sign-ins to a workspace of the review server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.base.errors import StudioError
from pipeline.review.api import Api, ReviewError
from pipeline.review.plan import ReviewPlan

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint

_NAME = re.compile(r"\w[\w.-]{0,49}")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike: i l o 0 1


class NewAnnotator(NamedTuple):
    """A new annotator's sign-in; the password is stored nowhere and shown once."""

    username: str
    password: str


def create_annotators(endpoint: Endpoint, plan: ReviewPlan, names: Sequence[str]) -> list[NewAnnotator]:
    """Give people a sign-in to the plan's workspace.

    Args:
        endpoint: The review server.
        plan: Its workspace is made when missing.
        names: Their user names.

    Returns:
        Names and passwords, in the order given.

    Raises:
        StudioError: A name is not one, is given twice or is taken; nobody is created then.
        ReviewError: See `pipeline.review.api`.
    """
    wanted = [name.strip() for name in names]
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise StudioError("annotators.no_name", name=name)
    if len(set(wanted)) < len(wanted):
        raise StudioError("annotators.twice")
    with Api(endpoint) as api:
        api.check_owner()
        taken = {user["username"] for user in api.get("users")["items"]} & set(wanted)
        if taken:
            raise StudioError("annotators.taken", names=sorted(taken))
        workspace = api.ensure_workspace(plan.workspace)
        return [_create_annotator(api, workspace, name) for name in wanted]


def list_annotators(endpoint: Endpoint, plan: ReviewPlan) -> list[str]:
    """Return the user names of the workspace's annotators, oldest first; none without a workspace."""
    with Api(endpoint) as api:
        return [user["username"] for user in _annotators(api, plan.workspace)]


def reset_password(endpoint: Endpoint, plan: ReviewPlan, username: str) -> NewAnnotator:
    """Give an annotator of the plan's workspace a new password; answers and open sessions stay.

    Raises:
        StudioError: The workspace has no such annotator.
        ReviewError: See `pipeline.review.api`.
    """
    with Api(endpoint) as api:
        api.check_owner()
        user = _annotator(api, plan.workspace, username)
        password = _password()
        api.send("PATCH", f"users/{user['id']}", {"password": password})
    return NewAnnotator(username, password)


def remove_annotator(endpoint: Endpoint, plan: ReviewPlan, username: str) -> None:
    """Take an annotator's access to the plan's workspace away; their answers stay and count.

    The account itself stays too: deleting it, Argilla deletes its responses.

    Raises:
        StudioError: The workspace has no such annotator.
        ReviewError: See `pipeline.review.api`.
    """
    with Api(endpoint) as api:
        api.check_owner()
        user = _annotator(api, plan.workspace, username)
        workspace = api.find_workspace(plan.workspace)
        api.send("DELETE", f"workspaces/{workspace}/users/{user['id']}")


def _create_annotator(api: Api, workspace: str, name: str) -> NewAnnotator:
    password = _password()
    user = api.send("POST", "users", {"username": name, "first_name": name, "role": "annotator", "password": password})
    try:
        api.send("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
    except ReviewError:
        api.send("DELETE", f"users/{user['id']}")  # just made: without a workspace nobody could use the name again
        raise
    return NewAnnotator(name, password)


def _annotators(api: Api, workspace: str) -> list[dict[str, Any]]:
    found = api.find_workspace(workspace)
    users = api.get(f"workspaces/{found}/users")["items"] if found else []
    return sorted((user for user in users if user["role"] == "annotator"), key=lambda user: str(user["inserted_at"]))


def _annotator(api: Api, workspace: str, username: str) -> dict[str, Any]:
    for user in _annotators(api, workspace):
        if user["username"] == username:
            return user
    raise StudioError("annotators.none", workspace=workspace, name=username)


def _password() -> str:
    """Return a password that can be read out over the phone: 16 of 31 letters and digits, 79 bits."""
    letters = [secrets.choice(_LETTERS) for _ in range(16)]
    return "-".join("".join(letters[start : start + 4]) for start in range(0, 16, 4))
