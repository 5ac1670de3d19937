"""What all tests share: the engines' environments, and a home of their own for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engines import install
from pipeline.settings import Settings

# Read before any test names another home: `python -m tests.prepare` built the engines there.
ENGINES = Settings().engines_folder


@pytest.fixture(scope="session")
def argilla_python() -> Path:
    """Python of the embedded Argilla's environment."""
    return install.ensure("argilla_server", ENGINES)


@pytest.fixture(scope="session")
def autotrain_python() -> Path:
    """Python of the training engine's environment."""
    return install.ensure("autotrain", ENGINES)


@pytest.fixture(scope="session")
def lighteval_python() -> Path:
    """Python of the evaluation engine's environment."""
    return install.ensure("lighteval", ENGINES)
