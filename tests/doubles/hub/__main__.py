"""Run the Hub double for development: `python -m tests.doubles.hub --port N --root DIR`."""

from __future__ import annotations

import argparse
import signal
import tempfile
import threading
from pathlib import Path

from tests.doubles.hub.server import HubDouble


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--root", type=Path, help="folder of its contents; default: a temporary one")
    parser.add_argument("--user", default="ada", help="a user to add, with a token that may write")
    options = parser.parse_args()
    hub = HubDouble(options.root or Path(tempfile.mkdtemp(prefix="hub-double-")), options.port)
    hub.start()
    variables = hub.environment() | {"HF_TOKEN": hub.add_user(options.user)}
    for name, value in variables.items():
        print(f"export {name}={value}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    hub.stop()


if __name__ == "__main__":
    main()
