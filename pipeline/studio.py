"""The services of one studio, made once and given to everything that needs them."""

from __future__ import annotations

from pipeline.base.home import open_home
from pipeline.base.settings import Settings
from pipeline.carriers.spend import SpendWatch
from pipeline.hub.account import SignIn
from pipeline.review.host import ArgillaHost
from pipeline.runs.ledger import Ledger
from pipeline.runs.revive import Reviver


class Studio:
    """Settings, home, ledger, sign-in, spend and Argilla of one studio."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = open_home(settings.home)
        self.ledger = Ledger(self.home)
        self.argilla = ArgillaHost(settings, self.home)
        self.sign_in = SignIn(settings.hf_token.get_secret_value())
        self.spend = SpendWatch(self.ledger, self.sign_in)
        self.reviver = Reviver(self.ledger, lambda: self.sign_in.token)

    def open(self) -> None:
        """Start what runs beside the app and take up runs that lost their supervisor."""
        self.sign_in.start()
        self.spend.start()
        self.reviver.start()
        self.argilla.start()

    def close(self) -> None:
        """Stop the embedded Argilla, unless a run still needs it."""
        self.reviver.close()
        self.sign_in.close()
        if not any(run.kind == "import" for run in self.ledger.list(active=True)):
            self.argilla.stop()
