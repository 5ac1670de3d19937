"""A small project with answers, as two annotators left them."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.base.home import Home
from pipeline.base.message import verbatim
from pipeline.base.pair import Message, Pair, identify
from pipeline.base.project import Project
from pipeline.dataset.project import start_project
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.review import answers
from pipeline.review.answers import Answer, Preference

LONG = "one two three four five six seven eight nine ten eleven twelve"
# By pair: what two annotators say of it. The first eight of twenty pairs are reviewed.
SAID: list[tuple[tuple[float, Preference], ...]] = [
    *[((5, "chosen"), (4, "chosen"))] * 4,
    ((2, "rejected"), (1, "rejected")),
    ((2, "chosen"), (2, "rejected")),
    ((3, "tie"), (3, "tie")),
    ((5, "chosen"), (1, "tie")),
]


def make_reviewed(home: Home, name: str, *, reviewed: bool = True) -> Project:
    """Make a project of twenty pairs, the last two with short answers, half of them of each source.

    Args:
        home: The studio's home, as its owner sees it.
        name: Its name.
        reviewed: Whether there are answers.
    """
    home.projects.mkdir(parents=True, exist_ok=True)
    said = [
        (
            (Message("user", f"Question {number} of {name}?"),),
            (Message("assistant", f"<b>Good</b> {number} {'' if number >= 18 else LONG}"),),
            (Message("assistant", f"Bad {number} {LONG}"),),
        )
        for number in range(20)
    ]
    pairs = [
        Pair(record_id, *parts, source="wiki" if number % 2 else "forum")
        for number, (record_id, parts) in enumerate(zip(identify(said), said, strict=True))
    ]
    columns = ["prompt", "chosen", "rejected"]
    loaded = Loaded(
        pairs, [], verbatim("made up"), Mapping(prompt="prompt", chosen="chosen", rejected="rejected"), columns
    )
    made = start_project(home, loaded, "file", f"{name}.jsonl")
    if reviewed:
        now = datetime.now(UTC)
        answers.save(
            [
                Answer(pair.record_id, who, "submitted", rating, better, now)
                for pair, judged in zip(pairs, SAID, strict=False)
                for who, (rating, better) in zip(("anna", "ben"), judged, strict=True)
            ],
            made.answers,
        )
    return made
