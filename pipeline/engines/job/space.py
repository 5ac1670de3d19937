"""Keep a Space up while it carries one run, and pause it afterwards: it costs money for as long as it runs.

A Space must answer on its port, and it has no time limit of its own. This program, of the standard library alone,
answers, starts `run.py` beside it, ends it when its time is over, and then pauses the Space that it is in. Where that
is refused it ends itself: a Space whose program has ended is not billed either. It prints nothing: what is printed is
`run.py`'s to number. It is told by its environment, beside what run.py is told:

    ALIGN_STUDIO_LIMIT   seconds after which the run is ended, whatever it does
    SPACE_ID, HF_TOKEN   what to pause, and by whose right
    PORT                 where to answer; 7860 in a real Space
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

COMMAND = ("uv", "run", "--no-config", "run.py")
LEEWAY_S = 60.0  # after the time limit, for run.py to end by itself
GRACE_S = 60.0  # between SIGTERM and SIGKILL
PAUSE_TRIES, PAUSE_WAIT_S = 8, 2.0  # the wait is doubled each time, up to a minute
GONE_S = 300.0  # a Space that was paused has been ended by then
STATE = {"state": "running"}


class Page(http.server.BaseHTTPRequestHandler):
    """Answers that the Space is up, and what it does."""

    def do_GET(self) -> None:
        """Answer any address."""
        body = json.dumps({"run": os.environ.get("ALIGN_STUDIO_RUN"), **STATE}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def serve() -> None:
    """Answer on the Space's port, in the background."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT") or 7860)), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def carry() -> int:
    """Run run.py to its end, or to that of its time; return its exit code."""
    process = subprocess.Popen(
        COMMAND, env=os.environ | {"ALIGN_STUDIO_STARTED": str(time.time())}, start_new_session=True
    )

    def passed_on(number: int, _frame: Any) -> None:
        tell(process, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, passed_on)
    limit = float(os.environ.get("ALIGN_STUDIO_LIMIT") or 86400) + LEEWAY_S
    for seconds, number in ((limit, signal.SIGTERM), (GRACE_S, signal.SIGKILL)):
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            tell(process, number)
    return process.wait()


def tell(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a program and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def pause() -> bool:
    """Pause the Space that this is in; return whether the Hub did."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    wait = PAUSE_WAIT_S
    for attempt in range(PAUSE_TRIES):
        request = urllib.request.Request(
            f"{endpoint}/api/spaces/{os.environ['SPACE_ID']}/pause",
            data=b"",
            headers={"Authorization": f"Bearer {os.environ.get('HF_TOKEN', '')}"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=30):
                return True
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 404):
                return False
        except OSError:
            pass
        if attempt + 1 < PAUSE_TRIES:
            time.sleep(wait)
            wait = min(60.0, wait * 2)
    return False


def main() -> int:
    """Carry the run, then pause the Space."""
    serve()
    code = carry()
    STATE["state"] = "finished"
    if pause():
        time.sleep(GONE_S)
    return code or 1  # a Space whose program has ended in any way is no longer billed


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
