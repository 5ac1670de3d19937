"""Hardware that Hugging Face rents out for Jobs and Spaces: what it has, what it costs, and whether a run fits."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.base.errors import StudioError
from pipeline.hub import client, jobs, spaces

DEFAULT = "l40sx1"
FRESH_S = 600.0  # a list of the Hub is believed so long
AGAIN_S = 30.0  # after no answer
PATIENCE_S = 4.0  # a page waits so long for the list
_SNAPSHOT = Path(__file__).with_name("flavors.json")
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_WITHOUT_BF16 = frozenset({"T4"})  # Turing; bf16 came with Ampere
Place = Literal["job", "space"]
Why = Literal["cpu", "several", "bf16", "memory"]


@dataclass(frozen=True)
class Flavor:
    """One kind of machine.

    Attributes:
        name: As the Hub calls it, l40sx1.
        pretty: As people call it.
        gpu: Model of its GPUs, "" without.
        gpus: How many.
        memory: Bytes of one GPU's memory, or of main memory without a GPU; 0: not known.
        price_per_minute: In USD.
    """

    name: str
    pretty: str
    gpu: str
    gpus: int
    memory: int
    price_per_minute: float

    @property
    def price_per_hour(self) -> float:
        """In USD, to a hundredth of a cent: the Hub rounds the minute's price."""
        return round(self.price_per_minute * 60, 4)

    @property
    def bf16(self) -> bool:
        """Whether its GPU computes in bf16."""
        return self.gpu not in _WITHOUT_BF16

    @property
    def label(self) -> str:
        """GPU model, or what the Hub calls it."""
        if not self.gpus:
            return self.pretty
        return f"{self.gpus} × {self.gpu}" if self.gpus > 1 else self.gpu


@dataclass(frozen=True)
class Listing:
    """All flavors, the cheapest first.

    Attributes:
        flavors: The list.
        live: Whether the Hub said so now; otherwise it is the list that comes with this program.
        date: When it was so: ISO date of the list that comes with this program, "" for a live one.
    """

    flavors: tuple[Flavor, ...]
    live: bool
    date: str = ""

    def find(self, name: str) -> Flavor | None:
        """Return a flavor by its name."""
        return next((flavor for flavor in self.flavors if flavor.name == name), None)


@dataclass(frozen=True)
class Need:
    """What a run asks of a machine.

    Attributes:
        memory: Bytes on one GPU; None: not known.
        bf16: Whether it computes in bf16.
        gpu: Whether it needs a GPU.
    """

    memory: int | None = None
    bf16: bool = True
    gpu: bool = True


@dataclass(frozen=True)
class Misfit:
    """Why a flavor is not for a run.

    Attributes:
        why: cpu: it has no GPU; several: our workers are one process and use one GPU; bf16: its GPU cannot compute in
            it; memory: it has too little.
        need: Bytes needed, where memory is why.
        has: Bytes there are.
    """

    why: Why
    need: int = 0
    has: int = 0


def fits(flavor: Flavor, need: Need) -> Misfit | None:
    """Return why a flavor is not for a run, None when it is.

    Args:
        flavor: The machine.
        need: The run.
    """
    if need.gpu and not flavor.gpus:
        return Misfit("cpu")
    if flavor.gpus > 1:
        return Misfit("several")
    if need.bf16 and not flavor.bf16:
        return Misfit("bf16")
    if need.memory is not None and flavor.memory and need.memory > flavor.memory:
        return Misfit("memory", need.memory, flavor.memory)
    return None


def suggested(flavors: Sequence[Flavor], need: Need, wanted: str = DEFAULT) -> str:
    """Return the flavor to preselect: the one wanted if it fits, else the default, else the cheapest that fits.

    Args:
        flavors: All, the cheapest first.
        need: The run.
        wanted: Name of the one chosen so far.

    Returns:
        Its name, "" when none fits.
    """
    fitting = [flavor.name for flavor in flavors if fits(flavor, need) is None]
    return next((name for name in (wanted, DEFAULT) if name in fitting), fitting[0] if fitting else "")


