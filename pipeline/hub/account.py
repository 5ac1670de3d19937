"""Who is signed in to the Hub, and what their token may do.

`current` asks the Hub about the token that calls use now. `SignIn` holds the studio's own token, in memory only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Literal
from urllib.parse import urlencode

from huggingface_hub import constants, get_session
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, explain, status

Kind = Literal["read", "write", "fine-grained", "oauth"]
State = Literal["none", "checking", "ready", "refused", "unreachable"]
Source = Literal["", "environment", "file", "typed", "oauth"]

KEPT_S = 300.0  # the Hub limits whoami strictly
TIMEOUT_S = 10.0
AGAIN_S = {"unreachable": 30.0}  # until the token in use is looked at again
LATER_S = 900.0  # the same in every other state


@dataclass(frozen=True)
class Account:
    """An account of the Hub, as its token lets us act.

    Attributes:
        name: Its name, which is also its namespace.
        fullname: What people call it.
        kind: Of which kind the token is.
        may_write: Whether repositories can be made and written.
        may_run_jobs: Whether Jobs can be started.
        may_read_gated: Whether gated repositories the account was let into can be read.
        organisations: Names of the organisations it belongs to.
        can_pay: Whether it has a way to pay; None: the Hub does not say.
        expires: When the token ends; None: never, or the Hub does not say.
        clock_offset: The Hub's clock minus ours, seconds; exact to about one.
        may_read_private: Whether private repositories can be read.
        pro: Whether it has a paid plan; None: the Hub does not say.
        paying: Organisations of it that have a paid plan, as far as the Hub says.
    """

    name: str
    fullname: str
    kind: Kind
    may_write: bool
    may_run_jobs: bool
    may_read_gated: bool
    organisations: tuple[str, ...] = ()
    can_pay: bool | None = None
    expires: datetime | None = None
    clock_offset: float = 0.0
    may_read_private: bool = True
    pro: bool | None = None
    paying: frozenset[str] = frozenset()

    def has_plan(self, namespace: str) -> bool | None:
        """Return whether the account, or an organisation of it, has a paid plan; None: the Hub does not say."""
        return self.pro if namespace == self.name else True if namespace in self.paying else None

    def now(self) -> datetime:
        """Return the time by the Hub's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset)

    @property
    def expired(self) -> bool:
        """Whether the token's time is over, by the Hub's clock."""
        return self.expires is not None and self.expires <= self.now()


_known: dict[str, tuple[float, Account]] = {}  # by digest of the token


def current(*, fresh: bool = False) -> Account | None:
    """Return the account of the token that calls use now, None when there is none.

    Args:
        fresh: Ask the Hub even if it told us in the last minutes.

    Raises:
        StudioError: The token is refused, or the Hub is not reached.
    """
    token = client.token()
    if token is None:
        return None
    key = sha256(token.encode()).hexdigest()
    at, account = _known.get(key, (float("-inf"), None))
    if account is not None and not fresh and time.monotonic() - at < KEPT_S and not account.expired:
        return account
    _known.pop(key, None)  # what the Hub refuses now is no longer known
    account = _ask(token)
    _known[key] = (time.monotonic(), account)
    return account


def require_write() -> Account:
    """Return the account in use, which may write.

    Raises:
        StudioError: Nobody is signed in, the token may only read, or it cannot be checked.
    """
    return _require("may_write", "write")


def require_jobs() -> Account:
    """Return the account in use, which may run Jobs.

    A Job's data and results go through repositories: its token must write too.

    Raises:
        StudioError: Nobody is signed in, the token may not do it, or it cannot be checked.
    """
    _require("may_write", "write_and_jobs")
    return _require("may_run_jobs", "write_and_jobs")


def _require(permission: str, do: str) -> Account:
    """Return the account in use if it has a permission; `do` is what all of it is for."""
    account, wanted = current(), message(f"account.may.{do}")
    if account is None:
        raise StudioError("account.needed", do=wanted)
    if getattr(account, permission):
        return account
    if account.kind == "read":
        raise StudioError("account.read_only", do=wanted)
    lacks = message("account.may.write" if permission == "may_write" else "account.may.jobs")
    raise StudioError("account.not_allowed", lacks=lacks, do=wanted)


