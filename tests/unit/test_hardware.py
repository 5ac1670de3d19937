from __future__ import annotations

import os

import psutil
import pytest

from pipeline.hardware.machine import Gpu, Hardware, parse_gpus, size, this_machine, training_memory
from pipeline.models.shape import ModelShape

# SmolLM2-135M: 134,515,008 parameters, hidden 576, 30 layers, intermediate 1536, 192 for keys and values.
_LAYER = 4 * 576 + 2 * (576 + 192) + 3 * (576 + 1536)
SMOLLM2 = ModelShape(134_515_008, 30 * _LAYER, 576, 30, 49_152)


@pytest.mark.parametrize(
    ("batch", "tokens", "rank", "precision", "measured"),
    [
        (4, 126, 16, "bf16", 2.3),
        (4, 254, 16, "bf16", 3.1),
        (4, 254, None, "bf16", 4.8),
        (1, 254, 16, "none", 2.3),
        (4, 254, 16, "none", 5.35),
        (4, 508, 16, "none", 9.8),
    ],
)
def test_training_memory_agrees_with_what_was_measured(
    batch: int, tokens: int, rank: int | None, precision: str, measured: float
) -> None:
    estimate = training_memory(SMOLLM2, batch_size=batch, tokens=tokens, lora_rank=rank, mixed_precision=precision)
    assert estimate / 1e9 == pytest.approx(measured, rel=0.1)


def test_training_all_weights_takes_more_than_an_adapter() -> None:
    adapter, full = (
        training_memory(SMOLLM2, batch_size=4, tokens=512, lora_rank=rank, mixed_precision="bf16")
        for rank in (16, None)
    )
    assert full - adapter == 12 * (SMOLLM2.parameters - 16 * SMOLLM2.adaptable)


def test_this_machine_is_within_what_the_system_has() -> None:
    machine = this_machine()
    assert 1 <= machine.cpus <= (os.cpu_count() or 1)
    assert 0 < machine.memory <= psutil.virtual_memory().total
    assert str(machine.cpus) in machine.words


def test_parse_gpus_reads_the_csv_of_nvidia_smi() -> None:
    answer = "NVIDIA H200, 143771\nNVIDIA GB10, [N/A]\n\n"
    assert parse_gpus(answer) == (Gpu("NVIDIA H200", 143771 << 20),)


def test_training_memory_of_a_machine_is_its_gpus_where_it_has_one() -> None:
    gpu = Gpu("NVIDIA L4", 24 << 30)
    assert Hardware(4, 8 << 30).training_memory == 8 << 30
    assert Hardware(4, 8 << 30, (gpu,)).training_memory == 24 << 30


@pytest.mark.parametrize(("count", "words"), [(512, "0.5 KiB"), (3 << 20, "3.0 MiB"), (int(2.5 * 2**30), "2.5 GiB")])
def test_size_in_words(count: int, words: str) -> None:
    assert size(count) == words
