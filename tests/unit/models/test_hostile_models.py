"""Base models whose files are attacks: refused with words, in bounded time and memory, before anything is loaded."""

from __future__ import annotations

import json
import pickle
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.models import reference, sandbox, template
from pipeline.models.template import DEFAULT, ModelReader

TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
CONFIG = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 16}


def safetensors(path: Path, header: bytes, length: int | None = None) -> None:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + b"\0" * 16)


def tensor(shape: object) -> bytes:
    return json.dumps({"model.layers.0.w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model's folder."""
    found = tmp_path / "model"
    found.mkdir()
    (found / "config.json").write_text(json.dumps(CONFIG))
    (found / "tokenizer.json").write_text("{}")
    safetensors(found / "model.safetensors", tensor([2, 2]))
    return found


def test_what_the_attacks_differ_from_is_a_model(folder: Path) -> None:
    assert reference.problem(str(folder)) is None
    assert reference.shape(folder) is not None


class Attack:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "run")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "consolidated.00.pth", "a.ckpt"])
def test_weights_that_are_pickles_alone_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Attack(tmp_path / "was-run")))
    found = reference.problem(str(folder))
    assert found is not None and found.code == "model.pickled.folder" and found.next
    assert reference.shape(folder) is None
    assert not (tmp_path / "was-run").exists()


def test_pickles_beside_safetensors_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Attack(tmp_path / "was-run")))
    assert reference.problem(str(folder)) is None
    assert reference.shape(folder) is not None
    assert not (tmp_path / "was-run").exists()


HEADERS: dict[str, Callable[[Path], None]] = {
    "longer than the file": lambda path: safetensors(path, tensor([2]), 1 << 40),
    "longer than anything": lambda path: safetensors(path, tensor([2]), (1 << 64) - 1),
    "a hundred megabytes": lambda path: safetensors(path, b" " * (100 << 20)),
    "a million deep": lambda path: safetensors(path, b"[" * 1_000_000),
    "a list": lambda path: safetensors(path, b"[1, 2]"),
    "tensors that are numbers": lambda path: safetensors(path, b'{"a": 1}'),
    "no JSON": lambda path: safetensors(path, b"\xff\xfe<script>"),
    "a shape of words": lambda path: safetensors(path, tensor(["<b>", "2"])),
    "a shape of a number": lambda path: safetensors(path, tensor(7)),
    "a negative shape": lambda path: safetensors(path, tensor([-1, 4])),
    "a shape without end": lambda path: safetensors(path, tensor([10**4000, 2])),
    "an empty file": lambda path: path.write_bytes(b"") and None,
}


@pytest.mark.parametrize("make", HEADERS.values(), ids=HEADERS)
def test_absurd_headers_of_weights_say_nothing(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "model.safetensors")
    assert reference.shape(folder) is None


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 300_000, "[]", "no json", " " * (17 << 20)])
def test_absurd_configurations_say_nothing(folder: Path, text: str) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text(text)
    assert reference.config(str(folder)) == {}
    assert reference.shape(folder) is None and reference.context(folder) is None
    assert template.files(str(folder)).template == DEFAULT


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json", "model.safetensors"])
def test_links_that_lead_out_of_a_folder_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    found = reference.problem(str(folder))
    assert found is not None and found.code == "model.link" and name in found.what


def test_links_within_the_hubs_cache_are_what_it_is_made_of(folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        file.rename(blobs / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    assert reference.problem(str(snapshot)) is None


REACHES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__base__ }}",
    "{{ messages|attr('__class__') }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__['__builtins__'] }}",
    "{{ self._TemplateReference__context.environment.overlayed }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% set x = messages.append({}) %}",
    "{{ messages.clear() }}",
]


@pytest.mark.parametrize("text", REACHES)
def test_a_template_reaches_nothing_but_the_conversation(text: str) -> None:
    reader = ModelReader(template.Files("x", {"default": text}))
    turns = [dict(turn) for turn in TURNS]
    try:
        said = reader.render(turns)
    except template.Refused as error:
        said = str(error)
    assert turns == TURNS
    for secret in ("subprocess", "root:", "PATH", "<class 'list'>", "<class 'object'>", "builtins"):
        assert secret not in said


ENDLESS = {
    "loops in loops": (
        "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% for c in r %}{% endfor %}{% endfor %}{% endfor %}",
        "time",
    ),
    "a macro that calls itself in loops": (
        "{% macro m(n) %}{% for i in range(50) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endfor %}{% endmacro %}{{ m(40) }}",
        "time",
    ),
    "a power of a power": ("{{ 10 ** (10 ** 10) }}", "time"),
    "a text times ten billion": ("{{ 'a' * 10000000000 }}", "memory"),
    "a text as wide as a disk": ("{{ '%99999999999d' % 1 }}", "memory"),
    "a centred text": ("{{ 'a'|center(99999999999) }}", "memory"),
    "a text that doubles": (
        "{% set n = namespace(t='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
        "memory",
    ),
    "lists in lists": (
        "{% set n = namespace(t=[1]) %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "memory",
    ),
}


@pytest.mark.parametrize("text, much", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process's memory")
def test_a_template_that_takes_too_much_is_ended_in_a_process_of_its_own(text: str, much: str) -> None:
    assert sandbox.tried(text, {}, [TURNS], seconds=1) == much


def test_templates_that_end_are_not_held_up() -> None:
    began = time.process_time()
    assert sandbox.tried(DEFAULT, {"bos_token": "<s>"}, [TURNS] * 300) == ""
    assert sandbox.tried("{% nonsense %}", {}, [TURNS]) == ""
    assert sandbox.tried("{{ raise_exception('no') }}", {}, [TURNS]) == ""
    assert time.process_time() - began < 1
