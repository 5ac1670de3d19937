"""Ledger, what an end means, folding."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from pipeline.base.home import Home, open_home
from pipeline.base.message import message, verbatim
from pipeline.base.words import speaking
from pipeline.carriers import local
from pipeline.hub import client
from pipeline.runs import events, launch, task
from pipeline.runs.kinds import RunKind, kinds
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.process import Identity
from pipeline.runs.view import Folded, fold


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger(home)


def add(ledger: Ledger, kind: str = "export", **spec: object) -> Run:
    return ledger.add(kind, "p", "title", spec)[0]


def test_asking_twice_while_active_gives_one_run(ledger: Ledger) -> None:
    first, new = ledger.add("train", "p", "a", {"x": 1})
    again, newer = ledger.add("train", "p", "a", {"x": 1})
    other, newest = ledger.add("train", "p", "a", {"x": 2})
    assert (new, newer, newest) == (True, False, True)
    assert again.id == first.id != other.id
    ledger.end(first.id, State.CANCELLED)
    assert ledger.add("train", "p", "a", {"x": 1})[0].id != first.id


def test_two_runs_of_one_second_have_ids_and_specs_of_their_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(drawn))
    first, second = add(ledger, x=1), add(ledger, x=2)
    assert first.id != second.id
    assert [json.loads(run.spec.read_text())["x"] for run in (first, second)] == [1, 2]


def test_what_was_asked_says_whether_it_is_the_same_run(ledger: Ledger) -> None:
    asked = {"options": 1}
    first, _ = ledger.add("train", "p", "a", lambda run_id: {"folder": run_id}, asked)
    again, new = ledger.add("train", "p", "a", {"price": 2}, asked)
    assert (again.id, new) == (first.id, False)
    assert json.loads(first.spec.read_text())["folder"] == first.id
    same = ledger.asked("train", "p", asked)
    assert same is not None and same.id == first.id
    assert ledger.asked("train", "q", asked) is ledger.of("ada").asked("train", "p", asked) is None
    ledger.end(first.id, State.CANCELLED)
    assert ledger.asked("train", "p", asked) is None


def test_the_first_end_wins(ledger: Ledger) -> None:
    run = add(ledger)
    ledger.end(run.id, State.FAILED, problem=verbatim("what", "why", "next"))
    ledger.end(run.id, State.SUCCEEDED, result={"a": 1})
    ledger.set_state(run.id, State.RUNNING)
    seen = ledger.get(run.id)
    assert (seen.state, seen.problem, seen.result) == (State.FAILED, verbatim("what", "why", "next"), None)


def test_title_and_problem_are_said_in_the_readers_language(ledger: Ledger) -> None:
    kind = message("spend.kind.train")
    run = ledger.add("train", "p", message("job.title", kind=kind, project="p"), {})[0]
    ledger.end(run.id, State.LOST, problem=message("run.lost"))
    seen = ledger.get(run.id)
    assert (seen.title, seen.problem and seen.problem.what) == ("Training p", "The run ended without a trace.")
    with speaking("zh"):
        assert (seen.title, seen.problem and seen.problem.why) == ("训练 p", "机器可能曾被关闭。")


def test_a_row_of_an_older_studio_is_shown_as_it_stands(ledger: Ledger) -> None:
    run = add(ledger)
    problem = json.dumps({"what": "It failed.", "why": "So.", "next": "Do."})
    with sqlite3.connect(ledger.home.ledger) as connection:
        connection.execute("UPDATE runs SET title = '{Train} x', problem = ?", (problem,))
    seen = ledger.get(run.id)
    assert (seen.title, str(seen.problem)) == ("{Train} x", "It failed. So. Do.")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "warning", "code": "job.silent", "values": {}}, "The Hub is not reached. The Job goes on"),
        ({"event": "warning", "message": "old words"}, "old words"),
        ({"event": "error", "message": "no", "type": "ValueError"}, "no ValueError"),
        ({"event": "error", "message": "no", "type": "ValueError", "next": "do"}, "no do"),
        ({"event": "error", "type": "ValueError"}, "ValueError"),
        ({"event": "stage", "code": "of.a.newer.one", "values": {"n": 3}}, "of.a.newer.one n: 3"),
        ({"event": "stage", "code": "job.sending", "values": None}, "job.sending"),
    ],
)
def test_what_an_event_says(event: events.Event, said: str) -> None:
    assert str(events.said({"ts": 1.0, **event})).startswith(said)


def test_an_event_can_say_something_about_a_message(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    cause = message("run.exit", code=3, log="boom")
    events.tell(file, "error", message("job.reported", problem=cause), type="Exit")
    said = events.said(events.read(file).events[0])
    assert (said.why, said.next) == ("boom", "Nothing is billing any more.")


def test_list_is_newest_first_and_filters(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger, "train")
    assert [run.id for run in ledger.list()] == [second.id, first.id]
    assert [run.id for run in ledger.list(limit=1)] == [second.id]
    assert [run.id for run in ledger.list(kind="export")] == [first.id]
    ledger.end(second.id, State.SUCCEEDED)
    assert [run.id for run in ledger.list(active=True)] == [first.id]
    assert ledger.latest("p", "train") == ledger.get(second.id)
    assert ledger.latest("q", "train") is None


@pytest.mark.parametrize(
    ("end", "code", "state", "words"),
    [
        ({"event": "done", "value": 3}, 0, State.SUCCEEDED, ""),
        ({"event": "done", "value": 3}, None, State.SUCCEEDED, ""),
        ({"event": "cancelled"}, 130, State.CANCELLED, ""),
        (
            {"event": "error", "message": "no data", "type": "ValueError", "next": "add rows"},
            1,
            State.FAILED,
            "no data",
        ),
        (None, -9, State.FAILED, "killed (SIGKILL)"),
        (None, -11, State.FAILED, "SIGSEGV"),
        (None, 3, State.FAILED, "exit code 3"),
        ({"event": "done"}, 1, State.FAILED, "exit code 1"),
        (None, None, State.LOST, "without a trace"),
    ],
)
def test_what_an_end_means(
    ledger: Ledger, end: dict[str, object] | None, code: int | None, state: State, words: str
) -> None:
    run = add(ledger)
    if end:
        values = dict(end)
        events.append(run.events, str(values.pop("event")), **values)
    got, problem, result = local.conclude(run, code, peak=3 << 30)
    assert got is state
    assert words in (problem.what if problem else "")
    assert result == ({"value": 3} if state is State.SUCCEEDED else None)


def test_a_memory_limit_is_named(ledger: Ledger) -> None:
    _, problem, _ = local.conclude(add(ledger), -9, peak=3 << 30, ooms=1)
    assert problem is not None
    assert "out of memory" in problem.what
    assert "eak 3.0" in problem.why


def test_identity_knows_a_process_from_a_later_one_of_its_number() -> None:
    me = Identity.of(os.getpid())
    assert Identity.from_dict(me.as_dict()).process() is not None
    assert Identity(me.boot, me.pid, me.start - 5).process() is None
    assert Identity("another boot", me.pid, me.start).process() is None


def test_folding_gives_rate_and_time_left() -> None:
    folded = Folded()
    folded.add({"ts": 100.0, "event": "stage", "stage": "import", "message": "Importing"})
    folded.add({"ts": 100.0, "event": "progress", "done": 0, "total": 100, "unit": "records"})
    folded.add({"ts": 104.0, "event": "progress", "done": 40, "total": 100, "unit": "records"})
    assert folded.progress is not None
    assert (folded.progress.rate, folded.progress.left, folded.progress.share) == (10.0, 6.0, 0.4)
    assert folded.progress.counted == "records"  # an extension's own
    folded.add({"ts": 104.0, "event": "step", "step": 1, "max_steps": 2})
    with speaking("zh"):
        assert folded.progress.amount == "1 / 2 步"
    folded.add({"ts": 104.5, "event": "progress", "done": 1000, "total": 0, "unit": "rows"})  # nobody knows of how many
    folded.add({"ts": 104.6, "event": "progress", "done": 2000, "total": 0, "unit": "rows"})
    assert (folded.progress.amount, folded.progress.left, folded.progress.share) == ("2,000 rows", None, 0.0)
    folded.add({"ts": 105.0, "event": "stage", "stage": "check", "message": "Checking"})
    assert folded.progress is None


def test_fold_reads_only_what_is_new(ledger: Ledger) -> None:
    run = add(ledger)
    events.append(run.events, "log", step=1, loss=2.0)
    assert len(fold(run).metrics) == 1
    events.append(run.events, "log", step=2, loss=1.0)
    assert [entry["step"] for entry in fold(run).metrics] == [1, 2]


def test_a_run_from_another_disk_is_taken_in_once(ledger: Ledger) -> None:
    run_id, worker = "train-20261122-120000-abcd", {"job": "1", "namespace": "ada"}
    spec: dict[str, object] = {"place": "job", "user": "ada", "project_name": "x"}
    run, new = ledger.adopt(run_id, "train", "p", "Train x", 5.0, spec, worker)
    again, newer = ledger.adopt(run_id, "train", "p", "Train x", 5.0, spec, worker)
    assert (new, newer, again) == (True, False, run)
    assert (run.state, run.created, run.place, run.user, run.worker) == (State.STARTING, 5.0, "job", "ada", worker)
    assert json.loads(run.spec.read_text())["project_name"] == "x"
    with pytest.raises(ValueError, match="no id"):
        ledger.adopt("../../etc", "train", "p", "t", 5.0, spec, worker)


def test_only_runs_on_this_machine_take_turns(ledger: Ledger) -> None:
    assert add(ledger, "train").takes_turns
    assert not add(ledger, "train", place="job").takes_turns
    assert not add(ledger, "export").takes_turns


TOKEN = "hf_AnyTokenOfThisTest"


def test_a_run_that_names_no_user_sees_no_token(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in client.TOKEN_VARIABLES:
        monkeypatch.setenv(name, TOKEN)
    with client.acting_as(TOKEN):
        plain, named = launch.environment(add(ledger)), launch.environment(add(ledger, user="ada"))
    without = launch.environment(ledger.list()[0])
    assert TOKEN not in plain.values()
    assert plain[launch.IMPLICIT] == without[launch.IMPLICIT] == "1"
    assert [name for name, value in named.items() if value == TOKEN] == ["HF_TOKEN"]
    assert launch.IMPLICIT not in named
    assert TOKEN not in without.values()


def test_a_hub_that_does_not_say_who_asks_leaves_the_run_as_it_is(ledger: Ledger) -> None:
    run = add(ledger, user="ada")
    with client.acting_as(TOKEN):  # no Hub answers at this test's address
        launch.revive(ledger)
    assert ledger.get(run.id).state is State.QUEUED
    assert not launch.has_supervisor(run)


def test_a_task_speaks_to_the_hub_with_the_runs_token(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def task_of_a_test(spec: dict[str, object], reporter: task.Reporter) -> dict[str, object]:
        seen.update(token=client.token(), variable=os.environ.get("HF_TOKEN"))
        return {}

    monkeypatch.setattr(sys.modules[__name__], "task_of_a_test", task_of_a_test, raising=False)
    monkeypatch.setitem(kinds(), "export", RunKind("export", "export", task=f"{__name__}:task_of_a_test"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert task.main(str(add(ledger).spec)) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == {"token": TOKEN, "variable": None}
