"""Import of 5,000 pairs: ours against the plain SDK's `records.log` on a server without our speed patches."""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.common import Row, engine, made_pairs, timed
from pipeline.base.pair import as_dicts
from pipeline.dataset import pairs as dataset_pairs
from pipeline.engines import argilla_server
from pipeline.models import tokens
from pipeline.review import importing
from pipeline.review import plan as review_plan
from pipeline.review.order import Order
from pipeline.review.service import ArgillaService, Endpoint

PAIRS = 5_000
MANY = 40_000


def ours(endpoint: Endpoint, number: int, name: str, file: Path) -> None:
    """Import a project's pairs as the import run does, streaming its file."""
    estimate = tokens.WordEstimate()
    plan = review_plan.suggest(list(itertools.islice(dataset_pairs.stream_pairs(file), 100)), name, estimate.unit)
    counts = tokens.pair_counts(dataset_pairs.stream_pairs(file), estimate)
    order = Order(secrets.token_bytes(32))
    imported = importing.import_pairs(endpoint, plan, dataset_pairs.stream_pairs(file), counts, order=order)
    assert imported.added == number, imported


def plain(endpoint: Endpoint, number: int, name: str, file: Path) -> None:
    """Import the same with one `records.log`, as Argilla's documentation does."""
    import argilla as rg  # noqa: PLC0415 - its memory is the baseline's

    client = rg.Argilla(api_url=endpoint.url, api_key=endpoint.api_key)
    pairs = dataset_pairs.open_pairs(file)
    plan = review_plan.suggest(pairs[:100], name, "words (estimate)")
    counts = tokens.pair_counts(pairs, tokens.WordEstimate())
    if client.workspaces(plan.workspace) is None:
        rg.Workspace(plan.workspace, client=client).create()
    settings = review_plan.settings_of(plan, client, {})
    remote = rg.Dataset(plan.dataset_name, workspace=plan.workspace, settings=settings, client=client).create()
    fields = [
        {
            name: as_dicts(getattr(pair, part))
            for name, part in zip(plan.parts, ("prompt", "chosen", "rejected"), strict=True)
        }
        for pair in pairs
    ]
    remote.records.log(
        [
            rg.Record(
                id=pair.record_id,
                fields=field,
                metadata={
                    "source": pair.source,
                    "prompt_tokens": count.prompt,
                    "answer_a_tokens": count.chosen,
                    "answer_b_tokens": count.rejected,
                },
            )
            for pair, field, count in zip(pairs, fields, counts, strict=True)
        ]
    )
    assert remote.progress()["total"] == number


class Unpatched:
    """A server of the same launcher and search engine, with upstream's own speed."""

    def __init__(self, folder: Path, python: Path) -> None:
        code = folder / "code"
        shutil.copytree(Path(argilla_server.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
        (code / "speed.py").write_text("def apply() -> None:\n    '''Leave everything as it is.'''\n")
        self.key = secrets.token_urlsafe(32)
        spec = {"home": str(folder / "home"), "port": 0, "base_url": "/annotate", "owner": "argilla"}
        (folder / "spec.json").write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            [str(python), str(code / "launcher.py"), str(folder / "spec.json")],
            stdin=subprocess.PIPE,
            stdout=(folder / "log.txt").open("wb"),
            stderr=subprocess.STDOUT,
        )
        keys = {"api_key": self.key, "password": secrets.token_urlsafe(12), "auth_secret": secrets.token_hex(32)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(keys).encode())
        self.process.stdin.close()
        self.endpoint = self._wait(folder / "home" / "service.json")

    def _wait(self, announced: Path) -> Endpoint:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if announced.exists():
                facts = json.loads(announced.read_text())
                if facts["ready"]:
                    url = f"http://127.0.0.1:{facts['port']}/annotate"
                    httpx.get(f"{url}/api/v1/me", headers={"X-Argilla-Api-Key": self.key}).raise_for_status()
                    return Endpoint(url, self.key, facts["port"])
            time.sleep(0.2)
        raise TimeoutError("The unpatched server did not start.")

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(30)


def in_process(function: str, endpoint: Endpoint, number: int, file: Path) -> tuple[float, float]:
    """Run one import in a process of its own.

    Returns:
        Seconds of the import alone, and peak resident memory in MB.
    """
    code = f"from bench import argilla_import as b; b.child({function!r}, {number}, {str(file)!r})"
    given = json.dumps([endpoint.url, endpoint.api_key, endpoint.port])
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def child(function: str, number: int, file: str) -> None:
    """Run in a fresh process: the endpoint on standard input, the result on standard output."""
    endpoint = Endpoint(*json.loads(sys.stdin.read()))
    seconds = timed(lambda: globals()[function](endpoint, number, f"bench-{number}", Path(file)))
    # Not getrusage: its peak is the parent's where that was larger before the exec (Linux).
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps([seconds, int(peak.split()[1]) / 1024]))


def measure() -> list[Row]:
    """Import with both, one after the other, each on its own fresh server."""
    python = engine("argilla_server")
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.parquet", Path(folder) / "many.parquet"
        dataset_pairs.save(made_pairs(PAIRS), few)
        dataset_pairs.save(made_pairs(MANY), many)
        service = ArgillaService(Path(folder) / "ours", python)
        (Path(folder) / "plain").mkdir()
        upstream = Unpatched(Path(folder) / "plain", python)
        try:
            endpoint = service.start()
            mine, _ = in_process("ours", endpoint, PAIRS, few)
            theirs, memory = in_process("plain", upstream.endpoint, PAIRS, few)
            _, most = in_process("ours", endpoint, MANY, many)
        finally:
            upstream.stop()
            service.stop()
    note = f"client memory, ours at {MANY:,}: {most:.0f} MB (aim under 400); plain SDK at {PAIRS:,}: {memory:.0f} MB"
    return [Row(f"import of {PAIRS:,} pairs", mine, theirs, 0.5, note)]
