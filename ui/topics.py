"""All topics of the studio's stream, and who may watch them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from pipeline.base import project as projects
from pipeline.base.project import Project
from pipeline.base.words import speaking, spoken
from pipeline.runs.ledger import Run
from pipeline.studio import Studio
from ui.bar.status import BarTopic
from ui.dataset.hub import LoadTopic
from ui.parts.run_topic import RunTopic
from ui.review.topic import ReviewTopic
from ui.stream import Stream
from ui.train.result import METRICS


@dataclass(frozen=True)
class LocalVisit:
    """The one person on this machine: everything in the home is theirs."""

    studio: Studio
    language: str
    who: str = ""

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self.studio.ledger.get(run_id)

    def project(self, name: str) -> Project:
        """Return a project."""
        return projects.find(self.studio.home, name)


def stream_of(studio: Studio) -> Stream:
    """Return the stream of a studio; the caller starts and closes it."""

    def look_up(request: Request) -> LocalVisit:
        with speaking(request.headers.get("accept-language", "")):
            return LocalVisit(studio, spoken())

    sources = {
        "bar": BarTopic(studio),
        "run": RunTopic(METRICS),
        "load": LoadTopic(),
        "review": ReviewTopic(studio),
    }
    return Stream(sources, look_up)
