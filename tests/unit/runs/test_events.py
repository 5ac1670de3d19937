"""Events: whole lines only, from an offset on."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pipeline.runs import events


def test_a_half_written_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events.append(path, "stage", message="一")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"event": "progr')
    tail = events.read(path)
    assert [event["message"] for event in tail.events] == ["一"]
    with path.open("a", encoding="utf-8") as file:
        file.write('ess", "done": 1}\n')
    later = events.read(path, tail.offset)
    assert [event["done"] for event in later.events] == [1]
    assert later.offset == path.stat().st_size


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "sta\n{"event": "done"}\n[1]\n')
    assert [event["event"] for event in events.read(path).events] == ["done"]


def test_a_missing_file_has_no_events(tmp_path: Path) -> None:
    assert events.read(tmp_path / "none").events == []


def test_writers_do_not_mix_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writers = [
        threading.Thread(target=lambda i=i: [events.append(path, "log", writer=i, text="x" * 500) for _ in range(50)])
        for i in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 200
    assert all(len(json.loads(line)["text"]) == 500 for line in lines)


def test_lone_surrogates_do_not_break_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events.append(path, "warning", message="bad \ud800 text")
    assert events.read(path).events[0]["message"] == "bad ? text"
