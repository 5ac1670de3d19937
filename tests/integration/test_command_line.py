"""The whole journey by command line alone: a file, a reviewer, a filter, an export, a training, an evaluation."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.review.annotators import NewAnnotator
from tests.integration.test_review_server import Person
from tests.tiny_model import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]
PAIRS, ANSWERED = 24, 16


class Terminal:
    """Calls the command line as a person or a program does: each time a process of its own."""

    def __init__(self, home: Path, engines: Path) -> None:
        folders = {"ALIGN_STUDIO_HOME": str(home), "ALIGN_STUDIO_ENGINES": str(engines)}
        self.environment = os.environ | folders

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
        pipe = subprocess.PIPE
        # A session of its own, so that Ctrl-C can reach it and what it started as a terminal's would.
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def json(self, *arguments: object, code: int = 0) -> Any:
        process = self.start(*arguments, "--json")
        out, err = process.communicate(timeout=500)
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        return json.loads(out)


@pytest.fixture(scope="module")
def terminal(
    tmp_path_factory: pytest.TempPathFactory, argilla_python: Path, autotrain_python: Path, lighteval_python: Path
) -> Iterator[Terminal]:
    engines = argilla_python.parents[2]
    made = Terminal(tmp_path_factory.mktemp("home"), engines)
    yield made
    made.json("review", "stop")


def pairs(file: Path) -> Path:
    """Write short pairs of the sample, with a column that says nothing, and a row that is no pair."""
    lines = (ROOT / "samples" / "preferences.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if len(row["prompt"]) == 1 and row["language"] == "en"][:PAIRS]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"prompt": "Only this."}]), "utf-8")
    return file


def answer(link: str, sign_in: dict[str, str]) -> None:
    """Answer as an annotator: the first pair the other way round, the second with a bad rating."""
    lines = (ROOT / "samples" / "preferences.jsonl").read_text("utf-8").splitlines()
    chosen = {html.unescape(row["chosen"][-1]["content"]) for row in map(json.loads, lines)}
    base, _, rest = link.partition("/dataset/")
    person = Person(base, NewAnnotator(**sign_in))
    records = list(person.records(rest.split("/")[0]).values())
    for number, record in enumerate(records[:ANSWERED]):
        first = person.http.get(f"records/{record}").json()["fields"]["pair"]["answer_a"][-1]["content"]
        good, bad = "ab" if html.unescape(first) in chosen else "ba"
        person.respond(record, 1 if number == 1 else 5, bad if number == 0 else good)


def leave_with_ctrl_c(terminal: Terminal, *arguments: object) -> str:
    """Start a run, press Ctrl-C once it works, and return its id."""
    process = terminal.start(*arguments)
    assert process.stderr is not None
    run, seen = "", ""
    for line in process.stderr:
        seen += line
        if line.startswith("Started "):
            run = line.split()[1].rstrip(".")
        if line.startswith("Running"):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, seen + said
    assert f"runs follow {run}" in said, said
    return run


def written_by_lighteval(folder: Path) -> dict[tuple[str, str], float]:
    scores: dict[tuple[str, str], float] = {}
    for role in ("base", "tuned"):
        for file in (folder / role).rglob("results_*.json"):
            for task, metrics in json.loads(file.read_text("utf-8"))["results"].items():
                scores |= {(role, name): value for name, value in metrics.items() if task != "all"}
    return scores


def test_from_a_file_to_scores(terminal: Terminal, tmp_path: Path) -> None:
    file, base = pairs(tmp_path / "pairs.jsonl"), make_tiny_model(tmp_path / "tiny")
    loaded = terminal.json("dataset", "load", file)
    assert (loaded["pairs"], [row["number"] for row in loaded["unusable"]]) == (PAIRS, [PAIRS + 1])
    assert (loaded["layout"], loaded["columns_unused"]) == ("explicit", ["topic", "language"])
    project = loaded["project"]

    assert terminal.json("review", "import", project)["run"]["result"]["added"] == PAIRS
    people = terminal.json("review", "annotators", project, "ada")
    answer(people["link"], people["created"][0])
    assert terminal.json("review", "status", project)["completed"] == ANSWERED
    read = terminal.json("review", "read", project)
    assert (read["answers"], read["annotators"], read["reviewed"]) == (ANSWERED, 1, ANSWERED)

    rules = ["--only-reviewed", "--min-relevance", 2, "--min-rejected-tokens", 0, "--min-chosen-tokens", 0]
    kept = terminal.json("filter", project, *rules, "--base-model", base, "--save")
    assert (kept["kept"], kept["saved"]) == (ANSWERED - 1, True)
    export = terminal.json("export", project, "--test-share", 0.2)
    assert (export["counts"]["kept"], export["counts"]["swapped"]) == (ANSWERED - 1, 1)
    assert len(Path(export["folder"], "train.jsonl").read_text("utf-8").splitlines()) == export["counts"]["train"]

    small = ["--batch-size", 1, "--gradient-accumulation", 1, "--epochs", 2, "--mixed-precision", "none"]
    given = ["--project-name", "mine", "--learning-rate", 0.01, "--logging-steps", 1, *small]
    run = leave_with_ctrl_c(terminal, "train", project, *given)
    trained = terminal.json("runs", "follow", run)
    assert (trained["id"], trained["state"]) == (run, "succeeded")
    assert trained["result"]["steps"] == 2 * export["counts"]["train"]

    scored = terminal.json("evaluate", project, "--truthfulqa-data", ROOT / "samples" / "truthful_mini.jsonl")
    assert scored["run"]["state"] == "succeeded"
    written = written_by_lighteval(Path(scored["folder"]))
    shown = {("base", each["metric"]): each["base"] for each in scored["scores"]}
    shown |= {("tuned", each["metric"]): each["value"] for each in scored["scores"]}
    assert {"truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm"} <= {metric for _, metric in shown}
    assert shown == {key: written[key] for key in shown}
    assert shown["base", "pref_margin_norm"] != shown["tuned", "pref_margin_norm"], "The training changed nothing."
    kinds = [each["kind"] for each in terminal.json("runs", "list", "--project", project)["runs"]]
    assert kinds == ["evaluate", "train", "export", "import"]