class _Live:
    """The Hub's list, asked for in the background: a page does not wait long for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._asking = False
        self._waited = False
        self._next = float("-inf")
        self._found: tuple[Flavor, ...] = ()

    def get(self, ask: Callable[[], Any], patience: float) -> tuple[Flavor, ...]:
        """Return the list, empty when the Hub has not told it."""
        with self._guard:
            if not self._asking and time.monotonic() > self._next:
                self._asking, self._waited = True, False
                self._done.clear()
                threading.Thread(target=self._ask, args=(ask,), daemon=True, name="job-hardware").start()
        if not self._done.wait(0.0 if self._waited else patience):
            self._waited = True  # the Hub hangs (huggingface_hub 2.4 has no time limit here): one page waits, not all
        return self._found

    def _ask(self, ask: Callable[[], Any]) -> None:
        found: tuple[Flavor, ...] = ()
        try:
            found = tuple(sorted((_of(raw) for raw in ask()), key=_cheapest_first))
        except (StudioError, KeyError, TypeError, ValueError):  # not reached, or an answer of another form
            pass
        finally:
            with self._guard:
                self._found, self._asking = found, False
                self._next = time.monotonic() + (FRESH_S if found else AGAIN_S)
                self._done.set()

    def forget(self) -> None:
        """Ask again at the next call."""
        with self._guard:
            self._next = float("-inf")


_live: dict[Place, _Live] = {"job": _Live(), "space": _Live()}


def listing(place: Place = "job", patience: float = PATIENCE_S) -> Listing:
    """Return what can be rented: the Hub's list, or the one that comes with this program when the Hub does not tell.

    Args:
        place: For Jobs or for Spaces: neither list is the other's, nor are all prices.
        patience: Seconds to wait for the Hub.
    """
    token = client.token()  # read here: the thread that asks acts for nobody

    def ask() -> Any:
        with client.acting_as(token):
            return jobs.flavors() if place == "job" else spaces.flavors()

    found = _live[place].get(ask, patience)
    return Listing(found, live=True) if found else snapshot(place)


def forget() -> None:
    """Ask the Hub again at the next call of `listing`."""
    for live in _live.values():
        live.forget()


def snapshot(place: Place = "job") -> Listing:
    """Return the list that comes with this program.

    Args:
        place: For Jobs or for Spaces.
    """
    said = json.loads(_SNAPSHOT.read_text("utf-8"))
    found = [
        Flavor(
            row["name"],
            row["pretty"],
            row["gpu"],
            row["gpus"],
            _bytes(row["vram"]) // row["gpus"] if row["gpus"] else _bytes(row["ram"]),
            round(row["usd_per_hour"] / 60, 6),
        )
        for row in said["flavors"]
        if place == "job" or row["spaces"]
    ]
    return Listing(tuple(sorted(found, key=_cheapest_first)), live=False, date=said["date"])


def _of(raw: Any) -> Flavor:
    """Return one entry of `HfApi.list_jobs_hardware`; it names the memory of all its GPUs together."""
    if raw.unit_label != "minute":
        raise ValueError(f"{raw.name} is not paid by the minute but by the {raw.unit_label}.")
    gpus = int(raw.accelerator.quantity) if raw.accelerator else 0
    memory = _bytes(raw.accelerator.vram) // gpus if gpus else _bytes(raw.ram)
    gpu = str(raw.accelerator.model) if gpus else ""
    return Flavor(raw.name, raw.pretty_name, gpu, gpus, memory, raw.unit_cost_micro_usd / 1e6)


def _bytes(text: str) -> int:
    """Return a size such as “48 GB” in bytes, 0 where it does not say."""
    match = re.fullmatch(r"\s*([\d.,]+)\s*([MGT]B)\s*", str(text))
    return int(float(match[1].replace(",", "")) * _UNITS[match[2]]) if match else 0


def _cheapest_first(flavor: Flavor) -> tuple[float, str]:
    return flavor.price_per_minute, flavor.name
