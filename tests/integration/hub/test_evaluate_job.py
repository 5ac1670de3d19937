"""Evaluation with models of the Hub, here and on a Job, and scores on a model's card; the Job really runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.evaluate import evaluations, publish
from pipeline.evaluate.check import preflight
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.options import EvaluateOptions
from pipeline.export import exported
from pipeline.export.exported import Published
from pipeline.hardware.pricing import JobOptions
from pipeline.hub import client, look, repositories
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.doubles.hub import HubDouble
from tests.tiny_model import CHATML, make_pairs, make_tiny_model

QUESTIONS, PAIRS, SCORED = 8, 12, 6
WAIT_S = 300.0  # an engine is built in the Job meanwhile, on a machine that others use too
JOB = JobOptions(where="job", flavor="l40sx1", budget=2.0)


@dataclass(frozen=True)
class World:
    """A user with models, an export that is published, and a home."""

    hub: HubDouble
    user: str
    token: str
    ledger: Ledger
    project: Project

    def options(self, **values: Any) -> EvaluateOptions:
        plain = {
            "base": f"{self.user}/base",
            "tuned": f"{self.user}/tuned@v1",
            "dataset": "first",
            "max_samples": SCORED,
        }
        return EvaluateOptions.model_validate(plain | values)

    def commit(self, name: str, revision: str = "main") -> str:
        return self.hub.commits("model", f"{self.user}/{name}", revision)[0].id

    def end(self, run: Run) -> Run:
        deadline = time.monotonic() + WAIT_S
        while (seen := self.ledger.get(run.id)).active:
            assert time.monotonic() < deadline, self.story(run)
            time.sleep(0.2)
        assert seen.state is State.SUCCEEDED, self.story(run)
        return seen

    def story(self, run: Run) -> str:
        seen = self.ledger.get(run.id)
        told = [str(event) for event in events.read(run.events).events[-20:]]
        logs = [file.read_text()[-3000:] for file in (run.log, run.folder / "supervisor.txt") if file.exists()]
        lines = [line for job in self.hub.jobs() if job.labels.get("run") == run.id for _, line in job.lines[-30:]]
        return "\n".join([str(seen), *told, *logs, *lines])


def files(folder: Path) -> dict[str, Path]:
    return {file.name: file for file in folder.iterdir()}


def questions(count: int) -> bytes:
    """Rows of TruthfulQA's multiple-choice configuration, JSONL."""
    rows = []
    for number in range(count):
        targets = {"choices": ["It flows.", f"It sleeps {number} hours.", "It sings."], "labels": [1, 0, 0]}
        rows.append({"question": f"What does river {number} do?", "mc1_targets": targets, "mc2_targets": targets})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def add_truthfulqa(hub: HubDouble) -> None:
    """Put TruthfulQA's schema with few questions where lighteval looks for it."""
    if hub.has_repo("dataset", "truthfulqa/truthful_qa"):
        return
    card = (
        "---\nconfigs:\n- config_name: multiple_choice\n  data_files:\n  - split: validation\n"
        "    path: multiple_choice/validation-*\n---\n"
    )
    data = {"README.md": card.encode(), "multiple_choice/validation-00000-of-00001.jsonl": questions(QUESTIONS)}
    hub.add_repo("dataset", "truthfulqa/truthful_qa", data)


