"""Recorded runs in place of the engines, for tests of the page: real events, logs and results, at a chosen speed.

`train`, `evaluate` and `answer` hold what the real engines said (`record.py` made it, and
`tests/integration/test_recorded.py` makes it again and compares). A studio started with ALIGN_STUDIO_EXTENSIONS set to
`EXTENSION` has the kinds of runs of `extension/recorded.py`, whose task replays them (`play.py`): nothing is built, no
model is loaded, and supervisor, ledger, files, stop and page are the real ones.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
EXTENSION = HERE / "extension"
SPEED = "ALIGN_STUDIO_RECORDED_SPEED"  # times the pace of the recording; 0: without any pause
FAIL = "ALIGN_STUDIO_RECORDED_FAIL"  # name of an event at whose first appearance the run fails


def environment(speed: float = 10.0) -> dict[str, str]:
    """Return what a studio's environment needs so that its runs are recorded ones.

    Args:
        speed: Times the pace at which the run was recorded; 0: without any pause.
    """
    return {"ALIGN_STUDIO_EXTENSIONS": str(EXTENSION), SPEED: str(speed)}
