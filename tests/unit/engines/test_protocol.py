"""The protocol of all workers: one writer, true exit codes, words that are there."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import engines
from pipeline.base import install
from pipeline.base.message import Message
from pipeline.carriers import bundle
from pipeline.engines import protocol
from pipeline.runs import events
from tests.unit.test_documents import locale

FLOOR = Path(engines.__file__).parent
WORKER = """
import sys, time
sys.path.append(sys.argv[2])
import protocol

def work(spec, reporter):
    reporter.stage("loading", "engines.loading", about={"model": "base"}, model="tiny")
    reporter.warning("engines.fp16_ignored")
    if spec["do"] == "problem":
        raise protocol.Problem("engines.no_folder", folder="x")
    if spec["do"] == "error":
        raise KeyError("missing")
    if spec["do"] == "exit":
        raise SystemExit(3)
    if spec["do"] == "stop":
        reporter.progress("loading", 1, 2, "pairs")
    if spec["do"] == "wait":
        try:
            time.sleep(60)
        except BaseException as error:
            raise RuntimeError("a library's own words for being interrupted") from error
    return {"loss": float("nan"), "steps": 2}

protocol.leave(protocol.run(sys.argv[1], work, {"python": "3"}))
"""


def start(folder: Path, do: str) -> subprocess.Popen[bytes]:
    (folder / "worker.py").write_text(WORKER)
    spec = {"do": do, "events": str(folder / "events.jsonl"), "stop_file": str(folder / "stop")}
    (folder / "spec.json").write_text(json.dumps(spec))
    return subprocess.Popen([sys.executable, "worker.py", "spec.json", str(FLOOR)], cwd=folder, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("do", "code", "end"),
    [
        ("well", 0, {"event": "done", "loss": None, "steps": 2}),
        ("problem", 1, {"event": "error", "code": "engines.no_folder", "values": {"folder": "x"}}),
        ("error", 1, {"event": "error", "code": "engines.failed", "type": "KeyError"}),
        ("exit", 1, {"event": "error", "code": "engines.failed", "type": "SystemExit"}),
        ("stop", 130, {"event": "cancelled"}),
    ],
)
def test_each_end_has_its_event_and_its_exit_code(do: str, code: int, end: dict[str, Any], tmp_path: Path) -> None:
    if do == "stop":
        (tmp_path / "stop").touch()
    process = start(tmp_path, do)
    assert process.wait(timeout=60) == code
    told = events.read(tmp_path / "events.jsonl").events
    assert [each["event"] for each in told] == ["started", "stage", "warning", end["event"]]
    assert end.items() <= told[-1].items()
    assert ("Traceback" in told[-1].get("traceback", "")) == (end["event"] == "error")
    assert events.said(told[1]).what == "Loading tiny" and told[1]["model"] == "base"


def test_a_signal_cancels_whatever_a_library_makes_of_it(tmp_path: Path) -> None:
    process = start(tmp_path, "wait")
    while len(events.read(tmp_path / "events.jsonl").events) < 3:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert events.read(tmp_path / "events.jsonl").events[-1]["event"] == "cancelled"


def test_half_an_event_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:10]))
    with pytest.raises(OSError) as full:
        events.append(tmp_path / "events.jsonl", "step", step=1)
    assert full.value.errno == errno.ENOSPC
    assert events.append is protocol.append


def test_values_are_json_whatever_they_were() -> None:
    class Number:
        def tolist(self) -> float:
            return float("inf")

    given = {"a": (1, float("nan")), "b": Number(), "c": Path("x"), 3: True}
    assert protocol.plain(given) == {"a": [1, None], "b": None, "c": "x", "3": True}


def test_every_code_of_the_engines_has_words() -> None:
    there = locale("en")
    for file in [*FLOOR.glob("*.py"), *FLOOR.glob("*/*.py")]:
        used = re.findall(r'"(engines\.[a-z0-9_.]+)"', file.read_text("utf-8"))
        assert [code for code in used if code not in there] == [], file


def test_a_message_within_a_message_arrives() -> None:
    problem = protocol.said("engines.no_folder", folder="x")
    event = {"event": "warning", "code": "engines.part_failed", "values": {"where": "tuned", "problem": problem}}
    said = Message.from_dict(json.loads(json.dumps(event)))
    assert said.what.startswith("tuned: There is no folder “x”.")
    option = {"code": "engines.loading", "values": {"model": protocol.option("batch_size", "train")}}
    assert Message.from_dict(option).what == "Loading “Batch size”"


@pytest.mark.parametrize("name", [name for name in install.ENGINES if name != "argilla_server"])
def test_a_job_gets_what_the_engines_share_in_one_folder(name: str) -> None:
    files = bundle.engine_files(name)
    names = [file.name for file in files]
    assert {"protocol.py", "worker.py", "lock.txt"} <= set(names) and len(names) == len(set(names))
