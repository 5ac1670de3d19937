"""Runs are carried on whether or not anybody looks: a thread of the studio gives each a supervisor that has lost it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pipeline.hub import client
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger

LOG = logging.getLogger("align_studio")
EVERY_S = 3.0


class Reviver:
    """Revives the runs of a ledger from a thread of its own.

    Args:
        ledger: The home's ledger.
        token_of: Returns the token that an owner's runs may be woken with; asked anew each time.
    """

    def __init__(self, ledger: Ledger, token_of: Callable[[str], str | None]) -> None:
        self._ledger, self._token_of = ledger, token_of
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="reviver")

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop; runs go on with the supervisors they have."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _keep(self) -> None:
        while True:
            try:
                for run in self._ledger.list(active=True):
                    with client.acting_as(self._token_of(run.owner)):
                        launch.supervise(self._ledger.home, run)
            except Exception:  # a full disk, say: the next round may find it better
                LOG.exception("reviving the runs")
            if self._ended.wait(EVERY_S):
                return
