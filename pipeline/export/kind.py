"""The runs that write an export and publish it."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

EXPORT = RunKind("export", tab="export", task="pipeline.export.task:export_pairs")
PUBLISH = RunKind("publish", tab="export", task="pipeline.export.task:publish_export")
