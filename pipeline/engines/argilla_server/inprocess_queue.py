"""The job queue without Redis: rq keeps its data in this process, and one thread of the server works it off.

A queued job is lost when the server stops. Argilla queues the recomputation of record statuses after a dataset update,
imports from and exports to the Hub, and webhook deliveries; answers and records never pass through it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import fakeredis
import redis

_SERVER = fakeredis.FakeServer()


def install() -> None:
    """Make every Redis connection one to the fake; call before argilla_server is imported."""

    def from_url(url: str, **options: Any) -> fakeredis.FakeStrictRedis:
        return fakeredis.FakeStrictRedis(server=_SERVER)

    redis.from_url = from_url


def start_worker() -> threading.Thread:
    """Start the thread that works the queues off; argilla_server is imported.

    Returns:
        The thread, a daemon.
    """
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
    from rq import SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class ThreadWorker(SimpleWorker):  # type: ignore[misc]
        """rq's worker without what needs the main thread (signals) or a real Redis (commands by publish/subscribe)."""

        death_penalty_class = TimerDeathPenalty

        def _install_signal_handlers(self) -> None:
            """Leave the signals to the server: only the main thread may handle them."""

        def subscribe(self) -> None:
            """Take no commands."""

        def unsubscribe(self) -> None:
            """Take no commands."""

    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    worker = ThreadWorker([HIGH_QUEUE, DEFAULT_QUEUE], connection=REDIS_CONNECTION)
    options = {"logging_level": "WARNING", "with_scheduler": False}
    thread = threading.Thread(target=worker.work, kwargs=options, daemon=True, name="studio-queue")
    thread.start()
    return thread
