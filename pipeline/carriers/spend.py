"""What is billing now, as the Hub says it: the Jobs with our label, whichever disk they were started from.

`SpendWatch` asks the Hub in the background, takes in Jobs that this disk does not know, and ends them all when asked.
"""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import Literal

from huggingface_hub import JobInfo

from pipeline.base.errors import StudioError
from pipeline.base.message import Message
from pipeline.carriers import job as job_runs
from pipeline.carriers.job_end import worker_of
from pipeline.hub import client, jobs, problems
from pipeline.hub.account import Account, SignIn
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run

EVERY_S = 15.0  # between two questions to the Hub while something is billing or a page is open
RARELY_S = 600.0  # otherwise
STALE_S = 45.0  # an older answer is no longer what is billing now
SLOW_S = 10.0  # without an answer before that is said; the libraries try for a minute
SOON_S = 3.0  # at least between two questions, whatever happens
OPEN_S = 120.0  # after its last look a page counts as closed
PATIENCE_S = 45.0  # a Job that was told to end has ended by then
AGAIN_S = 300.0  # before a Job that could not be taken in is tried again
RECENT_S = 86_400.0  # a Job that ended longer ago is not taken in any more
State = Literal["none", "billing", "unknown", "hidden", "signed out"]


@dataclass(frozen=True)
class Billing:
    """One Job that costs money, or is about to; times are Unix seconds by this machine's clock.

    Attributes:
        job_id: Its id on the Hub.
        namespace: Who pays.
        run_id: Id of the run it carries, as its label says.
        kind: train or evaluate.
        named: What people see, see `title`; None where the run is not known here.
        project: Name of the project, as its label says.
        flavor: Name of the hardware.
        stage: As the Hub says: SCHEDULING, RUNNING, …
        price_per_hour: In USD, as it was agreed; None: its label does not say.
        since: Since when it runs; None: it waits for its hardware and costs nothing yet.
        stops_at: When the Hub ends it at the latest; None: not running yet, or its label does not say.
        url: Its page on the Hub.
        known: Whether the run is in this disk's ledger.
    """

    job_id: str
    namespace: str
    run_id: str
    kind: str
    named: Message | None
    project: str
    flavor: str
    stage: str
    price_per_hour: float | None
    since: float | None
    stops_at: float | None
    url: str
    known: bool

    @property
    def title(self) -> str:
        """What people see, in the present language; "" where the run is not known here."""
        return self.named.what if self.named else ""

    @property
    def seconds(self) -> float:
        """Seconds billed so far."""
        return max(0.0, time.time() - self.since) if self.since is not None else 0.0

    @property
    def cost(self) -> float:
        """USD so far, about."""
        return self.seconds / 3600 * (self.price_per_hour or 0.0)


@dataclass(frozen=True)
class Spend:
    """What is billing, as far as is known.

    Attributes:
        state: none: nothing; billing: `items`; unknown: the Hub does not say, `items` were seen last; hidden:
            the token may not ask; signed out: the Jobs of `unseen` may be billing, and only their user may ask.
        items: The Jobs, newest first.
        checked_at: When the Hub last said so, Unix seconds; None: never.
        problem: Why it is not known.
        unseen: Unfinished runs in Jobs of users who are not signed in.
    """

    state: State
    items: tuple[Billing, ...] = ()
    checked_at: float | None = None
    problem: StudioError | None = None
    unseen: tuple[Run, ...] = ()

    @property
    def total(self) -> float:
        """USD of all items so far, about."""
        return sum(item.cost for item in self.items)

    @property
    def price_per_hour(self) -> float:
        """USD per hour of all items that run."""
        return sum(item.price_per_hour or 0.0 for item in self.items if item.since is not None)


@dataclass(frozen=True)
class Left:
    """A Job that did not end.

    Attributes:
        item: The Job.
        problem: Why, as far as the Hub said; None if it only did not end in time.
    """

    item: Billing
    problem: StudioError | None = None

    @property
    def why(self) -> str:
        """What the Hub said, in the present language."""
        return str(self.problem) if self.problem else ""


@dataclass(frozen=True)
class Stopped:
    """What came of stopping everything.

    Attributes:
        ended: Jobs that have ended, as the Hub confirms.
        left: Jobs that have not, as far as is known.
    """

    ended: tuple[Billing, ...] = ()
    left: tuple[Left, ...] = ()


def billing(job: JobInfo, run: Run | None, clock_offset: float = 0.0) -> Billing:
    """Return what a Job that has not ended costs.

    Args:
        job: As the Hub describes it.
        run: Its run, if this disk knows it.
        clock_offset: The Hub's clock minus ours, seconds; needed only where the Hub does not say how long it runs.
    """
    labels, worker, now = job.labels or {}, worker_of(job), time.time()
    since = _since(job, now, clock_offset)
    return Billing(
        job_id=job.id,
        namespace=job.owner.name,
        run_id=labels.get("run", ""),
        kind=labels.get("kind", ""),
        named=run.named if run else None,
        project=labels.get("project", ""),
        flavor=worker["flavor"],
        stage=jobs.stage(job),
        price_per_hour=round(worker["price_per_minute"] * 60, 4) or None,
        since=since,
        stops_at=since + worker["timeout"] if since is not None and worker["timeout"] else None,
        url=worker["url"],
        known=run is not None,
    )


