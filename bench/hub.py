"""44,245 pairs in the layout of mlabonne/orpo-dpo-mix-40k through the Hub double: preview, load, import, publish.

The double is on this machine: network time is not in it, and its own work shares the processor with what is measured,
ours and the baseline alike. Each step runs in a process of its own, for its peak memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.common import Row, engine, made_pairs, timed
from pipeline.base.pair import as_dicts
from tests.doubles.hub import HubDouble

PAIRS, PREVIEW, IMPORTED = 44_245, 1_000, 2_000
MIX = "mlabonne/orpo-dpo-mix-40k"
SHARDS = 2  # the real one is 126 MB in one file; files of 32 MB upwards are what the Hub's own tools write
RESULT = "@@ "


def the_mix(folder: Path) -> dict[str, bytes | Path]:
    """Return files like those of the mix: whole conversations in chosen and rejected."""
    turn = pa.struct([("content", pa.string()), ("role", pa.string())])
    schema = pa.schema(
        [
            ("source", pa.string()),
            ("chosen", pa.list_(turn)),
            ("rejected", pa.list_(turn)),
            ("prompt", pa.string()),
            ("question", pa.string()),
        ]
    )
    rows = []
    for pair in made_pairs(PAIRS, size=1000):
        before, question = as_dicts(pair.prompt), pair.prompt[0].content
        whole = {part: [*before, *as_dicts(getattr(pair, part))] for part in ("chosen", "rejected")}
        rows.append({"source": pair.source, **whole, "prompt": question, "question": question})
    files: dict[str, bytes | Path] = {}
    for number in range(SHARDS):
        name = f"train-{number:05}-of-{SHARDS:05}.parquet"
        part = rows[number * PAIRS // SHARDS : (number + 1) * PAIRS // SHARDS]
        table = pa.Table.from_pylist(part, schema=schema)
        pq.write_table(table, folder / name, row_group_size=1000, compression="none")  # made text packs too well
        files[f"data/{name}"] = folder / name
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
    return files | {"README.md": card.encode()}


def measure() -> list[Row]:
    """Go through all steps, ours against what the plain libraries need for the same."""
    argilla = engine("argilla_server")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hub = HubDouble(folder / "hub")
        hub.start()
        try:
            hub.add_repo("dataset", MIX, the_mix(folder))
            token = hub.add_user("bench")

            def run(step: str) -> tuple[float, float, float]:
                before = sum(request.bytes_sent for request in hub.requests)
                environment = hub.client_environment(
                    HF_TOKEN=token, ALIGN_STUDIO_HOME=str(folder / "home"), BENCH_ARGILLA=str(argilla)
                )
                seconds, memory = _child(step, environment)
                return seconds, memory, (sum(request.bytes_sent for request in hub.requests) - before) / 1e6

            return list(_rows(run))
        finally:
            hub.stop()


def _rows(run: Callable[[str], tuple[float, float, float]]) -> list[Row]:
    whole, plain = run("load_all"), run("plain_load")
    preview, imported = run("preview"), run("import_some")
    push, plain_push = run("publish"), run("plain_push")
    return [
        Row(
            f"preview of {PREVIEW:,} of {PAIRS:,} rows",
            preview[0],
            plain[0],
            1.0,
            f"{preview[2]:.1f} MB downloaded of {plain[2]:.0f}; peak {preview[1]:.0f} MB; baseline: load_dataset",
        ),
        Row(
            f"load of {PAIRS:,} rows as a project",
            whole[0],
            plain[0],
            3.0,
            f"peak {whole[1]:.0f} MB; baseline: load_dataset alone, every row read: peak {plain[1]:.0f} MB",
        ),
        Row(
            f"read and import of {IMPORTED:,} pairs",
            imported[0],
            plain[0],
            3.0,
            f"Argilla running; peak of the client {imported[1]:.0f} MB",
        ),
        Row(
            f"export and publish of {PAIRS:,} pairs",
            push[0],
            plain_push[0],
            4.0,
            f"peak {push[1]:.0f} MB, {push[2]:.1f} MB answered by the Hub; baseline: Dataset.push_to_hub alone, "
            f"peak {plain_push[1]:.0f} MB",
        ),
    ]


def _child(step: str, environment: dict[str, str]) -> tuple[float, float]:
    """Run one step in a process of its own; return its seconds and peak resident memory in MB."""
    code = f"from bench import hub as b; b.child({step!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment | {"PYTHONPATH": "."}
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    line = next(text for text in done.stdout.splitlines() if text.startswith(RESULT))
    seconds, memory = json.loads(line.removeprefix(RESULT))
    return seconds, memory


def child(step: str) -> None:
    """Run in a fresh process: act for the user of HF_TOKEN, and tell seconds and peak memory."""
    from pipeline.hub import client  # noqa: PLC0415 - its imports count into the process, not into the time

    with client.acting_as(os.environ["HF_TOKEN"]), _argilla_of(step):
        seconds = timed(STEPS[step])
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(RESULT + json.dumps([seconds, int(peak.split()[1]) / 1024]))


@contextlib.contextmanager
def _argilla_of(step: str) -> Iterator[None]:
    """Have Argilla running, where a step needs it, before the step is timed."""
    from pipeline.review.service import ArgillaService  # noqa: PLC0415

    if step != import_some.__name__:
        yield
        return
    service = ArgillaService(Path(os.environ["ALIGN_STUDIO_HOME"]) / "argilla", Path(os.environ["BENCH_ARGILLA"]))
    service.start()
    yield
    service.stop()


def _load(limit: int | None, name: str) -> str:
    from pipeline.base.home import open_home  # noqa: PLC0415
    from pipeline.base.settings import Settings  # noqa: PLC0415
    from pipeline.dataset import sources  # noqa: PLC0415
    from pipeline.hub import datasets  # noqa: PLC0415

    source = sources.hub(datasets.choose(MIX, limit=limit))
    project, loaded = sources.load(open_home(Settings().home), source)
    assert len(loaded.pairs) == (limit or PAIRS), len(loaded.pairs)
    (Path(os.environ["ALIGN_STUDIO_HOME"]) / name).write_text(project.name)
    return project.name


def preview() -> None:
    """Load the first rows."""
    _load(PREVIEW, "preview")


def load_all() -> None:
    """Load all rows as a project."""
    _load(None, "whole")


def plain_load() -> None:
    """Load all rows with `datasets` and read each."""
    from datasets import load_dataset  # noqa: PLC0415

    assert sum(1 for _ in load_dataset(MIX, split="train", token=os.environ["HF_TOKEN"])) == PAIRS


def import_some() -> None:
    """Load some rows and import them into Argilla."""
    from pipeline.base import project  # noqa: PLC0415
    from pipeline.base.home import open_home  # noqa: PLC0415
    from pipeline.base.settings import Settings  # noqa: PLC0415
    from pipeline.dataset import pairs  # noqa: PLC0415
    from pipeline.models import tokens  # noqa: PLC0415
    from pipeline.review import importing  # noqa: PLC0415
    from pipeline.review import plan as review_plan  # noqa: PLC0415
    from pipeline.review.order import draw_key  # noqa: PLC0415
    from pipeline.review.service import ArgillaService  # noqa: PLC0415

    home = open_home(Settings().home)
    of = project.find(home, _load(IMPORTED, "some"))
    endpoint = ArgillaService(home.argilla, Path(os.environ["BENCH_ARGILLA"])).start()  # found running
    estimate = tokens.WordEstimate()
    plan = review_plan.suggest(pairs.open_pairs(of.pairs)[:100], of.name, estimate.unit)
    counts = tokens.pair_counts(pairs.stream_pairs(of.pairs), estimate)
    imported = importing.import_pairs(endpoint, plan, pairs.stream_pairs(of.pairs), counts, order=draw_key(of))
    assert imported.added == IMPORTED, imported


def publish() -> None:
    """Export all pairs of the project and publish the export."""
    from pipeline.base import project  # noqa: PLC0415
    from pipeline.base.home import open_home  # noqa: PLC0415
    from pipeline.base.settings import Settings  # noqa: PLC0415
    from pipeline.export import publish as step  # noqa: PLC0415
    from pipeline.export.task import export_pairs  # noqa: PLC0415
    from pipeline.runs.task import Reporter  # noqa: PLC0415

    home = open_home(Settings().home)
    of = project.find(home, (home.path / "whole").read_text())
    spec: dict[str, Any] = {"project": of.name, "events": os.devnull, "stop_file": str(home.path / "stop")}
    spec |= {"options": {"name": "whole", "test_share": 0.01}}
    written = export_pairs(spec, Reporter(spec))
    assert written["kept"] == PAIRS, written
    options = step.PublishOptions(repository="bench/whole")
    planned = step.plan(of, "whole", options)
    where, changed = step.publish(of, "whole", options, step.Agreed(planned.head, planned.private), "bench")
    assert changed and where.revision


def plain_push() -> None:
    """Push the same rows with `datasets`, which finds them in its cache or downloads them first."""
    from datasets import load_dataset  # noqa: PLC0415

    load_dataset(MIX, split="train", token=os.environ["HF_TOKEN"]).push_to_hub(
        "bench/plain", private=True, token=os.environ["HF_TOKEN"]
    )


STEPS = {step.__name__: step for step in (preview, load_all, plain_load, import_some, publish, plain_push)}
