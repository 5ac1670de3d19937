"""A carrier and a kind of run from one file outside the tree: offered, carried and ended by a real supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from pydantic import ValidationError

from pipeline.base import members, words
from pipeline.base.home import open_home
from pipeline.base.options import readable
from pipeline.base.settings import Settings
from pipeline.command import main
from pipeline.hardware.pricing import JobOptions
from pipeline.runs import events, kinds, launch, places
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.view import look
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built
from tests.projects import make_project
from ui import layout
from ui.handlers import Wiring
from ui.parts import hardware, more_runs, run_view
from ui.train import history

ROOT = Path(__file__).resolve().parents[2]

FILE = '''
from pipeline.base.errors import StudioError
from pipeline.base.message import verbatim
from pipeline.command.follow import carried
from pipeline.command.frame import Command, project_argument
from pipeline.command.results import RunReport, code_of, report
from pipeline.command.runs import show_run
from pipeline.runs import events, launch
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


def dust_now(call):
    """Dust a project."""
    return report(carried(call, launch.start(call.visit.ledger, "dust", call.project().name, "Dust", {})))


COMMAND = Command("dust", RunReport, dust_now, show_run, project_argument, code_of)
'''


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

    with gr.Blocks():
        picker = hardware.build("train")
    assert picker.where.choices[-1] == ("The shelf", "shelf")
    given = {"hardware.where": "shelf", "hardware.flavor": None, "hardware.budget": 2}
    assert hardware.read(given).where == "shelf"


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command line as a person does, in a process of its own."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_training_from_the_command_line_is_carried_by_it(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(ledger.home, "rivers", tmp_path, pairs=64)
    main.main(["train", "--help"])
    assert "[local, job, space, shelf]" in " ".join(capsys.readouterr().out.split())
    done = command_line("train", project.name, "--where", "shelf", "--project-name", "whole", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["run"]
    assert (said["place"], said["state"], said["result"]) == ("shelf", "succeeded", {"shelved": "Train whole"})
    run = ledger.get(said["id"])
    assert [event["event"] for event in events.read(run.events).events] == ["progress", "done"]
    past = history.draw(Visit(Studio(Settings(home=ledger.home.path))), project)
    assert "The shelf" in str(past)
    assert not (project.models / "whole").exists()  # nothing of this machine has trained
    broken = command_line("train", project.name, "--where", "shelf", "--project-name", "broken")
    assert (broken.returncode, "The shelf broke." in broken.stdout) == (1, True), broken.stderr


def test_a_kind_is_started_followed_and_listed_on_the_command_line(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(ledger.home, "rivers", tmp_path)
    main.main(["--help"])
    assert "Dust a project." in capsys.readouterr().out
    done = command_line("dust", project.name, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["kind"], said["state"], said["result"]) == ("dust", "succeeded", {"dusted": "rivers"})
    main.main(["runs", "list", "--kind", "dust", "--json"])
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [each["id"] for each in listed] == [said["id"]]


def test_a_kind_is_shown_on_the_tab_that_it_names(ledger: Ledger, tmp_path: Path) -> None:

    project = make_project(ledger.home, "rivers", tmp_path)
    studio = Studio(Settings(home=ledger.home.path))
    wiring = Wiring(lambda request: Visit(studio), whole=True)
    layout.build(studio, wiring)
    page, visit = Built(wiring.wired), Visit(studio)
    assert page.call(more_runs.latest, visit, page__project=project.name) == {"more.runs.dust": ""}
    run = ended(ledger, launch.start(ledger, "dust", project.name, "Dust", {}))
    assert page.call(more_runs.latest, visit, page__project=project.name) == {"more.runs.dust": run.id}
    drawn = run_view.shown(visit, {"run": run.id, "ended": ""})
    assert "Dust" in drawn["card"] and "Dusting" in drawn["log"] and drawn["ended"] == run.id


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
