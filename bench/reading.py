"""Reading 40,000 records × 3 answers back, settling, exporting: ours against the SDK's `to_datasets` and a loop.

Both in processes of their own against the same server, one after the other. The answers are put into the server's
database directly: 120,000 requests would take hours and say nothing about reading.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

from bench.common import Level, Row, engine, made_pairs, timed
from pipeline.base.home import open_home
from pipeline.base.message import verbatim
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.dataset.project import pairs_of, start_project
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.export import options as export_options
from pipeline.export import writing
from pipeline.export.places import places_of
from pipeline.models import tokens
from pipeline.review import annotators, importing
from pipeline.review import plan as review_plan
from pipeline.review.order import draw_key
from pipeline.review.project import refresh_answers, settled_of
from pipeline.review.service import ArgillaService, Endpoint

RECORDS = int(os.environ.get("REVIEW_RECORDS", "40000"))
PEOPLE = ("ann", "bob", "eve")
CHANGED = 0.01  # share of the answers that are edited between the first and the second time
_LABELS = ("a", "a", "b", "tie")


def _project(home: Path) -> Project:
    pairs = made_pairs(RECORDS)
    columns = ["prompt", "chosen", "rejected"]
    mapping = Mapping(prompt="prompt", chosen="chosen", rejected="rejected")
    return start_project(open_home(home), Loaded(pairs, [], verbatim("made"), mapping, columns), "file", "bench.jsonl")


def _imported(endpoint: Endpoint, of: Project) -> str:
    """Import a project's pairs; return the dataset's id."""
    pairs, estimate = pairs_of(of), tokens.WordEstimate()
    plan = review_plan.suggest(pairs[:100], "bench", estimate.unit)
    counts = tokens.pair_counts(pairs, estimate)
    imported = importing.import_pairs(endpoint, plan, pairs, counts, order=draw_key(of))
    assert imported.added == RECORDS, imported
    annotators.create_annotators(endpoint, plan.workspace, PEOPLE)

    def change(record: Record) -> None:
        values = plan.model_dump(mode="json")
        record.review = ReviewRecord(plan=values, server="embedded", dataset_id=imported.dataset_id)

    of.update(change)
    return imported.dataset_id


def _values(rng: random.Random) -> str:
    return json.dumps(
        {"relevance": {"value": rng.randint(1, 5)}, "preference": {"value": rng.choice(_LABELS)}}, sort_keys=True
    )


def _answer_all(database: Path) -> None:
    """Give every record an answer of each annotator."""
    # An hour ago: what was written in the last minute is read again, in case it was still being written.
    rng, now = random.Random(1), _now(timedelta(hours=1))
    with sqlite3.connect(database, timeout=60) as con:
        people = [id for (id,) in con.execute("SELECT id FROM users WHERE role='annotator'")]
        records = [id for (id,) in con.execute("SELECT id FROM records")]
        con.executemany(
            'INSERT INTO responses (id, "values", status, record_id, user_id, inserted_at, updated_at)'
            " VALUES (?, ?, 'submitted', ?, ?, ?, ?)",
            ((uuid.uuid4().hex, _values(rng), record, person, now, now) for record in records for person in people),
        )
        con.execute("UPDATE records SET status='completed'")
        con.execute("UPDATE datasets SET last_activity_at=?", (now,))
    con.close()


def _edit_some(database: Path) -> int:
    """Edit a share of the answers; return how many."""
    rng, now = random.Random(2), _now()
    with sqlite3.connect(database, timeout=60) as con:
        found = [id for (id,) in con.execute("SELECT id FROM responses ORDER BY id")]
        edited = rng.sample(found, round(len(found) * CHANGED))
        con.executemany(
            'UPDATE responses SET "values"=?, updated_at=? WHERE id=?', ((_values(rng), now, id) for id in edited)
        )
        con.execute("UPDATE datasets SET last_activity_at=?", (now,))
    con.close()
    return len(edited)


def _now(ago: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) - ago).strftime("%Y-%m-%d %H:%M:%S.%f")


def ours(endpoint: Endpoint, of: Project, name: str) -> None:
    """Read back, settle and export, as the page and the export run do."""
    refresh_answers(of, endpoint)
    options = export_options.ExportOptions(name=name)
    provenance = export_options.Provenance(
        dataset="bench",
        kind="file",
        recipe={},
        settle_policy={},
        annotators=len(PEOPLE),
        created=_now(),
        studio_version="bench",
    )
    written = writing.write(
        pairs_of(of),
        settled_of(of),
        options,
        of.exports / name,
        provenance,
        places=places_of(of, options.seed),
    )
    assert written.plan.total == RECORDS


def tutorial(endpoint: Endpoint, folder: Path) -> None:
    """Do the same with the SDK: all records as a dataset, a loop that settles each, and files."""
    import argilla as rg  # noqa: PLC0415 - its memory is the baseline's
    import datasets  # noqa: PLC0415

    client = rg.Argilla(api_url=endpoint.url, api_key=endpoint.api_key)
    found = client.datasets("bench", workspace="align-studio").records(with_responses=True).to_datasets()
    kept = []
    for row in found:
        votes = Counter(row["preference.responses"] or []).most_common(2)
        if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]) or votes[0][0] == "tie":
            continue
        pair = row["pair"]
        better, worse = ("answer_a", "answer_b") if votes[0][0] == "a" else ("answer_b", "answer_a")
        rating = mean(row["relevance.responses"]) if row["relevance.responses"] else None
        kept.append(
            {
                "id": row["id"],
                "prompt": pair["prompt"],
                "chosen": pair[better],
                "rejected": pair[worse],
                "relevance": rating,
            }
        )
    made = datasets.Dataset.from_list(kept).train_test_split(0.1, seed=42)
    for split, rows in made.items():
        rows.to_json(folder / f"{split}.jsonl")
        rows.to_parquet(folder / f"{split}.parquet")


def child(what: str, home: str) -> None:
    """Run in a fresh process: the endpoint is its first line of input; ours runs again at a second line."""
    endpoint = Endpoint(*json.loads(sys.stdin.readline()))
    if what == "tutorial":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps([timed(lambda: tutorial(endpoint, Path(folder))), _peak()]), flush=True)
        return
    of = Project(open_home(Path(home)).projects / "bench")
    print(json.dumps([timed(lambda: ours(endpoint, of, "first")), _peak()]), flush=True)
    sys.stdin.readline()
    print(json.dumps([timed(lambda: ours(endpoint, of, "second")), _peak()]), flush=True)


def _peak() -> float:
    """Return this process's peak resident memory in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class _Child:
    """A process of its own that says how long each step took."""

    def __init__(self, what: str, home: Path, endpoint: Endpoint) -> None:
        code = f"from bench import reading; reading.child({what!r}, {str(home)!r})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tell(json.dumps([endpoint.url, endpoint.api_key, endpoint.port]))

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> tuple[float, float]:
        """Return seconds and peak memory in MB of a step."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("["):
                seconds, memory = json.loads(line)
                return seconds, memory
        raise RuntimeError(f"it ended with {self._process.wait()}")


def measure() -> list[Row | Level]:
    """Measure both on one server: ours the first time, ours after edits, then the SDK."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        of = _project(home)
        service = ArgillaService(home / "argilla", engine("argilla_server"))
        database = home / "argilla" / "argilla.db"
        try:
            endpoint = service.start()
            _imported(endpoint, of)
            _answer_all(database)
            mine = _Child("ours", home, endpoint)
            first, _ = mine.hear()
            edited = _edit_some(database)
            mine.tell("again")
            again, memory = mine.hear()
            seconds, theirs = _Child("tutorial", home, endpoint).hear()
        finally:
            service.stop()
    size = f"{RECORDS:,} records × {len(PEOPLE)} answers"
    note = f"peak memory {memory:.0f} MB, to_datasets {theirs:.0f} MB"
    return [
        Row(f"read back, settle, export {size}", first, seconds, 0.5, note),
        Row(f"the same after {edited:,} edited answers", again, seconds, 0.05),
        Level("memory of reading back", memory, round(theirs / 3, 1), "MB", theirs),
    ]
