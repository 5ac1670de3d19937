"""A model's folder or Hub id: whether it can be loaded, its shape, its chat template."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError

from pipeline.base.message import Message, Option, message, worded
from pipeline.engines import base_model
from pipeline.hub import look, models
from pipeline.hub.look import Kind, Seen
from pipeline.hub.problems import causes, explain
from pipeline.models.shape import ModelShape

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
# Weights as pickles, which are programs: they are not loaded (LLaMA-Factory's CVE-2025-53002 is of this kind).
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin.index.json")
MOST_BYTES = 16 << 20  # of a small file of a model; the header of a model in a thousand pieces takes a few
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
ADAPTER = "adapter_config.json"
TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

_HIDDEN = ("hidden_size", "n_embd", "d_model")  # as most say, GPT-2, MPT
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
_NO_ID = re.compile(r"--|\.\.|[.-](/|$)|\.git$|.{97}")  # what the Hub refuses in a name
_WITH_REVISION = re.compile(rf"(?P<id>{HUB_ID.pattern})(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Reference:
    """What a model's name stands for.

    Attributes:
        path: An absolute folder, or an id on the Hub without its revision; what was typed where it is neither.
        revision: The branch, tag or commit after the id's @; empty: none was named.
        local: Whether it is a folder.
    """

    path: str
    revision: str = ""
    local: bool = False

    @property
    def on_hub(self) -> bool:
        """Whether it is spelled like an id on the Hub, and no folder."""
        return not self.local and bool(HUB_ID.fullmatch(self.path)) and not _NO_ID.search(self.path)


def refer(name: str) -> Reference:
    """Return what a model's name stands for, without asking anybody.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    with contextlib.suppress(OSError, RuntimeError):  # too long for a path; the home of somebody who is not here
        folder = Path(name).expanduser()
        if name and folder.is_dir():
            return Reference(str(folder.resolve()), local=True)
    found = _WITH_REVISION.fullmatch(name.strip())
    return Reference(found["id"], found["revision"] or "") if found else Reference(name)


def commit(name: str) -> str:
    """Return the commit that a Hub model's name stands for now; empty for a folder, or where it cannot be told.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = refer(name)
    if not model.on_hub:
        return ""
    seen = look.at("model", model.path, model.revision)
    if seen.state == "there":
        return seen.sha
    snapshot = locate(name)
    return snapshot.name if snapshot else ""


def same(one: str, other: str) -> bool:
    """Return whether two names stand for the same model at the same revision, as far as can be told.

    Args:
        one: A folder or an id on the Hub.
        other: Another one.
    """
    first, second = refer(one), refer(other)
    if first.path != second.path:
        return False
    return first.revision == second.revision or (commit(one) == commit(other) != "")


def locate(name: str) -> Path | None:
    """Return the folder of a model: a local one, or its snapshot in the Hub's cache; None when it is not here.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = refer(name)
    if model.local:
        return Path(model.path)
    found = models.cached(model.path, "config.json", model.revision) if model.on_hub else None
    return found.parent if found else None


def path_for_worker(name: str) -> str:
    """Return what an engine loads: an absolute folder, or the Hub id without its revision."""
    return refer(name).path


def problem(name: str) -> Message | None:
    """Say why a model cannot be loaded, or None when it can.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = refer(name)
    if not name.strip():
        return message("model.none")
    if model.local:
        folder = Path(model.path)
        away = _leads_away(folder)
        return message("model.link", name=name, file=away) if away else _incomplete(name, _files(folder), "folder")
    if not model.on_hub:
        return message("model.no_folder", name=name)
    seen = look.at("model", model.path, model.revision)
    if seen.state == "unreached":
        snapshot = locate(name)
        if snapshot is not None and not missing(snapshot):
            return None
    if seen.state == "there":
        return _incomplete(name, seen.files, "model")
    return _hub_problem(name, "model", seen, message("model.instead.folder"))


def missing(folder: Path) -> list[Message]:
    """Return what a model's folder lacks: config.json, weights, a tokenizer."""
    return _lacks(_files(folder))


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()


def _leads_away(folder: Path) -> str:
    """Return a file of a folder that is a link to somewhere else; "" where none is.

    What a link names would be read as the model's, shown, and published with what is trained on it. Links into the
    `blobs` of the Hub's cache, which snapshots are made of, stay.
    """
    homes = [folder.resolve()]
    if folder.parent.name == "snapshots":
        homes.append((folder.parent.parent / "blobs").resolve())
    for path in folder.iterdir():
        if path.is_symlink() and not any(path.resolve().is_relative_to(home) for home in homes):
            return path.name
    return ""


def _lacks(files: Iterable[str]) -> list[Message]:
    there = set(files)
    lacks = [] if "config.json" in there else [message("model.lacks.config")]
    if not there.intersection(WEIGHTS):
        lacks.append(message("model.lacks.weights", file=WEIGHTS[0]))
    if not there.intersection(TOKENIZERS):
        lacks.append(message("model.lacks.tokenizer", file=TOKENIZERS[0]))
    return lacks


def _incomplete(name: str, files: Iterable[str], kind: str) -> Message | None:
    there = set(files)
    if ADAPTER in there:  # transformers takes such a folder for an adapter, whatever else it holds
        title = Path(name).name if kind == "folder" else name
        return message(f"model.adapter.{kind}", name=title, option=Option("merge_adapter", "train"))
    lacks = _lacks(there)
    pickles = sorted(file for file in there if file.endswith(PICKLED) and file != "training_args.bin")
    if pickles and not there.intersection(WEIGHTS):
        return message(f"model.pickled.{kind}", name=name, files=pickles[:3])
    return message(f"model.incomplete.{kind}", name=name, lacks=lacks) if lacks else None


