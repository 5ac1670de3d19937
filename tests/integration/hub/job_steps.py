"""What tests of Jobs share: a user with a tiny model and pairs on the Hub, and runs sent to Jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.base.home import open_home
from pipeline.hub import client
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.train.algorithms.orpo import OrpoParams
from tests.doubles.hub import HubDouble, Job
from tests.tiny_model import make_tiny_model, write_train_jsonl

PARAMS: dict[str, Any] = {
    "batch_size": 2,
    "epochs": 1,
    "block_size": 512,
    "lora_r": 4,
    "lora_alpha": 8,
    "gradient_accumulation": 1,
    "mixed_precision": "none",
    "logging_steps": 1,
}
WAIT_S = 240.0  # engines are built and models trained meanwhile, on a machine that others use too
CARD = "---\nlibrary_name: transformers\n---\n\n# A tiny model\n\n<!-- align-studio:results -->\n"


@dataclass
class World:
    """One user of the Hub double, and a home from which they start runs."""

    hub: HubDouble
    user: str
    token: str = field(repr=False)
    ledger: Ledger
    pairs: int = 24
    started: list[str] = field(default_factory=list)

    @property
    def store(self) -> str:
        return f"{self.user}/align-studio-runs"

    def spec(self, name: str, *, flavor: str = "l40sx1", timeout: int = 900, **params: Any) -> dict[str, Any]:
        """Return the spec of a training in a Job."""
        home = self.ledger.home
        return {
            "place": "job",
            "user": self.user,
            "base_model": f"{self.user}/tiny",
            "dataset": "pairs",
            "project_name": name,
            "data_dir": str(home.projects / "p" / "exports" / "pairs"),
            "output_dir": str(home.projects / "p" / "models"),
            "params": OrpoParams().model_dump() | PARAMS | params,
            "job": {"flavor": flavor, "namespace": self.user, "timeout": timeout, "price_per_minute": 0.03},
            "remote": {
                "engine": "autotrain",
                "overrides": {"data_dir": "data", "output_dir": "output"},
                "downloads": [
                    {
                        "repo": f"{self.user}/pairs",
                        "type": "dataset",
                        "revision": self.hub.commits("dataset", f"{self.user}/pairs")[0].id,
                        "file": "train.jsonl",
                        "to": "data/train.jsonl",
                    }
                ],
                "upload": {
                    "folder": f"output/{name}",
                    "repo": f"{self.user}/{name}",
                    "type": "model",
                    "private": True,
                    "card": CARD,
                    "message": f"Train {name}",
                },
                "fetch": None,
            },
        }

    def launch(self, spec: dict[str, Any]) -> Run:
        """Start a run as the app does for this user."""
        with client.acting_as(self.token):
            run = launch.start(self.ledger, "train", "p", f"Train {spec['project_name']}", spec)
        self.started.append(run.id)
        return run

    def add(self, spec: dict[str, Any]) -> Run:
        """Add a run to the ledger without starting anything."""
        run = self.ledger.add("train", "p", f"Train {spec['project_name']}", spec)[0]
        self.started.append(run.id)
        return run

    def revive(self) -> None:
        """Look after the runs as the page does for this user."""
        with client.acting_as(self.token):
            launch.revive(self.ledger)

    def get(self, run: Run) -> Run:
        return self.ledger.get(run.id)

    def jobs(self, run: Run) -> list[Job]:
        return [job for job in self.hub.jobs() if job.labels.get("run") == run.id]

    def wait(self, run: Run, what: str, condition: Callable[[Run], Any], seconds: float = WAIT_S) -> Run:
        """Wait until something holds of a run; tell all there is to know when it does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = self.get(run)
            if condition(seen):
                return seen
            assert seen.active or what == "its end", self.story(run)
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come\n{self.story(run)}")

    def wait_for_end(self, run: Run) -> Run:
        return self.wait(run, "its end", lambda seen: not seen.active)

    def wait_for_event(self, run: Run, kind: str, count: int = 1) -> Run:
        return self.wait(run, f"{count} {kind}", lambda seen: len(self.told(seen, kind)) >= count)

    def told(self, run: Run, kind: str) -> list[dict[str, Any]]:
        return [event for event in events.read(run.events).events if event["event"] == kind]

    def stage(self, run: Run) -> str:
        """Return the last stage that was told."""
        return next((str(event["stage"]) for event in reversed(self.told(run, "stage"))), "")

    def story(self, run: Run) -> str:
        seen = self.get(run)
        parts = [str(seen), *(str(event) for event in events.read(run.events).events[-25:])]
        for file in (run.log, run.folder / "supervisor.txt"):
            parts.append(file.read_text()[-3000:] if file.exists() else f"no {file.name}")
        for job in self.jobs(run):
            parts += [f"{job.id} {job.stage} {job.message}", *(line for _, line in job.lines[-25:])]
        return "\n".join(parts)

    def end_supervisor(self, run: Run) -> None:
        """Kill the supervisor of a run."""
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "pipeline.carriers.supervisor" in command and command[-1] == run.id:
                process.kill()
                process.wait(10)
        deadline = time.monotonic() + 10
        while launch.has_supervisor(run) and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        for job in self.hub.jobs():
            if job.namespace == self.user:
                self.hub.job_runner.end(job, "CANCELED", None)
        for run_id in self.started:
            self.end_supervisor(self.ledger.get(run_id))


@contextmanager
def a_world(hub: HubDouble, user: str, folder: Path, *, pairs: int = 24) -> Iterator[World]:
    """Make a user with a model and pairs, and end what they started."""
    token = hub.add_user(user)
    model = make_tiny_model(folder / "tiny")
    hub.add_repo("model", f"{user}/tiny", {file.name: file for file in model.iterdir()}, private=True)
    data = write_train_jsonl(folder / "data", pairs)
    file = data if data.is_file() else data / "train.jsonl"
    hub.add_repo("dataset", f"{user}/pairs", {"train.jsonl": file}, private=True)
    world = World(hub, user, token, Ledger(open_home(folder / "home")), pairs)
    try:
        yield world
    finally:
        world.close()


__all__ = ["CARD", "State", "World", "a_world"]
