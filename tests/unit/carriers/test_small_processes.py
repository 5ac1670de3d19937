"""What every run starts stays small: a supervisor lives as long as its run, and each costs its imports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"pydantic", "huggingface_hub", "httpx", "numpy", "pyarrow", "gradio", "torch"}
CARRIER = "from pipeline.runs.places import carrier_of, carrying; carrying(carrier_of('local'))"


@pytest.mark.parametrize("program", ["pipeline.carriers.supervisor", "pipeline.runs.task"])
def test_it_imports_nothing_heavy(program: str) -> None:
    code = f"import json, sys, {program}; {CARRIER}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert HEAVY & set(json.loads(done.stdout)) == set()
