"""Loads as runs: asked for, gone on with once somebody has said which column is what, and what became of one.

A load belongs to no project: it makes one. In the ledger its project is "".
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.message import Message, message
from pipeline.dataset import kept
from pipeline.dataset.recognise import Mapping
from pipeline.hub import account, client
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run, State

FIRST = 5  # rows shown to whoever has to say which column is what
_CUT = 200  # characters of one of their values
_WAITING = 4  # loads whose rows are kept for that, of one owner


class LoadOptions(BaseModel, extra="forbid"):
    """What is to be loaded."""

    kind: Literal["sample", "file", "upload", "hub", "kept"] = Field(
        description="The sample; a file of this machine; one taken by `taken`; a dataset of the Hub; an earlier load's."
    )
    path: str = Field("", description="The file.")
    name: str = Field("", description="Id of the dataset on the Hub.")
    config: str = Field("", description="Its configuration; empty: the first.")
    split: str = Field("", description="Its split; empty: train, or the first.")
    revision: str = Field("", description="Its branch, tag or commit; empty: main.")
    limit: int | None = Field(None, ge=1, description="Rows read at most, the first ones; empty: all.")
    run: str = Field("", description="Id of the load whose rows were kept.")
    by_hand: bool = Field(False, description="Whether somebody says which column is what in any case.")
    mapping: Mapping | None = Field(None, description="Which column is what; empty: recognise it.")

    @property
    def said(self) -> str:
        """Name of what is loaded."""
        return self.name or Path(self.path).name or self.kind


@dataclass(frozen=True)
class Outcome:
    """What became of a load.

    Attributes:
        project: Name of the project made; "" where somebody has to say which column is what.
        pairs: Its pairs.
        bad_rows: Its rows that are none.
        recognised: How the data was read.
        notes: What the reader should know.
        columns: Names of the columns to choose from.
        first: The first rows, a value for each column.
        guess: A proposal.
        why: Why the layout is not recognised; None where it is.
    """

    project: str
    pairs: int
    bad_rows: int
    recognised: Message | None
    notes: tuple[Message, ...]
    columns: tuple[str, ...]
    first: tuple[tuple[str, ...], ...]
    guess: Mapping | None
    why: Message | None = None


def taken(home: Home, cached: Path) -> Path:
    """Take an uploaded file out of the web server's folder, for a load of the kind upload.

    Args:
        home: Its owner's home.
        cached: Where the web server put it; it is gone afterwards.
    """
    folder = home.uploads / secrets.token_hex(8)
    folder.mkdir(mode=0o700, parents=True)
    moved = Path(shutil.move(cached, folder / cached.name))
    if not any(cached.parent.iterdir()):  # Gradio 6.31 makes a folder per upload; another file may be in it
        cached.parent.rmdir()
    return moved


def start(ledger: Ledger, wanted: LoadOptions) -> Run:
    """Start a load; the same one asked for twice is started once.

    Args:
        ledger: Its owner's ledger.
        wanted: What is to be loaded. Whether its owner may read a file of this machine is for the caller to decide.
    """
    kept.forget(run.folder for run in ledger.list(kind="load")[_WAITING - 1 :] if not run.active)
    spec: dict[str, object] = {"wanted": wanted.model_dump(mode="json"), "user": _user(wanted)}
    return launch.start(ledger, "load", "", message("load.title", name=wanted.said), spec)


def go_on(ledger: Ledger, run: Run, mapping: Mapping) -> Run:
    """Go on with a load that needed its columns; what it read is read again, not fetched again.

    Args:
        ledger: Its owner's ledger.
        run: The load.
        mapping: Which column is what.

    Raises:
        StudioError: What it read is not kept any more.
    """
    if not kept.there(run.folder):
        raise StudioError("load.forgotten")
    return start(ledger, LoadOptions(kind="kept", run=run.id, name=_name(run), mapping=mapping))


def outcome(run: Run) -> Outcome | None:
    """Return what became of a load; None while it runs, or where it did not succeed: see its problem."""
    found: dict[str, Any] = run.result or {}
    if run.state is not State.SUCCEEDED:
        return None
    return Outcome(
        project=found.get("project", ""),
        pairs=found.get("pairs", 0),
        bad_rows=found.get("bad_rows", 0),
        recognised=Message.from_dict(found["recognised"]) if found.get("recognised") else None,
        notes=tuple(Message.from_dict(note) for note in found.get("notes", ())),
        columns=tuple(found.get("columns", ())),
        first=tuple(tuple(row) for row in found.get("first", ())),
        guess=Mapping.model_validate(found["guess"]) if found.get("guess") else None,
        why=Message.from_dict(found["why"]) if found.get("why") else None,
    )


def made(run: Run) -> str:
    """Return the name of the project that a load has made, "" while there is none."""
    found = outcome(run)
    return found.project if found is not None else ""


def cut(value: object) -> str:
    """Return a value as one of `Outcome.first`."""
    return "" if value is None else str(value)[:_CUT]


def _name(run: Run) -> str:
    return str(run.named.values.get("name", ""))


def _user(wanted: LoadOptions) -> str:
    """Return the account whose token a load needs: the one signed in, for the Hub."""
    if wanted.kind != "hub" or client.token() is None:
        return ""
    try:
        who = account.current()
    except StudioError:  # the Hub is not reached: the load will say so
        return ""
    return who.name if who is not None else ""
