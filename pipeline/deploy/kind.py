"""The run that deploys this program."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

DEPLOY = RunKind("deploy", tab="dataset", task="pipeline.deploy.task:deploy")