def add_export(of: Project, hub: HubDouble, repository: str) -> None:
    """Make an export and put it on the Hub as publishing does."""
    folder = of.exports / "first"
    folder.mkdir(parents=True)
    rows = [{"record_id": f"{number:016x}", "source": "", **row} for number, row in enumerate(make_pairs(24 + PAIRS))]
    for split, part in (("train", rows[:24]), ("test", rows[24:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    hub.add_repo("dataset", repository, files(folder), private=True)
    commit = hub.commits("dataset", repository)[0].id
    where = Published(repository, commit, "", True, "2026-11-22T00:00:00+00:00", repository.split("/")[0])
    exported.remember(of, "first", where)


@pytest.fixture(scope="module")
def world(_hub_running: HubDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    hub, folder, user = _hub_running, tmp_path_factory.mktemp("evaluate"), "evaluator"
    token = hub.add_user(user)
    base = make_tiny_model(folder / "base", chat_template=False)
    hub.add_repo("model", f"{user}/base", files(base))
    tuned = f"{user}/tuned"
    hub.add_repo("model", tuned, files(make_tiny_model(folder / "tuned", seed=1)), private=True)
    hub.add_branch("model", tuned, "v1")
    hub.add_commit("model", tuned, files(make_tiny_model(folder / "later", seed=2)), "Train longer")
    add_truthfulqa(hub)
    ledger = Ledger(open_home(folder / "home"))
    made = project.create(ledger.home, "rivers")
    add_export(made, hub, f"{user}/pairs")
    yield World(hub, user, token, ledger, made)
    for run in ledger.list(active=True):
        launch.stop(run)


@pytest.fixture(autouse=True)
def signed_in(world: World, hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from tests.conftest import ENGINES

    monkeypatch.setenv("ALIGN_STUDIO_ENGINES", str(ENGINES))
    look.Memory.forget()
    with client.acting_as(world.token):
        yield


@pytest.fixture(scope="module")
def on_a_job(world: World) -> Run:
    """An evaluation of three models on both tasks, carried by a Job to its end."""
    look.Memory.forget()
    with client.acting_as(world.token):
        run = evaluations.start(world.ledger, world.project, world.options(further=[f"{world.user}/tuned@main"]), JOB)
        assert (
            evaluations.start(world.ledger, world.project, world.options(further=[f"{world.user}/tuned@main"]), JOB).id
            == run.id
        )
    return world.end(run)


def found_in(run: Run) -> Evaluation:
    found = evaluations.result(run)
    assert found is not None
    return found


@pytest.mark.matrix
def test_three_models_and_revisions_are_scored_on_a_job(world: World, on_a_job: Run) -> None:
    found = found_in(on_a_job)
    told = {role: (model["path"], model["revision"]) for role, model in found.models.items()}
    assert told == {
        "base": (f"{world.user}/base", world.commit("base")),
        "tuned": (f"{world.user}/tuned", world.commit("tuned", "v1")),
        "further-1": (f"{world.user}/tuned", world.commit("tuned")),
    }
    assert len(found.results) == 6
    for role in found.compared:
        rows = {row.metric: row for row in found.rows(role)}
        assert {"truthfulqa_mc1", "truthfulqa_mc2", "pref_acc_norm", "pref_margin_norm"} <= set(rows)
        margin = rows["pref_margin_norm"]
        assert (margin.samples, margin.available, margin.paired) == (SCORED, PAIRS, True)
        assert (rows["truthfulqa_mc1"].samples, rows["truthfulqa_mc1"].available) == (SCORED, QUESTIONS)
    margins = {role: found.rows(role)[-1] for role in found.compared}
    tuned, later = (next(row.tuned for row in found.rows(role) if row.metric == "pref_margin_norm") for role in margins)
    assert tuned != later  # two revisions of one repository are two models
    assert found.link.startswith(f"{world.hub.url}/datasets/{world.user}/align-studio-runs/")


@pytest.mark.matrix
def test_one_job_ran_and_its_files_are_in_the_private_store(world: World, on_a_job: Run) -> None:
    (job,) = [job for job in world.hub.jobs() if job.labels.get("run") == on_a_job.id]
    assert (job.flavor, job.labels["kind"], job.secret_names) == ("l40sx1", "evaluate", ("HF_TOKEN",))
    store = f"{world.user}/align-studio-runs"
    assert world.hub.repo("dataset", store).private
    left = {path: data for path, data in world.hub.files("dataset", store).items() if on_a_job.id in path}
    assert {f"runs/{on_a_job.id}/output/{name}" for name in ("results.json", "tuned/samples.jsonl")} <= set(left)
    everywhere = b"".join(left.values()) + b"".join(
        file.read_bytes() for file in on_a_job.folder.rglob("*") if file.is_file()
    )
    assert world.token.encode() not in everywhere
    assert str(world.ledger.home.path).encode() not in b"".join(left.values())


@pytest.mark.matrix
def test_a_job_that_another_disk_started_shows_its_scores(world: World, on_a_job: Run, tmp_path: Path) -> None:
    told = json.loads(world.hub.files("dataset", f"{world.user}/align-studio-runs")[f"runs/{on_a_job.id}/run.json"])
    elsewhere = Ledger(open_home(tmp_path / "elsewhere"))
    run, new = elsewhere.adopt(on_a_job.id, "evaluate", "rivers", told["title"], told["created"], told["spec"], {})
    for event in found_in(on_a_job).results:
        events.append(
            run.events, "result", **{key: value for key, value in event.items() if key not in ("ts", "event")}
        )
    found = found_in(elsewhere.get(run.id))
    assert new and found.tuned == f"{world.user}/tuned@v1" and len(found.results) == 6
    assert found.tasks["truthfulqa:mc"]["data"] is None
    assert found.tasks["reviewed_pairs"]["data"] == "data/test.jsonl"


@pytest.mark.matrix
def test_the_next_job_is_estimated_by_the_pace_of_this_one(world: World, on_a_job: Run) -> None:
    options = world.options(further=[f"{world.user}/tuned@main"])
    offer = preflight(world.ledger, world.project, options, where=JOB).numbers.offer
    assert offer is not None and offer.estimate is not None and offer.estimate.source == "former"
    other = preflight(world.ledger, world.project, options, where=JobOptions(where="job", flavor="a10g-large"))
    assert other.numbers.offer is not None and other.numbers.offer.estimate is not None
    assert other.numbers.offer.estimate.source == "formula"


@pytest.mark.matrix
def test_a_private_model_is_scored_here_with_the_run_s_token(world: World, lighteval_python: Path) -> None:
    options = world.options(base="", tuned=f"{world.user}/tuned", tasks=["reviewed_pairs"], max_samples=4)
    run = world.end(evaluations.start(world.ledger, world.project, options))
    assert (run.place, run.user) == ("local", world.user)
    found = found_in(run)
    assert found.models["tuned"]["revision"] == world.commit("tuned")
    assert [row.base for row in found.rows()] == [None] * len(found.rows())
    assert all(world.token.encode() not in file.read_bytes() for file in run.folder.rglob("*") if file.is_file())


def test_what_a_job_cannot_do_is_said_before_it_starts(world: World, tmp_path: Path) -> None:
    def said(options: EvaluateOptions, where: JobOptions = JOB) -> list[str]:
        return [notice.what for notice in preflight(world.ledger, world.project, options, where=where).blockers]

    assert said(world.options()) == []
    folder = make_tiny_model(tmp_path / "mine")
    assert said(world.options(tuned=str(folder))) == [f"{folder} is a folder on this machine."]
    assert said(world.options(), JobOptions(where="job", flavor="l40sx4"))[0].endswith("is not for this run.")
    assert said(world.options(tuned=f"{world.user}/tuned@nowhere")) != []
    with client.acting_as(world.hub.add_user(world.user, role="read")):
        assert any("token" in what or "may" in what for what in said(world.options()))
    with client.acting_as(world.hub.add_user("stranger")):
        assert any(f"{world.user}/pairs" in what for what in said(world.options()))


# On a model's card


@pytest.fixture
def scored(world: World, unique: str) -> Evaluation:
    """An evaluation of a model of its own, with results that no worker made."""
    name = f"{world.user}/{unique}"
    template = f'{{"chat_template": {json.dumps(CHATML)}}}'.encode()
    card = b"---\nlicense: mit\n---\n\n# Mine\n"
    world.hub.add_repo("model", name, {"README.md": card, "tokenizer_config.json": template})
    wanted = {
        "models": [{"role": "tuned", "name": name, "path": name, "revision": world.commit(unique)}],
        "tasks": [{"name": "truthfulqa:mc", "data": None}],
        "output_dir": str(world.project.evaluations / unique),
    }
    run, _ = world.ledger.add("evaluate", world.project.name, "Evaluate", wanted)
    scores = {"truthfulqa_mc1": 0.2512345678901234, "truthfulqa_mc2": 0.4}
    shared = {"samples": 817, "available": 817, "settings": {}, "seconds": 1.0, "stderr": {"truthfulqa_mc1": 0.015}}
    events.append(run.events, "result", role="tuned", name=name, task="truthfulqa:mc", scores=scores, **shared)
    world.ledger.end(run.id, State.SUCCEEDED)
    return found_in(world.ledger.get(run.id))


def test_scores_are_written_in_one_commit_on_what_was_shown(world: World, scored: Evaluation, unique: str) -> None:
    name = scored.tuned
    shown = publish.plan(scored)
    assert (shown.repository, shown.moved, shown.unchanged) == (name, False, False)
    assert dict(shown.results)["truthfulqa:mc: mc1: the single true answer is the most likely one"] == "0.251 ± 0.015"
    before = world.hub.commits("model", name)
    assert before[0].id == shown.head  # nothing is written by looking
    url = publish.write(shown)
    newest, *others = world.hub.commits("model", name)
    assert url == f"{world.hub.url}/{name}/commit/{newest.id}" and others == before
    card = ModelCard(world.hub.files("model", name)["README.md"].decode())
    assert card.data.license == "mit" and "# Mine" in card.text and "| mc1" in card.text
    values = {each.metric_type: each.metric_value for each in card.data.eval_results or []}
    assert values == {"mc1": 0.2512345678901234, "mc2": 0.4}
    again = publish.plan(scored)
    assert again.unchanged and again.moved
    with pytest.raises(StudioError, match="says this already"):
        publish.write(again)


def test_a_lost_answer_writes_no_second_commit(world: World, scored: Evaluation) -> None:
    before = world.hub.commits("model", scored.tuned)
    fault = world.hub.fault("POST", r"/commit/main", 503, served=True)
    publish.write(publish.plan(scored))
    assert fault.hits == 1 and world.hub.commits("model", scored.tuned)[1:] == before


def test_a_card_that_changed_meanwhile_is_not_overwritten(world: World, scored: Evaluation) -> None:
    shown = publish.plan(scored)
    world.hub.add_commit("model", scored.tuned, {"README.md": b"# Somebody else's words\n"})
    with pytest.raises(repositories.Moved):
        publish.write(shown)
    assert world.hub.files("model", scored.tuned)["README.md"] == b"# Somebody else's words\n"
    assert publish.plan(scored).moved


def test_only_one_s_own_repositories_are_written(world: World, scored: Evaluation) -> None:
    before = world.hub.commits("model", scored.tuned)
    with client.acting_as(world.hub.add_user("visitor")), pytest.raises(StudioError, match="not yours to write"):
        publish.plan(scored)
    with client.acting_as(world.hub.add_user(world.user, role="read")), pytest.raises(StudioError):
        publish.plan(scored)
    with client.acting_as(None), pytest.raises(StudioError, match="not signed in"):
        publish.plan(scored)
    assert world.hub.commits("model", scored.tuned) == before
