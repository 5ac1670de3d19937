"""What is billing now, as the Hub says it: the Jobs and Spaces with our label, whichever disk they were started from.

`SpendWatch` asks the Hub in the background, takes in what this disk does not know, and ends everything when asked: what
this studio has started, and apart from it what others of the same account have.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from contextvars import copy_context

from pipeline.base.errors import StudioError
from pipeline.carriers import rented
from pipeline.carriers.billing import Billing, Left, Spend, State, Stopped, billing
from pipeline.carriers.rented import Rented
from pipeline.hub import client, problems
from pipeline.hub.account import Account, SignIn
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run

EVERY_S = 15.0  # between two questions to the Hub while something is billing or a page is open
RARELY_S = 600.0  # otherwise
STALE_S = 45.0  # an older answer is no longer what is billing now
SLOW_S = 10.0  # without an answer before that is said; the libraries try for a minute
SOON_S = 3.0  # at least between two questions, whatever happens
NEW_S = 120.0  # how long a run counts as new
OPEN_S = 120.0  # after its last look a page counts as closed
PATIENCE_S = 45.0  # a Job that was told to end has ended by then
AGAIN_S = 300.0  # before a Job that could not be taken in is tried again
RECENT_S = 86_400.0  # a Job that ended longer ago is not taken in any more


class SpendWatch:
    """Knows what is billing; a thread of its own asks the Hub, never a page.

    Args:
        ledger: One person's runs.
        sign_in: Theirs: whose Jobs and Spaces are asked about.
    """

    def __init__(self, ledger: Ledger, sign_in: SignIn) -> None:
        self._ledger = ledger
        self._sign_in = sign_in
        self._account = ""  # whose `_items` are
        self._wide = float("-inf")  # when all organisations were asked last
        self._items: tuple[Billing, ...] = ()
        self._checked_at: float | None = None
        self._problem: StudioError | None = None
        self._asked = self._looked = self._answered = float("-inf")
        self._begun: float | None = None
        self._not_adopted: dict[str, float] = {}
        self._checking = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._rented: tuple[int, list[Run]] | None = None  # the runs of `_job_runs`, and when they were looked up

    def start(self) -> None:
        """Begin to watch in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, daemon=True, name="spend-watch")
            self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._closed = True
        self._wake.set()

    def look(self) -> Spend:
        """Return what is known now, without asking the Hub; that a page is open makes the thread ask more often."""
        self._looked = time.monotonic()
        if self._due() <= 0:
            self._wake.set()
        return self._spend()

    def check(self) -> Spend:
        """Ask the Hub now, and return what is billing."""
        with self._checking:
            self._begun = time.monotonic()
            account = self._who()
            if account is not None:
                with client.acting_as(self._sign_in.token):
                    self._ask(account)
            self._asked, self._begun = time.monotonic(), None
        return self._spend()

    def stop_all(self, *, elsewhere: bool = False) -> Stopped:
        """End every Job and Space that this studio started for the account, at once, and look whether each has ended.

        While the Hub does not answer, the supervisors of the runs known here go on trying.

        Args:
            elsewhere: End those that other studios of the account have started instead.

        Raises:
            StudioError: Nobody is signed in, or the Hub does not say which Jobs there are and none was seen before.
        """
        account = self._who()
        if account is None:
            raise StudioError("spend.stop_signed_out")
        seen = self._items if self._account == account.name else ()
        seen = tuple(item for item in seen if item.elsewhere == elsewhere)
        with client.acting_as(self._sign_in.token):
            for run in self._job_runs():
                if run.user == account.name and self._is_elsewhere(run) == elsewhere:
                    # So that a run on its way to a Job ends too, and one with a Job does not take it for an accident.
                    run.stop_file.touch()
                    run.kill_file.touch()
            stopped = self._end_jobs(account, seen, elsewhere)
        self.check()
        return stopped

    def _is_elsewhere(self, run: Run) -> bool:
        """Return whether another studio has started a run, which was only taken in here."""
        return str((run.worker or {}).get("studio") or "") not in ("", self._ledger.home.studio)

    def _end_jobs(self, account: Account, seen: tuple[Billing, ...], elsewhere: bool) -> Stopped:
        # A supervisor may have ended one of these before the Hub is asked: it was to end, and so it is named.
        asked = {item.job_id: item for item in seen}
        told: set[str] = set()
        problems: dict[str, StudioError] = {}
        until = time.monotonic() + PATIENCE_S
        try:
            active = self._active(account, elsewhere)
        except StudioError as error:
            if not seen:
                raise
            return Stopped((), tuple(Left(item, error) for item in seen))
        silent: StudioError | None = None
        while active and time.monotonic() < until:
            for item in active:
                asked[item.job_id] = item
                if item.job_id not in told:
                    told.add(item.job_id)
                    telling = (_cancel, item, problems)
                    threading.Thread(target=copy_context().run, args=telling, daemon=True, name="stop-job").start()
            time.sleep(1.0)
            try:
                active, silent = self._active(account, elsewhere), None
            except StudioError as error:  # told to end, and not seen to have ended: they count as left
                silent = error
        left = tuple(Left(item, problems.get(item.job_id, silent)) for item in active)
        going = {item.job_id for item in active}
        return Stopped(tuple(item for item in asked.values() if item.job_id not in going), left)

    def _keep(self) -> None:
        while True:
            self._wake.wait(max(SOON_S, min(self._due(), EVERY_S)))
            self._wake.clear()
            if self._closed:
                return
            if self._due() <= 0:
                self.check()

    def _due(self) -> float:
        """Return the seconds until the Hub is to be asked again."""
        since = time.monotonic() - self._asked
        if self._name() != self._account:
            return SOON_S - since  # somebody else signed in
        rented, known = self._job_runs(), {item.run_id for item in self._items}
        if any(run.worker and run.id not in known and time.time() - run.created < NEW_S for run in rented):
            return SOON_S - since  # what has just begun to cost is in the bar before it is over
        busy = self._items or time.monotonic() - self._looked < OPEN_S or rented
        return (EVERY_S if busy else RARELY_S) - since

    def _who(self) -> Account | None:
        """Return whose Jobs can be asked about."""
        status = self._sign_in.status
        return status.account if self._sign_in.token is not None and status.state != "checking" else None

    def _name(self) -> str:
        account = self._who()
        return account.name if account else ""

    def _job_runs(self) -> list[Run]:
        seen = self._ledger.changes()  # every page looks every second, and the ledger seldom changes
        if self._rented is None or self._rented[0] != seen:
            runs = [run for run in self._ledger.list(active=True) if run.place in ("job", "space")]
            self._rented = (seen, runs)
        return self._rented[1]

    def _spend(self) -> Spend:
        name, status = self._name(), self._sign_in.status
        unseen = tuple(run for run in self._job_runs() if run.worker is not None and run.user != name)
        if self._sign_in.token is not None and name != self._account:
            return Spend("unknown", problem=status.problem, unseen=unseen)  # not asked about this account yet
        if self._sign_in.token is not None and self._problem is not None:
            state: State = "hidden" if problems.status(self._problem) == 403 else "unknown"
            return Spend(state, self._items, self._checked_at, self._problem, unseen)
        if name and time.monotonic() - self._answered > STALE_S:
            slow = self._begun is not None and time.monotonic() - self._begun > SLOW_S
            return Spend("unknown", self._items, self._checked_at, _SILENT if slow else None, unseen)
        if name and self._items:
            return Spend("billing", self._items, self._checked_at, None, unseen)
        if self._sign_in.token is not None and not name:
            return Spend("unknown", problem=status.problem, unseen=unseen)
        return Spend("signed out" if unseen else "none", (), self._checked_at, None, unseen)

    def _ask(self, account: Account) -> None:
        if account.name != self._account:
            self._account, self._items, self._checked_at, self._problem = account.name, (), None, None
        try:
            found = self._found(account)
            self._items = self._billing(found, account)
            self._checked_at, self._problem, self._answered = time.time(), None, time.monotonic()
        except StudioError as error:
            self._problem = error
            return
        self._adopt(found, account)

    def _active(self, account: Account, elsewhere: bool) -> tuple[Billing, ...]:
        found = self._billing(self._found(account), account)
        return tuple(item for item in found if item.elsewhere == elsewhere)

    def _found(self, account: Account) -> list[Rented]:
        """Return what runs for the account and for the organisations it belongs to.

        What another account started is not asked for: it is not this one's to see. Nor does an organisation that does
        not let this token see hide what is the account's own.
        """
        mine = [run for run in self._job_runs() if run.user == account.name]
        used = {str((run.worker or {}).get("namespace") or account.name) for run in mine} | {account.name}
        found = [one for name in sorted(used) for one in rented.ours(name)]
        if time.monotonic() - self._wide > RARELY_S or any(one.namespace not in used for one in self._items):
            self._wide = time.monotonic()
            for name in sorted(set(account.organisations) - used):
                with suppress(StudioError):
                    found += rented.ours(name)
        return found

    def _billing(self, found: list[Rented], account: Account) -> tuple[Billing, ...]:
        going = [one for one in found if not one.over]
        runs = {run.id: run for run in self._ledger.list()} if going else {}
        studio = self._ledger.home.studio
        return tuple(billing(one, runs.get(one.run), studio, account.clock_offset) for one in going)

    def _adopt(self, found: list[Rented], account: Account) -> None:
        """Take in what this disk does not know: what runs, and what ended in the last day."""
        known = {run.id for run in self._ledger.list()} if found else set()
        changed = False
        for one in found:
            if one.run in known or not _recent(one, account.now().timestamp()):
                continue
            if time.monotonic() < self._not_adopted.get(one.id, 0.0):
                continue
            try:
                run, new = rented.adopt(self._ledger, one)
                if new:
                    launch.supervise(self._ledger.home, run)
                changed = True
            except (StudioError, OSError):  # it is shown as billing all the same, and can be stopped
                self._not_adopted[one.id] = time.monotonic() + AGAIN_S
        if changed:
            self._items = self._billing(found, account)


def _recent(one: Rented, now: float) -> bool:
    """Return whether something runs, or ended in the last day (now: by the Hub's clock)."""
    if not one.over:
        return True
    return one.stage != "DELETED" and one.ended is not None and now - one.ended < RECENT_S


def _cancel(item: Billing, found: dict[str, StudioError]) -> None:
    try:
        rented.stop(item.place, item.namespace, item.job_id)
    except StudioError as error:
        found[item.job_id] = error


_SILENT = StudioError("spend.silent")
