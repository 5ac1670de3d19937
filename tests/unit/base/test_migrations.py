"""An older home is brought to the present layout by named steps."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.base import migrations, project
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.runs.ledger import Ledger, State

COLUMNS = (
    "number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, kind TEXT NOT NULL,"
    " project TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,"
    " worker TEXT, problem TEXT, result TEXT"
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A home as the first version made it."""
    (tmp_path / "schema").write_text("1\n")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute(f"CREATE TABLE runs ({COLUMNS})")
        ledger.execute(
            "INSERT INTO runs (id, request, kind, project, title, state, created) VALUES ('a','r','train','p','t',?, 1)",
            (State.SUCCEEDED,),
        )
    return tmp_path


def schema(home: Path) -> int:
    return int((home / "schema").read_text())


def test_every_step_says_what_it_does_and_why() -> None:
    assert all(step.__doc__ and len(step.__name__) > 10 for step in migrations.STEPS)
    assert len({step.__name__ for step in migrations.STEPS}) == len(migrations.STEPS)


def test_a_new_home_has_the_latest_layout(tmp_path: Path) -> None:
    open_home(tmp_path / "home")
    assert schema(tmp_path / "home") == migrations.LATEST


def test_an_old_homes_runs_gain_place_user_and_owner(old: Path) -> None:
    for _ in range(2):
        ledger = Ledger(open_home(old))
    (run,) = ledger.list()
    assert (run.id, run.place, run.user, run.owner) == ("a", "local", "", "local")
    assert schema(old) == migrations.LATEST
    assert ledger.add("export", "p", "t", {"place": "job", "user": "ada"})[0].place == "job"


def test_a_ledger_that_gained_columns_before_they_were_counted(old: Path) -> None:
    with closing(sqlite3.connect(old / "ledger.db")) as ledger, ledger:
        ledger.execute("ALTER TABLE runs ADD COLUMN place TEXT NOT NULL DEFAULT 'job'")
    assert Ledger(open_home(old)).list()[0].place == "job"


def test_a_migration_that_was_interrupted_goes_on(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(home: Path) -> None:
        raise OSError("no space")

    steps = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", (*steps[:1], fails, *steps[2:]))
    with pytest.raises(StudioError, match="no space"):
        open_home(old)
    assert schema(old) == migrations.FIRST + 1
    monkeypatch.setattr(migrations, "STEPS", steps)
    assert Ledger(open_home(old)).list()[0].owner == "local"


def test_two_that_open_an_old_home_at_once_do_each_step_once(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def counted(step: migrations.Step) -> migrations.Step:
        def do(home: Path) -> None:
            done.append(step.__name__)
            step(home)

        return do

    monkeypatch.setattr(migrations, "STEPS", tuple(counted(step) for step in migrations.STEPS))
    both = [threading.Thread(target=open_home, args=(old,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(done) == len(set(done)) == len(migrations.STEPS)


def test_a_home_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "schema").write_text("99\n")
    with pytest.raises(StudioError, match="newer version"):
        open_home(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["schema"]


def test_an_owners_folders_are_made_when_first_needed(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    ada = home.of("ada")
    assert project.names(ada) == []
    assert not (tmp_path / "people").exists()
    made = project.create(ada, "mine")
    assert made.folder == tmp_path / "people" / "ada" / "projects" / "mine"
    assert (project.names(ada), project.names(home)) == (["mine"], [])
