"""A model's folder or Hub id: whether it can be loaded, its shape, its chat template."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, HTTPError, RepositoryNotFoundError

from pipeline.hardware import ModelShape
from pipeline.preflight import Notice

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
ADAPTER = "adapter_config.json"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

_TIMEOUT = 3.0  # seconds the Hub is waited for
_FRESH = 60.0  # seconds an answer of the Hub is believed
_asked: dict[tuple[str, str], tuple[float, Notice | None]] = {}


def locate(name: str) -> Path | None:
    """Return the folder of a model: a local one, or its snapshot in the Hub's cache; None when it is not here.

    Args:
        name: A folder or a model's id on the Hub.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder.resolve()
    if not HUB_ID.fullmatch(name):
        return None
    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # "a--b", say: no id the Hub would give
        return None
    return Path(found).parent if isinstance(found, str) else None


def path_for_worker(name: str) -> str:
    """Return what an engine loads: an absolute folder, or the Hub id as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def problem(name: str) -> Notice | None:
    """Say why a model cannot be loaded, or None when it can.

    Args:
        name: A folder or a model's id on the Hub.
    """
    if not name.strip():
        return Notice("No model is chosen.", "", "Choose a folder, or a model's id on the Hub.")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _folder_problem(name, folder)
    if not HUB_ID.fullmatch(name):
        return Notice(
            f"There is no model folder {name}.", "It is no id on the Hub either.", "Choose a folder that is there."
        )
    snapshot = locate(name)
    if snapshot is not None and not missing(snapshot):
        return None
    return _hub_problem(name, "name the folder of a model that is on this machine")


def missing(folder: Path) -> list[str]:
    """Return what a model's folder lacks: config.json, weights, a tokenizer."""
    lacks = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / file).is_file() for file in WEIGHTS):
        lacks.append(f"weights ({WEIGHTS[0]})")
    if not any((folder / file).is_file() for file in TOKENIZERS):
        lacks.append(f"a tokenizer ({TOKENIZERS[0]})")
    return lacks


def _folder_problem(name: str, folder: Path) -> Notice | None:
    lacks = missing(folder)
    if (folder / ADAPTER).is_file():  # transformers takes such a folder for an adapter, whatever else it holds
        return Notice(
            f"{folder.name} is an adapter, not a whole model.",
            "It holds the changes to a base model, without the model's own weights.",
            "Choose the folder of the merged model, or train with merge_adapter on.",
        )
    if not lacks:
        return None
    return Notice(
        f"The folder {name} is not a whole model.",
        f"It lacks {' and '.join(lacks)}.",
        "Choose a folder in which a model was saved together with its tokenizer.",
    )


def dataset_problem(name: str, instead: str) -> Notice | None:
    """Say why a data set on the Hub cannot be loaded, or None when it can.

    Args:
        name: Its id.
        instead: What else the user can do.
    """
    cached = try_to_load_from_cache(name, "README.md", repo_type="dataset")
    return None if isinstance(cached, str) else _hub_problem(name, instead, "dataset")


def _hub_problem(name: str, instead: str, kind: Literal["model", "dataset"] = "model") -> Notice | None:
    """Ask the Hub, at most once a minute per name: pages check again with every change."""
    now = time.monotonic()
    then, answer = _asked.get((kind, name), (float("-inf"), None))
    if now - then > _FRESH:
        answer = _ask_hub(name, instead, kind)
        _asked[kind, name] = (now, answer)
    return answer


def _ask_hub(name: str, instead: str, kind: Literal["model", "dataset"]) -> Notice | None:
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=_TIMEOUT)
    except GatedRepoError:
        return Notice(
            f"{name} is given only to those who accepted its terms.",
            "The Hub does not give it to this account.",
            f"Accept the terms on its page and set HF_TOKEN, or {instead}.",
        )
    except (RepositoryNotFoundError, HFValidationError):
        return Notice(
            f"There is no {kind} {name} on the Hub that this account can see.",
            "No folder of this name is here either." if kind == "model" else "",
            f"Check the spelling (a private {kind} needs HF_TOKEN), or {instead}.",
        )
    except HfHubHTTPError as error:
        return Notice(f"The Hub did not answer about {name}.", str(error), f"Try again in a minute, or {instead}.")
    except (HTTPError, OSError):
        return Notice(
            f"{name} is not on this machine, and the Hub cannot be reached.",
            "",  # the library's own words ("[Errno -2] Name or service not known") say nothing more
            f"Check the network connection, or {instead}.",
        )
    return None


def template_of(name: str) -> str | None:
    """Return the chat template of a model, from the Hub where it is not here; None when it has none.

    Args:
        name: A folder or a model's id on the Hub.
    """
    folder = locate(name)
    found = chat_template(folder) if folder else None
    if found or (folder and not missing(folder)) or not HUB_ID.fullmatch(name) or problem(name) is not None:
        return found
    for file in ("chat_template.jinja", "tokenizer_config.json"):
        try:
            path = hf_hub_download(name, file, etag_timeout=_TIMEOUT)
        except (HFValidationError, HTTPError, OSError):  # most models have only one of the two
            continue
        found = chat_template(Path(path).parent)
        if found:
            return found
    return None


def chat_template(folder: Path) -> str | None:
    """Return the chat template saved with a tokenizer; of several, the one called default.

    Args:
        folder: A model's folder.
    """
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8") or None
    template = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) and template else None


def shape(folder: Path) -> ModelShape | None:
    """Return a model's shape from config.json and the headers of its safetensors; None where they do not tell."""
    config = _json(folder / "config.json")
    try:
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        vocabulary = int(config["vocab_size"])
        tensors = {name: dims for file in sorted(folder.glob("*.safetensors")) for name, dims in _shapes(file).items()}
    except (KeyError, TypeError, ValueError, OSError):  # another kind of config, or a damaged file
        return None
    if not tensors:
        return None
    parameters = adaptable = 0
    for name, dims in tensors.items():
        count = 1
        for dim in dims:
            count *= dim
        parameters += count
        if len(dims) == 2 and not re.search(r"embed|lm_head|wte|wpe", name):
            adaptable += sum(dims)
    return ModelShape(parameters, adaptable, hidden, layers, vocabulary)


def _shapes(file: Path) -> dict[str, list[int]]:
    """Return the shape of each tensor of a safetensors file: header length (u64), then the header, JSON."""
    with file.open("rb") as data:
        length = int.from_bytes(data.read(8), "little")
        if length > 100 << 20:  # the format's own limit of a header
            raise ValueError(f"{file.name} is no safetensors file.")
        header = json.loads(data.read(length))
    return {name: [int(dim) for dim in entry["shape"]] for name, entry in header.items() if name != "__metadata__"}


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def context(folder: Path) -> int | None:
    """Return the longest sequence a model reads, in tokens; None where its files do not say.

    Args:
        folder: A model's folder.
    """
    limits = [_json(folder / "config.json").get("max_position_embeddings")]
    limits.append(_json(folder / "tokenizer_config.json").get("model_max_length"))
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1e9]
    return min(known, default=None)
