"""What a Job prints, sorted into what is new: a stream that breaks begins with the first line again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.hub.problems import redact
from pipeline.runs import events
from pipeline.runs.events import Event

MARK = "@@EVT "
PREAMBLE_LINES = 200


class Follower:
    """Writes a Job's output to the run's events.jsonl and log.txt, each event and each line once.

    The Job's program numbers its events (`seq`) and says how many plain lines came before each (`at`); see
    `pipeline/engines/job/run.py`. What was written before is found in the two files.
    """

    def __init__(self, events_file: Path, log: Path) -> None:
        self._events, self._log = events_file, log
        self._seen = {event["seq"] for event in events.read(events_file).events if "seq" in event}
        self._lines = _whole_lines(log)
        self._held: list[str] | None = []
        self._next = 0
        self._preamble: list[str] = []

    @property
    def begun(self) -> bool:
        """Whether the Job's program has said anything."""
        return bool(self._seen)

    @property
    def complete(self) -> bool:
        """Whether no event is missing among those seen, and the last of them is an end."""
        return bool(self._seen) and len(self._seen) == max(self._seen) and self.end is not None

    @property
    def end(self) -> Event | None:
        """The event with which the Job's program ended, if it came."""
        told = (event for event in reversed(events.read(self._events).events) if "seq" in event)
        return next((event for event in told if event["event"] in events.ENDS), None)

    def begin(self) -> None:
        """Note that the stream begins again: where its next plain line belongs is told by the next event."""
        self._held = []

    def feed(self, line: str) -> None:
        """Take one line of the stream."""
        if not line.startswith(MARK):
            self._plain(line)
            return
        event = parse(line.removeprefix(MARK))
        if event is None:  # cut in two on its way: the rest of it is no line of the log
            self.begin()
            return
        self.take(event)
        self._place_held(int(event["at"]))

    def take(self, event: Event) -> None:
        """Write an event down if it is new."""
        if event["seq"] in self._seen:
            return
        values = {key: value for key, value in clean(event).items() if key != "event"}
        events.append(self._events, str(event["event"]), **values)
        self._seen.add(event["seq"])

    def take_log(self, text: str) -> None:
        """Write down what a whole log has beyond what was seen."""
        for line in text.splitlines()[self._lines :]:
            self._write(line)

    def give_up(self) -> None:
        """Write down what came before the program's first word, where there was none: it says why."""
        for line in [] if self.begun else self._held or []:
            self._write(line)

    def _plain(self, line: str) -> None:
        if self._held is not None:
            self._held = [*self._held[-PREAMBLE_LINES:], line]
            return
        self._at(self._next, line)
        self._next += 1

    def _place_held(self, at: int) -> None:
        held, self._held, self._next = self._held or [], None, at
        for place, line in enumerate(held, at - len(held)):
            self._at(place, line)

    def _at(self, place: int, line: str) -> None:
        if place >= self._lines and place >= 0:
            self._lines = place
            self._write(line)

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8", errors="replace") as log:
            log.write(f"{redact(line)}\n")
        self._lines += 1


def parse(text: str) -> Event | None:
    """Return the event in a text, None when it is none of the Job's program."""
    try:
        event = json.loads(text)
    except ValueError:
        return None
    numbered = isinstance(event, dict) and isinstance(event.get("seq"), int) and isinstance(event.get("at"), int)
    return event if numbered and isinstance(event.get("event"), str) and _has_time(event) else None


def _has_time(event: Event) -> bool:
    return isinstance(event.get("ts"), int | float)


def clean(value: Any) -> Any:
    """Return JSON values without tokens in their texts."""
    if isinstance(value, dict):
        return {key: clean(part) for key, part in value.items()}
    if isinstance(value, list):
        return [clean(part) for part in value]
    return redact(value) if isinstance(value, str) else value


def _whole_lines(log: Path) -> int:
    """Return how many lines a log has, after cutting off one that was torn by a crash in mid-write."""
    try:
        data = log.read_bytes()
    except OSError:
        return 0
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        log.write_bytes(whole)
    return whole.count(b"\n")
