"""Models on the Hub: what is told of them without downloading weights, from the Hub double."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from pipeline.base.errors import StudioError
from pipeline.hub import client, look, models
from pipeline.models import reference, tokens
from tests.doubles.hub import HubDouble
from tests.tiny_model import CHATML, make_tiny_model

SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.fixture(autouse=True)
def asked_afresh() -> None:
    """Every test asks the Hub itself."""
    look.Memory.forget()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def files(folder: Path) -> dict[str, bytes | Path]:
    return {path.name: path for path in folder.iterdir()}


def cached(name: str) -> list[Path]:
    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    return [path for path in folder.rglob("*") if path.is_file()]


def test_shape_context_template_and_tokens_without_weights(hub: HubDouble, unique: str, tiny: Path) -> None:
    name = f"{unique}/tiny"
    hub.add_repo("model", name, files(tiny))
    asked = len(hub.requests)
    assert reference.problem(name) is None
    assert reference.shape(name) == reference.shape(tiny) is not None
    assert reference.context(name) == reference.context(tiny) == 1024
    assert reference.template_of(name) == CHATML
    counter, local = tokens.counter(name), tokens.counter(str(tiny))
    text = "How do I make tea? 你好"
    assert counter.unit == "tokens" and counter.name == name and counter.count(text) == local.count(text)
    weights = (tiny / "model.safetensors").stat().st_size
    got = [request for request in hub.requests[asked:] if "safetensors" in request.path or "/cdn/" in request.path]
    assert sum(request.bytes_sent for request in got) < weights / 2, got
    asked = len(hub.requests)
    assert reference.shape(name) and reference.template_of(name) and tokens.counter(name) is counter
    assert len(hub.requests) == asked  # a form asks with every change


def test_the_shape_of_weights_in_several_files(hub: HubDouble, unique: str, tiny: Path, tmp_path: Path) -> None:
    """Split by hand: two files and the index that names them."""
    content = (tiny / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = {name: entry for name, entry in json.loads(content[8 : 8 + length]).items() if name != "__metadata__"}
    parts: dict[str, dict[str, object]] = {"model-1.safetensors": {}, "model-2.safetensors": {}}
    index = {}
    for number, (tensor, entry) in enumerate(sorted(header.items())):
        file = f"model-{number % 2 + 1}.safetensors"
        parts[file][tensor], index[tensor] = entry, file
    repository: dict[str, bytes | Path] = {
        "config.json": tiny / "config.json",
        "tokenizer.json": tiny / "tokenizer.json",
    }
    for file, entries in parts.items():
        head = json.dumps(entries).encode()
        repository[file] = len(head).to_bytes(8, "little") + head + b"\0" * 300_000
    repository["model.safetensors.index.json"] = json.dumps({"weight_map": index}).encode()
    hub.add_repo("model", f"{unique}/sharded", repository)
    assert reference.shape(f"{unique}/sharded") == reference.shape(tiny)
    assert reference.problem(f"{unique}/sharded") is None


def test_a_revision_is_named_after_the_id(hub: HubDouble, unique: str, tiny: Path) -> None:
    name = f"{unique}/two"
    hub.add_repo("model", name, files(tiny))
    first = hub.commits("model", name)[0].id
    config = json.loads((tiny / "config.json").read_bytes()) | {"max_position_embeddings": 77}
    second = hub.add_commit("model", name, {"config.json": json.dumps(config).encode()}).id
    hub.add_branch("model", name, "old", first)
    assert reference.context(name) == 77 and reference.context(f"{name}@old") == 1024
    assert (reference.commit(name), reference.commit(f"{name}@old")) == (second, first)
    assert reference.path_for_worker(f"{name}@{first}") == name
    assert reference.same(f"{name}@old", f"{name}@{first}") and not reference.same(name, f"{name}@old")
    assert reference.same(name, f"{name}@main")
    notice = reference.problem(f"{name}@v9")
    assert notice is not None and "no such revision" in notice.why


def test_what_one_visitor_may_read_is_not_given_to_another(hub: HubDouble, unique: str, tiny: Path) -> None:
    token, stranger = hub.add_user(unique), hub.add_user(f"{unique}x")
    private, gated = f"{unique}/private", f"{unique}/gated"
    hub.add_repo("model", private, files(tiny), private=True)
    hub.add_repo("model", gated, files(tiny), gated=True)
    for _ in range(2):  # the second time from memory
        with client.acting_as(token):
            for name in (private, gated):
                assert reference.problem(name) is None and reference.shape(name) is not None
                assert reference.template_of(name) == CHATML and tokens.counter(name).unit == "tokens"
        for other in (None, stranger):
            with client.acting_as(other):
                for name, said in ((private, "no model"), (gated, "accepted its terms")):
                    notice = reference.problem(name)
                    assert notice is not None and said in notice.what
                    assert reference.shape(name) is None and reference.template_of(name) is None
                    assert tokens.counter(name).unit != "tokens" and reference.context(name) is None
    assert cached(private) == [] and cached(gated) == []  # nothing of them stays on the disk all visitors share


def test_what_another_account_left_in_the_cache_is_not_given(hub: HubDouble, unique: str, tiny: Path) -> None:
    token, name = hub.add_user(unique), f"{unique}/fetched"
    hub.add_repo("model", name, files(tiny), private=True)
    with client.acting_as(token):
        client.api().snapshot_download(name)  # as a training run of the machine's owner does
        assert reference.locate(name) is not None
    assert reference.locate(name) is None and tokens.counter(name).unit != "tokens"


def test_a_public_model_goes_on_counting_while_the_hub_is_away(hub: HubDouble, unique: str, tiny: Path) -> None:
    name = f"{unique}/kept"
    hub.add_repo("model", name, files(tiny))
    hub.add_repo("model", f"{unique}/never", files(tiny))
    assert tokens.counter(name).unit == "tokens" and reference.template_of(name) == CHATML
    look.Memory.forget()
    hub.fault("*", "", 503, times=None)
    assert tokens.counter(name).unit == "tokens" and reference.template_of(name) == CHATML
    notice = reference.problem(f"{unique}/never")
    assert notice is not None and "status 503" in notice.why
    look.Memory.forget()
    hub.calm()
    hub.fault("*", "", drop=True, times=None)
    notice = reference.problem(f"{unique}/never")
    assert notice is not None and "cannot be reached" in notice.what


def test_models_that_cannot_be_loaded_say_so(hub: HubDouble, unique: str, tiny: Path) -> None:
    whole = files(tiny)
    hub.add_repo("model", f"{unique}/bare", {name: whole[name] for name in ("config.json", "tokenizer.json")})
    hub.add_repo("model", f"{unique}/adapter", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    hub.add_repo("model", f"{unique}/torn", whole | {"model.safetensors": b"\x08" + b"\0" * 7 + b"not json"})
    for name, said in (("bare", "not a whole model"), ("adapter", "is an adapter"), ("none", "There is no model")):
        notice = reference.problem(f"{unique}/{name}")
        assert notice is not None and said in notice.what
    assert reference.shape(f"{unique}/torn") is None and reference.shape(f"{unique}/bare") is None
    with client.acting_as("hf_" + "y" * 30):
        notice = reference.problem(f"{unique}/bare")
        assert notice is not None and "token" in notice.why and "y" * 30 not in str(notice)


def test_models_are_searched_for(hub: HubDouble, unique: str, tiny: Path) -> None:
    card = b"---\npipeline_tag: text-generation\nlibrary_name: transformers\n---\n"
    for owner, downloads in (("low", 2), ("high", 50)):
        hub.add_repo("model", f"{owner}/{unique}", {"README.md": card}, downloads=downloads)
    hub.add_repo("model", f"other/{unique}-vision", {"README.md": b"---\npipeline_tag: image-to-text\n---\n"})
    token = hub.add_user(unique)
    hub.add_repo("model", f"{unique}/{unique}-mine", {"README.md": card}, private=True)
    assert [hit.name for hit in models.search(unique)] == [f"high/{unique}", f"low/{unique}"]
    with client.acting_as(token):
        assert f"{unique}/{unique}-mine" in [hit.name for hit in models.search(unique)]
    assert models.search("  ") == []
    hub.fault("GET", r"^/api/models\?", 500, times=None)
    with pytest.raises(StudioError, match="cannot be searched"):
        models.search(f"{unique} again")
