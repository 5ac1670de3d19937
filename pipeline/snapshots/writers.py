"""Who writes to a bucket: one studio, and of it the process that started last.

A bucket has no locks. Each process that is going to write leaves a claim there, under a name of its own, and looks at
all claims before every snapshot. The first claim's studio owns the bucket; another one is refused, unless it takes the
owner's place by name. Of one studio the newest claim writes: the process it has replaced may still be ending.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.base.errors import StudioError


@dataclass(frozen=True, order=True)
class Claim:
    """What a process says before it writes.

    Attributes:
        at: When it started, Unix seconds.
        boot: Id of the process.
        studio: Whose it is: a Space's name; elsewhere an id that is made once and lies in the home.
        name: What people call it.
        instead_of: The studio whose place it takes, "" for none.
    """

    at: float
    boot: str
    studio: str
    name: str
    instead_of: str = ""

    @property
    def file(self) -> str:
        """Name of its file; sorted by name claims are sorted by time."""
        return f"{int(self.at * 1000):015d}-{self.boot}.json"

    def written(self) -> bytes:
        """Return it as it is written."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def read(cls, written: bytes) -> Claim | None:
        """Return a claim, None for one that is half written."""
        try:
            found: dict[str, Any] = json.loads(written)
            return cls(float(found["at"]), *(str(found[name]) for name in ("boot", "studio", "name", "instead_of")))
        except (ValueError, KeyError, TypeError):
            return None


def owner(claims: Iterable[Claim]) -> Claim | None:
    """Return the newest claim of the studio that a bucket belongs to, None while it is nobody's."""
    found: Claim | None = None
    for claim in sorted(claims):
        taken = found is not None and claim.instead_of in {found.studio, found.name} - {""}
        if found is None or claim.studio == found.studio or taken:
            found = claim
    return found


def lasting(claims: Iterable[Claim]) -> set[Claim]:
    """Return the claims that say whose a bucket is: the first one, those that took a place, and the newest."""
    ordered = sorted(claims)
    return {claim for claim in ordered if claim.instead_of} | set(ordered[:1]) | set(ordered[-3:])


def require(mine: Claim, claims: Iterable[Claim]) -> None:
    """Refuse to write where another writes.

    Args:
        mine: The claim of this process, which is written.
        claims: All claims there are.

    Raises:
        StudioError: The bucket is another studio's, or a newer process of this one writes.
    """
    now = owner({*claims, mine})
    assert now is not None
    if now.studio != mine.studio:
        raise StudioError("snapshot.foreign", studio=now.name)
    if now.boot != mine.boot:
        raise StudioError("snapshot.replaced")
