"""A carrier and a kind of run from one file outside the tree: offered, carried and ended by a real supervisor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.base import members, words
from pipeline.base.home import open_home
from pipeline.base.options import readable
from pipeline.hardware.pricing import JobOptions
from pipeline.runs import events, kinds, launch, places
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.view import look

FILE = """
from pipeline.base.errors import StudioError
from pipeline.base.message import verbatim
from pipeline.runs import events
from pipeline.runs.kinds import RunKind
from pipeline.runs.ledger import State
from pipeline.runs.places import Carrier
from pipeline.runs.task import Cancelled

SHELF = Carrier("shelf", title="The shelf", carry=f"{__name__}:shelve", kinds=("train",))
DUST = RunKind("dust", tab="dataset", task=f"{__name__}:dust", places=("local", "shelf"))


def shelve(ledger, run):
    if run.stop_file.exists():
        raise Cancelled
    if "broken" in run.title:
        raise StudioError(verbatim("The shelf broke."))
    ledger.set_state(run.id, State.RUNNING)
    events.append(run.events, "progress", stage="shelve", done=1, total=1, unit="boards")
    if "forgotten" not in run.title:
        events.append(run.events, "done", shelved=run.title)
        ledger.end(run.id, State.SUCCEEDED, result={"shelved": run.title})


def dust(spec, reporter):
    reporter.stage("dust", "verbatim", what="Dusting", why="", next="")
    return {"dusted": spec["project"]}
"""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "shelf.py").write_text(FILE)
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(tmp_path / "extensions"))
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    forget()
    yield Ledger(open_home(tmp_path / "home"))
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (kinds.kinds, places.carriers, words.catalogues, members._extensions):
        cached.cache_clear()


def ended(ledger: Ledger, run: Run) -> Run:
    deadline = time.monotonic() + 120
    while ledger.get(run.id).active and time.monotonic() < deadline:
        time.sleep(0.1)
    return ledger.get(run.id)


def test_a_carrier_of_one_file_is_offered_where_places_are_chosen(ledger: Ledger) -> None:
    assert [carrier.name for carrier in places.offered("train")][-1] == "shelf"
    assert [str(carrier.called) for carrier in places.offered("dust")] == ["This machine", "The shelf"]
    assert [carrier.name for carrier in places.offered("export")] == ["local"]
    assert JobOptions(where="shelf").place == {"place": "shelf"}
    assert JobOptions().place == {}


def test_it_is_a_choice_of_the_page_and_of_the_command_line(ledger: Ledger) -> None:
    import gradio as gr

    from ui.parts import hardware

    with gr.Blocks():
        picker = hardware.build("train")
    assert picker.where.choices[-1] == ("The shelf", "shelf")
    given = {"hardware.where": "shelf", "hardware.flavor": None, "hardware.budget": 2}
    assert hardware.read(given).where == "shelf"


def test_a_place_that_is_not_there_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValidationError) as caught:
        JobOptions(where="moon")
    assert "no place “moon”" in readable(caught.value).why


def test_its_runs_are_carried_to_their_ends(ledger: Ledger) -> None:
    started = {
        title: launch.start(ledger, "dust", "p", title, {"place": "shelf", "title": title})
        for title in ("whole", "broken", "forgotten")
    }
    seen = {title: ended(ledger, run) for title, run in started.items()}
    assert (seen["whole"].state, seen["whole"].result) == (State.SUCCEEDED, {"shelved": "whole"})
    assert (seen["broken"].state, str(seen["broken"].problem)) == (State.FAILED, "The shelf broke.")
    assert events.read(seen["broken"].events).events[-1]["event"] == "error"
    assert (seen["forgotten"].state, seen["forgotten"].problem is not None) == (State.FAILED, True)


def test_a_kind_of_one_file_is_done_on_this_machine(ledger: Ledger) -> None:
    run = ended(ledger, launch.start(ledger, "dust", "p", "Dust", {}))
    assert (run.state, run.result) == (State.SUCCEEDED, {"dusted": "p"})
    shown = look(ledger, run.id)
    assert shown is not None and "Dusting" in shown.log


def test_a_run_whose_carrier_is_gone_says_so(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "extensions" / "shelf.py").write_text("")
    forget()
    run = ended(ledger, launch.start(ledger, "dust", "p", "Dust", {"place": "shelf"}))
    assert run.state is State.FAILED and run.problem is not None
    assert "carry a run to “shelf”" in run.problem.what
