"""One embedded Argilla for all integration tests; each test uses dataset, workspace and user names of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.review.service import ArgillaService, Endpoint


@pytest.fixture(scope="session")
def argilla(argilla_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    service = ArgillaService(tmp_path_factory.mktemp("argilla"), argilla_python)
    try:
        yield service.start(wait=True)
    finally:
        service.stop()


@pytest.fixture
def unique() -> str:
    """A name no other test uses: letters and digits."""
    return "t" + uuid4().hex[:12]