def token_page() -> str:
    """Return the address of the Hub's page for a new token, with what the studio needs ticked."""
    ticked = [("ownUserPermissions", name) for name in ("repo.content.read", "repo.write", "job.write")]
    wanted = [*ticked, ("canReadGatedRepos", "true"), ("tokenType", "fineGrained")]
    return f"{constants.ENDPOINT}/settings/tokens/new?{urlencode(wanted)}"


def _ask(token: str) -> Account:
    """Ask the Hub who a token belongs to."""
    # Not api().whoami(): it answers without the Date header, which tells the Hub's clock.
    begun = time.time()
    try:
        answer = get_session().get(
            f"{constants.ENDPOINT}/api/whoami-v2", headers=build_hf_headers(token=token), timeout=TIMEOUT_S
        )
        hf_raise_for_status(answer)
        said = answer.json()
    except (*HUB_ERRORS, ValueError) as error:
        raise explain(error, "hub.cannot.whoami") from error
    return account_of(said, _offset(answer.headers.get("date"), (begun + time.time()) / 2))


def account_of(said: Mapping[str, Any], clock_offset: float = 0.0) -> Account:
    """Return the account that an answer to whoami describes.

    What a role or permission means is the Hub's business and may change: where the answer does not say that something
    is not allowed, it counts as allowed, and the Hub decides when it is done. Permissions seen in the wild:
    repo.content.read, repo.write, job.write, each global or for a user, an organisation or one repository. A token that
    may write a single repository counts as one that may write. OAuth tokens do not show their scopes there.

    Args:
        said: The decoded answer of /api/whoami-v2.
        clock_offset: The Hub's clock minus ours, seconds.
    """
    auth = said.get("auth") or {}
    access = auth.get("accessToken") or {}
    fine: Mapping[str, Any] = access.get("fineGrained") or {}
    kinds: dict[Any, Kind] = {"read": "read", "write": "write", "fineGrained": "fine-grained"}
    kind = kinds.get(access.get("role"), "fine-grained" if fine else "oauth")
    granted = _granted(fine) if kind == "fine-grained" and fine else None
    return Account(
        name=str(said["name"]),
        fullname=str(said.get("fullname") or said["name"]),
        kind=kind,
        may_write=kind != "read" if granted is None else "repo.write" in granted,
        may_run_jobs=kind != "read" if granted is None else "job.write" in granted,
        may_read_gated=granted is None or bool(fine.get("canReadGatedRepos", True)),
        organisations=tuple(str(one["name"]) for one in said.get("orgs") or () if one.get("name")),
        can_pay=said.get("canPay") if isinstance(said.get("canPay"), bool) else None,
        expires=_moment(auth.get("expiresAt") or access.get("expiresAt")),
        clock_offset=clock_offset,
        may_read_private=granted is None or bool(granted & {"repo.content.read", "repo.write"}),
        pro=said.get("isPro") if isinstance(said.get("isPro"), bool) else None,
        paying=frozenset(
            str(one["name"]) for one in said.get("orgs") or () if one.get("plan") or one.get("isEnterprise")
        ),
    )


def _granted(fine: Mapping[str, Any]) -> set[str]:
    """Return the permissions of a fine-grained token, whatever they are for."""
    scopes: Iterable[Mapping[str, Any]] = fine.get("scoped") or ()
    scoped = {str(permission) for scope in scopes for permission in scope.get("permissions") or ()}
    return scoped | {str(permission) for permission in fine.get("global") or ()}


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _offset(date: str | None, here: float) -> float:
    try:
        # The header has whole seconds: half of one is the best guess of what it left out.
        return parsedate_to_datetime(date).timestamp() + 0.5 - here if date else 0.0
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class SignInStatus:
    """How the studio's sign-in is.

    Attributes:
        state: none: nobody; checking: the Hub is being asked; ready; refused: the token is wrong or expired;
            unreachable: the Hub did not answer, the token is kept and tried again.
        account: Whose token it is, as last known.
        problem: Why it is refused or unreachable.
        source: Where the token comes from.
        aside: Source of a token of this machine that was set aside by signing out.
    """

    state: State
    account: Account | None = None
    problem: StudioError | None = None
    source: Source = ""
    aside: Source = ""


