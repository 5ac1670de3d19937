"""Every handler of the page, called by one visitor with what is another's: nothing of it comes out, nothing changes."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.base.settings import Settings
from pipeline.review.host import ArgillaHost
from pipeline.runs import launch
from pipeline.runs.kinds import kinds
from pipeline.studio import Studio
from pipeline.visit import ARGILLA, COMPUTE, Visit
from tests.handlers.conftest import Built, initial, page
from tests.projects import ended, evaluated, make_project, trained
from ui.evaluate import models
from ui.handlers import Asked, Wired

MARK = "zebrafish"  # stands in what is hers: pairs, runs, the model, the file; in none of its names
LEAST, SHOWING = 105, 4  # handlers there are at least, and those that show their owner what is marked


@dataclass(frozen=True)
class Person:
    """One visitor and what is theirs."""

    visit: Visit
    project: Project
    runs: dict[str, str]
    model: str
    file: str

    @functools.cached_property
    def names(self) -> dict[str, Any]:
        """What of theirs can be named, by what it is."""
        numbers = {f"number of {kind}": str(self.visit.run(run).number) for kind, run in self.runs.items()}
        things = {"project": self.project.name, "export": "pairs-of-" + self.visit.who, "model": self.model}
        return {**things, "file": self.file, "folder": str(self.project.folder), **self.runs, **numbers}


def settle(studio: Studio, who: str, folder: Path) -> Person:
    """Give a visitor one of everything."""
    visit = Visit(studio, who, may=frozenset({COMPUTE, ARGILLA}))
    mark = MARK if who == "ada" else "goldfish"
    project = make_project(visit.home, f"project-of-{who}", folder, pairs=16, mark=mark)
    (project.exports / "pairs").rename(project.exports / f"pairs-of-{who}")
    training = trained(visit.ledger, project, f"model-of-{who}")
    model = str((training.result or {})["model_path"])
    (Path(model) / "README.md").write_text(mark)
    evaluation = evaluated(visit.ledger, project, model)
    runs = {"train": training.id, "evaluate": evaluation.id}
    warning = [{"event": "warning", "message": mark}, {"event": "stage", "stage": "work", "message": mark}]
    for kind in kinds().keys() - runs.keys():
        spec = {"messages": [{"role": "user", "content": mark}], "models": [], "name": f"pairs-of-{who}"}
        result = {"name": f"pairs-of-{who}", "note": mark}
        runs[kind] = ended(visit.ledger, kind, project, f"{kind} {mark}", spec, events=warning, result=result).id
    visit.home.uploads.mkdir(parents=True, exist_ok=True)
    file = visit.home.uploads / f"file-of-{who}.jsonl"
    file.write_text(json.dumps({"prompt": mark, "chosen": mark, "rejected": mark}) + "\n")
    return Person(visit, project, runs, model, str(file))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    """Two visitors of one studio; neither supervisors nor Argilla are started."""
    folder = tmp_path_factory.mktemp("people")
    studio = Studio(Settings(home=folder / "home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "start_detached", lambda command, **more: None)
        patch.setattr(ArgillaHost, "start", lambda host: None)  # it would build and start a server
        patch.setattr(models, "PAUSE_S", 0.0)
        patch.setattr(gr, "Warning", lambda *words, **more: None)
        patch.setattr(gr, "Info", lambda *words, **more: None)
        yield settle(studio, "ada", folder / "ada"), settle(studio, "bob", folder / "bob")


def own(person: Person, name: str) -> Any:
    """Return what a part holds, on that person's page, by its name; None: what it holds at first."""
    last = name.rsplit(".", 1)[-1]
    known = {"project": person.project.name, "run": person.runs["train"], "dataset": f"pairs-of-{person.visit.who}"}
    known |= dict.fromkeys(("base_model", "base", "tuned"), person.model)
    known["kind"] = "path"  # of what is loaded: a file of this machine
    return known.get(last)