def _since(job: JobInfo, now: float, clock_offset: float) -> float | None:
    """Return since when a Job runs by our clock: the Hub counts the seconds, so that neither clock need be right."""
    if jobs.stage(job) == "SCHEDULING":
        return None
    seconds = job.durations.running_secs if job.durations else None
    if seconds is not None:
        return now - max(0.0, float(seconds))
    began = job.started_at or job.created_at
    return min(now, began.timestamp() - clock_offset) if began else now


class SpendWatch:
    """Knows what is billing; a thread of its own asks the Hub, never a page.

    Args:
        ledger: One person's runs.
        sign_in: Theirs: whose Jobs are asked about.
    """

    def __init__(self, ledger: Ledger, sign_in: SignIn) -> None:
        self._ledger = ledger
        self._sign_in = sign_in
        self._account = ""  # whose Jobs `_items` are
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

    def stop_all(self) -> Stopped:
        """End every Job that this app started for the account, at once, and look whether each has ended.

        While the Hub does not answer, the supervisors of the runs known here go on trying.

        Raises:
            StudioError: Nobody is signed in, or the Hub does not say which Jobs there are and none was seen before.
        """
        account = self._who()
        if account is None:
            raise StudioError("spend.stop_signed_out")
        seen = self._items if self._account == account.name else ()
        with client.acting_as(self._sign_in.token):
            for run in self._job_runs():
                if run.user == account.name:
                    # So that a run on its way to a Job ends too, and one with a Job does not take it for an accident.
                    run.stop_file.touch()
                    run.kill_file.touch()
            stopped = self._end_jobs(account, seen)
        self.check()
        return stopped

    def _end_jobs(self, account: Account, seen: tuple[Billing, ...]) -> Stopped:
        # A supervisor may have ended one of these before the Hub is asked: it was to end, and so it is named.
        asked = {item.job_id: item for item in seen}
        told: set[str] = set()
        problems: dict[str, StudioError] = {}
        until = time.monotonic() + PATIENCE_S
        try:
            active = self._active(account)
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
                active, silent = self._active(account), None
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
        busy = self._items or time.monotonic() - self._looked < OPEN_S or any(self._job_runs())
        return (EVERY_S if busy else RARELY_S) - since

    def _who(self) -> Account | None:
        """Return whose Jobs can be asked about."""
        status = self._sign_in.status
        return status.account if self._sign_in.token is not None and status.state != "checking" else None

    def _name(self) -> str:
        account = self._who()
        return account.name if account else ""

    def _job_runs(self) -> list[Run]:
        return [run for run in self._ledger.list(active=True) if run.place == "job"]

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

    def _active(self, account: Account) -> tuple[Billing, ...]:
        return self._billing(self._found(account), account)

    def _found(self, account: Account) -> list[JobInfo]:
        """Return our Jobs of the account and of every organisation that it has used here.

        What another account started is not asked for: its Jobs are not this one's to see, and the refusal would hide
        this one's own.
        """
        mine = [run for run in self._job_runs() if run.user == account.name]
        used = {str((run.worker or {}).get("namespace") or account.name) for run in mine}
        return [job for name in sorted(used | {account.name}) for job in jobs.ours(name)]

    def _billing(self, found: list[JobInfo], account: Account) -> tuple[Billing, ...]:
        # Whatever is not over costs money, also in a stage that this program has not heard of.
        going = [job for job in found if jobs.stage(job) not in jobs.TERMINAL]
        runs = {run.id: run for run in self._ledger.list()} if going else {}
        return tuple(billing(job, runs.get((job.labels or {}).get("run", "")), account.clock_offset) for job in going)

    def _adopt(self, found: list[JobInfo], account: Account) -> None:
        """Take in Jobs whose runs this disk does not know: what runs, and what ended in the last day."""
        known = {run.id for run in self._ledger.list()} if found else set()
        changed = False
        for job in found:
            if (job.labels or {}).get("run", "") in known or not _recent(job, account.now().timestamp()):
                continue
            if time.monotonic() < self._not_adopted.get(job.id, 0.0):
                continue
            try:
                run, new = job_runs.adopt(self._ledger, job)
                if new:
                    launch.supervise(self._ledger.home, run)
                changed = True
            except (StudioError, OSError):  # it is shown as billing all the same, and can be stopped
                self._not_adopted[job.id] = time.monotonic() + AGAIN_S
        if changed:
            self._items = self._billing(found, account)


def _recent(job: JobInfo, now: float) -> bool:
    """Return whether a Job runs, or ended in the last day (now: by the Hub's clock)."""
    if jobs.stage(job) not in jobs.TERMINAL:
        return True
    ended = job.finished_at or job.created_at
    return jobs.stage(job) != "DELETED" and ended is not None and now - ended.timestamp() < RECENT_S


def _cancel(item: Billing, problems: dict[str, StudioError]) -> None:
    try:
        jobs.cancel(item.namespace, item.job_id)
    except StudioError as error:
        problems[item.job_id] = error


_SILENT = StudioError("spend.silent")
