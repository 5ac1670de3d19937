"""Which answer of a pair stands first before the annotators: drawn for each pair, and known to nobody but the studio.

Whoever finds the preferred answer always in the same place learns to choose the place. So the order is drawn from the
record's id by a keyed hash (HMAC-SHA-256, RFC 2104), and the record gets an id in Argilla from the same hash: our own
`record_id` is a plain hash of prompt, chosen and rejected, in this order, so whoever sees the three texts could compute
which of the two is the chosen one. The key lies in the project's folder, readable by the studio's user alone; nothing
of it goes to Argilla.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.base.secret import kept
from pipeline.review.answers import Answer, Preference, answer_of

KEY_FILE = "review.key"
_KEY_BYTES = 32
_ID_BYTES = 12  # of the hash: 40,000 pairs share an id with a probability of 1e-20

FIRST: dict[str, Preference] = {"chosen": "chosen", "rejected": "rejected", "tie": "tie"}
"""What reviews begun before the order was drawn call the answers: A was the chosen one."""
_AS_STORED: dict[str, Preference] = {"a": "chosen", "b": "rejected", "tie": "tie"}
_TURNED: dict[str, Preference] = {"a": "rejected", "b": "chosen", "tie": "tie"}


@dataclass(frozen=True)
class Place:
    """Where a pair is in Argilla.

    Attributes:
        external_id: The record's id there.
        turned: Whether answer A is the rejected one.
    """

    external_id: str
    turned: bool = False


@dataclass(frozen=True)
class Order:
    """The order of one review.

    Attributes:
        key: Draws it; None: the chosen answer comes first, as in reviews begun before the order was drawn.
    """

    key: bytes | None = field(default=None, repr=False)

    def place(self, record_id: str) -> Place:
        """Return where a pair is in Argilla."""
        if self.key is None:
            return Place(record_id)
        drawn = hmac.digest(self.key, record_id.encode(), "sha256")
        return Place(drawn[:_ID_BYTES].hex(), bool(drawn[-1] & 1))


CHOSEN_FIRST = Order()


class Meaning(Protocol):
    """Says what an annotator's response means for a pair."""

    def answer(self, external_id: str, annotator: str, response: Mapping[str, Any]) -> Answer | None:
        """Return the answer; None when the record is none of our pairs."""

    def record(self, external_id: str) -> str | None:
        """Return the pair's id of a record in Argilla; None when it is none of ours."""


class AsStored:
    """The meaning of answers in a review whose answer A is the chosen one."""

    def answer(self, external_id: str, annotator: str, response: Mapping[str, Any]) -> Answer | None:
        """See `Meaning`."""
        return answer_of(external_id, annotator, response, FIRST)

    def record(self, external_id: str) -> str | None:
        """See `Meaning`."""
        return external_id


class Drawn:
    """The meaning of answers in a review whose order was drawn.

    Args:
        order: How.
        record_ids: Ids of the pairs there are.
    """

    def __init__(self, order: Order, record_ids: Iterable[str]) -> None:
        places = ((record_id, order.place(record_id)) for record_id in record_ids)
        self._of = {place.external_id: (record_id, place.turned) for record_id, place in places}

    def answer(self, external_id: str, annotator: str, response: Mapping[str, Any]) -> Answer | None:
        """See `Meaning`."""
        found = self._of.get(external_id)
        if found is None:
            return None
        record_id, turned = found
        return answer_of(record_id, annotator, response, _TURNED if turned else _AS_STORED)

    def record(self, external_id: str) -> str | None:
        """See `Meaning`."""
        found = self._of.get(external_id)
        return found[0] if found else None


def draw_key(of: Project) -> Order:
    """Return the order of a project's review, its key made when there is none."""
    return Order(kept(of.folder / KEY_FILE, lambda: secrets.token_bytes(_KEY_BYTES)))


def kept_order(of: Project) -> Order:
    """Return the order a project's review was begun with.

    Raises:
        StudioError: Its key is gone: what A and B mean in Argilla cannot be told any more.
    """
    try:
        return Order((of.folder / KEY_FILE).read_bytes())
    except FileNotFoundError as error:
        raise StudioError("argilla.key_lost", file=str(of.folder / KEY_FILE)) from error
