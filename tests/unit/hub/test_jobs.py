"""What is sent to a Job, what its output means however often it is read, and what its end means."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import JobInfo

from pipeline.base import install
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.carriers import bundle, job, job_end
from pipeline.carriers.follow import Follower
from pipeline.engines.job import run as script
from pipeline.hub import client, jobs
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State

JOB = {"flavor": "l40sx1", "namespace": "ada", "timeout": 1200, "price_per_minute": 0.03}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_home(tmp_path / "home"))


def spec(**more: Any) -> dict[str, Any]:
    return {
        "place": "job",
        "user": "ada",
        "job": JOB,
        "base_model": "ada/tiny",
        "output_dir": "/home/ada/models",
        "remote": {
            "engine": "autotrain",
            "overrides": {"output_dir": "output"},
            "upload": None,
            "fetch": "/home/ada/e",
        },
        **more,
    }


def add(ledger: Ledger, **more: Any) -> tuple[Run, dict[str, Any]]:
    run = ledger.add("train", "p", "Train it", spec(**more))[0]
    return run, json.loads(run.spec.read_text())


def line(seq: int, at: int, event: str = "step", **more: Any) -> str:
    return "@@EVT " + json.dumps({"ts": 1.0, "event": event, "seq": seq, "at": at, **more})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "events.jsonl", tmp_path / "log.txt"


def seqs(file: Path) -> list[int]:
    return [event["seq"] for event in events.read(file).events]


STREAM = ["Installed 20 packages", line(1, 0), "a", "b", line(2, 2), line(3, 2), "c", "d", line(4, 4, "done")]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_anywhere_gives_each_event_and_line_once(files: tuple[Path, Path], cut: int) -> None:
    follower = Follower(*files)
    for part in (STREAM[:cut], STREAM):
        follower.begin()
        for text in part:
            follower.feed(text)
    assert seqs(files[0]) == [1, 2, 3, 4]
    assert files[1].read_text().splitlines() == ["a", "b", "c", "d"]
    assert follower.complete


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_supervisor_that_begins_again_knows_what_was_written(files: tuple[Path, Path], cut: int) -> None:
    first = Follower(*files)
    for text in STREAM[:cut]:
        first.feed(text)
    with files[1].open("a") as log:
        log.write("tor")  # killed in the middle of a line
    second = Follower(*files)
    for text in STREAM:
        second.feed(text)
    assert seqs(files[0]) == [1, 2, 3, 4]
    assert files[1].read_text().splitlines() == ["a", "b", "c", "d"]


def test_a_replay_that_has_lost_its_head_is_placed_by_its_events(files: tuple[Path, Path]) -> None:
    follower = Follower(*files)
    for text in STREAM[:6]:
        follower.feed(text)
    follower.begin()
    for text in STREAM[3:]:
        follower.feed(text)
    assert files[1].read_text().splitlines() == ["a", "b", "c", "d"]


def test_an_event_torn_on_its_way_is_fetched_from_the_store(files: tuple[Path, Path]) -> None:
    follower = Follower(*files)
    torn = line(2, 1, "ready", text="x" * 50)
    for text in (line(1, 0), "a", torn[:30], torn[30:], "b", line(3, 2, "done")):
        follower.feed(text)
    assert seqs(files[0]) == [1, 3]
    assert files[1].read_text().splitlines() == ["a", "b"]
    assert not follower.complete
    follower.take(json.loads(torn.removeprefix("@@EVT ")))
    assert follower.complete


def test_what_came_before_the_first_word_is_kept_when_there_is_none(files: tuple[Path, Path]) -> None:
    follower = Follower(*files)
    for text in ("error: no solution found", "hint: check the index"):
        follower.feed(text)
    follower.give_up()
    assert files[1].read_text().splitlines() == ["error: no solution found", "hint: check the index"]


def test_no_token_gets_through(files: tuple[Path, Path]) -> None:
    follower = Follower(*files)
    follower.feed(line(1, 0, "warning", message='Bearer hf_abcdefghijklmnop "quoted"', parts=["hf_abcdefghijklmnop"]))
    follower.feed("token=hf_abcdefghijklmnop")
    assert "hf_abc" not in files[0].read_text() + files[1].read_text()
    assert seqs(files[0]) == [1]


def test_the_script_counts_as_the_follower_reads(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = script.Relay(tmp_path, "hf_secret")
    relay.emit("stage", stage="install", message="with hf_secret")
    for text in ("one", "", "   ", "10%\r50%\rtwo hf_secret"):
        relay.line(text)
    relay.pass_on({"ts": 2.0, "event": "step", "step": 1})
    printed = capsys.readouterr().out
    follower = Follower(tmp_path / "read.jsonl", tmp_path / "read.txt")
    for text in printed.splitlines():
        follower.feed(text)
    assert "hf_secret" not in printed
    assert (tmp_path / "read.txt").read_text() == (tmp_path / "log.txt").read_text() == "one\ntwo ***\n"
    assert [event["event"] for event in events.read(tmp_path / "read.jsonl").events] == ["stage", "step"]


def test_the_bundle_is_whole_and_names_nothing_of_this_machine(ledger: Ledger) -> None:
    run, full = add(ledger)
    sent = bundle.files(run, full)
    assert {"run.json", "spec.json", "engine/worker.py", "engine/lock.txt"} <= set(sent)
    worker, told = json.loads(sent["spec.json"]), json.loads(sent["run.json"])
    assert worker == {
        "kind": "train",
        "base_model": "ada/tiny",
        "output_dir": "output",
        "events": "-",
        "stop_file": "stop",
    }
    assert told["job"]["torch"] == install.TORCH
    assert (told["job"]["timeout"], told["job"]["soft_stop"]) == (1200, 1020)
    assert told["spec"]["base_model"] == "ada/tiny"
    for name in ("run.json", "spec.json"):
        assert b"/home/ada" not in sent[name]
        assert str(ledger.home.path).encode() not in sent[name]


def test_a_local_path_or_a_token_is_not_sent(ledger: Ledger) -> None:
    run, full = add(ledger, models=[{"role": "base", "path": "/home/ada/model"}])
    with pytest.raises(StudioError, match=r"models\.0\.path"):
        bundle.files(run, full)
    run, full = add(ledger, prompt="hf_TheTokenThatIsNotToBeSent")
    with client.acting_as("hf_TheTokenThatIsNotToBeSent"), pytest.raises(StudioError, match="token"):
        bundle.files(run, full)


@pytest.mark.parametrize(("timeout", "soft"), [(100, 50), (180, 120), (1200, 1020), (7200, 6600), (86400, 85800)])
def test_the_soft_stop_leaves_time_to_save(timeout: float, soft: float) -> None:
    assert bundle.soft_stop(timeout) == soft


def test_the_script_fits_its_variable_and_pins_the_app_s_library() -> None:
    text = job.SCRIPT.read_text()
    assert len(text) * 4 / 3 < jobs.SCRIPT_BYTES
    pinned = re.search(r'"huggingface_hub==([\d.]+)"', text)
    assert pinned is not None
    assert pinned.group(1) == version("huggingface_hub")


def ended(stage: str, message: str = "", seconds: int = 30) -> JobInfo:
    """A Job as the Hub describes it."""
    return JobInfo(
        id="1",
        owner={"id": "1", "name": "ada", "type": "user"},
        status={"stage": stage, "message": message},
        durations={"runningSecs": seconds},
    )


@pytest.mark.parametrize(
    ("info", "end", "state", "words"),
    [
        (ended("COMPLETED"), {"event": "done", "repo": "ada/x"}, State.SUCCEEDED, ""),
        (ended("ERROR", "Job timeout"), {"event": "done", "repo": "ada/x"}, State.SUCCEEDED, ""),
        (None, {"event": "done", "repo": "ada/x"}, State.SUCCEEDED, ""),
        (ended("ERROR", "Job timeout"), None, State.FAILED, "time limit"),
        (ended("ERROR", "Job timeout"), {"event": "cancelled"}, State.FAILED, "time limit"),
        (ended("ERROR", "", 1200), None, State.FAILED, "time limit"),
        (ended("ERROR", "Pod was evicted"), {"event": "cancelled"}, State.FAILED, "taken off"),
        (ended("ERROR", "insufficient credits"), None, State.FAILED, "out of credit"),
        (ended("ERROR", "OOMKilled"), None, State.FAILED, "out of memory"),
        (ended("ERROR", "exit code 1"), {"event": "error", "message": "no data"}, State.FAILED, "no data"),
        (ended("ERROR", "exit code 3"), None, State.FAILED, "Job failed"),
        (ended("COMPLETED"), None, State.FAILED, "without saying how"),
        (ended("COMPLETED"), {"event": "cancelled"}, State.CANCELLED, "cancelled on the Hub"),
        (ended("CANCELED"), None, State.CANCELLED, "cancelled on the Hub"),
        (ended("DELETED"), None, State.LOST, "gone"),
        (None, None, State.LOST, "gone"),
    ],
)
def test_what_an_end_means(
    ledger: Ledger, info: JobInfo | None, end: dict[str, Any] | None, state: State, words: str
) -> None:
    run, _ = add(ledger)
    ledger.set_worker(run.id, {"job": "1", "namespace": "ada", "timeout": 1200})
    got, problem, result = job_end.conclude(ledger.get(run.id), info, end)
    assert got is state
    assert words in (problem.what if problem else "")
    assert bool(problem) is bool(words)
    assert result == ({"repo": "ada/x"} if state is State.SUCCEEDED else None)


def test_a_stop_asked_for_here_is_no_problem(ledger: Ledger) -> None:
    run, _ = add(ledger)
    run.stop_file.touch()
    assert job_end.conclude(run, ended("CANCELED"), None) == (State.CANCELLED, None, None)