class SignIn:
    """The studio's token: typed once, else of the environment, else of `hf auth login`; kept in memory only.

    The file of `hf auth login` is read here instead of by huggingface_hub's get_token: that one also asks Google Colab
    and continuous integration for tokens nobody named, and may write a renewed token into files. A file's token that is
    renewed elsewhere is read again at the next look.

    Args:
        environment: The token of the environment, "" for none.
        machine: Whether it is for the person whose machine this is: then a token stored on it counts too.
    """

    def __init__(self, environment: str = "", *, machine: bool = True) -> None:
        self._environment = environment.strip()
        self._own_machine = machine
        self._typed = ""
        self._given: Source = "typed"
        self._aside = False
        self._token = ""
        self._status = SignInStatus("none")
        self._lock = Lock()
        self._again = Event()
        self._settled = Event()
        self._settled.set()
        self._closed = False
        self._thread: Thread | None = None

    @property
    def status(self) -> SignInStatus:
        """How it is now."""
        now = self._status
        if now.state == "ready" and now.account is not None and now.account.expired:
            return replace(now, state="refused", problem=_EXPIRED)
        return now

    @property
    def token(self) -> str | None:
        """The token that the visitor's calls use; None: nobody is signed in, or the Hub refuses the token."""
        return None if self.status.state in ("none", "refused") else self._token or None

    def start(self) -> None:
        """Look at the token in the background, one that was set aside too; the page does not wait for the Hub."""
        with self._lock:
            self._aside = False
            self._choose()

    def use(self, token: str, *, source: Source = "typed") -> None:
        """Use a token until sign-out; the Hub is asked about it in the background.

        Args:
            token: The token.
            source: Where it comes from.

        Raises:
            StudioError: It cannot be a token.
        """
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise StudioError("account.no_token")
        with self._lock:
            self._typed, self._given = token, source
            self._choose()

    def sign_in(self, token: str) -> SignInStatus:
        """Use a typed token until sign-out and return how that went; see `use`."""
        self.use(token)
        return self.wait()

    def wait(self) -> SignInStatus:
        """Return the status once the Hub has answered about the token, or did not in time."""
        self._settled.wait(TIMEOUT_S + 5)
        return self.status

    def sign_out(self) -> None:
        """Forget a typed token, and set one of this machine aside until it is taken up again or the studio restarts."""
        with self._lock:
            self._typed = ""
            self._aside = True
            self._choose()

    def close(self) -> None:
        """Look at the token no more."""
        self._closed = True
        self._again.set()

    def _choose(self) -> None:
        """Take the token that counts and have it looked at; holds the lock."""
        stored, place = self._machine()
        self._token = self._typed or ("" if self._aside else stored)
        if not self._token:
            self._status = SignInStatus("none", aside=place)
            self._settled.set()
            return
        self._status = SignInStatus("checking", source=self._given if self._typed else place)
        self._settled.clear()
        self._again.set()
        if self._thread is None:
            self._thread = Thread(target=self._keep, daemon=True, name="hub-sign-in")
            self._thread.start()

    def _machine(self) -> tuple[str, Source]:
        """Return the token that this machine has stored, and where."""
        if not self._own_machine:
            return "", ""
        if self._environment:
            return self._environment, "environment"
        try:
            stored = Path(constants.HF_TOKEN_PATH).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return "", ""
        return (stored, "file") if stored else ("", "")

    def _keep(self) -> None:
        while True:
            self._again.clear()
            if self._closed:
                return
            self._check()
            self._again.wait(AGAIN_S.get(self._status.state, LATER_S))
            with self._lock:
                if self._status.source == "file" and self._machine()[0] != self._token:
                    self._choose()  # `hf auth login` or a renewal replaced it

    def _check(self) -> None:
        """Ask the Hub about the token, and keep the answer unless another token was chosen meanwhile."""
        token, before = self._token, self._status
        if not token:
            return
        try:
            with client.acting_as(token):
                outcome = SignInStatus("ready", current(fresh=True), source=before.source)
        except StudioError as error:
            refused = error.__cause__ is not None and status(error.__cause__) in (401, 403)
            outcome = SignInStatus("refused" if refused else "unreachable", before.account, error, before.source)
        with self._lock:
            if self._token == token and self._status.source == before.source:
                self._status = outcome
                self._settled.set()


_EXPIRED = StudioError("account.expired")