def dataset_problem(name: str, instead: Message | str) -> Message | None:
    """Say why a data set on the Hub cannot be loaded, or None when it can.

    Args:
        name: Its id.
        instead: What else the user can do: a message, or the code of one.
    """
    seen = look.at("dataset", name)
    if seen.state == "there" or (seen.state == "unreached" and models.is_cached("dataset", name, "README.md")):
        return None
    return _hub_problem(name, "dataset", seen, worded(instead))


def _hub_problem(name: str, kind: Kind, seen: Seen, instead: Message) -> Message:
    if seen.state == "gated":
        return message("model.gated", name=name, instead=instead)
    if seen.state == "missing":
        return message(f"model.missing.{kind}", name=name, instead=instead)
    if seen.error is not None and (
        seen.state != "unreached" or any(isinstance(cause, HfHubHTTPError) for cause in causes(seen.error))
    ):
        said = explain(seen.error, message("model.not_given", name=name), name)
        return message("model.refused", problem=said.message, instead=instead)
    # The library's own words ("[Errno -2] Name or service not known") say nothing more.
    return message("model.unreached", name=name, instead=instead)


def template_of(name: str) -> str | None:
    """Return the chat template of a model, from the Hub where it is not here; None when it has none.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    return templates(name).get("default")


def templates(name: str) -> dict[str, str]:
    """Return the chat templates of a model by name; the one used for a conversation is called default.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = refer(name)
    if model.local:
        return _templates_in(Path(model.path))
    if not model.on_hub:
        return {}
    text = (models.read(model.path, TEMPLATE, model.revision) or b"").decode("utf-8", "replace")
    return {"default": text} if text else _named(models.config(model.path, TOKENIZER_CONFIG, model.revision))


def chat_template(folder: Path) -> str | None:
    """Return the chat template saved with a tokenizer; of several, the one called default.

    Args:
        folder: A model's folder.
    """
    return _templates_in(folder).get("default")


def _templates_in(folder: Path) -> dict[str, str]:
    file = folder / TEMPLATE
    text = _small(file).decode("utf-8", "replace") if file.is_file() else ""
    return {"default": text} if text else _named(_json(folder / TOKENIZER_CONFIG))


def _named(config: dict[str, Any]) -> dict[str, str]:
    found = config.get("chat_template")
    if isinstance(found, str):
        return {"default": found} if found else {}
    if isinstance(found, dict):
        found = [{"name": name, "template": text} for name, text in found.items()]
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return {str(each.get("name")): each["template"] for each in entries if isinstance(each.get("template"), str)}


def config(name: str) -> dict[str, Any]:
    """Return a model's config.json; empty where it cannot be had.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = refer(name)
    if model.local:
        return _json(Path(model.path) / "config.json")
    return models.config(model.path, revision=model.revision) if model.on_hub else {}


def shape(model: Path | str) -> ModelShape | None:
    """Return a model's shape from config.json and the headers of its safetensors; None where they do not tell.

    Args:
        model: A folder, or a model's id on the Hub with or without @revision; its weights are not downloaded.
    """
    refers = refer(str(model))
    try:
        if refers.local:
            folder = Path(refers.path)
            config = _json(folder / "config.json")
            files = sorted(folder.glob("*.safetensors"))
            tensors = {name: dims for file in files for name, dims in _shapes(file).items()}
        elif refers.on_hub:
            config = models.config(refers.path, revision=refers.revision)
            tensors = models.tensors(refers.path, refers.revision) if config else {}
        else:
            return None
        hidden, layers = (int(_either(config, names)) for names in (_HIDDEN, _LAYERS))
        vocabulary = int(config["vocab_size"])
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        OSError,
    ):  # another kind of config, or a damaged file
        return None
    if not tensors:
        return None
    adapted = (dims for name, dims in tensors.items() if not re.search(r"embed|lm_head|wte|wpe", name))
    return ModelShape(
        parameters=sum(math.prod(dims) for dims in tensors.values()),
        adaptable=sum(sum(dims) for dims in adapted if len(dims) == 2),
        hidden=hidden,
        layers=layers,
        vocabulary=vocabulary,
    )


def _either(config: dict[str, Any], names: tuple[str, ...]) -> Any:
    return config[next((name for name in names if name in config), names[0])]


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a safetensors file: header length (u64), then the header, JSON."""
    with file.open("rb") as data:
        length = int.from_bytes(data.read(8), "little")
        if length > MOST_BYTES:
            raise ValueError(f"{file.name} is no safetensors file.")
        header = json.loads(data.read(length))
    shapes = {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    if not all(isinstance(dim, int) and 0 <= dim < 1 << 40 for dims in shapes.values() for dim in dims):
        raise ValueError(f"{file.name} says shapes that no tensor has.")
    return shapes


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_small(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _small(file: Path) -> bytes:
    """Return the content of a small file.

    Raises:
        ValueError: It is none.
    """
    with file.open("rb") as data:
        content = data.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file.name} is too large.")
    return content


def context(model: Path | str) -> int | None:
    """Return the longest sequence a model reads, in tokens; None where its files do not say.

    Args:
        model: A folder, or a model's id on the Hub with or without @revision.
    """
    refers = refer(str(model))
    if refers.on_hub:
        files = [models.config(refers.path, name, refers.revision) for name in ("config.json", TOKENIZER_CONFIG)]
    else:
        files = [_json(Path(refers.path) / name) for name in ("config.json", TOKENIZER_CONFIG)]
    limits = [base_model.context(files[0]), files[1].get("model_max_length")]
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1e9]
    return min(known, default=None)
