"""All topics of the studio's stream, and who may watch them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from pipeline.studio import Studio
from pipeline.visit import Visit, visit_of
from ui.bar.status import BarTopic
from ui.parts.run_topic import RunTopic
from ui.review.topic import ReviewTopic
from ui.stream import Source, Stream
from ui.train.result import METRICS


def visits_of(studio: Studio) -> Callable[[Request], Visit]:
    """Return what says whose visit a request is."""
    return lambda request: visit_of(studio, request.headers, request.scope)


def stream_of(studio: Studio) -> Stream:
    """Return the stream of a studio; the caller starts and closes it."""
    sources: dict[str, Source] = {"bar": BarTopic(), "run": RunTopic(METRICS), "review": ReviewTopic()}
    return Stream(sources, visits_of(studio))
