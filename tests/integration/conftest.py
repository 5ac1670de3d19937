"""One embedded Argilla for all integration tests; each test uses dataset, workspace and user names of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.engines.argilla_server.service import ArgillaService, Endpoint


@pytest.fixture(scope="session")
def argilla_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of the argilla_server engine: the one given, else a fresh environment."""
    given = os.environ.get("ALIGN_STUDIO_TEST_ARGILLA_PYTHON")
    if given:
        return Path(given)
    from pipeline.engines.install import ensure

    return ensure("argilla_server", tmp_path_factory.mktemp("engines"))


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
