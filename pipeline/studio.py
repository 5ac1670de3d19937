"""The services of one studio, made once and given to everything that needs them."""

from __future__ import annotations

import threading

from pipeline.base.home import LOCAL, open_home
from pipeline.base.settings import Settings
from pipeline.carriers.spend import SpendWatch
from pipeline.hub.account import SignIn
from pipeline.review.host import ArgillaHost
from pipeline.runs.ledger import Ledger
from pipeline.runs.revive import Reviver
from pipeline.snapshots.keeper import Keeper


class Person:
    """What a studio keeps in memory for one person: their sign-in to the Hub and what is billed to them.

    Args:
        ledger: Their own runs.
        sign_in: Their sign-in.
    """

    def __init__(self, ledger: Ledger, sign_in: SignIn) -> None:
        self.sign_in = sign_in
        self.spend = SpendWatch(ledger, sign_in)

    def arrived(self, token: str) -> None:
        """Act with a token that they have just signed in with."""
        self.sign_in.use(token, source="oauth")
        self.spend.start()

    def close(self) -> None:
        """Look at the token, and at what is billed, no more."""
        self.sign_in.close()
        self.spend.close()


class Studio:
    """Settings, home, ledger, Argilla, snapshots and the people of one studio.

    Args:
        settings: Its settings.
        snapshots: What keeps its home, where that was restored already.
    """

    def __init__(self, settings: Settings, snapshots: Keeper | None = None) -> None:
        self.settings = settings
        self.snapshots = snapshots or Keeper(settings)
        self.home = open_home(settings.home)
        self.ledger = Ledger(self.home)
        self.argilla = ArgillaHost(settings, self.home)
        # A Space's own token is nobody's who visits it: there everybody acts with the token they sign in with.
        own = "" if settings.space_id else settings.hf_token.get_secret_value()
        self._people = {LOCAL: Person(self.ledger.of(LOCAL), SignIn(own, machine=not settings.space_id))}
        self._guard = threading.Lock()
        self.reviver = Reviver(self.ledger, self.token_of)

    def person(self, who: str) -> Person:
        """Return what is kept for a person, by the name that owners have in home and ledger."""
        with self._guard:
            if who not in self._people:
                self._people[who] = Person(self.ledger.of(who), SignIn(machine=False))
            return self._people[who]

    def token_of(self, who: str) -> str | None:
        """Return the token of a person who is signed in, None for anybody else."""
        with self._guard:
            found = self._people.get(who)
        return found.sign_in.token if found else None

    def left(self, who: str) -> None:
        """Forget a person and their token; their runs go on, and wait where they need it."""
        with self._guard:
            gone = self._people.pop(who, None)
        if gone is not None:
            gone.sign_in.sign_out()
            gone.close()

    @property
    def sign_in(self) -> SignIn:
        """The sign-in of the one person of this machine."""
        return self.person(LOCAL).sign_in

    def open(self) -> None:
        """Start what runs beside the app and take up runs that lost their supervisor."""
        local = self.person(LOCAL)
        local.sign_in.start()
        local.spend.start()
        self.reviver.start()
        self.argilla.start()
        self.snapshots.start(lambda: {run.id for run in self.ledger.list(active=True)})

    def close(self) -> None:
        """Save the home, and stop the embedded Argilla, unless a run still needs it."""
        self.reviver.close()
        self.snapshots.close()  # first: whoever ends a Space waits for some seconds only
        with self._guard:
            people = list(self._people.values())
        for each in people:
            each.close()
        if not any(run.kind == "import" for run in self.ledger.list(active=True)):
            self.argilla.stop()
