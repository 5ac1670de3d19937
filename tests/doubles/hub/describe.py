"""What the Hub tells of a repository: its card, tags, files and weights."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import yaml

from tests.doubles.hub.clock import stamp
from tests.doubles.hub.repositories import Commit, Entry, Repository
from tests.doubles.hub.storage import Storage

_TAGGED = (
    "task_categories",
    "language",
    "license",
    "size_categories",
    "multilinguality",
    "task_ids",
    "annotations_creators",
)
_HEADER = 25_000_000  # longest header of a safetensors file that the Hub reads
_PLAIN = ("language",)  # models carry the bare code


def front_matter(text: str) -> dict[str, Any]:
    """Return the YAML head of a README.

    Raises:
        yaml.YAMLError: It is none.
    """
    if not text.startswith("---"):
        return {}
    head = text[3:].partition("\n---")[0]
    found = yaml.safe_load(head)
    return found if isinstance(found, dict) else {}


def card(commit: Commit, storage: Storage) -> dict[str, Any]:
    """Return the card's data of a commit; empty where there is none."""
    entry = commit.tree.get("README.md")
    if entry is None:
        return {}
    try:
        return front_matter(storage.read(entry.sha256).decode("utf-8", "replace"))
    except yaml.YAMLError:
        return {}


def tags(repository: Repository, data: dict[str, Any]) -> list[str]:
    """Return the tags the Hub makes of a card."""
    found: list[str] = []
    for key in _TAGGED:
        values = data.get(key)
        for value in values if isinstance(values, list) else [values] if values else []:
            found.append(f"{value}" if repository.kind == "model" and key in _PLAIN else f"{key}:{value}")
    found += [str(tag) for tag in data.get("tags") or () if isinstance(tag, str)]
    found += [f"base_model:{base}" for base in _list(data.get("base_model"))]
    if repository.kind == "model":
        found += [f"dataset:{name}" for name in _list(data.get("datasets"))] + _list(data.get("library_name"))
    return list(dict.fromkeys([*found, "region:us"]))


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []


def info(
    repository: Repository, commit: Commit, storage: Storage, *, blobs: bool = False, full: bool = True
) -> dict[str, Any]:
    """Return what the Hub tells of a repository at a commit.

    Args:
        repository: Which.
        commit: At which commit.
        storage: Where its contents are.
        blobs: With sizes and ids of the files.
        full: With files and card.
    """
    data = card(commit, storage)
    found: dict[str, Any] = {
        "_id": repository.id,
        "id": repository.name,
        "author": repository.namespace,
        "sha": commit.id,
        "lastModified": stamp(commit.date),
        "createdAt": stamp(repository.created),
        "private": repository.private,
        "gated": repository.gated,
        "disabled": False,
        "downloads": repository.downloads,
        "likes": repository.likes,
        "tags": tags(repository, data),
    }
    if repository.kind == "model":
        found |= {
            "modelId": repository.name,
            "pipeline_tag": data.get("pipeline_tag"),
            "library_name": _library(data, commit),
        }
        found["config"] = _config(commit, storage)
        weights = _weights(commit, storage)
        found |= {"safetensors": weights} if weights else {}
    found |= repository.more()
    if not full:
        return found
    siblings = [{"rfilename": path} | (_blob(entry) if blobs else {}) for path, entry in sorted(commit.tree.items())]
    return found | {"cardData": data, "siblings": siblings, "usedStorage": repository.stored()}


def _blob(entry: Entry) -> dict[str, Any]:
    lfs = {"lfs": {"sha256": entry.sha256, "size": entry.size, "pointerSize": 130}} if entry.lfs else {}
    return {"size": entry.size, "blobId": entry.oid} | lfs


def _library(data: dict[str, Any], commit: Commit) -> str | None:
    return data.get("library_name") or ("transformers" if "config.json" in commit.tree else None)


def _config(commit: Commit, storage: Storage) -> dict[str, Any]:
    entry = commit.tree.get("config.json")
    if entry is None:
        return {}
    try:
        config = json.loads(storage.read(entry.sha256))
    except ValueError:
        return {}
    return {key: config[key] for key in ("architectures", "model_type") if key in config}


def _weights(commit: Commit, storage: Storage) -> dict[str, Any] | None:
    """Return the counts of weights by type, from the headers of the safetensors files."""
    counts: dict[str, int] = {}
    for path, entry in commit.tree.items():
        if not path.endswith(".safetensors") or "/" in path:
            continue
        try:
            with storage.path(entry.sha256).open("rb") as stream:
                length = struct.unpack("<Q", stream.read(8))[0]
                header = json.loads(stream.read(min(length, _HEADER)))
        except (ValueError, struct.error):  # not what its name says
            continue
        for name, tensor in header.items():
            if name != "__metadata__":
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    return {"parameters": counts, "total": sum(counts.values())} if counts else None
