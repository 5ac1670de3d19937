"""The people who review: sign-ins to a workspace of the review server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pipeline.base.errors import StudioError
from pipeline.engines.annotation import BY_INVITATION
from pipeline.review.api import Api, ReviewError

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint

MOST = 200  # annotators of a workspace
_NAME = re.compile(r"\w[\w.-]{0,49}")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike: i l o 0 1


class NewAnnotator(NamedTuple):
    """A new annotator's sign-in; the password is stored nowhere and shown once."""

    username: str
    password: str


def create_annotators(
    endpoint: Endpoint, workspace: str, names: Sequence[str], *, former: Collection[str] = ()
) -> list[NewAnnotator]:
    """Give people a sign-in to a workspace.

    Args:
        endpoint: The review server.
        workspace: Its name; it is made when missing.
        names: Their user names.
        former: Ids of accounts that whose workspace it is took out of it before: these come back, with a new password,
            where they are in no workspace since.

    Returns:
        Names and passwords, in the order given.

    Raises:
        StudioError: A name is not one, is given twice or is taken, or there would be too many; nobody is created then.
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
        there = len(people_in(api, workspace))
        if there + len(wanted) > MOST:
            raise StudioError("annotators.too_many", most=MOST, there=there)
        there_are = {user["username"]: user for user in api.get("users")["items"] if user["username"] in wanted}
        back = {name: user for name, user in there_are.items() if user["id"] in former and _comes_back(api, user)}
        if taken := there_are.keys() - back.keys():
            raise StudioError("annotators.taken", names=sorted(taken))
        found = api.ensure_workspace(workspace)
        return [
            _take_back(api, found, back[name]) if name in back else _create_annotator(api, found, name)
            for name in wanted
        ]


def list_annotators(endpoint: Endpoint, workspace: str) -> list[str]:
    """Return the user names of a workspace's annotators, oldest first; none without a workspace."""
    with Api(endpoint) as api:
        return [user["username"] for user in people_in(api, workspace)]


def reset_password(endpoint: Endpoint, workspace: str, username: str, *, anybodys: bool = False) -> NewAnnotator:
    """Give an annotator of a workspace a new password; answers and open sessions stay.

    Args:
        endpoint: The review server.
        workspace: Its name.
        username: Who lost the password.
        anybodys: Whether who asks administers the server: then the annotator may be in other workspaces too, whose
            people would otherwise lose them to whoever gave the new password.

    Raises:
        StudioError: The workspace has no such annotator, who asks may not, or they sign in with Hugging Face.
        ReviewError: See `pipeline.review.api`.
    """
    with Api(endpoint) as api:
        api.check_owner()
        user = _annotator(api, workspace, username)
        if is_invited(user):
            raise StudioError("annotators.invited", name=username)
        if not anybodys and _also_elsewhere(api, workspace, user):
            raise StudioError("annotators.shared", name=username)
        password = _password()
        api.send("PATCH", f"users/{user['id']}", {"password": password})
    return NewAnnotator(username, password)


def remove_annotator(endpoint: Endpoint, workspace: str, username: str) -> str:
    """Take an annotator's access to a workspace away, and to no other; their answers stay and count.

    The account itself stays too: deleting it, Argilla deletes its responses.

    Returns:
        Argilla's id of the account.

    Raises:
        StudioError: The workspace has no such annotator.
        ReviewError: See `pipeline.review.api`.
    """
    with Api(endpoint) as api:
        api.check_owner()
        user = _annotator(api, workspace, username)
        api.send("DELETE", f"workspaces/{api.find_workspace(workspace)}/users/{user['id']}")
    return str(user["id"])


def is_invited(user: dict[str, Any]) -> bool:
    """Return whether an account was made by an invitation: who has it has no password (`pipeline.review.joining`)."""
    return UUID(user["id"]).version == BY_INVITATION


def _also_elsewhere(api: Api, workspace: str, user: dict[str, Any]) -> bool:
    return any(each["name"] != workspace for each in api.get(f"users/{user['id']}/workspaces")["items"])


def _create_annotator(api: Api, workspace: str, name: str) -> NewAnnotator:
    password = _password()
    user = api.send("POST", "users", {"username": name, "first_name": name, "role": "annotator", "password": password})
    try:
        api.send("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
    except ReviewError:
        api.send("DELETE", f"users/{user['id']}")  # just made: without a workspace nobody could use the name again
        raise
    return NewAnnotator(name, password)


def _comes_back(api: Api, user: dict[str, Any]) -> bool:
    """Return whether an account that was taken out of a workspace is nobody's at present."""
    if user["role"] != "annotator" or is_invited(user):
        return False
    return not api.get(f"users/{user['id']}/workspaces")["items"]


def _take_back(api: Api, workspace: str, user: dict[str, Any]) -> NewAnnotator:
    password = _password()
    api.send("PATCH", f"users/{user['id']}", {"password": password})
    api.send("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
    return NewAnnotator(user["username"], password)


def people_in(api: Api, workspace: str) -> list[dict[str, Any]]:
    """Return the annotators of a workspace as the server describes them, oldest first; none without a workspace."""
    found = api.find_workspace(workspace)
    users = api.get(f"workspaces/{found}/users")["items"] if found else []
    return sorted((user for user in users if user["role"] == "annotator"), key=lambda user: str(user["inserted_at"]))


def _annotator(api: Api, workspace: str, username: str) -> dict[str, Any]:
    for user in people_in(api, workspace):
        if user["username"] == username:
            return user
    raise StudioError("annotators.none", workspace=workspace, name=username)


def _password() -> str:
    """Return a password that can be read out over the phone: 16 of 31 letters and digits, 79 bits."""
    letters = [secrets.choice(_LETTERS) for _ in range(16)]
    return "-".join("".join(letters[start : start + 4]) for start in range(0, 16, 4))
