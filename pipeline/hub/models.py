"""Models on the Hub: search, and what their small files say, without downloading weights."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelInfo, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, NotASafetensorsRepoError, SafetensorsParsingError

from pipeline.hub import client, look
from pipeline.hub.look import Found, Kind, Memory, Seen
from pipeline.hub.problems import HUB_ERRORS, explain
from pipeline.hub.retry import passing

WEIGHTS_INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
FOUND = 12  # hits of one search
_LOOKED_THROUGH = 40  # hits asked for, out of which the first that generate text are shown
_EXPAND: Any = ["downloads", "likes", "private", "gated", "pipeline_tag"]
_HEADERS_AT_ONCE = 8


_found: Memory[tuple[Found, ...]] = Memory()
_tensors: Memory[dict[str, tuple[int, ...]]] = Memory(lambda shapes: 3600.0 if shapes else look.AGAIN_S)
_texts: Memory[bytes] = Memory(lambda content: 3600.0 if content else look.AGAIN_S, most=60)


def search(words: str, limit: int = FOUND) -> list[Found]:
    """Return models whose names have these words, the most downloaded first; none that is known to do another task.

    Args:
        words: What somebody typed; empty: nothing is found.
        limit: Hits at most.

    Raises:
        StudioError: The Hub is not reached, or does not answer.
    """
    wanted = words.strip()
    if not wanted:
        return []

    def ask() -> tuple[Found, ...]:
        found = look.searches("model")(search=wanted, sort="downloads", limit=_LOOKED_THROUGH, expand=_EXPAND)
        # Not left to the Hub: a model just trained has no card that names its task.
        infos = [ModelInfo(**{"siblings": None, **each}) for each in found]
        return tuple(Found.of(info) for info in infos if info.pipeline_tag in (None, "text-generation"))

    try:
        return list(_found.get(wanted, ask))[:limit]
    except (*HUB_ERRORS, ValueError) as error:
        raise explain(error, "hub.cannot.search_models") from error


def cached(name: str, file: str, revision: str = "") -> Path | None:
    """Return a model's file in this machine's cache, where the present visitor may have it.

    What the cache holds may have been fetched with another account: where the Hub is reached, it decides; where it is
    not, this machine's files are as good as they are.

    Args:
        name: The model's id.
        file: The file's path in the repository.
        revision: Branch, tag or commit; empty: the default branch.
    """
    try:
        found = try_to_load_from_cache(name, file, revision=revision or None)
    except HFValidationError:  # "a--b", say: no id the Hub would give
        return None
    if not isinstance(found, str) or look.at("model", name, revision).state not in ("there", "unreached"):
        return None
    return Path(found)


def is_cached(kind: Kind, name: str, file: str) -> bool:
    """Return whether a repository's file is in this machine's cache, whoever fetched it."""
    return isinstance(try_to_load_from_cache(name, file, repo_type=kind), str)


def read(name: str, file: str, revision: str = "") -> bytes | None:
    """Return a small file of a model, None where it has none, it is not given to this account or the Hub not reached.

    Args:
        name: The model's id.
        file: The file's path in the repository.
        revision: Branch, tag or commit; empty: the default branch.
    """
    here = cached(name, file, revision)
    seen = look.at("model", name, revision)
    if here is not None and (seen.state != "there" or seen.sha in here.parts):
        return here.read_bytes()
    # Looked at before: hf_hub_download of huggingface_hub 2.4 tries an unreachable Hub for 23 s.
    if seen.state != "there" or file not in seen.files:
        return None
    return _texts.get((name, file, seen.sha), lambda: _download(name, file, revision, seen)) or None


def _download(name: str, file: str, revision: str, seen: Seen) -> bytes:
    """Return a file's content; only what everybody may read is left in the cache that everybody shares."""
    wanted: dict[str, Any] = {"revision": revision or None, "etag_timeout": look.TIMEOUT_S}
    try:
        if seen.public:
            return Path(str(client.api().hf_hub_download(name, file, **wanted))).read_bytes()
        with tempfile.TemporaryDirectory(prefix="align-studio-") as folder:
            return Path(str(client.api().hf_hub_download(name, file, cache_dir=folder, **wanted))).read_bytes()
    except HUB_ERRORS:
        return b""  # kept for a few seconds only, see _texts


def config(name: str, file: str = "config.json", revision: str = "") -> dict[str, Any]:
    """Return a JSON object among a model's files; empty where there is none.

    Args:
        name: The model's id.
        file: The file's path in the repository.
        revision: Branch, tag or commit; empty: the default branch.
    """
    try:
        value = json.loads(read(name, file, revision) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def tensors(name: str, revision: str = "") -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a model, from the headers of its safetensors: a few kilobytes of each file.

    Args:
        name: The model's id.
        revision: Branch, tag or commit; empty: the default branch.

    Returns:
        Shapes by tensor name; empty where the model has no safetensors, or they cannot be had.
    """
    seen = look.at("model", name, revision)
    if seen.state != "there":
        return {}
    return _tensors.get((name, seen.sha), lambda: _read_headers(name, revision, seen))


def _read_headers(name: str, revision: str, seen: Seen) -> dict[str, tuple[int, ...]]:
    files = [WEIGHTS]
    if WEIGHTS not in seen.files:
        weights = config(name, WEIGHTS_INDEX, revision).get("weight_map")
        files = sorted(set(weights.values()) & seen.files) if isinstance(weights, dict) else []
    api, commit = client.api(), seen.sha  # made here: the threads below act for nobody
    with ThreadPoolExecutor(_HEADERS_AT_ONCE) as threads:
        try:
            headers = list(threads.map(lambda file: _header(api, name, file, commit), files))
        except (*HUB_ERRORS, SafetensorsParsingError, NotASafetensorsRepoError):
            return {}
    return {tensor: shape for header in headers for tensor, shape in header.items()}


def _header(api: HfApi, name: str, file: str, commit: str) -> dict[str, tuple[int, ...]]:
    def ask() -> Any:
        return api.parse_safetensors_file_metadata(name, file, revision=commit, timeout=look.TIMEOUT_S)

    try:
        metadata = ask()
    except HUB_ERRORS as error:
        if not passing(error):
            raise
        metadata = ask()  # once more: one of thirty files in a hurry must not make the whole model unknown
    return {tensor: tuple(info.shape) for tensor, info in metadata.tensors.items()}