def fresh(wired: Wired, person: Person) -> dict[str, Any]:
    """Return what a handler is given on a visitor's page that shows what is theirs."""
    start = {name: initial(wired.parts[name]) for name in wired.inputs}
    start |= {name: mine for name in wired.inputs if (mine := own(person, name)) is not None}
    return {**start, "asked": Asked("page"), "event": clicked(person.names["number of train"])}


def attacks(wired: Wired, by: Person, of: Person) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a handler is given on a visitor's page, where one part after the other names what is another's."""
    start = fresh(wired, by)
    for what, secret in of.names.items():
        yield f"event: {what}", {**start, "event": clicked(secret)}
        for name in wired.inputs:
            if getattr(wired.parts[name], "multiselect", False):
                yield f"{name}: [{what}]", {**start, name: [secret]}
            elif name == "page.model":
                yield f"{name}: ({what})", {**start, name: (secret, 1.0)}
            elif isinstance(start[name], str | None) and not isinstance(wired.parts[name], gr.Radio):
                yield f"{name}: {what}", {**start, name: secret, "event": clicked(secret)}


def clicked(secret: str) -> Any:
    """Return an event's data that names something."""
    return SimpleNamespace(row_value=[secret] * 9, value=secret, input_value=secret, index=[0, 0], selected=True)


def text(update: Any) -> str:
    """Return all that an update shows."""
    if isinstance(update, dict):
        return " ".join(text(each) for pair in update.items() for each in pair)
    if isinstance(update, list | tuple | set):
        return " ".join(map(text, update))
    if isinstance(update, pd.DataFrame):
        return update.to_csv()
    if isinstance(update, gr.blocks.Block):
        return text(update.get_config())
    return str(update)


def belongings(person: Person) -> dict[str, tuple[int, int]]:
    """Return every file of theirs with its size and time of change, and their rows in the ledger."""
    runs = person.visit.ledger.list()
    files = [*person.visit.home.own.rglob("*"), *(file for run in runs for file in run.folder.rglob("*"))]
    found = {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()}
    return found | {repr(run): (run.number, 0) for run in runs}


def outcome(wired: Wired, person: Person, given: dict[str, Any]) -> str:
    """Return what a call shows: its updates, or what its refusal says."""
    try:
        return text(wired.handler(person.visit, given))
    except (StudioError, ValidationError) as error:
        return str(error)


def name_of(wired: Wired) -> str:
    """Return a handler's name."""
    return f"{wired.handler.__module__}.{wired.handler.__qualname__}"


def names_of(built: Built) -> list[str]:
    """Return each handler's name once."""
    return list(dict.fromkeys(map(name_of, built.wired)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each handler."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", names_of(page()))


def test_nothing_of_another_is_shown_or_changed(people: tuple[Person, Person], name: str) -> None:
    ada, bob = people
    before = belongings(ada)
    for wired in page().wired:
        if name_of(wired) == name:
            for what, given in attacks(wired, bob, ada):
                assert MARK not in outcome(wired, bob, given), what
    assert belongings(ada) == before


def test_there_are_many_handlers_and_some_show_their_owner_what_is_marked(people: tuple[Person, Person]) -> None:
    ada, bob = people
    shown = set()
    for wired in page().wired:
        for run in ada.runs.values() if any(name.endswith("run") for name in wired.inputs) else [""]:
            shows = {name: run for name in wired.inputs if name.endswith("run")}
            shows |= {name: ada.runs["answer"] for name in shows if name.startswith("answer.")}
            given = fresh(wired, ada) | shows
            if MARK in outcome(wired, ada, given):
                shown.add(name_of(wired))
    calls = sum(1 for wired in page().wired for _ in attacks(wired, bob, ada))
    print(f"{len(names_of(page()))} handlers are called {calls:,} times; {len(shown)} show their owner the marked word")
    assert len(names_of(page())) >= LEAST and len(shown) >= SHOWING, shown
