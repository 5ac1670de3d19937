"""A training on a Job against the Hub double: what stops it, what it is told, and one that really runs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.hardware import flavors, pricing
from pipeline.hardware.pricing import JobOptions
from pipeline.hub import client
from pipeline.hub.look import Memory
from pipeline.runs import events
from pipeline.runs.ledger import State
from pipeline.train import check as train_check
from pipeline.train import trainings
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.check import spec
from pipeline.train.job import Destination
from pipeline.train.options import TrainOptions
from tests.doubles.hub import HubDouble
from tests.integration.hub.job_steps import World, a_world

QUICK = OrpoParams(batch_size=2, gradient_accumulation=1, mixed_precision="none", lora_r=4, logging_steps=1)
JOB = JobOptions(where="job")


@dataclass
class Studio:
    """A world with a project whose export is published."""

    world: World
    work: Project

    def options(self, **changes: Any) -> TrainOptions:
        base = {"base_model": f"{self.world.user}/tiny", "dataset": "pairs", "project_name": "tuned"}
        return TrainOptions(**{**base, **changes})

    def check(self, job: JobOptions = JOB, token: str | None = None, **changes: Any) -> Any:
        with client.acting_as(self.world.token if token is None else token or None):
            return train_check.preflight(self.world.ledger, self.work, self.options(**changes), QUICK, where=job)

    def blockers(self, job: JobOptions = JOB, token: str | None = None, **changes: Any) -> list[str]:
        return [notice.what for notice in self.check(job, token, **changes).blockers]


@pytest.fixture
def studio(hub: HubDouble, unique: str, tmp_path: Path) -> Iterator[Studio]:
    Memory.forget()
    flavors.forget()
    with a_world(hub, unique, tmp_path) as world:
        work = projects.create(world.ledger.home, "rivers")
        folder = work.exports / "pairs"
        folder.mkdir(parents=True)
        rows = hub.files("dataset", f"{unique}/pairs")["train.jsonl"].decode().splitlines()
        pairs = (json.dumps({"record_id": f"{number:016x}", **json.loads(row)}) for number, row in enumerate(rows))
        (folder / "train.jsonl").write_text("".join(f"{pair}\n" for pair in pairs))
        (folder / "export.json").write_text("{}")
        publish(world, work)
        yield Studio(world, work)


def publish(world: World, work: Project) -> None:
    repository = f"{world.user}/pairs"
    revision = world.hub.commits("dataset", repository)[0].id
    where = exported.Published(repository, revision, f"{world.hub.url}/datasets/{repository}", True, "2026", world.user)
    exported.remember(work, "pairs", where)


def large_model(files: dict[str, bytes | Path], layers: int = 80) -> dict[str, bytes | Path]:
    """Return the files of a model with 13 billion weights, of which only the header of safetensors is there."""
    hidden, vocabulary = 4096, 128_256
    shapes: dict[str, list[int]] = {
        "model.embed_tokens.weight": [vocabulary, hidden],
        "lm_head.weight": [vocabulary, hidden],
    }
    for layer in range(layers):
        for name, dims in (
            ("q", [hidden, hidden]),
            ("o", [hidden, hidden]),
            ("up", [14_336, hidden]),
            ("down", [hidden, 14_336]),
        ):
            shapes[f"model.layers.{layer}.{name}.weight"] = dims
    end, header = 0, {}
    for name, dims in shapes.items():
        header[name] = {"dtype": "BF16", "shape": dims, "data_offsets": [end, end + 2 * dims[0] * dims[1]]}
        end += 2 * dims[0] * dims[1]
    raw = json.dumps(header).encode()
    config = {"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": vocabulary}
    return {**files, "config.json": json.dumps(config).encode(), "model.safetensors": struct.pack("<Q", len(raw)) + raw}


def test_hardware_and_prices_are_the_hubs_and_the_programs_own_when_it_does_not_tell(hub: HubDouble) -> None:
    flavors.forget()
    live = flavors.listing()
    assert live.live
    l40s, own = live.find("l40sx1"), flavors.snapshot().find("l40sx1")
    assert l40s == own and l40s is not None and l40s.price_per_hour == 1.80
    assert {flavor.name for flavor in live.flavors} == {flavor.name for flavor in flavors.snapshot().flavors}
    assert hub.requests[-1].path == "/api/jobs/hardware"
    hub.fault("GET", "/api/jobs/hardware", 404, times=None)
    flavors.forget()
    assert flavors.listing() == flavors.snapshot()


def test_a_good_training_has_no_blockers_and_says_what_it_is_going_to_be(studio: Studio) -> None:
    found = studio.check()
    assert found.blockers == []
    planned = found.numbers.job
    assert planned.dataset == f"{studio.world.user}/pairs" and len(planned.revision) == 40
    assert planned.destination == Destination(f"{studio.world.user}/tuned", "new")
    assert planned.offer.listing.live and planned.offer.estimate.source == "formula"
    assert planned.offer.hard_stop == 66 * 60 and planned.offer.at_most == pytest.approx(1.98)
    assert found.numbers.memory is not None
    assert [job for job in studio.world.hub.jobs() if job.namespace == studio.world.user] == []


def test_who_may_not_is_told_before_anything_is_sent(studio: Studio) -> None:
    user, hub = studio.world.user, studio.world.hub
    assert "You are not signed in to Hugging Face." in studio.blockers(token="")
    assert "The token is read-only." in studio.blockers(token=hub.add_user(user, "read"))
    no_jobs = hub.add_user(user, "fine-grained", permissions=["repo.write", "repo.content.read"])
    assert "The token may not run Jobs." in studio.blockers(token=no_jobs)
    gone = hub.add_user(user)
    hub.revoke(gone)
    assert any("token" in what for what in studio.blockers(token=gone))
    with client.acting_as(None), pytest.raises(StudioError):
        trainings.start(studio.world.ledger, studio.work, studio.options(), QUICK, JOB)
    assert studio.world.ledger.list() == []


def test_the_hard_stop_lies_within_the_tokens_life(studio: Studio) -> None:
    hub, user = studio.world.hub, studio.world.user
    ends = datetime.now(UTC) + timedelta(minutes=70)
    token = hub.add_user(user, expires=ends)
    (notice,) = studio.check(token=token).blockers
    assert notice.what == "The sign-in ends before the run has to."
    assert studio.blockers(JobOptions(where="job", budget=1.5), token=token) == []


def test_what_a_job_cannot_read_stops_it(studio: Studio, tmp_path: Path) -> None:
    here = str(tmp_path / "tiny")
    assert "A Job cannot read the base model: it is a folder on this machine." in studio.blockers(base_model=here)
    missing = f"{studio.world.user}/nothing"
    assert any(missing in what for what in studio.blockers(base_model=missing))
    (studio.work.exports / "pairs" / exported.PUBLISHED).unlink()
    assert studio.blockers() == ["The export “pairs” is not published."]


def test_a_published_dataset_that_is_gone_stops_it(studio: Studio) -> None:
    where = exported.published(studio.work, "pairs")
    assert where is not None
    other = exported.Published(f"{studio.world.user}/gone", where.revision, where.url, True, where.when, where.by)
    exported.remember(studio.work, "pairs", other)
    assert any("not at" in what for what in studio.blockers())


def test_a_model_too_large_for_the_hardware_stops_it_and_its_weights_stay_on_the_hub(studio: Studio) -> None:
    hub, name = studio.world.hub, f"{studio.world.user}/large"
    hub.add_repo("model", name, large_model({**hub.files("model", f"{studio.world.user}/tiny")}))
    before = len(hub.requests)
    found = studio.check(base_model=name)
    (notice,) = found.blockers
    assert "L40S" in notice.what and "48 GB" in notice.why
    assert studio.blockers(JobOptions(where="job", flavor="a100-large"), base_model=name) == []
    asked = [request for request in hub.requests[before:] if "model.safetensors" in request.path]
    assert asked and sum(request.bytes_sent for request in asked) < 1_000_000


def test_an_existing_model_is_said_and_a_public_one_twice(studio: Studio) -> None:
    hub, user = studio.world.hub, studio.world.user
    hub.add_repo("model", f"{user}/mine", {"README.md": b"# mine"}, private=True)
    hub.add_repo("model", f"{user}/open", {"README.md": b"# open"})
    for name, state, word in (("mine", "private", "new version"), ("open", "public", "Everybody can see it")):
        found = studio.check(project_name=name)
        assert found.blockers == [] and found.numbers.job.destination.state == state
        assert any(word in notice.why for notice in found.warnings)


def test_the_spec_names_repositories_and_no_token(studio: Studio) -> None:
    world = studio.world
    planned = studio.check().numbers.job
    with client.acting_as(world.token):
        wanted = spec(studio.work, studio.options(), QUICK, planned)
        again = spec(studio.work, studio.options(), QUICK, studio.check().numbers.job)
    assert wanted == again  # a double click asks for the same
    assert (wanted["place"], wanted["user"], wanted["job"]["namespace"]) == ("job", world.user, world.user)
    upload = wanted["remote"]["upload"]
    assert (upload["repo"], upload["private"], upload["folder"]) == (f"{world.user}/tuned", True, "output/tuned")
    assert wanted["remote"]["downloads"][0]["revision"] == planned.revision
    assert world.token not in json.dumps(wanted)
    front = yaml.safe_load(upload["card"].split("---")[1])
    assert front["datasets"] == [f"{world.user}/pairs"] and front["library_name"] == "transformers"
    assert "base_model" not in front  # it is private: the Hub could not link it
    assert "<!-- align-studio:results -->" in upload["card"] and planned.base_revision in upload["card"]


def test_a_private_base_model_needs_its_reader_here_too(studio: Studio) -> None:
    with client.acting_as(studio.world.token):
        assert spec(studio.work, studio.options(), QUICK)["user"] == studio.world.user
        studio.world.hub.add_repo("model", f"{studio.world.user}/free", {"config.json": b"{}"})
        assert "user" not in spec(studio.work, studio.options(base_model=f"{studio.world.user}/free"), QUICK)


@pytest.mark.matrix
def test_a_training_on_a_job_ends_as_a_model_on_the_hub(studio: Studio) -> None:
    world, options = studio.world, studio.options()
    with client.acting_as(world.token):
        run = trainings.start(world.ledger, studio.work, options, QUICK, JOB)
        world.started.append(run.id)
        assert trainings.start(world.ledger, studio.work, options, QUICK, JOB).id == run.id  # a double click
    run = world.wait_for_end(run)
    assert run.state is State.SUCCEEDED, world.story(run)
    (job,) = world.jobs(run)
    assert (job.flavor, job.timeout, job.secret_names) == ("l40sx1", 66 * 60, ("HF_TOKEN",))

    files = world.hub.files("model", f"{world.user}/tuned")
    assert "model.safetensors" in files and "tokenizer.json" in files
    metrics = (run.result or {})["metrics"]
    assert f"{metrics['loss']:.6g}"[:5] in files["README.md"].decode()
    assert world.hub.repo("model", f"{world.user}/tuned").private
    steps = [event for event in events.read(run.events).events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, world.pairs // 2 + 1))

    (model,) = trainings.models(world.ledger, studio.work)
    revision = world.hub.commits("model", f"{world.user}/tuned")[0].id
    assert model.path == f"{world.user}/tuned@{revision}" and model.place == "job"
    assert model.base_model == options.base_model and model.size > 0
    spent = pricing.spent(run)
    assert spent is not None and 0 < spent.usd <= 1.98 and spent.flavor == "l40sx1"

    second = studio.check(project_name="second").numbers.job.offer.estimate
    assert second.source == "former" and 0 < second.seconds <= spent.seconds * 1.5
    other = studio.check(JobOptions(where="job", flavor="a100-large"), project_name="second").numbers.job.offer.estimate
    assert other.source == "formula"  # another machine's pace says nothing
    for file in world.ledger.home.path.rglob("*"):
        assert not file.is_file() or world.token.encode() not in file.read_bytes(), file
