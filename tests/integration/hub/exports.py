"""A finished export to publish, made by the code that makes them all."""

from __future__ import annotations

from pathlib import Path

from pipeline.base import project as projects
from pipeline.base.home import Home
from pipeline.base.pair import Message, Pair
from pipeline.base.project import Project
from pipeline.export.options import ExportOptions, Provenance
from pipeline.export.writing import write
from pipeline.review.settle import Settled


def make_export(home: Home, name: str, pairs: int = 40, *, test_share: float = 0.1, word: str = "") -> Project:
    """Return a project of that name with one export of the same name.

    Args:
        home: Where.
        name: Of both.
        pairs: How many pairs.
        test_share: Share held out.
        word: In every answer; makes another export of it.
    """
    project = projects.create(home, name)
    add_export(project, name, pairs, test_share=test_share, word=word)
    return project


def add_export(project: Project, name: str, pairs: int = 40, *, test_share: float = 0.1, word: str = "") -> Path:
    """Write an export of a project; return its folder."""
    made = [
        Pair(
            f"{number:064x}",
            (Message("user", f"Question {number}?"),),
            (Message("assistant", f"Good {word} {number}"),),
            (Message("assistant", f"Bad {word} {number}"),),
            "made up",
        )
        for number in range(pairs)
    ]
    settled = {pair.record_id: Settled(pair.record_id, 1, 4.0, "chosen") for pair in made}
    provenance = Provenance(
        dataset="owner/source",
        kind="hub",
        config="default",
        split="train",
        revision="c" * 40,
        limit=1000,
        recipe={"min_relevance": 3.0},
        settle_policy={"preference": "plurality"},
        annotators=2,
        created="2026-11-20T12:00:00+00:00",
        studio_version="0.1.0",
    )
    folder = project.exports / name
    write(made, settled, ExportOptions(name=name, test_share=test_share), folder, provenance)
    return folder
