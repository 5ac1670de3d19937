"""From `python app.py` to a served page, Argilla starting beside it, against an empty Gradio app."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from bench.common import Row, engine
from pipeline.base.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 3
EMPTY = """
import sys
import gradio as gr
with gr.Blocks() as demo:
    gr.Markdown("empty")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""


def until_served(command: list[str], port: int, environment: dict[str, str]) -> float:
    """Return the seconds from starting a program until its page answers."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200:
                    return time.perf_counter() - began
            except httpx.TransportError:
                time.sleep(0.02)
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError(f"{command} did not serve a page")
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure() -> list[Row]:
    """Start each alternately, and compare the medians."""
    engine("argilla_server")
    ours, empty = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as home:
            given = os.environ | {
                "ALIGN_STUDIO_HOME": home,
                "ALIGN_STUDIO_ENGINES": str(Settings().engines_folder),
                "GRADIO_ANALYTICS_ENABLED": "0",
            }
            port = free_port()
            ours.append(until_served([sys.executable, "app.py", "--port", str(port), "--no-token"], port, given))
        port = free_port()
        empty.append(until_served([sys.executable, "-c", EMPTY, str(port)], port, given))
    note = f"medians of {REPEATS}; ours {[round(x, 1) for x in ours]}, empty {[round(x, 1) for x in empty]}"
    return [Row("start to served page", median(ours), median(empty), 1.5, note)]
