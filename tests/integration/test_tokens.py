"""Token counts with a model of the Hub: from the cache, else at once the estimate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.models.test_tokens import train

HUB = """
import time

from pipeline.models.tokens import counter
start = time.monotonic()
print(counter("someone/cached").unit, counter("someone/absent").unit, counter("no such name!").unit, sep="|")
print(time.monotonic() - start)
"""


def test_hub_model_comes_from_the_cache_and_an_unreachable_hub_gives_the_estimate_at_once(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--cached"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    train(snapshot)
    # Port 1 refuses connections; a process of its own because huggingface_hub reads its settings when imported.
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
    }
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HUB], env=environment, cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    units, seconds = done.stdout.splitlines()
    assert units == "tokens|words (estimate)|words (estimate)"
    assert float(seconds) < 5
