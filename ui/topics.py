"""All topics of the studio's stream, and who may watch them."""

from __future__ import annotations

from starlette.requests import Request

from pipeline.studio import Studio
from pipeline.visit import Visit, visit_of
from ui.bar.status import BarTopic
from ui.parts.run_topic import RunTopic
from ui.review.topic import ReviewTopic
from ui.stream import Source, Stream
from ui.train.result import METRICS


def stream_of(studio: Studio) -> Stream:
    """Return the stream of a studio; the caller starts and closes it."""

    def look_up(request: Request) -> Visit:
        return visit_of(studio, request.headers, request.scope)

    sources: dict[str, Source] = {"bar": BarTopic(), "run": RunTopic(METRICS), "review": ReviewTopic()}
    return Stream(sources, look_up)
